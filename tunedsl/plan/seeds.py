"""The seed of an experiment that sets none."""

from __future__ import annotations

import attrs

from tunedsl.base.keys import fresh_seed


@attrs.frozen(eq=False)
class UpcomingSeed:
    """The seed of the next run: drawn when it is first needed, kept until a run uses it.

    So `compile`, `preview`, `explain` and `dry_run` show what the next run does, and later runs differ.
    """

    _drawn: list[int] = attrs.field(factory=list)

    def peek(self) -> int:
        """The seed, without using it up."""
        while True:
            try:
                return self._drawn[-1]
            except IndexError:
                self._drawn.append(fresh_seed())

    def take(self, seed: int) -> bool:
        """Uses a seed up; returns whether it was the upcoming one."""
        try:
            self._drawn.remove(seed)
        except ValueError:
            return False
        return True
