"""An experiment as it is now beside the run that it is to go on with: what was changed, and whether that can be."""

from __future__ import annotations

from typing import Any

import attrs

from tunedsl.base.diagnostics import Diagnostic
from tunedsl.base.errors import CodecError, JournalError
from tunedsl.base.references import is_legacy
from tunedsl.journal import Journal
from tunedsl.kernel import RunState
from tunedsl.plan import Diff, Plan, diff
from tunedsl.plan.amending import AmendError, changed_fields, check_amendment
from tunedsl.plan.contents import contents_of, functions_of, outdated, recognised
from tunedsl.plan.definition import Definition
from tunedsl.plan.diff import Change
from tunedsl.runs.compiling import compile_plan


def compile_for_run(definition: Definition, before: Plan, plan: Plan) -> tuple[Plan, tuple[str, ...]]:
    """The experiment's plan with what it leaves open as the run has it: the seed that was drawn, the folder's name.

    Args:
        plan: as the experiment was compiled.

    Returns:
        The plan, and what of the user's objects is only assumed to be as in the run: nothing can compare it.
    """
    left_open: dict[str, Any] = {}
    if definition.clauses.seed is None:
        left_open["seed"] = before.seed
    if definition.clauses.name is None:
        left_open["name"] = before.name
    if not definition.clauses.until:  # a run of before there was such a condition has none
        left_open["until"] = before.until
    return recognised(before, attrs.evolve(plan, **left_open))  # type: ignore[misc]  # `value` makes attrs classes


def matched(definition: Definition, journal: Journal, plan: Plan | None = None) -> tuple[str, ...] | None:
    """Whether a run may be the experiment's: the names of what cannot be compared, none for a run that surely is.

    Args:
        plan: the experiment's, where it is compiled already.

    Returns:
        None for a run of another experiment, or one that cannot be read.

    Raises:
        CompileError: when the experiment is wrong.
    """
    try:
        before = journal.plan
    except JournalError:
        return None
    now, unknown = compile_for_run(definition, before, plan or compile_plan(definition, "inline"))
    return unknown if now.digest == before.digest else None


def difference(
    definition: Definition, journal: Journal, amend: bool, engine: str, retry_failed: bool = False
) -> tuple[Plan, Diff, tuple[str, ...]]:
    """The plan to go on with, what it has otherwise than the journal's, and what of it cannot be compared.

    Args:
        amend: whether it may differ.
        engine: on which an amended plan has to run.
        retry_failed: whether failed trials run again, for which the trainable's code may have been corrected.

    Raises:
        AmendError: when it differs and may not, or differs in what a run cannot change.
        CompileError: when the experiment is wrong.
    """
    before = journal.plan
    plan, unknown = compile_for_run(definition, before, compile_plan(definition, "inline"))
    is_corrected = retry_failed and set(changed_fields(before, plan)) <= {"trainable", "contents"}
    differences = check_amendment(journal.folder, before, plan, amend or is_corrected)
    if differences and engine != "inline":
        plan, unknown = compile_for_run(definition, before, compile_plan(definition, engine))
    return plan, differences, unknown


def check_code(plan: Plan, path: object) -> None:
    """Whether a plan that was read from a journal leads to the code that the run had.

    Raises:
        CodecError: when it does not.
    """
    missing = [(where, reference) for where, reference in functions_of(plan) if reference.object is None]
    for where, reference in missing:
        if not reference.importable:
            raise CodecError(
                f"{reference.reference} ({where}) was run as an object that no import leads to: "
                f"resume it by experiment.resume({str(path)!r}) of the experiment that has it"
            )
    changed = outdated(plan) if missing else []
    if changed:
        raise CodecError(
            f"{', '.join(changed)}: changed since this run began, which uses it; to go on with the code as it is now: "
            f"experiment.resume({str(path)!r}, amend=True)"
        )


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
    plan: Plan = attrs.evolve(before, trainable=before.trainable.current())  # type: ignore[misc]  # a `value` class
    if not is_legacy(before.trainable.digest):
        plan = attrs.evolve(plan, contents=contents_of(plan, {}))  # type: ignore[misc]
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
