"""A trial that was asked for, as its asker holds it. What its calls do is in `runs.study`."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import attrs

from tunedsl.backends.external import AskedAttempt
from tunedsl.base.errors import ReportError, wrong_value
from tunedsl.base.plain_json import plain_json
from tunedsl.base.types import Json
from tunedsl.driver.request_handlers import find_trial
from tunedsl.journal.requests import RequestRefused
from tunedsl.kernel import Event, RunState, TrialState
from tunedsl.worker import TrialInfo
from tunedsl.worker.api import GivenCheckpoint, joined_metrics


@attrs.frozen(eq=False)
class AskedTrial(TrialInfo):
    """A trial that was asked for: what the trial knows about itself, and the calls that report and end it.

    Attributes:
        known: how many of its reports the journal has. A trial that was asked for again after a failure repeats those
            after its checkpoint; repeated reports are dropped.
    """

    known: int
    _tell: Callable[[AskedTrial, dict[str, Any], GivenCheckpoint], bool | None] = attrs.field(repr=False)
    _end: Callable[[AskedTrial, Callable[[AskedAttempt], Event], str], None] = attrs.field(repr=False)
    _over: list[str] = attrs.field(factory=list, repr=False)

    @property
    def is_over(self) -> bool:
        """Whether its asker no longer holds it: it was ended by a call, or by a decision of the experiment."""
        return bool(self._over)

    @property
    def how_over(self) -> str:
        """`ended`, `failed` or `stopped`; empty for a trial that is not over."""
        return self._over[0] if self._over else ""

    def set_over(self, how: str) -> None:
        """Record how it ended; the first call counts."""
        self._over.append(how)

    def report(
        self,
        metrics: Mapping[str, Any] | None = None,
        /,
        *,
        checkpoint: GivenCheckpoint = None,
        **more: Any,
    ) -> bool:
        """Report one iteration, and say whether the trial goes on.

        Args:
            metrics: names and values, as a mapping or as keywords; see `tunedsl.report`.
            checkpoint: a folder with everything that is needed to continue from here; all of it is copied. Or a
                function that writes it into an empty folder, called when a checkpoint is needed.

        Returns:
            False when the trial is over: it met its stop rule, or the scheduler stopped or paused it. A paused trial
            is asked for again later, from its checkpoint.

        Raises:
            ReportError: for an invalid report, or a trial that its asker no longer holds. Nothing is recorded.
        """
        return bool(self._tell(self, joined_metrics("report", metrics, more, checkpoint), checkpoint))

    def end(self) -> None:
        """End the trial after its last report; has no effect on a trial that is over.

        Raises:
            ReportError: when it has not reported an objective.
        """
        self._end(self, lambda attempt: attempt.end(), "ended")

    def fail(self, message: str) -> None:
        """Fail the trial; it is asked for again as `.retry(crash=...)` allows. No effect on a trial that is over."""
        self._end(self, lambda attempt: attempt.fail(message), "failed")


def trial_data(trial: AskedTrial, lease: float | None) -> dict[str, Json]:
    """A trial as JSON data, for programs in any language.

    Args:
        lease: seconds until it expires unless it is reported.
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
    """The number of the trial that a caller means, and the attempt if the caller says which.

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


def why_not_held(trial: TrialState, attempt: int | None, is_held: bool) -> str:
    """Why nobody can report a trial now, or why this attempt at it cannot be reported.

    Args:
        attempt: the attempt that is reported, if the asker says which.
        is_held: whether an asker holds the current attempt.
    """
    if trial.phase == "TERMINATED":
        return f"Trial {trial.name} has already ended, after iteration {trial.iteration}."
    if trial.phase == "ERRORED" and attempt in (None, trial.attempt):
        return f"Trial {trial.name} has failed, and is not asked for again."
    if attempt is not None and attempt > trial.attempt:
        return f"Trial {trial.name} has no attempt {attempt} yet."
    since = f"attempt {trial.attempt} was asked for since" if is_held else "it waits to be asked for again"
    which = f"Attempt {attempt} at trial" if attempt is not None else "The last attempt at trial"
    return f"{which} {trial.name} is over, by a failure or an expired lease: {since}."
