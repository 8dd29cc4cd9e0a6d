"""Signals at any moment of a run: before it begins, while it runs, while it closes, and after that."""

from __future__ import annotations

import os
import signal
import subprocess
import sys

import pytest

from tests.experiments import searching
from tests.impatient import leave
from tunedsl import replay
from tunedsl.base.errors import Interrupted
from tunedsl.base.interrupts import handled_interrupts
from tunedsl.driver.driver import Listener
from tunedsl.journal import Journal, has_driver
from tunedsl.journal import writer as writing
from tunedsl.runs import runs


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


@pytest.mark.parametrize(("verb", "engine"), [("run", "inline"), ("resume", "inline"), ("open", "inline")])
def test_impatient_exits_end_in_one_clean_line(tmp_path, verb, engine):
    assert [leave(seed, tmp_path, verb, engine) for seed in range(2)] == ["", ""]


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143), (signal.SIGHUP, 129)])
def test_a_signal_while_nothing_is_written_yet_says_so(tmp_path, number, code, capsys, monkeypatch):
    monkeypatch.setattr("tunedsl.runs.compiling.compile_plan", lambda *args: signal.raise_signal(number))
    with pytest.raises(Interrupted, match="before it began: nothing was written") as caught:
        searching(tmp_path).run(engine="inline", quiet=True)
    assert (caught.value.exit_code, caught.value.path) == (code, "") and not [*tmp_path.iterdir()]
    assert capsys.readouterr().err.count("before it began") == 1


def test_a_signal_while_the_run_is_created_tells_how_to_resume_it(tmp_path, monkeypatch):
    create = runs.create
    monkeypatch.setattr(runs, "create", lambda home: (signal.raise_signal(signal.SIGINT), create(home))[1])
    with pytest.raises(Interrupted) as caught:
        searching(tmp_path).run(engine="inline", quiet=True)
    assert caught.value.path == str(next(tmp_path.iterdir())) and replay(caught.value.path).torn == 0
    monkeypatch.undo()
    assert searching(tmp_path).resume(caught.value.path, engine="inline", quiet=True).finished


def test_signals_in_the_block_of_a_study_close_it_once(tmp_path):
    made = searching(tmp_path).order("arrival")
    with pytest.raises(Interrupted) as caught, made.open(tmp_path / "run", quiet=True) as study:
        study.ask()
        try:
            signal.raise_signal(signal.SIGTERM)
        finally:
            signal.raise_signal(signal.SIGTERM)  # ignored: the first one ends the block
    assert caught.value.command.startswith("experiment.open(") and not has_driver(tmp_path / "run" / "journal.jsonl")
    with made.open(tmp_path / "run", quiet=True) as study:
        with pytest.raises(KeyboardInterrupt):
            signal.raise_signal(signal.SIGINT)
        assert study.ask() is not None
        with pytest.raises(KeyboardInterrupt):  # a block that continues is interrupted again
            signal.raise_signal(signal.SIGINT)


def test_signals_that_nobody_wants_stay_ignored(tmp_path):
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)  # as under nohup
    try:
        with handled_interrupts() as interrupts, interrupts.raising():
            signal.raise_signal(signal.SIGHUP)
            assert not interrupts.requested
    finally:
        signal.signal(signal.SIGHUP, before)


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
