"""The `with` block of a study: closes it at the end, also after a signal, which ends the block once.

What a study does is in `runs.study`.
"""

from __future__ import annotations

import contextlib
from abc import ABC, abstractmethod
from types import TracebackType
from typing import Self

from tunedsl.base.errors import Interrupted
from tunedsl.base.interrupts import Interrupts, announced, handled_interrupts
from tunedsl.journal import Location
from tunedsl.runs.setup import RunSetup


class StudyContext(ABC):
    """A study that can be used in a `with` block."""

    def __init__(self, setup: RunSetup) -> None:
        self._setup = setup
        self._block = contextlib.ExitStack()
        self._interrupts: Interrupts | None = None

    @property
    def path(self) -> Location:
        """The run's folder, or its address."""
        return self._setup.home

    @property
    @abstractmethod
    def finished(self) -> bool:
        """Whether the experiment is over: all trials have ended, or a budget or a request has ended it."""

    @abstractmethod
    def close(self) -> None:
        """Close the run, so that `experiment.open(path)` continues it if it is not finished."""

    def __enter__(self) -> Self:
        self._interrupts = self._block.enter_context(handled_interrupts(restores=True))
        self._block.enter_context(self._interrupts.raising())
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with self._block:
            self.close()
            if isinstance(error, KeyboardInterrupt) and not isinstance(error, Interrupted):
                raise self._interrupted(self._interrupts) from None
        if not self.finished:
            self._setup.say([f"the run is not finished; to continue: {self._how_to_continue()}"])

    def _interrupted(self, interrupts: Interrupts | None) -> Interrupted:
        return announced(Interrupted(str(self.path), self._how_to_continue()), interrupts)

    def _how_to_continue(self) -> str:
        return f"experiment.open({str(self.path)!r})"

    def _rearm(self) -> None:
        """Makes signals raise again in a block that has handled the first one and continues."""
        if self._interrupts is not None:
            self._interrupts.rearm()
