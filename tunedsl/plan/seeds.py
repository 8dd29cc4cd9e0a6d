"""The seed of an experiment that names none."""

from __future__ import annotations

import attrs

from tunedsl.base.keys import fresh_seed


@attrs.frozen(eq=False)
class UpcomingSeed:
    """The seed of the next run: drawn when it is first needed, kept until a run uses it.

    So what `compile`, `preview`, `explain` and `dry_run` show is what runs, and the run after that differs.
    """

    _drawn: list[int] = attrs.field(factory=list)

    def peek(self) -> int:
        """The seed, which stays."""
        while True:
            try:
                return self._drawn[-1]
            except IndexError:
                self._drawn.append(fresh_seed())

    def take(self, seed: int) -> bool:
        """Uses a seed up; says whether it was still to be used."""
        try:
            self._drawn.remove(seed)
        except ValueError:
            return False
        return True
