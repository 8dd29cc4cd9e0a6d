"""Trials' output goes to their own files only."""

from __future__ import annotations

import io
import json
import logging
import os
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import attrs
import pytest

from tests.clocks import PATIENCE_SECONDS
from tunedsl import ArgumentError, Experiment, backoff, grid, report, space, trial
from tunedsl.driver.driver import Listener
from tunedsl.plan.output import Output, output_of
from tunedsl.results import Results
from tunedsl.worker import Assignment, Shipment
from tunedsl.worker.commands import Assign
from tunedsl.worker.output import Capture, Descriptors, Streams, _Stream, capture
from tunedsl.worker.worker import Worker


def talks(config: dict[str, Any]) -> None:
    x = config["x"]
    print("begins", x)
    thread = threading.Thread(target=lambda: print("thread of", x))
    thread.start()
    thread.join()
    for step in range(3):
        report(loss=x)
        print("step", step, "of", x)
    sys.stderr.write(f"wrong {x}\n")
    logging.getLogger("user").warning("beware %s", x)


def fails_first(config: dict[str, Any]) -> None:
    print("attempt of", config["x"])
    if trial().attempt == 0 and config["x"] == 1:
        raise ValueError("once")
    report(loss=1.0)


def talking(store: Path, trainable: Any = talks, n: int = 3) -> Experiment:
    return space(x=grid(list(range(n)))).trainable(trainable).minimize("loss").seed(0).store(store)


def read(results: Results, number: int, name: str) -> list[str]:
    return (results.trials[number].path / name).read_text().splitlines()


SPOKEN = ["begins {x}", "thread of {x}", "step 0 of {x}", "step 1 of {x}", "step 2 of {x}"]


@pytest.mark.parametrize("width", [1, 3])
def test_inline_each_trial_has_its_own_files_and_the_terminal_nothing(
    tmp_path: Path, capfd: pytest.CaptureFixture[str], width: int
) -> None:
    handler = logging.StreamHandler()  # keeps the current stream
    logging.getLogger("user").addHandler(handler)
    before = sys.stdout, sys.stderr, handler.stream
    try:
        experiment = talking(tmp_path).parallel(width).log_to_file()
        results = experiment.run("inline", quiet=True)
    finally:
        logging.getLogger("user").removeHandler(handler)
    assert (sys.stdout, sys.stderr, handler.stream) == before
    for x in range(3):
        assert read(results, x, "stdout.log") == [line.format(x=x) for line in SPOKEN]
        assert read(results, x, "stderr.log")[:2] == [f"wrong {x}", f"beware {x}"]
        assert json.loads((results.trials[x].path / "params.json").read_text()) == {"x": x}
    assert capfd.readouterr() == ("", "")


