"""`auto`: a Gaussian process and TPE in turn, by the number of trials and by what the trials report.

The two learn from the same trials. A Gaussian process needs fewer trials on smooth objectives, TPE is better on rough
ones and stays cheap with thousands of trials.
Source: the comparison of `tests/benchmarks/decisions.py`, whose figures are in `docs/guides/searchers.md`.
"""

from __future__ import annotations

from typing import Final

import attrs
from msgspec.structs import replace

from tunedsl.base.codec import value
from tunedsl.searchers.branches import due_branch
from tunedsl.searchers.contract import (
    UNLIMITED,
    Answer,
    Proposal,
    ProposalReason,
    Searcher,
    Supports,
    register_searcher,
    searcher_of,
)
from tunedsl.searchers.description import SearchSetting
from tunedsl.searchers.gp import GpState, gp
from tunedsl.searchers.history import REPORTED, STOPPED, History
from tunedsl.searchers.tpe import tpe

_MAX_TRIALS_OF_GP: Final = 250
_STARTUP: Final = 8
_GP: Final = gp(n_startup_trials=_STARTUP)
_TPE: Final = tpe(n_startup_trials=_STARTUP)


@value(repr=False)
class Auto:
    """The spec of `auto`."""

    def __repr__(self) -> str:
        return "auto()"


def auto() -> Auto:
    """The searcher that is recommended for most experiments: it chooses between `gp()` and `tpe()` for each trial.

    The choice depends on the trial's number, and on whether trials are stopped early or report to a scheduler:
    `plan.explain()` shows it for an experiment, and `results.why(trial)` for a trial.

    Example:
        >>> auto()
        auto()
    """
    return Auto()


def _choice(trial: int, early: bool, is_branch_due: bool = False) -> tuple[bool, str]:
    """Whether the Gaussian process proposes a trial, and why it does or does not.

    Args:
        trial: the trial's number.
        early: whether trials are observed before they end.
        is_branch_due: whether a branch of the space was tried too rarely.
    """
    if early:
        return True, "trials are compared before they end, and its model knows the iteration"
    if is_branch_due:
        return True, "a branch of the space was tried too rarely, and its model can be limited to this branch"
    if trial >= _MAX_TRIALS_OF_GP:
        return False, f"after {_MAX_TRIALS_OF_GP} trials its model is as good, and cheaper"
    by_gp = trial % 2 == 0
    return by_gp, f"the first {_MAX_TRIALS_OF_GP} trials are proposed by gp() and tpe() in turn"


def _ask(spec: Auto, state: GpState, trial: int, key: int) -> tuple[GpState, Answer]:
    status = state.history.observations.rows[:, 1]
    early = bool(((status == REPORTED) | (status == STOPPED)).any())
    by_gp, why = _choice(trial, early, not early and _is_branch_due(state.history))
    if by_gp:
        state, answer = searcher_of(_GP).ask(_GP, state, trial, key)
    else:
        history, answer = searcher_of(_TPE).ask(_TPE, state.history, trial, key)
        state = attrs.evolve(state, history=history)
    assert isinstance(answer, Proposal)
    reason = ProposalReason(f"by {'gp()' if by_gp else 'tpe()'}, as {why}")
    return state, replace(answer, reason=reason)


def _is_branch_due(history: History) -> bool:
    facts = history.to_arrays()
    return int(facts.usable.sum()) >= _STARTUP and due_branch(history.layout, facts) is not None


def _describe(spec: Auto, setting: SearchSetting) -> str:
    start = f"the first configurations are spread evenly, until {_STARTUP} trials have results; then "
    if setting.early:
        return f"{start}gp(), as {_choice(0, True)[1]}"
    in_turn = f"{start}gp() and tpe() in turn"
    if setting.trials is not None and setting.trials <= _MAX_TRIALS_OF_GP:
        return in_turn
    return f"{in_turn} up to trial {_MAX_TRIALS_OF_GP}, tpe() from there, as {_choice(_MAX_TRIALS_OF_GP, False)[1]}"


_INNER: Final = searcher_of(_GP)

register_searcher(
    Auto,
    Searcher(
        name="auto",
        supports=Supports.whole_space(UNLIMITED, intermediate=True, priors=True, outcome_constraints=True),
        init=_INNER.init,
        ask=_ask,
        tell=_INNER.tell,
        force=_INNER.force,
        learn_run=_INNER.learn_run,
        describe=_describe,
    ),
)
