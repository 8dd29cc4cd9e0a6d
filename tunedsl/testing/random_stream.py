"""One stream of draws from one key, for what is made up in a row: scenarios, and the order of things in a world."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, TypeVar

from tunedsl.base.keys import uniforms

T = TypeVar("T")

BLOCK: Final = 64
"""Numbers drawn at a time."""


class RandomStream:
    """Draws one after the other; equal keys, equal draws.

    >>> RandomStream(1).pick("abc") == RandomStream(1).pick("abc")
    True
    """

    def __init__(self, key: int) -> None:
        self._key = key
        self._at = 0
        self._block: list[float] = []

    def number(self) -> float:
        """A number in the open interval (0, 1)."""
        place = self._at % BLOCK
        if not place:
            self._block = uniforms(self._key, range(self._at, self._at + BLOCK)).tolist()
        self._at += 1
        return self._block[place]

    def below(self, count: int) -> int:
        """A whole number from 0 to `count - 1`."""
        return int(self.number() * count)

    def chance(self, share: float) -> bool:
        """True in this share of the cases."""
        return self.number() < share

    def pick(self, options: Sequence[T]) -> T:
        """One of the options."""
        return options[self.below(len(options))]
