"""The definition of an experiment: its clauses and where they were written. It is the compiler's input.

The methods that write clauses are in `tunedsl.experiment`.
"""

from __future__ import annotations

from collections.abc import Mapping
from textwrap import shorten
from typing import Any, Final, Self

import attrs

from tunedsl.base import markup
from tunedsl.base.diagnostics import SourceLocation, caller_location
from tunedsl.base.errors import ArgumentError
from tunedsl.base.references import source_repr
from tunedsl.plan.clauses import SUBJECTS, Clauses, merge_clauses, source_lines
from tunedsl.plan.seeds import UpcomingSeed
from tunedsl.spaces.space import Space

_NO_CLAUSES: Final = Clauses()
_MAX_WIDTH: Final = 400
"""Characters of a clause in a notebook."""


@attrs.frozen(repr=False)
class Definition:
    """The clauses of an experiment; `Experiment` adds the methods that write them.

    Attributes:
        clauses: the clauses that were written.
        places: where in the user's code, by subject; outside equality.
        upcoming_seed: the seed of the next run if `seed` sets none; outside equality.
    """

    clauses: Clauses = _NO_CLAUSES
    places: Mapping[str, SourceLocation] = attrs.field(factory=dict, eq=False)
    upcoming_seed: UpcomingSeed = attrs.field(factory=UpcomingSeed, eq=False)

    def with_clauses(self, **changes: Any) -> Self:
        """The same definition with other clauses."""
        return attrs.evolve(self, clauses=attrs.evolve(self.clauses, **changes))

    def written_here(self, *subjects: str) -> Self:
        """The same definition with the caller's line as the place of some subjects."""
        place = caller_location()
        return self if place is None else attrs.evolve(self, places={**self.places, **dict.fromkeys(subjects, place)})

    def already_set(self, subject: str) -> str:
        """The words for a clause that is set twice, with the place of the first one if it is known."""
        place = self.places.get(subject)
        return f"is already set ({place})" if place else "is already set"

    def data_objects(self) -> dict[str, Any]:
        """The objects of `.data(...)`, by keyword."""
        return {name: held.object for name, held in self.clauses.data}

    def merged_with(self, other: Definition) -> Self:
        """The clauses of both definitions.

        Raises:
            ArgumentError: for clauses that both set differently, with both places of each.
        """
        clashes: dict[str, str] = {}

        def clash(subject: str, left: Any, right: Any) -> None:
            sides = ((left, self), (right, other))
            places = (f"{item!r} at {side.places.get(subject, 'an unknown place')}" for item, side in sides)
            clashes[subject] = " and ".join(places)

        clauses = merge_clauses(self.clauses, other.clauses, clash)
        if len(clashes) > 1:
            found = "; ".join(f"{subject} is {values}" for subject, values in clashes.items())
            hint = "remove one of the two for each"
            raise ArgumentError("E005", ", ".join(clashes), f"The experiments differ: {found}.", hint)
        for subject, found in clashes.items():
            message = f"The experiments differ: {subject} is {found}."
            raise ArgumentError("E005", subject, message, "remove one of the two")
        return attrs.evolve(self, clauses=clauses, places={**other.places, **self.places})

    def __space__(self) -> Space:
        """The space, for use inside another; raises `ArgumentError` if there are clauses other than the space."""
        others = [
            SUBJECTS.get(field.name, field.name)
            for field in attrs.fields(Clauses)
            if field.name != "space" and getattr(self.clauses, field.name) != field.default
        ]
        if others:
            message = f"An experiment with {', '.join(others)} cannot be part of another space."
            raise ArgumentError("E003", "space", message, "use the experiment's space alone")
        return self.clauses.space

    def __repr__(self) -> str:
        return "".join(source_lines(self.clauses))

    def _repr_html_(self) -> str:
        space = self.clauses.space
        rows = [(f"space.{name}", source_repr(node)) for name, node in space.params]
        rows += [("where", repr(condition)) for condition in space.constraints]
        calls = (call.removeprefix(".").partition("(") for call in list(source_lines(self.clauses))[1:])
        rows += [(clause, arguments.removesuffix(")")) for clause, _, arguments in calls]
        return markup.paragraph("", f"experiment {self.clauses.name or ''}".rstrip()) + markup.table(
            (clause, shorten(text, _MAX_WIDTH, placeholder=" ...") if len(text) > _MAX_WIDTH else text)
            for clause, text in rows
        )
