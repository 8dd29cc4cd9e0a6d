"""Sinks of a run: each record is delivered once, a failing sink is disabled, and a resumed run delivers it again."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

import pytest

from tests.clocks import PATIENCE_SECONDS
from tests.unit.sinks.runs import Breaks, Diary, halving, odd, odd_ones, population
from tunedsl import ArgumentError, CompileError, Experiment, report, resume, space, trial, uniform
from tunedsl.base.errors import Interrupted
from tunedsl.base.requirements import PackageRequirement
from tunedsl.export import delivery as exporting
from tunedsl.export import export
from tunedsl.export.delivery import SinkError
from tunedsl.journal import Journal, Line, Tail
from tunedsl.journal.records import to_line
from tunedsl.sinks import Sink, csv, jsonl, registry, tensorboard, user_sink


def test_a_sink_hears_everything_in_order(tmp_path: Path) -> None:
    results = odd_ones(tmp_path).sinks(user_sink(Diary, prefix="my ")).run("inline", quiet=True)
    entries = Diary.entries
    assert entries[0] == ("start", "my odd") and entries[-1] == ("close",)
    for result in results.trials:
        heard = [entry for entry in entries if entry[1:2] == (result.number,)]
        kinds = [entry[0] for entry in heard]
        assert kinds == ["trial", "report", "report", "report", "report", "end"]
        assert [entry[2] for entry in heard if entry[0] == "report"] == [1, 2, 3, 4]
    ends = {entry[1]: entry[2:] for entry in entries if entry[0] == "end"}
    assert ends[0] == ("completed", "") and ends[3] == ("failed", "crash: ValueError: x is three")
    params = next(entry[3] for entry in entries if entry[:2] == ("trial", 0))
    assert params["x"] == 0 and params["model"] in ("svm", "forest") and isinstance(params["layers"], list)
    assert {name for name in params if name.startswith("model/")} <= {"model/svm/C", "model/forest/trees"}


def test_trials_that_are_stopped_and_configurations_that_change_are_told(tmp_path: Path) -> None:
    halved = halving(tmp_path).sinks(Diary).run("inline", quiet=True)
    ends = {entry[1]: entry[2] for entry in Diary.entries if entry[0] == "end"}
    assert set(ends) == {result.number for result in halved.trials}
    assert set(ends.values()) == {"stopped", "completed"}
    results = population(tmp_path)
    export(results.path, Diary)
    changed = {entry[1]: entry[3]["x"] for entry in Diary.entries if entry[0] == "trial" and entry[2] > 0}
    assert changed and all(results.trials[number].config["x"] == x for number, x in changed.items())


def test_a_sink_that_fails_is_said_once_and_left_behind(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    Breaks.reports = 0
    results = odd_ones(tmp_path).sinks(Breaks, Diary, csv()).run("inline")
    said = [line for line in capsys.readouterr().err.splitlines() if line.startswith("the sink")]
    assert said == ["the sink Breaks failed and is disabled: OSError: the disk is full"]
    assert Breaks.reports == 2 and len(results.trials) == 4
    assert len([entry for entry in Diary.entries if entry[0] == "report"]) == 16
    assert (results.path / "trials" / "00000" / "progress.csv").exists()
    assert "Traceback" in (results.path / "sinks.log").read_text()


def test_a_sink_of_the_package_that_fails_is_said_once_too(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    def stand_in_the_way(config: dict[str, Any]) -> None:
        (trial().path / "progress.csv").mkdir()
        odd(config)

    results = odd_ones(tmp_path).trainable(stand_in_the_way).sinks(csv(), jsonl()).run("inline")
    said = [line for line in capsys.readouterr().err.splitlines() if line.startswith("the sink")]
    assert len(said) == 1 and said[0].startswith("the sink csv failed and is disabled: IsADirectoryError")
    assert all((results.path / "trials" / each.id / "reports.jsonl").exists() for each in results.trials)


class Hangs(Sink):
    over = threading.Event()

    def on_report(self, trial: Any, row: Any) -> None:
        self.over.wait()


def test_a_sink_that_hangs_does_not_hold_the_end_up(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(exporting, "SHUTDOWN_SECONDS", 0.3)
    odd_ones(tmp_path).sinks(Hangs).run("inline")
    Hangs.over.set()
    assert "the sinks Hangs do not respond and are disabled" in capsys.readouterr().err


class Blocks(Sink):
    """Waits in its first report until the test continues it."""

    over = threading.Event()
    rows = 0

    def on_report(self, trial: Any, row: Any) -> None:
        self.over.wait(PATIENCE_SECONDS)
        Blocks.rows += 1


def test_a_sink_that_blocks_holds_one_read_of_the_journal_and_gets_the_rest_later(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The journal is its queue, so a slow sink takes no more memory, and nothing is dropped."""
    monkeypatch.setattr("tunedsl.journal.tail.MAX_BYTES", 2_000)
    held, read = [], Tail.read

    def noted(self: Tail) -> list[Line]:
        lines = read(self)
        held.append(sum(len(to_line(line)) for line in lines))
        return lines

    monkeypatch.setattr(Tail, "read", noted)
    monkeypatch.setattr(exporting._ExportTask, "wait", lambda task: (Blocks.over.set(), task._thread.join())[0])

    def train(config: dict[str, Any]) -> None:
        for _ in range(50):
            report(loss=config["x"], text="x" * 100)

    made = space(x=uniform(0, 1)).trainable(train).minimize("loss").samples(20).store(tmp_path)
    made.sinks(Blocks).run("inline", quiet=True)  # the sink continues only after the last record
    assert Blocks.rows == 20 * 50 and len(held) > 20
    largest = max(len(line) for line, _ in Journal(next(tmp_path.iterdir())).raw())
    assert max(held) <= 2_000 + largest


