"""What of a run's plan can be changed once the run has begun, clause by clause, and what to do about the rest."""

from __future__ import annotations

from typing import Final

import attrs

from tunedsl.base.codec import written_fields
from tunedsl.base.diagnostics import Diagnostic
from tunedsl.base.errors import JournalError
from tunedsl.plan.diff import Diff, diff
from tunedsl.plan.plan import Plan

_ANEW: Final = "run it as a new experiment, with searcher(warm(..., {path!r})) to begin with what is known"


@attrs.frozen
class Fixed:
    """Why a field of the plan stays as it is, and what to do instead; `{path!r}` stands for the run's folder."""

    why: str
    instead: str


@attrs.frozen
class Amendable:
    """What a change of a field of the plan means for what has happened."""

    means: str


AMENDABLE: Final[dict[str, Amendable | Fixed]] = {
    "name": Fixed("the folder has the run's name already", "run it as a new experiment"),
    "trainable": Amendable("trials that begin or go on from here on run the other code; reports of before stay"),
    "form": Fixed("checkpoints and reports of one form mean nothing to another", _ANEW),
    "data": Amendable("trials that begin or go on from here on are given the other objects"),
    "space": Fixed("configurations of before would not be of it", _ANEW),
    "objectives": Fixed("what was decided up to here was decided by the other one", _ANEW),
    "searcher": Fixed("it has been told of trials that it did not propose", _ANEW),
    "scheduler": Amendable("it begins anew with the trials that come; those that had begun run to their stop rule"),
    "stop": Amendable("it holds for the next report of each trial; trials that have ended stay ended"),
    "decision_points": Amendable("they are the scheduler's"),
    "budget": Amendable("what was used up to here counts"),
    "resources": Amendable("trials that begin or go on from here on are given them"),
    "parallel": Amendable("so many trials run at a time from here on"),
    "order": Fixed("the record would be in two orders", _ANEW),
    "samples": Amendable("so many are asked for, counted from the beginning"),
    "trials": Amendable("they follow from the samples"),
    "seed": Fixed("what was drawn up to here was drawn from the other one", "leave seed(...) out, or run it anew"),
    "retry": Amendable("it holds for the failures to come; what was counted counts"),
    "fail_fast": Amendable("it holds for the failures to come"),
    "timeout": Amendable("it holds for attempts from here on"),
    "checkpoint": Amendable("it holds for checkpoints from here on"),
    "naming": Amendable("trials that are proposed from here on are named by it"),
    "idle": Amendable("it holds for attempts from here on"),
    "isolate": Amendable("it holds for attempts from here on"),
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
    names = (field.name for field in written_fields(Plan))
    return tuple(name for name in names if getattr(before, name) != getattr(after, name))


def refused(path: object, before: Plan, after: Plan) -> tuple[Diagnostic, ...]:
    """What of the differences cannot be amended.

    Args:
        path: the run's folder.
    """
    found = []
    for name in changed_fields(before, after):
        ruling = AMENDABLE.get(name)
        if isinstance(ruling, Fixed):
            expected = f"{_clause(name)} as it was: {ruling.why}"
            hint = ruling.instead.format(path=str(path))
            found.append(Diagnostic("E006", _clause(name), "another than the run has", expected, hint))
    return tuple(found)


def amended(path: object, before: Plan, after: Plan, amend: bool) -> Diff:
    """What an amendment changes.

    Args:
        path: the run's folder.
        amend: whether it was asked for.

    Raises:
        AmendError: when it was not, or when something differs that cannot be amended.
    """
    differences, wrong = diff(before, after), refused(path, before, after)
    if not differences or (amend and not wrong):
        return differences
    hint = "" if wrong else f"to go on with these changes: resume({str(path)!r}, amend=True), or --amend"
    raise AmendError(path, differences, wrong, hint)


def notes(differences: Diff) -> list[str]:
    """What an amendment says to the user: each difference, and what it means."""
    found, said = [], ""
    for change in differences.changes:
        name = change.path.partition(".")[0]
        ruling = AMENDABLE.get(name)
        means = ruling.means if isinstance(ruling, Amendable) and name != said else ""
        found.append(f"amended: {change}{f'; {means}' if means else ''}")
        said = name
    return found


def _clause(name: str) -> str:
    return {"objectives": "objective", "form": "trainable", "name": "named"}.get(name, name)
