"""Acting on a run's messages: a fault that lasts until the run reports it needs no clock."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any

import pytest


class _Heard:
    """Standard error that calls back when it is sent certain words."""

    def __init__(self, stream: Any, words: tuple[str, ...], act: Callable[[], None]) -> None:
        self._stream, self._words, self._act = stream, words, act

    def write(self, text: str) -> int:
        if any(words in text for words in self._words):
            self._words = ()
            self._act()
        return int(self._stream.write(text))

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)


def once_said(monkeypatch: pytest.MonkeyPatch, *words: str, act: Callable[[], None]) -> None:
    """Calls `act` once, when one of `words` is first written to standard error; until the test ends."""
    monkeypatch.setattr(sys, "stderr", _Heard(sys.stderr, words, act))
