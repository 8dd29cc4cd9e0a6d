"""Interrupts that arrive after a run has closed."""

from __future__ import annotations

import os
import signal
import subprocess
import sys

import pytest

from tests.experiments import searching
from tunedsl import replay
from tunedsl.base.errors import Interrupted
from tunedsl.driver.driver import Listener
from tunedsl.journal import Journal, has_driver
from tunedsl.journal import writer as writing


def test_one_that_comes_while_the_journal_is_closed_breaks_nothing_off(tmp_path, monkeypatch):
    close = writing.FileWriter.close

    def interrupted(self):
        os.kill(os.getpid(), signal.SIGINT)
        close(self)

    class Asks(Listener):
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
    assert not has_driver(folder / "journal.jsonl") and replay(folder).torn == 0
    assert [line.m.closed for line in Journal(folder).records() if line.m][-1] == "interrupted"


EXITS = """
import atexit, os, signal, time

def clean_up():  # as Ray has one
    os.kill(os.getpid(), signal.SIGINT)
    time.sleep(0.1)
    print("cleaned up")

atexit.register(clean_up)
from tunedsl import report, space, uniform

def train(config):
    os.kill(os.getpid(), signal.SIGINT)
    report(loss=1.0)

if __name__ == "__main__":
    made = space(x=uniform(0, 1)).trainable(train).minimize("loss").samples(2).store({store!r})
    made.run(engine="inline", quiet=True)
"""


def test_one_that_comes_while_the_process_exits_breaks_nothing_off(tmp_path):
    script = tmp_path / "exits.py"
    script.write_text(EXITS.format(store=str(tmp_path / "runs")))
    ended = subprocess.run([sys.executable, str(script)], check=False, capture_output=True, text=True, timeout=60)
    assert (ended.returncode, ended.stdout) == (130, "cleaned up\n"), ended.stderr
