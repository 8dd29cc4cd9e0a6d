"""Steering a run in progress: each action is an event with who asked and why, and what cannot be done says why."""

from __future__ import annotations

import contextlib
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.pictured import experiment
from tests.served import Client, client, eventually, stored
from tunedsl import choice, load, replay, report, space, uniform
from tunedsl.base.errors import Interrupted
from tunedsl.dashboard import figures
from tunedsl.kernel import Amended, StopRequested, UserTrialAdded
from tunedsl.results.plots import style

WORK = threading.Event()
"""Set when trials may end."""


def wait_for_work(config: dict[str, Any]) -> None:
    report(loss=config["x"])
    while not WORK.wait(0.01):
        report(loss=config["x"])
    report(loss=config["x"] / 2)


@pytest.fixture
def running(tmp_path: Path) -> Iterator[tuple[Client, str]]:
    """A run of which one trial is in progress, and a dashboard of its store."""
    WORK.clear()
    tuned = space(x=uniform(0, 1), by=choice(["sgd", "adam"])).trainable(wait_for_work).minimize("loss").samples(3)
    thread = threading.Thread(target=drive, args=(tuned.seed(0).store(str(tmp_path)),))
    thread.start()
    try:
        page = client(tmp_path)
        run = eventually(lambda: [path.name for path in tmp_path.iterdir() if (path / "journal.jsonl").exists()])[0]
        eventually(lambda: state_of(page, run).get("workers"))
        yield page, run
    finally:
        WORK.set()
        thread.join(60)
        assert not thread.is_alive()


def drive(tuned: Any) -> None:
    with contextlib.suppress(Interrupted):  # paused
        tuned.run("inline", quiet=True)


def state_of(page: Client, run: str) -> dict[str, Any]:
    answer = page.get(f"/api/runs/{run}")
    return answer.json() if answer.status_code == 200 else {}


def events(page: Client, run: str, kind: type) -> list[Any]:
    path = Path(str(page.store)) / run
    return [event for event in load(path).journal.events() if isinstance(event, kind)]


