"""The trials of an earlier experiment, as prior trials for another searcher."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from tunedsl.base.types import TrialStatus
from tunedsl.compiler import PriorTrial
from tunedsl.journal import Journal
from tunedsl.results.frames import config_of
from tunedsl.results.trial_history import RunHistory
from tunedsl.searchers.contract import ObservationStatus

_OBSERVATION_STATUS: Final[dict[TrialStatus, ObservationStatus]] = {
    "completed": "done",
    "stopped": "stopped",
    "cancelled": "stopped",
    "failed": "failed",
}
"""The observation status for each trial status."""


def read_prior_trials(path: str) -> Iterator[PriorTrial]:
    """The trials of the experiment in a folder, in the order proposed.

    Raises:
        JournalError: when there is no journal, or it is damaged.
    """
    for record in RunHistory.of(Journal(path)).records.values():
        yield PriorTrial(
            config_of(record),
            record.metrics(record.columns),
            record.iterations,
            _OBSERVATION_STATUS.get(record.status, "reported"),
            record.failures[-1].kind if record.status == "failed" else "",
        )
