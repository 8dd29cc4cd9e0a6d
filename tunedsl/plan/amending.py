"""Which fields of a run's plan can be amended, with the effect of each change or what to do instead."""

from __future__ import annotations

from typing import Final

import attrs

from tunedsl.base.codec import data_fields
from tunedsl.base.diagnostics import Diagnostic
from tunedsl.base.errors import JournalError
from tunedsl.plan.clauses import SUBJECTS
from tunedsl.plan.diff import Diff, diff
from tunedsl.plan.plan import Plan

_RESTARTS: Final = "run it as a new experiment, with searcher(warm_start(..., {path!r})) to use the existing results"


@attrs.frozen
class FixedField:
    """A field of the plan that cannot be amended: why, and what to do instead.

    In `instead`, `{path!r}` is replaced by the run's folder.
    """

    why: str
    instead: str


@attrs.frozen
class AmendableField:
    """A field of the plan that can be amended, and the effect on the run."""

    effect: str


AMENDABLE: Final[dict[str, AmendableField | FixedField]] = {
    "name": FixedField("the folder already has the run's name", "run it as a new experiment"),
    "trainable": AmendableField("trials that start or continue after this run the new code; earlier reports stay"),
    "form": FixedField("another form of trainable cannot use its checkpoints", _RESTARTS),
    "data": AmendableField("trials that start or continue after this get the new objects"),
    "space": AmendableField(
        "new trials are drawn from it; the searcher receives the existing trials that fit, which continue unchanged"
    ),
    "objectives": FixedField("earlier decisions used the old objective", _RESTARTS),
    "searcher": AmendableField("it proposes the later trials, and receives the existing trials"),
    "scheduler": AmendableField(
        "a scheduler that never pauses trials gets the existing reports; another one decides about new trials, and "
        "trials that have started run to their stop rule"
    ),
    "stop": AmendableField("it applies from the next report of each trial; trials that it does not end continue"),
    "decision_points": AmendableField("they follow from the scheduler"),
    "budget": AmendableField("usage so far counts; trials that the old budget ended continue"),
    "resources": AmendableField("trials that start or continue after this get the new resources"),
    "parallel": AmendableField("it limits the concurrent trials after this"),
    "order": FixedField("one journal cannot have two orders", _RESTARTS),
    "samples": AmendableField("existing samples count towards the new number"),
    "trials": AmendableField("they follow from the samples"),
    "seed": FixedField("earlier draws used the old seed", "leave seed(...) out, or run it as a new experiment"),
    "retry": AmendableField("it applies to later failures; earlier failures count"),
    "fail_fast": AmendableField("it applies to later failures"),
    "timeout": AmendableField("it applies to later attempts"),
    "checkpoint": AmendableField("it applies to later checkpoints"),
    "naming": AmendableField("it names trials that are proposed after this"),
    "idle": AmendableField("it applies to later attempts"),
    "grace": AmendableField("it applies to later attempts"),
    "isolate": AmendableField("it applies to later attempts"),
    "contents": AmendableField("trials that start or continue after this use the current code"),
    "constraints": AmendableField(
        "all results are judged by them, earlier ones too; the searcher starts again with the existing trials"
    ),
    "until": AmendableField("existing conditions keep their counts; new ones start at zero"),
}
"""Every data field of a plan."""


class AmendError(JournalError):
    """A changed experiment cannot continue an earlier run.

    Attributes:
        diff: the differences.
        diagnostics: one for each difference that cannot be amended, with the reason and what to do instead.
    """

    def __init__(self, path: object, differences: Diff, diagnostics: tuple[Diagnostic, ...], hint: str = "") -> None:
        self.diff, self.diagnostics = differences, diagnostics
        changes = [f"  {line}" for line in str(differences).splitlines()]
        super().__init__(path, "\n".join(["The experiment has changed since this run started:", *changes]), hint=hint)
        self.args = ("\n".join([str(self), *map(str, diagnostics)]),)


def changed_fields(before: Plan, after: Plan) -> tuple[str, ...]:
    """The fields in which two plans differ, in the order of the plan."""
    names = (field.name for field in data_fields(Plan))
    return tuple(name for name in names if getattr(before, name) != getattr(after, name))


def refused_changes(path: object, before: Plan, after: Plan) -> tuple[Diagnostic, ...]:
    """A diagnostic for each difference that cannot be amended.

    Args:
        path: the run's folder.
        before: the run's plan.
        after: the plan of the changed experiment.
    """
    found = []
    for name in changed_fields(before, after):
        ruling = AMENDABLE.get(name)
        if isinstance(ruling, FixedField):
            message = f"A run in progress cannot change {_clause(name)}, because {ruling.why}."
            hint = ruling.instead.format(path=str(path))
            found.append(Diagnostic("E006", _clause(name), message, hint))
    return tuple(found)


def check_amendment(path: object, before: Plan, after: Plan, amend: bool) -> Diff:
    """The differences that an amendment applies.

    Args:
        path: the run's folder.
        before: the run's plan.
        after: the plan of the changed experiment.
        amend: whether the user asked for an amendment.

    Raises:
        AmendError: for differences without `amend`, or that cannot be amended.
    """
    differences, wrong = diff(before, after), refused_changes(path, before, after)
    if not differences or (amend and not wrong):
        return differences
    call = f"{'open' if after.trainable is None else 'resume'}({str(path)!r}, amend=True)"
    hint = "" if wrong else f"{call} or --amend continues the run with these changes"
    raise AmendError(path, differences, wrong, hint)


def amendment_notes(differences: Diff) -> list[str]:
    """The messages of an amendment: each difference, and its effect."""
    notes, last = [], ""
    for change in differences.changes:
        name = change.path.partition(".")[0]
        name = name if name in AMENDABLE else "contents"
        ruling = AMENDABLE.get(name)
        effect = ruling.effect if isinstance(ruling, AmendableField) and name != last else ""
        notes.append(f"amended: {change}{f'; {effect}' if effect else ''}")
        last = name
    return notes


def _clause(name: str) -> str:
    return {**SUBJECTS, "form": "trainable"}.get(name, name)
