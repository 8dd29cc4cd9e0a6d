"""How a searcher that chooses between others describes its choice."""

from __future__ import annotations

from typing import Any, Protocol

import attrs


@attrs.frozen
class SearchSetting:
    """What a searcher's description may depend on.

    Attributes:
        early: whether the scheduler decides about trials before they end.
        trials: number of trials of the plan; None for as many as are asked for.
    """

    early: bool
    trials: int | None


class Describe(Protocol):
    """Returns in words how a searcher that chooses between others proposes trials, and why."""

    def __call__(self, spec: Any, setting: SearchSetting, /) -> str: ...
