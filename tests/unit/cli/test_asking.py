"""`tunedsl open`, `ask` and `tell`: what they print, their exit codes, and runs with and without a driver."""

from __future__ import annotations

import json
import threading
from pathlib import Path

import pytest

from tests.clocks import PATIENCE_SECONDS
from tests.commands import call
from tunedsl import asha, load, replay, space, uniform
from tunedsl.journal import Journal
from tunedsl.journal.requests import AskRequest, TellRequest, send_request
from tunedsl.runs import Study
from tunedsl.runs.opening import open_path

SCRIPT = """
from tunedsl import asha, choice, space, uniform

experiment = space(x=uniform(0, 1), by=choice(["a", "b"]), shape=choice([(1, 2)])).minimize("loss").samples(3).seed(0)
reporting = space(x=uniform(0, 1)).minimize("loss").scheduler(asha(max_t=4, grace_period=2)).samples(2).seed(0)
failing = space(x=uniform(0, 1)).minimize("loss").samples(1).retry(0).seed(0)
"""


@pytest.fixture
def opened(tmp_path: Path) -> Path:
    return begin(tmp_path, "experiment")


def begin(tmp_path: Path, name: str, *options: object) -> Path:
    script, path = tmp_path / "asked_scratch.py", tmp_path / "run"
    script.write_text(SCRIPT)
    result = call("open", f"{script}:{name}", "--path", path, *options)
    assert result.exit_code == 0 and result.output.strip() == str(path), result.output
    return path


def asked(path: Path) -> dict:
    result = call("ask", path, "--json")
    assert result.exit_code == 0, result.output
    return json.loads(result.output)


def test_a_loop_of_ask_and_tell_ends_with_the_experiment(opened):
    for number in range(3):
        trial = asked(opened)
        assert trial["trial"] == f"{number}:0" and trial["number"] == number and trial["name"] == f"{number:05d}"
        assert set(trial["config"]) == {"x", "by", "shape"} and trial["config"]["shape"] == [1, 2]
        assert isinstance(trial["seed"], int) and trial["known"] == 0 and trial["checkpoint"] is None
        told = call("tell", opened, trial["trial"], f"loss={trial['config']['x']}", "note=fine", "epochs=3")
        assert told.exit_code == 0 and told.output == "the trial has ended\n"
    over = call("ask", opened)
    assert over.exit_code == 4 and "the experiment is over" in over.output
    results = load(opened)
    assert results.finished and results.best.metrics["loss"] == results.best.config["x"] and replay(opened)
    assert call("tell", opened, "0:0", "loss=1").exit_code == 2


def test_ask_without_json_and_with_nothing_to_ask_for(opened):
    shown = call("ask", opened).output
    assert shown.startswith("trial 0:0\n  x = 0.") and "  by = " in shown
    asked(opened), asked(opened)
    later = call("ask", opened)
    assert later.exit_code == 5 and "3 trials are outstanding" in later.output


def test_reports_say_whether_the_trial_goes_on(tmp_path):
    path = begin(tmp_path, "reporting")
    trial = asked(path)["trial"]
    codes = [call("tell", path, trial, f"loss={1 / step}", "--report").exit_code for step in range(1, 5)]
    assert codes == [0, 0, 0, 4]
    worse = asked(path)["trial"]
    answers = [call("tell", path, worse, "loss=9", "--report", "--json") for _ in range(2)]
    assert [json.loads(answer.output)["continue"] for answer in answers] == [True, False]
    assert call("ask", path).exit_code == 4


def test_a_trial_fails_with_a_text(tmp_path):
    path = begin(tmp_path, "failing")
    assert call("tell", path, asked(path)["trial"], "--failed", "the oven was cold").exit_code == 0
    assert load(path).errors[0].message == "the oven was cold"


def test_a_trial_ends_after_its_last_report(opened, tmp_path):
    trial = asked(opened)["trial"]
    assert call("tell", opened, trial).exit_code == 2  # no objective yet
    folder = tmp_path / "saved"
    folder.mkdir()
    (folder / "weights").write_text("1")
    assert call("tell", opened, trial, "loss=nan", "--report", "--checkpoint", folder).exit_code == 0
    assert call("tell", opened, trial).exit_code == 0
    kept = load(opened).trials[0]
    assert kept.status == "completed" and (kept.checkpoint / "weights").read_text() == "1"


@pytest.mark.parametrize(
    ("words", "text"),
    [
        (["0:0", "loss=abc"], "the text 'abc', not as a number"),
        (["0:0", "loss"], "'loss' is not a metric"),
        (["0:0", "=1"], "is not a metric"),
        (["0:0", "loss=1", "loss=2"], "is repeated"),
        (["0:0", "loss=[1, 2]"], "not as a number"),
        (["0:0", "accuracy=1"], "has not reported the objective 'loss'"),
        (["0:0", "time_total_s=1", "loss=1"], "counted automatically"),
        (["5", "loss=1"], "do not include '5'"),
        (["0:3", "loss=1"], "no attempt 3"),
        (["0:0", "--report"], "--report needs metrics"),
        (["0:0", "loss=1", "--failed", "why"], "--failed takes neither metrics"),
    ],
)
def test_wrong_tells_are_refused_and_change_nothing(opened, words, text):
    asked(opened)
    result = call("tell", opened, *words)
    assert result.exit_code == 2 and text in result.output
    assert call("tell", opened, "0:0", "loss=1").exit_code == 0