def interrupted_once(config: dict[str, Any]) -> None:
    odd({**config, "x": 0})
    if config["x"] == 1 and not Path(config["mark"]).exists():
        Path(config["mark"]).touch()
        os.kill(os.getpid(), signal.SIGINT)
        time.sleep(0.3)
        odd({**config, "x": 0})


def interruptible(store: Path) -> Experiment:
    return odd_ones(store).trainable(interrupted_once).space(mark=str(store / "mark")).sinks(csv(), jsonl(), Diary)


@pytest.mark.parametrize("by_path", [True, False])
def test_a_resumed_run_goes_on_without_duplicates(tmp_path: Path, by_path: bool) -> None:
    experiment = interruptible(tmp_path)
    with pytest.raises(Interrupted) as caught:
        experiment.run("inline", quiet=True)
    assert Diary.entries[-1] == ("close",) and ("end", 3, "completed", "") not in Diary.entries
    path = caught.value.path
    results = resume(path, quiet=True) if by_path else experiment.resume(path, quiet=True)
    for result in results.trials:
        rows = (results.path / "trials" / result.id / "progress.csv").read_text().splitlines()
        lines = (results.path / "trials" / result.id / "reports.jsonl").read_text().splitlines()
        assert len(lines) == result.iterations and len([row for row in rows if row[:1].isdigit()]) == result.iterations
        heard = [entry for entry in Diary.entries if entry[:2] == ("report", result.number)]
        assert len(heard) == result.iterations


def test_sinks_go_on_when_the_driver_is_killed(tmp_path: Path) -> None:
    code = f"""
import os, signal, time
from pathlib import Path
from tests.unit.sinks.runs import odd_ones
from tunedsl import report
from tunedsl.sinks import jsonl
def train(config):
    report(loss=1.0)
    report(loss=0.5)
    time.sleep(0.3)
    if config["x"] == 1:
        os.kill(os.getpid(), signal.SIGKILL)
odd_ones(Path({str(tmp_path)!r})).trainable(train).sinks(jsonl()).run("inline", quiet=True)
"""
    done = subprocess.run([sys.executable, "-c", code], check=False, cwd=Path(__file__).parents[3], capture_output=True)
    assert done.returncode == -signal.SIGKILL
    (folder,) = tmp_path.iterdir()
    events = list(Journal(folder).events())
    rows = sum(len(event.rows) for event in events if hasattr(event, "rows"))
    deadline = time.monotonic() + PATIENCE_SECONDS
    while time.monotonic() < deadline:
        written = sum(len(file.read_text().splitlines()) for file in folder.glob("trials/*/reports.jsonl"))
        if written == rows:
            break
        time.sleep(0.05)
    assert written == rows >= 2


