"""Keeps the figures of runs, which are made again only when a run has changed."""

from __future__ import annotations

import time
from collections import OrderedDict
from collections.abc import Mapping
from typing import Any, Final

from tunedsl.dashboard.watching import WatchedRun
from tunedsl.web.figures import OPTIONS, drawn

MAX_KEPT: Final = 64
"""Figures that are kept."""
PATIENCE: Final = 10
"""A figure of a run in progress is made again after this many times the seconds that it took; of one that has ended or
was paused, at once: no later change would replace an old one."""


class Figures:
    """The figures of all runs, of which the last ones are kept."""

    def __init__(self) -> None:
        self._kept: OrderedDict[Any, tuple[int, float, str]] = OrderedDict()

    def draw(self, run: WatchedRun, kind: str, options: Mapping[str, str]) -> str:
        """A figure as JSON, with its title, its notes and the iterations at which trials can be compared.

        Args:
            kind: one of `FIGURES`.
            options: some of `OPTIONS`, as text.

        Raises:
            NoResult: when there is nothing to draw; the message says why.
        """
        chosen = {name: options[name] for name in OPTIONS.get(kind, ()) if options.get(name)}
        key = run.place, kind, tuple(sorted(chosen.items()))
        with run.reading():
            found = self._kept.get(key)
            if found is not None:
                recent = run.history.driven and time.monotonic() < found[1]
                if recent or found[0] == run.version:
                    return found[2]
            began = time.monotonic()
            text = drawn(run, kind, chosen)
            until = time.monotonic() + PATIENCE * (time.monotonic() - began)
            self._kept[key] = run.version, until, text
            self._kept.move_to_end(key)
            while len(self._kept) > MAX_KEPT:
                self._kept.popitem(last=False)
            return text
