"""Adds golden journals; existing ones are never rewritten, since old journals must stay readable.

python -m tests.replay.make_golden
"""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path

import pytest
from msgspec.structs import replace

from tests.conformance.test_pausing import Walk
from tests.experiments import breaks_at_times, searching
from tests.laws.test_controlled_runs import Script
from tunedsl import asha, diverged, fork, hyperband, pbt, resume, tpe, uniform
from tunedsl.backends import SimulatedEngine
from tunedsl.base.errors import Paused
from tunedsl.experiment import Experiment
from tunedsl.journal import Journal, Line, journal_file
from tunedsl.journal.records import to_line
from tunedsl.journal.requests import AddRequest, PauseRequest, send_request
from tunedsl.kernel import Stop
from tunedsl.runs import setup
from tunedsl.schedulers import median_stopping

FOLDER = Path(__file__).parent / "golden"

EXPERIMENTS: dict[str, Callable[[str], Experiment]] = {
    "asha": searching,
    "failures": lambda store: searching(store, breaks_at_times).retry(1).budget(failures=3),
    "stops": lambda store: searching(store).stop(diverged("loss")).budget(iterations=40),
    "hyperband": lambda store: searching(store, Walk).scheduler(hyperband(max_t=9)),
    "median": lambda store: searching(store).scheduler(
        median_stopping(time_attr="training_iteration", grace_period=2, min_samples_required=3)
    ),
    "pbt": lambda store: (
        searching(store, Walk).scheduler(pbt(perturbation_interval=3)).stop(training_iteration=9).samples(4)
    ),
}


def divergent(source: Path) -> bytes:
    """A journal in which one decision, well-formed and with a right checksum, is not the kernel's."""
    lines = []
    forged = False
    for line in Journal(source).records():
        if not forged and line.c and isinstance(line.c[0], Stop):
            stop, *rest = line.c
            note = type(stop.reason)(stop.reason.rule, {**stop.reason.facts, "milestone": 77})
            other = Stop(stop.trial, stop.attempt, note)
            line, forged = Line(line.n, e=line.e, c=(other, *rest)), True
        lines.append(to_line(line))
    return b"".join(lines)


def amended(store: str) -> Path:
    """A run that was paused, and resumed under another plan with a trial that a user added."""
    e = searching(store, Walk)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(setup, "Inbox", lambda *_: Script([(3, PauseRequest("a golden journal"))]))
        with pytest.raises(Paused) as paused:
            e.run(engine="inline", quiet=True)
    send_request(Path(paused.value.path), AddRequest({"x": 0.25}))
    e.samples(16).scheduler(hyperband(max_t=9)).resume(paused.value.path, quiet=True, amend=True)
    return Path(paused.value.path)


def retried(store: str) -> Path:
    """A finished run whose failed trials were run again."""
    e = searching(store, breaks_at_times).retry(0)
    path = e.run(engine="inline", quiet=True).path
    e.resume(path, quiet=True, retry_failed=True)
    return Path(path)


def elastic(store: str) -> Path:
    """A run whose machines leave and join: changes of capacity, and preempted trials with and without a checkpoint."""
    engine = SimulatedEngine(capacity=[(3, 1), (6, 0), (9, 4)], iterations=9)
    return Path(searching(store, Walk).order("arrival").run(engine, quiet=True).path)


def reopened(store: str) -> Path:
    """A finished run whose trials continue under a later `max_t`; then with another searcher and a wider space."""
    e = searching(store, Walk).scheduler(asha(max_t=3, reduction_factor=3))
    path = e.run(engine="inline", quiet=True).path
    longer = e.scheduler(asha(max_t=9, reduction_factor=3)).samples(14)
    longer.resume(path, quiet=True, amend=True)
    wider = longer.replace(x=uniform(0, 2)).space(y=uniform(0, 1)).searcher(tpe()).samples(18)
    wider.resume(path, quiet=True, amend="restart", defaults={"y": 0.5})
    return Path(path)


def forked(store: str) -> Path:
    """A run that was forked from another one."""
    parent = searching(store).run(engine="inline", quiet=True)
    return Path(resume(fork(parent.path, at="trial 6"), quiet=True).path)


def without_paths(source: Path) -> bytes:
    """A journal whose header names no file of this machine."""
    _, *lines = source.read_bytes().splitlines(keepends=True)
    found = Journal(source).header
    provenance = {**found.provenance, "script": None}
    provenance.pop("module", None)
    if "fork" in provenance:
        provenance["fork"] = {**provenance["fork"], "run": "runs/parent"}
    return to_line(Line(0, h=replace(found, provenance=provenance))) + b"".join(lines)


def main() -> None:
    FOLDER.mkdir(exist_ok=True)
    for name, make in EXPERIMENTS.items():
        file = FOLDER / f"{name}.jsonl"
        if not file.exists():
            with tempfile.TemporaryDirectory() as store:
                results = make(store).run(engine="inline", quiet=True)
                shutil.copy(journal_file(results.path), file)
    for make_run in (amended, retried, elastic, reopened, forked):
        file = FOLDER / f"{make_run.__name__}.jsonl"
        if not file.exists():
            with tempfile.TemporaryDirectory() as store:
                file.write_bytes(without_paths(journal_file(make_run(store))))
    file = FOLDER / "divergent.jsonl"
    if not file.exists():
        file.write_bytes(divergent(FOLDER / "asha.jsonl"))


if __name__ == "__main__":
    main()
