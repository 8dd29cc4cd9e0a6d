"""Interrupts that come when a run is closed already."""

from __future__ import annotations

import os
import signal

import pytest

from tests.experiments import searching
from tunedsl import replay
from tunedsl.base.errors import Interrupted
from tunedsl.journal import Journal, is_held
from tunedsl.journal import writer as writing


def test_one_that_comes_while_the_journal_is_closed_breaks_nothing_off(tmp_path, monkeypatch):
    close = writing.FileWriter.close

    def interrupted(self):
        os.kill(os.getpid(), signal.SIGINT)
        close(self)

    class Asks:
        def on_event(self, event, commands, state):
            if len(state.trials) == 3:
                os.kill(os.getpid(), signal.SIGTERM)
                self.on_event = lambda *words: None

        def on_wait(self, state): ...
        def close(self, state): ...

    monkeypatch.setattr(writing.FileWriter, "close", interrupted)
    before = signal.getsignal(signal.SIGINT)
    with pytest.raises(Interrupted):
        searching(tmp_path).run(engine="inline", quiet=True, listeners=[Asks()])
    assert signal.getsignal(signal.SIGINT) is before
    (folder,) = tmp_path.glob("*")
    assert not is_held(folder / "journal.jsonl") and replay(folder).torn == 0
    assert [line.m.closed for line in Journal(folder).records() if line.m][-1] == "interrupted"
