"""Laws of ask and tell: in any order of calls, with a killed process at any event, the decisions are the same."""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path

from hypothesis import given, settings
from hypothesis import strategies as st

from tunedsl import asha, backoff, hyperband, replay, space, tpe, uniform
from tunedsl.experiment import Experiment
from tunedsl.journal.reader import JOURNAL_FILE
from tunedsl.runs import AskedTrial, Study

BASE = space(x=uniform(0, 1)).minimize("loss").seed(0).samples(12).retry(crash=1, backoff=backoff(initial=0))
EXPERIMENTS = (
    BASE.searcher(tpe(n_startup_trials=3)).scheduler(asha(max_t=9, grace_period=1, reduction_factor=2)),
    BASE.scheduler(hyperband(max_t=4, reduction_factor=2)).parallel(5),
    BASE.parallel(3).stop(training_iteration=4),
    BASE.budget(iterations=20),
)
CALLS = ("ask", "ask", "report", "report", "report", "tell", "fail")
KILLS = (None, None, None, 0.0, 0.3, 0.6, 1.0)
"""Where a call is cut off, from before its first record to after its last one."""
calls = st.lists(st.tuples(st.sampled_from(CALLS), st.integers(0, 7), st.sampled_from(KILLS)), min_size=5, max_size=40)


class Asker:
    """Makes calls, and after a kill continues from the journal as it was at some record of the last call."""

    def __init__(self, experiment: Experiment, folder: Path, saved: Path) -> None:
        self._experiment, self._folder, self._saved = experiment, folder, saved
        self._count = 0
        self.study = experiment.open(folder / "0", quiet=True)
        self._held = self._numbers()

    def call(self, what: str, which: int, kill: float | None) -> None:
        before = self._lines()
        if kill is not None:
            self._copy_files()
        wanted = self._make(what, which)
        if kill is not None:
            after = self._lines()
            self._kill(after[: len(before) + round(kill * (len(after) - len(before)))])
            self._make_again(what, wanted)
        self._held = self._numbers()

    def _make(self, what: str, which: int) -> AskedTrial | None:
        trials = self.study.outstanding
        if what == "ask":
            self.study.ask()
            return None
        if not trials:
            return None
        trial = trials[which % len(trials)]
        self._iteration = self._iterations(trial.number)
        self._tell(what, trial)
        return trial

    def _tell(self, what: str, trial: AskedTrial) -> None:
        loss = (trial.config["x"] - 0.3) ** 2 + 1 / (1 + self._iterations(trial.number))
        if what == "fail":
            trial.fail("a crash")
        elif what == "tell":
            self.study.tell(trial, loss=loss, checkpoint=self._saved)
        else:
            trial.report(loss=loss, checkpoint=self._saved)

    def _make_again(self, what: str, trial: AskedTrial | None) -> None:
        """Makes the call again whose reply was lost, unless the journal has its effect."""
        if what == "ask":
            if self._numbers() == self._held:
                self.study.ask()
            return
        if trial is None:
            return
        for held in self.study.outstanding:
            is_same = (held.number, held.attempt) == (trial.number, trial.attempt)
            if is_same and self._iterations(trial.number) == self._iteration:
                self._tell(what, held)

    def _numbers(self) -> list[tuple[int, int]]:
        return [(trial.number, trial.attempt) for trial in self.study.outstanding]

    def _iterations(self, number: int) -> int:
        return int(self.study._driver.state.trials[number].iteration)

    def _lines(self) -> list[bytes]:
        return (Path(self.study.path) / JOURNAL_FILE).read_bytes().splitlines(keepends=True)

    def _copy_files(self) -> None:
        skipped = shutil.ignore_patterns("*.lock", "*lease*", JOURNAL_FILE)
        copy = self._folder / str(self._count + 1)
        shutil.copytree(self.study.path, copy, ignore=skipped, dirs_exist_ok=True)

    def _kill(self, lines: list[bytes]) -> None:
        """Opens a copy of the run, whose journal ends before a record, so that nothing after it was deleted."""
        self._copy_files()
        copy = self._folder / str(self._count + 1)
        self._count += 1
        (copy / JOURNAL_FILE).write_bytes(b"".join(lines))
        self.study.close()
        self.study = self._experiment.open(copy, quiet=True)


def made(experiment: Experiment, script: list[tuple[str, int, float | None]], folder: Path) -> Study:
    saved = folder / "saved"
    saved.mkdir(parents=True)
    asker = Asker(experiment, folder, saved)
    for call in script:
        asker.call(*call)
    asker.study.close()
    return asker.study


@settings(max_examples=40, deadline=None)
@given(st.sampled_from(EXPERIMENTS), calls)
def test_killed_processes_change_no_decision(experiment, script):
    with tempfile.TemporaryDirectory() as folder:
        whole = made(experiment, [(what, which, None) for what, which, _ in script], Path(folder) / "whole")
        killed = made(experiment, script, Path(folder) / "killed")
        assert replay(killed.path).digest == replay(whole.path).digest