def test_two_people_steer_a_run_at_once(running: tuple[Client, str]) -> None:
    page, run = running
    other, said = client(str(page.store)), {}

    def ask(who: Client, key: str, action: str, **more: Any) -> None:
        said[key] = who.steer(run, action, **more)

    guess = {"values": {"x": "0.25", "by": "adam"}, "by": "Ann", "why": "a guess"}
    more = {"sets": ["samples=4", "budget.trials=9"], "by": "Ben"}
    threads = [
        threading.Thread(target=ask, args=(page, "add", "add"), kwargs=guess),
        threading.Thread(target=ask, args=(other, "amend", "amend"), kwargs=more),
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert said["add"].json() == {"reply": "trial added-00000 is added and starts when a slot is free"}
    assert said["amend"].json()["reply"].startswith("amended: ")
    assert page.steer(run, "stop_trial", trial=0, why="too slow", by="Ann").status_code == 200
    clone = page.steer(run, "clone", trial=0, values={"x": "0.5", "by": '"sgd"'})
    assert clone.status_code == 200, clone.text
    WORK.set()
    eventually(lambda: state_of(page, run)["phase"] == "finished")
    added, cloned = events(page, run, UserTrialAdded)
    assert added.config == {"x": 0.25, "by": "adam"} and added.text.startswith("requested by Ann, by the dashboard of ")
    assert added.text.endswith(": a guess") and "a clone of trial 00000" in cloned.text
    (amended,), (stopped,) = events(page, run, Amended), events(page, run, StopRequested)
    assert "Ben" in amended.text and stopped.text.endswith(": too slow")
    results = load(Path(str(page.store)) / run)
    assert replay(results.path) and results.plan.samples == 4 and results.plan.budget.trials == 9
    assert results.plan.budget.seconds is None and len(results.trials) == 6
    assert "requested by Ann" in str(results.why(0)) and "added by a user, requested by Ann" in str(
        results.why("added-00000")
    )
    story = page.get(f"/api/runs/{run}/trials/{added.trial}/story").json()
    assert any("a guess" in text for _, text in story["events"])


def test_what_is_wrong_is_refused_with_the_reason(running: tuple[Client, str]) -> None:
    page, run = running
    why_not = page.get(f"/api/runs/{run}/steering", params={"trial": 0}).json()["why_not"]
    assert {action for action, why in why_not.items() if why} == {"resume"}
    for asked, words in [
        ({"action": "add", "values": {"x": "7", "by": "adam"}}, "must be a value of uniform"),
        ({"action": "add", "values": {"x": "0.5"}}, "by"),
        ({"action": "add", "values": {"y": "0.5"}}, "y"),
        ({"action": "amend", "sets": ["trainable=3"]}, "cannot amend 'trainable'"),
        ({"action": "amend", "sets": ["samples=-3"]}, "samples"),
        ({"action": "amend", "sets": ["samples=3"]}, "has not changed"),
        ({"action": "amend", "sets": ["space.x=open('/etc/passwd')"]}, "cannot call open"),
        ({"action": "resume"}, "in progress"),
        ({"action": "stop_trial", "trial": 77}, "77"),
        ({"action": "stop_trial"}, "Choose a trial"),
        ({"action": "explode"}, "no action"),
    ]:
        answer = page.change(f"/api/runs/{run}/steer", asked)
        assert answer.status_code in (400, 404) and words in answer.json()["error"], (asked, answer.text)
        assert "--set" not in answer.text and "\\n  at " not in answer.text  # no program wrote it
    assert page.change(f"/api/runs/{run}/steer", {"action": "stop", "more": 1}).status_code == 400
    assert (
        page.change(f"/api/runs/{run}/clean", {"whole": True, "confirm": run}).status_code == 400
    )  # it is in progress
    assert state_of(page, run)["phase"] == "running" and not events(page, run, UserTrialAdded)


def test_a_run_is_paused_and_stopped(running: tuple[Client, str]) -> None:
    page, run = running
    assert page.steer(run, "pause", why="lunch").status_code == 200
    paused = eventually(lambda: (now := state_of(page, run))["phase"] == "paused" and now)
    assert paused["state"].startswith("paused: requested by") and paused["state"].endswith(": lunch")
    assert paused["waits"][0].startswith("No driver runs this experiment")
    why_not = page.get(f"/api/runs/{run}/steering").json()["why_not"]
    assert "tunedsl resume" in why_not["pause"] and why_not["amend"] and not why_not["stop"] and not why_not["add"]
    assert "takes effect with" in page.steer(run, "stop").json()["reply"]


def test_figures_of_a_run_that_ended_show_its_end(running: tuple[Client, str], monkeypatch: Any) -> None:
    monkeypatch.setattr(figures, "PATIENCE", 1e9)
    page, run = running

    def shown(kind: str) -> set[str]:
        data = page.get(f"/api/runs/{run}/figures/{kind}").json().get("data", [])
        return {each["name"] for each in data} & set(style.COLOURS)

    eventually(lambda: shown("best"))
    assert shown("best") == shown("workers") == {"running"}
    assert page.steer(run, "stop").status_code == 200
    eventually(lambda: state_of(page, run)["phase"] == "finished")
    assert shown("best") == shown("workers") == {"cancelled"}


SCRIPT = """
from tunedsl import report, space, uniform

def train(config):
    report(loss=config["x"])

experiment = space(x=uniform(0, 1)).trainable(train).minimize("loss").samples(3).seed(0).store({store!r})
if __name__ == "__main__":
    experiment.run("inline", quiet=True)
"""


@pytest.mark.slow
def test_an_interrupted_run_is_resumed_by_a_process_of_its_own(tmp_path: Path, monkeypatch: Any) -> None:
    script = tmp_path / "resumable.py"
    script.write_text(SCRIPT.format(store=str(tmp_path / "runs")))
    subprocess.run([sys.executable, str(script)], check=True)
    (folder,) = (tmp_path / "runs").iterdir()
    lines = (folder / "journal.jsonl").read_bytes().splitlines(keepends=True)
    (folder / "journal.jsonl").write_bytes(b"".join(lines[:-4]))
    page = client(tmp_path / "runs")
    assert state_of(page, folder.name)["phase"] == "interrupted"
    assert page.steer(folder.name, "resume").json() == {"reply": "The run is resumed."}
    eventually(lambda: state_of(page, folder.name)["phase"] == "finished")
    assert replay(folder) and len(load(folder).trials) == 3


def test_a_run_that_cannot_be_steered_says_why_before(tmp_path: Path) -> None:
    stored(tmp_path, "over", experiment(20))
    page = client(tmp_path)
    why_not = page.get("/api/runs/over/steering", params={"trial": 1}).json()["why_not"]
    assert set(why_not.values()) == {"The run is finished: all trials have ended."}
    for action in why_not:
        answer = page.steer("over", action, trial=1)
        assert answer.status_code == 400 and answer.json()["error"] == why_not[action]


def test_a_form_says_when_a_parameter_is_used(tmp_path: Path) -> None:
    stored(tmp_path, "run", experiment(20))
    fields = {
        each["name"]: each for each in client(tmp_path).get("/api/runs/run/steering", params={}).json()["parameters"]
    }
    assert fields["momentum"]["domain"] == "uniform(0.0, 1.0), when ref('optimizer') == 'sgd'"
    assert fields["layers"]["domain"] == "randint(1, 9)" and not fields["layers"]["optional"]


def test_notes_are_kept_next_to_the_journal(tmp_path: Path) -> None:
    folder = stored(tmp_path, "run", experiment(20))
    page, other = client(tmp_path), client(tmp_path)
    path, hostile = "/api/runs/run/note", "<script>alert(1)</script>"
    first = {"text": hostile, "star": True, "tags": ["good"]}
    assert page.change(path, {"note": first}).json()["run"] == first
    assert page.change(path, {"note": {"text": "odd"}, "trial": 3}).json()["trials"] == {"3": {"text": "odd"}}
    conflict = other.change(path, {"note": {"text": "mine"}})  # its writer saw no note
    assert conflict.status_code == 409 and "Another reader" in conflict.json()["error"]
    assert other.change(path, {"note": {"text": "mine"}, "before": first}).status_code == 200
    assert other.get("/api/runs/run/plan").json()["notes"] == {
        "run": {"text": "mine"},
        "trials": {"3": {"text": "odd"}},
    }
    assert page.change(path, {"note": {}, "trial": 3, "before": {"text": "odd"}}).json()["trials"] == {}
    for note in ({"text": "x" * 20_001}, {"tags": ["x"] * 21}, {"tags": ["x" * 41]}, {"text": 3}):
        assert page.change(path, {"note": note, "before": {"text": "mine"}}).status_code == 400
    assert [each.name for each in folder.iterdir()] == ["journal.jsonl", "notes.json"] or len(
        list(folder.iterdir())
    ) == 2


@pytest.mark.parametrize("content", ["nonsense", '{"run": 3}', "[" * 100_000])
def test_notes_that_are_no_notes_are_none(tmp_path: Path, content: str) -> None:
    folder = stored(tmp_path, "run", experiment(20))
    (folder / "notes.json").write_text(content)
    assert client(tmp_path).get("/api/runs/run/plan").json()["notes"] == {"run": {}, "trials": {}}


def test_notes_do_not_follow_a_link(tmp_path: Path) -> None:
    folder = stored(tmp_path / "store", "run", experiment(20))
    (tmp_path / "secret.json").write_text('{"run": {"text": "secret"}}')
    (folder / "notes.json").symlink_to(tmp_path / "secret.json")
    page = client(tmp_path / "store")
    assert "secret" not in page.get("/api/runs/run/plan").json()["notes"]["run"].values()
    assert page.change("/api/runs/run/note", {"note": {"text": "new"}}).status_code == 200
    assert (tmp_path / "secret.json").read_text() == '{"run": {"text": "secret"}}'


def test_runs_are_deleted_by_the_rules_of_clean(tmp_path: Path) -> None:
    folder = stored(tmp_path, "run", experiment(20))
    stored(tmp_path, "other", experiment(20))
    page = client(tmp_path)
    assert page.get("/api/runs/run/clean").json()["nothing"]
    assert page.get("/api/runs/run/clean?whole=1").json()["what"] == "the whole experiment"
    assert page.change("/api/runs/run/clean", {"whole": True}).status_code == 400 and folder.exists()
    assert page.change("/api/runs/run/clean", {"whole": True, "confirm": "other"}).status_code == 400
    assert page.change("/api/runs/run/clean", {"whole": True, "confirm": "run"}).status_code == 200
    assert not folder.exists() and page.get("/api/runs/run").status_code == 404
    assert [each["run"] for each in page.get("/api/runs").json()["runs"]] == ["other"]