def test_paths_that_are_no_run(tmp_path):
    assert call("ask", tmp_path).exit_code == 2
    assert call("tell", tmp_path, "0", "loss=1").exit_code == 2


def test_a_run_of_workers_is_neither_asked_nor_told(tmp_path):
    script = tmp_path / "worked_scratch.py"
    script.write_text(
        "from tunedsl import report, space, uniform\n"
        "def train(config):\n    report(loss=1)\n"
        f"e = space(x=uniform(0, 1)).trainable(train).minimize('loss').samples(1).store({str(tmp_path / 'store')!r})\n"
    )
    assert call("run", script, "--engine", "inline", "--quiet").exit_code == 0
    (run,) = (tmp_path / "store").iterdir()
    refused = call("ask", run)
    assert refused.exit_code == 2 and "Workers of inline run the trials" in refused.output


def test_a_lease_of_the_run_is_in_the_answer(tmp_path):
    path = begin(tmp_path, "experiment", "--lease", 90)
    assert asked(path)["lease"] == 90.0


def served(study: Study) -> threading.Thread:
    thread = threading.Thread(target=study.serve)
    thread.start()
    return thread


def test_a_live_driver_answers(tmp_path):
    e = space(x=uniform(0, 1)).minimize("loss").scheduler(asha(max_t=4, grace_period=2)).samples(3).seed(0)
    with e.open(tmp_path / "run") as study:
        thread = served(study)
        mine = study.ask()
        trial = asked(tmp_path / "run")
        assert trial["number"] == 1
        assert call("tell", study.path, trial["trial"], "loss=1").exit_code == 0
        assert study.tell(mine, loss=2)
        assert call("tell", study.path, asked(study.path)["trial"], "loss=1").exit_code == 0
        thread.join(PATIENCE_SECONDS)
        assert study.finished and not thread.is_alive()


@pytest.mark.parametrize("lost", [1, 2])
def test_a_report_that_a_kill_cut_off_is_recorded_when_its_request_is_found_again(opened, lost):
    """The driver is killed in the write of a report: the mark of the request, which comes first, may be there."""
    trial = asked(opened)
    with open_path(opened) as study:
        name = send_request(opened, TellRequest(trial["trial"], {"loss": 1.0}, ends=False))
        study._driver.requests.answer = lambda name, reply: None  # the reply is lost
        study.turn()
    lines = Journal(opened).path.read_bytes().splitlines(keepends=True)
    place = next(place for place, line in enumerate(lines) if b'["reported",' in line)
    Journal(opened).path.write_bytes(b"".join(lines[: place + 1 - lost]))
    with open_path(opened) as study:
        replies = {}
        study._driver.requests.answer = lambda name, reply: replies.update({name: reply})
        study.turn()
    assert replies[name].data == {"continue": True}
    assert load(opened).trials[0].iterations == 1


def test_a_request_that_was_journaled_and_not_answered_is_not_handled_twice(opened):
    """The driver is killed between the journal and the reply: the next one finds the request again."""
    trial = asked(opened)
    ask, tell = AskRequest("me"), TellRequest(trial["trial"], {"loss": 1.0}, ends=False)
    with open_path(opened) as study:
        names = [send_request(opened, ask), send_request(opened, tell)]
        study._driver.requests.answer = lambda name, reply: None  # the replies are lost
        study.turn()
        assert len(study.outstanding) == 2
    with open_path(opened) as study:
        replies = {}
        study._driver.requests.answer = lambda name, reply: replies.update({name: reply})
        study.turn()
        assert len(study.outstanding) == 2
    assert replies[names[0]].data["trial"] == "1:0"
    assert replies[names[1]].data == {"continue": True}
    assert load(opened).trials[0].iterations == 1


def test_commands_name_ask_as_the_one_that_continues(opened):
    asked(opened)
    command = f"tunedsl ask {opened}"
    assert f"to continue: {command}\n" in call("show", opened).stdout
    assert "to continue: tunedsl ask " in call("fork", opened).stdout
    assert call("stop", opened, "0").stdout.rstrip().endswith(f"takes effect with {command}")


def test_a_changed_experiment_is_opened_with_amend(opened):
    words = ["open", f"{opened.parent / 'asked_scratch.py'}:experiment", "--path", opened, "--set", "samples=4"]
    refused = call(*words)
    assert refused.exit_code == 2 and f"open('{opened}', amend=True) or --amend continues" in refused.stderr
    assert call(*words, "--amend").exit_code == 0
    for _ in range(4):
        asked(opened)
