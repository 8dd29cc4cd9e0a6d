"""The pytest plugin: fixtures for runs in the test's own folder, and for golden journals.

It is loaded in every run of pytest where tunedsl is installed, so it imports nothing but pytest, and the package's own
front, before a fixture is used.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from tunedsl.experiment import Experiment
    from tunedsl.journal import Proof
    from tunedsl.results import Results


def pytest_addoption(parser: pytest.Parser) -> None:
    """The option `--golden-new`."""
    text = "write golden journals of tunedsl that are not there yet; one that is there is never overwritten"
    parser.getgroup("tunedsl").addoption("--golden-new", action="store_true", help=text)


@pytest.fixture
def golden(request: pytest.FixtureRequest) -> Callable[..., Proof]:
    """`golden("journals/run.jsonl", results)`: replays a golden journal, and compares a run with it.

    The path is relative to the test's file. With `--golden-new` a journal that is not there is written from the run;
    later runs replay it, and report the first difference.
    """
    from tunedsl.testing.golden import check_golden

    folder, new = request.path.parent, bool(request.config.getoption("--golden-new"))

    def check(file: str | Path, found: Any = None) -> Proof:
        return check_golden(folder / file, found, new)

    return check


@pytest.fixture
def tunedsl_run(tmp_path: Path) -> Callable[..., Results]:
    """`tunedsl_run(experiment)`: runs it in this process, quietly, its results in the test's own folder.

    `tunedsl_run(experiment, curve=..., cost=..., iterations=..., workers=...)` runs it on the simulated engine instead,
    and `engine=` on any other. Where a run in this process begins, no Ray is started.
    """

    def run(experiment: Experiment, engine: Any = None, **simulated: Any) -> Results:
        from tunedsl.backends.simulated import SimulatedEngine

        if engine is not None and simulated:
            raise TypeError(f"engine={engine!r} and {', '.join(simulated)}: give one of the two")
        chosen = SimulatedEngine(**simulated) if simulated else engine or "inline"
        return experiment.store(str(tmp_path)).run(engine=chosen, quiet=True)

    return run