def test_a_missing_package_is_a_diagnostic(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    kind = registry.SinkKind(
        "tensorboard", "nowhere:Writer", PackageRequirement("not_there", "not-there", "1.2"), "tensorboard"
    )
    monkeypatch.setitem(registry._kinds, type(tensorboard()), kind)
    experiment = odd_ones(tmp_path).sinks(tensorboard())
    (found,) = [diagnostic for diagnostic in experiment.check("inline") if diagnostic.code == "E091"]
    assert found.subject == "sinks" and found.place is not None
    assert "not-there is not installed" in found.message and found.hint == "pip install 'tunedsl[tensorboard]'"
    with pytest.raises(CompileError, match="E091"):
        experiment.run("inline")
    results = odd_ones(tmp_path).run("inline", quiet=True)
    with pytest.raises(SinkError, match=r"(?s)not-there is not installed.*tunedsl\[tensorboard\]"):
        export(results.path, tensorboard())


def test_an_export_that_fails_says_so(tmp_path: Path) -> None:
    Breaks.reports = 0
    results = odd_ones(tmp_path).run("inline", quiet=True)
    with pytest.raises(SinkError, match="the sink Breaks failed"):
        export(results.path, Breaks)


class Busy(Sink):
    def on_report(self, trial: Any, row: Any) -> None:
        pass


def exports_itself(config: dict[str, Any]) -> None:
    odd(config)
    folder = trial().path.parents[1]
    if config["x"] == 2:
        with pytest.raises(SinkError, match=r"writes csv\(\) itself"):
            export(folder, csv())
        export(folder, csv(), out=folder.parent / "elsewhere")
        export(folder, jsonl())


def test_a_running_experiment_can_be_exported_but_not_over_its_own_sinks(tmp_path: Path) -> None:
    results = odd_ones(tmp_path).trainable(exports_itself).sinks(csv()).run("inline", quiet=True)
    assert [str(error) for error in results.errors if "x is three" not in error.message] == []
    assert (results.path / "trials/00000/reports.jsonl").exists()
    assert (tmp_path / "elsewhere" / "trials" / "00000" / "progress.csv").exists()


class NoSink:
    def on_report(self, trial: Any, row: Any) -> None: ...


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        (("csv",), r"from tunedsl.sinks import csv; csv\(\)"),
        (("cvs",), "did you mean 'csv'"),
        ((csv,), r"from tunedsl.sinks import csv; csv\(\)"),
        ((3,), r"E003: The argument of sinks\(...\) must be a sink .*, not 3"),
        ((NoSink,), "it has no on_start"),
        ((Diary(),), r"give the class, Diary, and its keywords by user_sink\(Diary, ...\)"),
        ((), r"E002: sinks\(\) has no sink"),
    ],
)
def test_what_is_no_sink_is_refused_where_it_is_written(wrong: tuple[Any, ...], message: str) -> None:
    with pytest.raises(ArgumentError, match=message):
        space(x=1).sinks(*wrong)


def test_keywords_are_checked_where_they_are_written() -> None:
    with pytest.raises(ArgumentError, match=r"E002: Diary\(\) got an unexpected keyword argument 'suffix'"):
        user_sink(Diary, suffix="x")
    with pytest.raises(ArgumentError, match=r"E001: tensorboard\(\) has no argument 'logdir'"):
        tensorboard(logdir="x")  # type: ignore[call-arg]
    with pytest.raises(ArgumentError, match="E003: The plan cannot store the sink"):
        user_sink(lambda: Diary(), x=object())


def test_experiments_with_sinks_are_values() -> None:
    one = space(x=1).sinks(tensorboard(), user_sink(Diary, prefix="a"), Busy)
    assert one == space(x=1).sinks(tensorboard(), user_sink(Diary, prefix="a"), Busy) and hash(one) == hash(one)
    assert eval(repr(one), {**globals(), "Diary": Diary}) == one
    assert one != space(x=1).sinks(tensorboard(), user_sink(Diary, prefix="b"), Busy)
    assert one.sinks(tensorboard()) == one
