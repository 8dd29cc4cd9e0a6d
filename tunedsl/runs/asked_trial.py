"""A trial for an asker: the handle whose calls report and end it. `runs.study` implements these calls."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import attrs

from tunedsl.backends.external import AskedAttempt
from tunedsl.base.errors import ReportError, wrong_value
from tunedsl.base.plain_json import plain_json
from tunedsl.base.types import Json
from tunedsl.driver.request_handlers import find_trial
from tunedsl.journal import JournalStatus
from tunedsl.journal.requests import RequestRefused
from tunedsl.kernel import Event, RunState, TrialState
from tunedsl.worker import TrialInfo
from tunedsl.worker.api import GivenCheckpoint, joined_metrics


@attrs.frozen(eq=False)
class AskedTrial(TrialInfo):
    """A trial from `ask`: its configuration and state, and the calls that report and end it.

    Attributes:
        known: how many of its reports the journal has. After a failure, a trial repeats the reports after its
            checkpoint; repeated reports are dropped.
    """

    known: int
    _tell: Callable[[AskedTrial, dict[str, Any], GivenCheckpoint], bool | None] = attrs.field(repr=False)
    _end: Callable[[AskedTrial, Callable[[AskedAttempt], Event], str], None] = attrs.field(repr=False)
    _over: list[str] = attrs.field(factory=list, repr=False)

    @property
    def is_over(self) -> bool:
        """Whether a call or a decision of the experiment has ended this attempt."""
        return bool(self._over)

    @property
    def how_over(self) -> str:
        """`ended`, `failed` or `stopped`; empty for an outstanding trial."""
        return self._over[0] if self._over else ""

    def set_over(self, how: str) -> None:
        """Record how it ended; later calls have no effect."""
        self._over.append(how)

    def report(
        self,
        metrics: Mapping[str, Any] | None = None,
        /,
        *,
        checkpoint: GivenCheckpoint = None,
        **more: Any,
    ) -> bool:
        """Report one iteration; return whether the trial continues.

        Args:
            metrics: names and values, as a mapping or as keywords; see `tunedsl.report`.
            checkpoint: a folder with everything that is needed to continue from here; all of it is copied. Or a
                function that writes it into an empty folder, called when a checkpoint is needed.

        Returns:
            False when the trial is over: it met its stop rule, or the scheduler stopped or paused it. A paused trial
            is returned by a later `ask`, with its checkpoint.

        Raises:
            ReportError: for an invalid report, or a trial that has ended. Nothing is recorded.
        """
        return bool(self._tell(self, joined_metrics("report", metrics, more, checkpoint), checkpoint))

    def end(self) -> None:
        """End the trial after its last report; has no effect on a trial that has ended.

        Raises:
            ReportError: when it has not reported an objective.
        """
        self._end(self, lambda attempt: attempt.end(), "ended")

    def fail(self, message: str) -> None:
        """Fail the trial; `ask` returns it again as `.retry(crash=...)` allows. No effect on a trial that has ended."""
        self._end(self, lambda attempt: attempt.fail(message), "failed")


def trial_data(trial: AskedTrial, lease: float | None) -> dict[str, Json]:
    """A trial as JSON data, for programs in any language.

    Args:
        lease: seconds without a report after which it expires.
    """
    return {
        "trial": f"{trial.number}:{trial.attempt}",
        "number": trial.number,
        "name": trial.id,
        "attempt": trial.attempt,
        "config": plain_json(trial.config),
        "seed": trial.seed,
        "iteration": trial.iteration,
        "known": trial.known,
        "checkpoint": None if trial.checkpoint is None else str(trial.checkpoint),
        "lease": lease,
    }


def which_trial(trial: AskedTrial | int | str, state: RunState) -> tuple[int, int | None]:
    """The number of a trial, and the attempt if the caller names one.

    Raises:
        ReportError: when there is no such trial.
    """
    if isinstance(trial, AskedTrial):
        return trial.number, trial.attempt
    if isinstance(trial, bool) or not isinstance(trial, (int, str)):
        raise wrong_value("tell.trial", trial, "a trial of this study, or its number or name")
    if isinstance(trial, int) and trial in state.trials:
        return trial, None
    text = str(trial)
    number, colon, attempt = text.rpartition(":")
    try:
        if colon and number.isdecimal() and attempt.isdecimal():
            return find_trial(str(int(number)), state).number, int(attempt)
        return find_trial(text, state).number, None
    except RequestRefused as error:
        raise ReportError(str(error)) from None


def why_not_outstanding(trial: TrialState, attempt: int | None, is_outstanding: bool) -> str:
    """The reason why a trial, or an attempt at it, cannot be reported now.

    Args:
        attempt: the reported attempt, if the asker names one.
        is_outstanding: whether the current attempt is outstanding.
    """
    if trial.phase == "TERMINATED":
        return f"Trial {trial.name} has already ended, after iteration {trial.iteration}."
    if trial.phase == "ERRORED" and attempt in (None, trial.attempt):
        return f"Trial {trial.name} has failed, and is not retried."
    if attempt is not None and attempt > trial.attempt:
        return f"Trial {trial.name} has no attempt {attempt} yet."
    since = f"attempt {trial.attempt} has begun" if is_outstanding else "the next ask returns it again"
    which = f"Attempt {attempt} at trial" if attempt is not None else "The last attempt at trial"
    return f"{which} {trial.name} has ended, by a failure or an expired lease: {since}."


def why_none(state: RunState, ended: str, outstanding: int) -> str:
    """Say why no trial can be asked for.

    Args:
        state: the state of the run.
        ended: why the run is suspended or paused; empty if it is not.
        outstanding: the number of outstanding trials.
    """
    if state.finished:
        return f"the experiment is over: {state.closing_reason or 'all its trials have ended'}"
    if ended:
        return f"the run has ended: {ended}"
    return f"no trial is available now: {outstanding} trial{' is' if outstanding == 1 else 's are'} outstanding"


def downtime_of(status: JournalStatus, state: RunState, now: float) -> float:
    """Seconds since the last driver that count as time of the run, because askers also evaluate trials without one."""
    seconds, opened = status.opened.get("seconds"), status.opened.get("time")
    if not (state.live and isinstance(seconds, (int, float)) and isinstance(opened, (int, float))):
        return 0.0
    return max(0.0, seconds + now - opened - state.seconds)
