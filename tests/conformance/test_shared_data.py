"""Large arrays and Arrow tables of `.data(...)`: the workers of a machine share their memory, which is read-only."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tunedsl import report, space, uniform
from tunedsl.backends import LocalEngine

ROWS = 2_000_000
"""Of 8 bytes: more memory than a worker uses by itself while it reads them."""


def measure(config: dict[str, Any], rows: Any) -> None:
    """Read all values, and report how this process has the memory."""
    column = rows if isinstance(rows, np.ndarray) else rows.column("x").chunk(0).to_numpy()
    before = private_bytes()
    report(
        loss=float(column.sum()),
        grown=private_bytes() - before,
        writeable=column.flags.writeable,
        shared="s" in mapping_of(column.__array_interface__["data"][0]),
    )


def private_bytes() -> int:
    """The memory of this process that is not mapped from a file or from shared memory."""
    (line,) = (
        line for line in Path("/proc/self/smaps_rollup").read_text().splitlines() if line.startswith("Anonymous:")
    )
    return int(line.split()[1]) * 1024


def mapping_of(address: int) -> str:
    """The permissions of the mapping of an address: `s` in them is for shared memory."""
    for line in Path("/proc/self/maps").read_text().splitlines():
        bounds, permissions = line.split()[:2]
        low, high = (int(end, 16) for end in bounds.split("-"))
        if low <= address < high:
            return permissions
    return ""


def check(tmp_path: Path, engine: Any, rows: Any) -> None:
    experiment = space(x=uniform(0, 1)).trainable(measure).data(rows=rows).minimize("loss").samples(3).parallel(2)
    results = experiment.store(str(tmp_path)).run(engine=engine, quiet=True)
    assert not results.errors
    for trial in results.trials:
        assert trial.metrics["shared"] and not trial.metrics["writeable"]
        assert trial.metrics["grown"] < ROWS * 8 / 2


def array() -> Any:
    return np.arange(ROWS, dtype=float)


def table() -> Any:
    return pytest.importorskip("pyarrow").table({"x": array()})


pytestmark = pytest.mark.skipif(not Path("/proc/self/smaps_rollup").exists(), reason="needs Linux")


@pytest.mark.parametrize("make", [array, table], ids=["array", "Arrow table"])
def test_local_workers_share_memory(tmp_path, make):
    check(tmp_path, LocalEngine(cpus=2), make())


@pytest.mark.slow
@pytest.mark.usefixtures("cluster")
@pytest.mark.parametrize("make", [array, table], ids=["array", "Arrow table"])
def test_workers_on_ray_share_the_object_store(tmp_path, make):
    check(tmp_path, "ray", make())