def test_runs_in_several_threads_keep_their_output_apart(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    together, before = threading.Barrier(4), (sys.stdout, sys.stderr)

    def talks_at_once(config: dict[str, Any]) -> None:
        for step in range(3):
            together.wait(PATIENCE_SECONDS)
            sys.stdout.write(f"{config['run']} {config['x']} {step}\n")
            sys.stderr.write(f"{config['run']} {config['x']} {step}\n")
            report(loss=1.0)
        together.wait(PATIENCE_SECONDS)

    def run(number: int) -> Results:
        experiment = space(x=grid([0, 1]), run=number).trainable(talks_at_once).minimize("loss").seed(0)
        experiment = experiment.store(tmp_path / str(number))
        if number < 3:
            experiment = experiment.log_to_file()
        results = experiment.run("inline", quiet=True)
        sys.stdout.write(f"after run {number}\n")
        return results

    with ThreadPoolExecutor(4) as threads:
        done = list(threads.map(run, range(4)))
    assert (sys.stdout, sys.stderr) == before
    for number, results in enumerate(done[:3]):
        for x in (0, 1):
            for name in ("stdout.log", "stderr.log"):
                assert read(results, x, name) == [f"{number} {x} {step}" for step in range(3)]
    out, err = capfd.readouterr()
    spoken = [f"3 {x} {step}" for x in (0, 1) for step in range(3)]
    assert [line for line in out.splitlines() if not line.startswith("after")] == spoken == err.splitlines()
    assert sorted(line for line in out.splitlines() if line.startswith("after")) == [f"after run {n}" for n in range(4)]


def test_a_thread_that_could_be_of_several_trials_is_heard_of_none(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    together = threading.Barrier(2)

    def begins_a_thread(config: dict[str, Any]) -> None:
        together.wait(PATIENCE_SECONDS)
        thread = threading.Thread(target=lambda: sys.stdout.write(f"whose? {config['run']}\n"))
        thread.start()
        thread.join()
        together.wait(PATIENCE_SECONDS)
        report(loss=1.0)

    def run(number: int) -> Results:
        experiment = space(run=number).trainable(begins_a_thread).minimize("loss").seed(0)
        return experiment.store(tmp_path / str(number)).log_to_file().run("inline", quiet=True)

    with ThreadPoolExecutor(2) as threads:
        done = list(threads.map(run, range(2)))
    assert sorted(capfd.readouterr().out.splitlines()) == ["whose? 0", "whose? 1"]
    assert not any((results.trials[0].path / "stdout.log").exists() for results in done)


def test_inline_without_the_clause_the_terminal_has_it(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for experiment in (talking(tmp_path), talking(tmp_path).log_to_file(False)):
        results = experiment.run("inline", quiet=True)
        assert "step 2 of 2" in capsys.readouterr().out
        assert not (results.path / "trials").exists()


def test_one_file_or_two_of_any_name(tmp_path: Path) -> None:
    results = talking(tmp_path).log_to_file("all.txt").run("inline", quiet=True)
    lines = read(results, 1, "all.txt")
    assert lines[:6] == [*(line.format(x=1) for line in SPOKEN), "wrong 1"]
    results = talking(tmp_path).log_to_file(("out", "err")).run("inline", quiet=True)
    assert read(results, 2, "out")[0] == "begins 2" and read(results, 2, "err")[0] == "wrong 2"


def test_a_further_attempt_appends_under_a_line_that_says_so(tmp_path: Path) -> None:
    results = (
        talking(tmp_path, fails_first).retry(1, backoff=backoff(initial=0.01)).log_to_file().run("inline", quiet=True)
    )
    first, mark, second = read(results, 1, "stdout.log")
    assert (first, second) == ("attempt of 1", "attempt of 1") and mark.startswith("--- attempt 2, ")
    assert read(results, 0, "stdout.log") == ["attempt of 0"]


def test_a_thread_that_outlives_its_trial_still_writes_to_its_file(tmp_path: Path) -> None:
    early, go = threading.Event(), threading.Event()
    threads: list[threading.Thread] = []

    def lingers(config: dict[str, Any]) -> None:
        def late() -> None:
            print("early", config["x"])
            early.set()
            go.wait()
            print("late", config["x"])

        if config["x"] == 0:
            threads.append(threading.Thread(target=late))
            threads[0].start()
            early.wait()
        else:
            print("last", config["x"])
            go.set()
            threads[0].join()
        report(loss=1.0)

    results = talking(tmp_path, lingers, 2).log_to_file().run("inline", quiet=True)
    assert read(results, 0, "stdout.log") == ["early 0", "late 0"]
    assert read(results, 1, "stdout.log") == ["last 1"]


def test_a_stream_that_somebody_put_before_it_is_put_back(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class Live(Listener):
        """Replaces a stream during the run, as a live view does, and restores it."""

        def __init__(self) -> None:
            self.found = sys.stdout
            self.heard: list[str] = []

        def write(self, text: str) -> int:
            self.heard.append(text)
            return len(text)

        def on_event(self, *what: Any) -> None:
            if sys.stdout is not self and not isinstance(sys.stdout, type(self)) and not self.heard:
                self.found, sys.stdout = sys.stdout, self  # type: ignore[assignment]
                self.heard.append("")

        def on_wait(self, *what: Any) -> None: ...
        def close(self, *what: Any) -> None:
            sys.stdout = self.found

    before, live = sys.stdout, Live()
    results = talking(tmp_path).log_to_file().run("inline", quiet=True, listeners=[live])
    assert sys.stdout is before and "".join(live.heard) == ""
    assert read(results, 2, "stdout.log") == [line.format(x=2) for line in SPOKEN]


def test_where_no_file_can_be_written_output_goes_where_it_went(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    def in_the_way(config: dict[str, Any]) -> None:
        (trial().path / "stdout.log").mkdir()
        print("heard all the same")
        report(loss=1.0)

    results = talking(tmp_path, in_the_way, 1).log_to_file().run("inline", quiet=True)
    assert not results.errors and capsys.readouterr().out == "heard all the same\n"


def below_python(config: dict[str, Any]) -> None:
    print("by python")
    os.write(1, b"by descriptor\n")
    subprocess.run("echo by subprocess; echo wrong >&2", shell=True, check=True)
    report(loss=1.0)


@pytest.mark.parametrize("whole", [True, False])
def test_a_worker_of_its_own_hears_all_output(tmp_path: Path, capfd: pytest.CaptureFixture[str], whole: bool) -> None:
    plan = talking(tmp_path, below_python).compile("inline")
    shipment = Shipment.of(plan, {}, {}, str(tmp_path), output=Output(whole=whole))
    hears = capture(shipment.output, alone=True)
    worker = Worker(shipment, capture=hears)
    for number in (0, 1):
        worker.push([Assign(Assignment(number, f"{number:05d}", 0, {"x": number}, 0, {}))])
    deadline = time.monotonic() + PATIENCE_SECONDS
    freed = 0
    while freed < 2 and time.monotonic() < deadline:
        freed += sum(message.event is None for message in worker.drain(0.1))
    worker.shut()
    assert worker.join(PATIENCE_SECONDS)
    hears.close()
    for number in (0, 1):
        folder = tmp_path / "trials" / f"{number:05d}"
        out = (folder / "stdout.log").read_text().splitlines()
        assert out == (["by python", "by descriptor", "by subprocess"] if whole else ["by python"])
        assert (folder / "stderr.log").exists() == whole
    left = capfd.readouterr()
    assert left.out == ("" if whole else "by descriptor\nby subprocess\n" * 2)


def test_a_silent_trial_leaves_no_file_unless_it_was_asked_for(tmp_path: Path) -> None:
    assert type(capture(Output(), alone=True)) is Streams
    assert type(capture(Output(whole=True), alone=True)) is Descriptors
    assert type(capture(Output(whole=True), alone=False)) is Streams
    assert type(capture(Output(), alone=False)) is Capture
    assert type(capture(None, alone=True)) is Capture


@pytest.mark.parametrize("wrong", ["a/b", "", "params.json", ("out", "checkpoints"), "con", "stdout "])
def test_names_that_are_none_are_refused_where_they_are_written(wrong: Any) -> None:
    with pytest.raises(ArgumentError, match=r"E003: .*log_to_file"):
        space(x=1).log_to_file(wrong)


def test_what_the_clause_means() -> None:
    assert output_of(None) == Output() and output_of(False) is None
    assert output_of(True) == attrs.evolve(Output(), whole=True)
    assert output_of("o") == Output("o", "o", True) and output_of(("o", "e")) == Output("o", "e", True)


def test_a_full_disk_is_no_fault_of_who_prints():
    if not Path("/dev/full").exists():
        pytest.skip("no device here is always full")
    with Path("/dev/full").open("a", buffering=1) as full:
        stream = _Stream(io.StringIO(), lambda: full)
        assert stream.write("a line\n") == 7
        stream.flush()
        gone = _Stream(full, lambda: None)
        with pytest.raises(OSError, match="No space left"):
            gone.write("a line\n")
        os.dup2(os.open(os.devnull, os.O_WRONLY), full.fileno())
