"""SIGKILL to a worker and to the driver in the middle of a training: the resumed run equals the undisturbed one."""

from __future__ import annotations

import subprocess
import sys
import warnings
from pathlib import Path

import pytest

from tests.unit.integrations.frameworks import FRAMEWORKS
from tests.unit.integrations.killed import CALM, interrupted
from tunedsl.backends import LocalEngine

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300), pytest.mark.filterwarnings("ignore")]
PATIENCE_SECONDS = 240


def start_and_die(name: str, store: Path, *engine: str) -> Path:
    """Run a driver until its trial kills it; return the folder of the run."""
    words = [sys.executable, "-m", "tests.unit.integrations.killed", name, str(store), *engine]
    ended = subprocess.run(words, capture_output=True, timeout=PATIENCE_SECONDS, check=False)
    assert ended.returncode == -9, ended.stderr.decode()
    (journal,) = store.glob("*/journal.jsonl")
    return journal.parent


def check_equals_calm(name: str, found, calm_store: Path) -> None:
    assert not found.errors and found.finished
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        calm = interrupted(name, calm_store).run("inline", quiet=True)
    for one, other in zip(found.trials, calm.trials, strict=True):
        assert (one.status, one.iterations) == (other.status, other.iterations)
        assert one.config == pytest.approx(other.config)
        assert list(one.curve["loss"]) == pytest.approx(list(other.curve["loss"]), rel=1e-3)


@pytest.mark.parametrize("framework", FRAMEWORKS, ids=[each.package for each in FRAMEWORKS])
def test_a_killed_run_continues_as_if_nothing_had_happened(framework, tmp_path, monkeypatch):
    pytest.importorskip(framework.package, exc_type=ImportError)
    monkeypatch.setenv("KERAS_BACKEND", "torch")
    store = tmp_path / "killed"
    run = start_and_die(framework.package, store, "local")
    resumed = interrupted(framework.package, store).resume(run, engine=LocalEngine(cpus=1), quiet=True)
    assert len(list(store.glob("killed-*"))) == 1 + framework.is_light
    check_equals_calm(framework.package, resumed, tmp_path / CALM)


@pytest.mark.usefixtures("cluster")
def test_the_same_on_ray(tmp_path):
    import ray

    pytest.importorskip("lightgbm", exc_type=ImportError)
    store, address = tmp_path / "killed", ray.get_runtime_context().gcs_address
    run = start_and_die("lightgbm", store, "ray", address)
    resumed = interrupted("lightgbm", store).resume(run, engine="ray", quiet=True)
    assert len(list(store.glob("killed-*"))) == 2
    check_equals_calm("lightgbm", resumed, tmp_path / CALM)
