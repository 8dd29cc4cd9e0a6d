"""`tunedsl resume --amend`: a finished run that is extended, a change that is refused, and time that is not counted."""

from __future__ import annotations

import os
import py_compile
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.commands import call
from tests.experiments import Breaker, quadratic_engine, searching
from tunedsl import control, load, replay
from tunedsl.backends import SimulatedEngine
from tunedsl.base.errors import ArgumentError, Interrupted

SCRIPT = """
from tunedsl import report, space, uniform

def train(config):
    report(loss=config["x"])

experiment = space(x=uniform(0, 1)).trainable(train).minimize("loss").samples({samples}).seed({seed}).store({store!r})
"""


@pytest.fixture(autouse=True)
def fresh_modules(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Forgets the modules that a test imports."""
    monkeypatch.setattr(sys, "path", list(sys.path))
    yield
    forget()


def forget() -> None:
    sys.modules.pop("scratch_amended", None)


def write(folder: Path, samples: int, seed: int = 0) -> Path:
    forget()
    file = folder / "scratch_amended.py"
    file.write_text(SCRIPT.format(samples=samples, seed=seed, store=str(folder / "runs")))
    return file


def ran(folder: Path) -> Path:
    script = write(folder, 3)
    assert call("run", f"{script}:experiment", "--engine", "inline", "--quiet").exit_code == 0
    (journal,) = folder.glob("runs/*/journal.jsonl")
    return journal.parent


def test_a_finished_run_goes_on_with_more_samples(tmp_path):
    folder = ran(tmp_path)
    script = write(tmp_path, 5)
    refused = call("resume", folder, "--file", f"{script}:experiment", "--quiet")
    assert refused.exit_code == 2
    assert "  samples: 3 -> 5" in refused.stderr and "--amend" in refused.stderr
    for words in (["--file", f"{script}:experiment"], []):  # without --file, the script that ran it is used
        amended = call("resume", folder, *words, "--amend")
        assert amended.exit_code == 0, amended.output
        assert amended.stdout.startswith("finished: all trials have ended, 5 trials")
    assert len(load(folder).trials) == 5 and replay(folder)
    assert call("replay", folder).exit_code == call("why", folder, "4").exit_code == 0
    assert call("resume", folder, "--quiet").exit_code == 0


def test_the_user_is_told_what_was_amended_and_what_it_means(tmp_path):
    folder = ran(tmp_path)
    write(tmp_path, 5)
    told = call("resume", folder, "--amend").stderr
    assert "amended: samples: 3 -> 5; existing samples count towards the new number" in told


def test_a_change_that_a_run_cannot_take_gives_2_and_says_what_to_do(tmp_path):
    folder = ran(tmp_path)
    script = write(tmp_path, 5, seed=1)
    refused = call("resume", folder, "--file", script, "--amend")
    assert refused.exit_code == 2
    assert (
        "E006: A run in progress cannot change seed" in refused.stderr and "help: leave seed(...) out" in refused.stderr
    )
    assert "Traceback" not in refused.stderr


def test_amending_needs_the_experiment(tmp_path):
    folder = ran(tmp_path)
    write(tmp_path, 5).unlink()
    result = call("resume", folder, "--amend")
    assert result.exit_code == 2 and "--file FILE.py:NAME" in result.stderr


def test_time_between_an_interruption_and_a_resume_is_in_no_budget(tmp_path, monkeypatch):
    def engine() -> SimulatedEngine:
        made = SimulatedEngine(lambda config, iteration: config["x"], iterations=9)
        made._clock = 1e6 * next(starts)  # its clock starts at another time in each process, as a machine's does
        return made

    starts = iter((1, 5))
    e = searching(tmp_path).order("arrival").budget(seconds=1_000)
    with pytest.raises(Interrupted) as caught:
        e.run(engine=engine(), quiet=True, listeners=[Breaker(12)])
    before = replay(caught.value.path).state.seconds
    results = e.resume(caught.value.path, engine=engine(), quiet=True)
    assert results.state == "finished: all trials have ended"
    assert before <= replay(results.path).state.seconds < 200


def test_a_run_at_an_address_is_asked_where_its_driver_works(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    results = searching("memory://amended").run(engine="inline", quiet=True)
    (root,) = Path("tunedsl-results").iterdir()
    address = f"memory://amended/{root.name}"
    assert load(address).finished and results.finished
    with pytest.raises(control.RequestRefused, match="is finished"):
        control.stop(address)
    monkeypatch.chdir("/")
    with pytest.raises(control.RequestRefused, match="use the driver's machine"):
        control.stop(address)


def test_a_file_is_read_as_it_stands_though_it_was_edited_within_a_second(tmp_path):
    file = write(tmp_path, 3)
    before = file.stat()
    py_compile.compile(str(file))
    write(tmp_path, 5)
    os.utime(file, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert file.stat().st_size == before.st_size, "what byte code is kept by"
    assert ".samples(5)" in call("explain", file).output


def test_a_refused_amendment_is_not_announced(tmp_path, capsys):
    path = searching(tmp_path).samples(3).run(engine=quadratic_engine(), quiet=True).path
    with pytest.raises(ArgumentError, match=r"resume\.amend"):
        searching(tmp_path).samples(5).resume(path, amend="restrt", engine=quadratic_engine())
    assert "amended" not in "".join(capsys.readouterr())
