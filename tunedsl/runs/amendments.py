"""An experiment as it is now beside the run that it is to go on with: what was changed, and whether that can be."""

from __future__ import annotations

from typing import TYPE_CHECKING

import attrs

from tunedsl.base.diagnostics import Diagnostic
from tunedsl.base.errors import JournalError
from tunedsl.journal import Journal
from tunedsl.kernel import RunState
from tunedsl.plan import Diff, Plan, diff
from tunedsl.plan.amending import AmendError, changed_fields, check_amendment
from tunedsl.plan.diff import Change

if TYPE_CHECKING:
    from tunedsl.experiment import Experiment


def compile_for_run(experiment: Experiment, before: Plan, engine: str = "inline") -> Plan:
    """The experiment's plan with what it leaves open as the run has it: the seed that was drawn, the folder's name.

    Raises:
        CompileError: when the experiment is wrong.
    """
    if experiment.clauses.seed is None:
        experiment = experiment.seed(before.seed)
    plan = experiment.compile(engine=engine)
    if experiment.clauses.name is not None:
        return plan
    named: Plan = attrs.evolve(plan, name=before.name)  # type: ignore[misc]  # `value` makes attrs classes
    return named


def matches(experiment: Experiment, journal: Journal) -> bool:
    """Whether a run is the experiment's; one that cannot be read is not."""
    try:
        before = journal.plan
    except JournalError:
        return False
    return compile_for_run(experiment, before).digest == before.digest


def difference(
    experiment: Experiment, journal: Journal, amend: bool, engine: str, retry_failed: bool = False
) -> tuple[Plan, Diff]:
    """The plan to go on with, and what it has otherwise than the journal's.

    Args:
        amend: whether it may differ.
        engine: on which an amended plan has to run.
        retry_failed: whether failed trials run again, for which the trainable's code may have been corrected.

    Raises:
        AmendError: when it differs and may not, or differs in what a run cannot change.
    """
    before = journal.plan
    plan = compile_for_run(experiment, before)
    corrected = retry_failed and changed_fields(before, plan) == ("trainable",)
    differences = check_amendment(journal.folder, before, plan, amend or corrected)
    if differences and engine != "inline":
        plan = compile_for_run(experiment, before, engine)
    return plan, differences


def check_fits(path: object, before: Plan, plan: Plan, state: RunState) -> None:
    """Whether a run as it stands can go on by the amended plan.

    Raises:
        AmendError: when more trials are under way than it runs at a time, and logical order waits for all of them.
    """
    live = len(state.live)
    if plan.order == "logical" and plan.parallel is not None and plan.parallel < live:
        found = f"parallel({plan.parallel}) with {live} trials under way"
        expected = f"at least parallel({live}): logical order waits for every trial that is under way"
        wrong = Diagnostic("E006", "parallel", found, expected, "resume without the change until fewer are, then amend")
        change = Change("parallel", repr(before.parallel), repr(plan.parallel))
        raise AmendError(path, Diff((change,)), (wrong,))


def changed_plan_fields(journal: Journal, plan: Plan) -> tuple[str, ...]:
    """The fields of `plan` that are otherwise than in the journal's."""
    return changed_fields(journal.plan, plan)


def corrected(journal: Journal) -> tuple[Plan, Diff]:
    """The journal's plan with the trainable's code as it is now, and what differs by that.

    Raises:
        CodecError: when the trainable cannot be imported.
    """
    before = journal.plan
    plan: Plan = attrs.evolve(before, trainable=before.trainable.current())  # type: ignore[misc]  # see `plan_now`
    return plan, diff(before, plan)


def without_effect(before: RunState, after: RunState) -> list[str]:
    """That an amended plan ran no trial, and what would run some; no lines where it ran any."""
    if before.live or before.queued or before.paused or _launches(before) != _launches(after):
        return []
    text = f"the amendment runs no trial: all {len(after.trials)} trials have ended, and it asks for no more"
    again = f"to run the {after.errored_count} failed ones again: retry_failed=True, or --retry-failed"
    return [text, f"help: {again if after.errored_count else 'ask for more trials by .samples(...)'}"]


def _launches(state: RunState) -> int:
    """How often trials were launched; each that ended unlaunched counts once, too."""
    return sum(trial.attempt + 1 for trial in state.trials.values())
