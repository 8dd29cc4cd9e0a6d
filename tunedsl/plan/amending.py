"""What of a run's plan can be changed once the run has begun, clause by clause, and what to do about the rest."""

from __future__ import annotations

from typing import Final

import attrs

from tunedsl.base.codec import data_fields
from tunedsl.base.diagnostics import Diagnostic
from tunedsl.base.errors import JournalError
from tunedsl.plan.diff import Diff, diff
from tunedsl.plan.plan import Plan

_RESTARTS: Final = "run it as a new experiment, with searcher(warm_start(..., {path!r})) to begin with what is known"


@attrs.frozen
class FixedField:
    """Why a field of the plan stays as it is, and what to do instead; `{path!r}` stands for the run's folder."""

    why: str
    instead: str


@attrs.frozen
class AmendableField:
    """What a change of a field of the plan means for what has happened."""

    effect: str


AMENDABLE: Final[dict[str, AmendableField | FixedField]] = {
    "name": FixedField("the folder has the run's name already", "run it as a new experiment"),
    "trainable": AmendableField("trials that begin or go on from here on run the other code; reports of before stay"),
    "form": FixedField("checkpoints and reports of one form mean nothing to another", _RESTARTS),
    "data": AmendableField("trials that begin or go on from here on are given the other objects"),
    "space": FixedField("configurations of before would not be of it", _RESTARTS),
    "objectives": FixedField("what was decided up to here was decided by the other one", _RESTARTS),
    "searcher": FixedField("it has been told of trials that it did not propose", _RESTARTS),
    "scheduler": AmendableField(
        "it begins anew with the trials that come; those that had begun run to their stop rule"
    ),
    "stop": AmendableField("it holds for the next report of each trial; trials that have ended stay ended"),
    "decision_points": AmendableField("they are the scheduler's"),
    "budget": AmendableField("what was used up to here counts"),
    "resources": AmendableField("trials that begin or go on from here on are given them"),
    "parallel": AmendableField("so many trials run at a time from here on"),
    "order": FixedField("the record would be in two orders", _RESTARTS),
    "samples": AmendableField("so many are asked for, counted from the beginning"),
    "trials": AmendableField("they follow from the samples"),
    "seed": FixedField("what was drawn up to here was drawn from the other one", "leave seed(...) out, or run it anew"),
    "retry": AmendableField("it holds for the failures to come; what was counted counts"),
    "fail_fast": AmendableField("it holds for the failures to come"),
    "timeout": AmendableField("it holds for attempts from here on"),
    "checkpoint": AmendableField("it holds for checkpoints from here on"),
    "naming": AmendableField("trials that are proposed from here on are named by it"),
    "idle": AmendableField("it holds for attempts from here on"),
    "grace": AmendableField("it holds for attempts from here on"),
    "isolate": AmendableField("it holds for attempts from here on"),
    "contents": AmendableField("trials that begin or go on from here on use it as it is now"),
    "until": AmendableField("it holds for the trials that fail from here on"),
}
"""Every field of a plan that is data."""


class AmendError(JournalError):
    """An experiment that was changed cannot go on with the run of before.

    Attributes:
        diff: what differs.
        diagnostics: what of it cannot be amended, each with the reason and what to do instead; empty where all can.
    """

    def __init__(self, path: object, differences: Diff, diagnostics: tuple[Diagnostic, ...], hint: str = "") -> None:
        self.diff, self.diagnostics = differences, diagnostics
        changes = [f"  {line}" for line in str(differences).splitlines()]
        lines = ["is the run of an experiment that was changed since:", *changes, *map(str, diagnostics), hint]
        super().__init__(path, "\n".join(filter(None, lines)))


def changed_fields(before: Plan, after: Plan) -> tuple[str, ...]:
    """The fields in which two plans differ, in the order of the plan."""
    names = (field.name for field in data_fields(Plan))
    return tuple(name for name in names if getattr(before, name) != getattr(after, name))


def refused_changes(path: object, before: Plan, after: Plan) -> tuple[Diagnostic, ...]:
    """What of the differences cannot be amended.

    Args:
        path: the run's folder.
    """
    found = []
    for name in changed_fields(before, after):
        ruling = AMENDABLE.get(name)
        if isinstance(ruling, FixedField):
            expected = f"{_clause(name)} as it was: {ruling.why}"
            hint = ruling.instead.format(path=str(path))
            found.append(Diagnostic("E006", _clause(name), "another than the run has", expected, hint))
    return tuple(found)


def check_amendment(path: object, before: Plan, after: Plan, amend: bool) -> Diff:
    """What an amendment changes.

    Args:
        path: the run's folder.
        amend: whether it was asked for.

    Raises:
        AmendError: when it was not, or when something differs that cannot be amended.
    """
    differences, wrong = diff(before, after), refused_changes(path, before, after)
    if not differences or (amend and not wrong):
        return differences
    hint = "" if wrong else f"to go on with these changes: resume({str(path)!r}, amend=True), or --amend"
    raise AmendError(path, differences, wrong, hint)


def amendment_notes(differences: Diff) -> list[str]:
    """What an amendment says to the user: each difference, and what it means."""
    found, said = [], ""
    for change in differences.changes:
        name = change.path.partition(".")[0]
        name = name if name in AMENDABLE else "contents"
        ruling = AMENDABLE.get(name)
        means = ruling.effect if isinstance(ruling, AmendableField) and name != said else ""
        found.append(f"amended: {change}{f'; {means}' if means else ''}")
        said = name
    return found


def _clause(name: str) -> str:
    return {"objectives": "objective", "form": "trainable", "name": "named"}.get(name, name)
