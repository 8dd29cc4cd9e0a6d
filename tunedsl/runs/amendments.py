"""Compares an experiment with the run that it resumes: what has changed, and whether the run allows it.

Which fields of a plan can be amended is in `plan.amending`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, get_args

import attrs

from tunedsl.base.arguments import as_choice
from tunedsl.base.diagnostics import Diagnostic
from tunedsl.base.errors import CodecError, JournalError
from tunedsl.driver.reopening import Amendment
from tunedsl.journal import Journal
from tunedsl.kernel import RunState
from tunedsl.kernel.events import Continuation
from tunedsl.plan import Diff, Plan, diff
from tunedsl.plan.amending import AmendError, changed_fields, check_amendment
from tunedsl.plan.contents import contents_of, functions_of, has_legacy_digests, outdated, recognised
from tunedsl.plan.definition import Definition
from tunedsl.plan.diff import Change
from tunedsl.plan.settings import EXTERNAL
from tunedsl.runs.compiling import compile_plan
from tunedsl.runs.space_changes import check_cells, defaults_of


def compile_for_run(definition: Definition, before: Plan, plan: Plan) -> tuple[Plan, tuple[str, ...]]:
    """Complete an experiment's plan with the run's values, such as the drawn seed and the name.

    Args:
        before: the run's plan.
        plan: the experiment's compiled plan.

    Returns:
        The plan, and the names of the user's objects that cannot be compared with the run's.
    """
    left_open: dict[str, Any] = {}
    if definition.clauses.seed is None:
        left_open["seed"] = before.seed
    if definition.clauses.name is None:
        left_open["name"] = before.name
    if not definition.clauses.until:  # older runs have no such condition
        left_open["until"] = before.until
    return recognised(before, attrs.evolve(plan, **left_open))  # type: ignore[misc]  # `value` makes attrs classes


def matched(definition: Definition, journal: Journal, plan: Plan | None = None) -> tuple[str, ...] | None:
    """Check whether a run belongs to an experiment.

    Args:
        plan: the experiment's compiled plan, if there is one.

    Returns:
        The names of the objects that cannot be compared: empty for a certain match. None for a run of another
        experiment, or one that cannot be read.

    Raises:
        CompileError: when the experiment is wrong.
    """
    try:
        before = journal.plan
    except JournalError:
        return None
    engine = EXTERNAL if definition.clauses.trainable is None else "inline"
    now, unknown = compile_for_run(definition, before, plan or compile_plan(definition, engine))
    return unknown if now.digest == before.digest else None


def difference(
    definition: Definition, journal: Journal, amend: bool, engine: str, retry_failed: bool = False
) -> tuple[Plan, Diff, tuple[str, ...]]:
    """The plan to resume with, its differences from the journal's, and the objects that cannot be compared.

    Args:
        amend: whether differences are allowed.
        engine: the engine that an amended plan must run on.
        retry_failed: whether failed trials run again; this allows a changed trainable.

    Raises:
        AmendError: when it differs without `amend`, or in a field that a run cannot change.
        CompileError: when the experiment is wrong.
    """
    before = journal.plan
    first = EXTERNAL if engine == EXTERNAL else "inline"  # other engines have checks that an unchanged plan has passed
    plan, unknown = compile_for_run(definition, before, compile_plan(definition, first))
    is_corrected = retry_failed and set(changed_fields(before, plan)) <= {"trainable", "contents"}
    differences = check_amendment(journal.folder, before, plan, amend or is_corrected)
    if differences and engine != first:
        plan, unknown = compile_for_run(definition, before, compile_plan(definition, engine))
    return plan, differences, unknown


def amendment_of(journal: Journal, plan: Plan, amend: bool | Continuation, defaults: Mapping[str, Any]) -> Amendment:
    """How an amended plan treats the trials of a run.

    Args:
        plan: the amended plan.
        amend: as for `resume_experiment`.
        defaults: as for `resume_experiment`.

    Raises:
        ArgumentError: for another value of `amend`.
        AmendError: when a new parameter has no default.
    """
    ended = amend if isinstance(amend, str) else "continue"
    as_choice("resume.amend", ended, get_args(Continuation))
    return Amendment(ended, defaults_of(journal.folder, journal.plan, plan, defaults))


def check_code(plan: Plan, path: object) -> None:
    """Check that the code that a journal's plan refers to is the code of the run.

    Raises:
        CodecError: when a function cannot be imported or has changed.
    """
    missing = [(where, reference) for where, reference in functions_of(plan) if reference.object is None]
    for where, reference in missing:
        if not reference.importable:
            raise CodecError(
                f"The function {reference.reference} ({where}) cannot be imported.\n"
                f"  help: call experiment.resume({str(path)!r}) on the experiment that defines it"
            )
    changed = outdated(plan) if missing else []
    if changed:
        raise CodecError(
            f"The code of {', '.join(changed)} has changed since this run began.\n"
            f"  help: to continue with the current code, experiment.resume({str(path)!r}, amend=True)"
        )


def check_fits(path: object, before: Plan, plan: Plan, state: RunState) -> None:
    """Check that a run can continue with an amended plan.

    Raises:
        AmendError: when logical order has more running trials than the plan's concurrent ones, or the trials do not
            fit an amended grid.
    """
    check_cells(path, before, plan, state)
    live = len(state.live)
    if plan.order == "logical" and plan.parallel is not None and plan.parallel < live:
        message = f"parallel({plan.parallel}) is too low, because {live} trials are running in logical order."
        hint = f"write parallel({live}), or resume without the change until fewer trials run"
        wrong = Diagnostic("E006", "parallel", message, hint)
        change = Change("parallel", repr(before.parallel), repr(plan.parallel))
        raise AmendError(path, Diff((change,)), (wrong,))


def changed_plan_fields(journal: Journal, plan: Plan) -> tuple[str, ...]:
    """The fields in which `plan` differs from the journal's plan."""
    return changed_fields(journal.plan, plan)


def corrected(journal: Journal) -> tuple[Plan, Diff]:
    """The journal's plan with the trainable's current code, and the differences.

    Raises:
        CodecError: when the trainable cannot be imported.
    """
    before = journal.plan
    if before.trainable is None:
        return before, Diff(())
    plan: Plan = attrs.evolve(before, trainable=before.trainable.current())  # type: ignore[misc]  # a `value` class
    if not has_legacy_digests(before):
        plan = attrs.evolve(plan, contents=contents_of(plan, {}))  # type: ignore[misc]
    return plan, diff(before, plan)


def without_effect(before: RunState, after: RunState) -> list[str]:
    """The message for an amendment that started no trial, as lines; empty when it started some."""
    if before.live or before.queued or before.paused or _launches(before) != _launches(after):
        return []
    text = f"the amendment starts no trial: all {len(after.trials)} trials have ended, and it adds none"
    again = f"to run the {after.errored_count} failed ones again: retry_failed=True, or --retry-failed"
    return [text, f"  help: {again if after.errored_count else 'ask for more trials by .samples(...)'}"]


def _launches(state: RunState) -> int:
    """How many times trials were launched; one that ended without a launch counts once."""
    return sum(trial.attempt + 1 for trial in state.trials.values())
