"""What was written of an experiment: its clauses and where they were written. The compiler's input."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Self

import attrs

from tunedsl.base.diagnostics import SourceLocation
from tunedsl.plan.clauses import Clauses
from tunedsl.plan.seeds import UpcomingSeed

_NOTHING = Clauses()


@attrs.frozen
class Definition:
    """The clauses of an experiment; `Experiment` adds the methods that write them.

    Attributes:
        clauses: what was written.
        places: where in the user's code, by subject; outside equality.
        upcoming_seed: of the next run, where `seed` names none; outside equality.
    """

    clauses: Clauses = _NOTHING
    places: Mapping[str, SourceLocation] = attrs.field(factory=dict, eq=False)
    upcoming_seed: UpcomingSeed = attrs.field(factory=UpcomingSeed, eq=False)

    def with_clauses(self, **changes: Any) -> Self:
        """The same with other clauses."""
        return attrs.evolve(self, clauses=attrs.evolve(self.clauses, **changes))

    def data_objects(self) -> dict[str, Any]:
        """The objects of `.data(...)`, by keyword."""
        return {name: held.object for name, held in self.clauses.data}
