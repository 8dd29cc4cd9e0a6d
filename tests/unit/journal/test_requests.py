"""The folder of requests: untrusted input, refused when malformed, and cheap to poll."""

from __future__ import annotations

import os
from pathlib import Path

import msgspec
import pytest

from tests.commands import call
from tests.experiments import Breaker, searching
from tunedsl import choice, control, grid, load, loguniform, ref, space, uniform
from tunedsl.backends import SimulatedEngine
from tunedsl.base.errors import ArgumentError, Interrupted, JournalError
from tunedsl.driver.request_handlers import complete_config
from tunedsl.journal import requests
from tunedsl.journal.lease import FileLeaseStore, Lease
from tunedsl.journal.requests import Inbox, Reply, RequestRefused, StopRequest, read_reply, send_request
from tunedsl.spaces import Space

GOOD = "17000000000000000000-0123abcd.json"


@pytest.fixture
def said() -> list[str]:
    return []


@pytest.fixture
def inbox(tmp_path: Path, said: list[str], monkeypatch: pytest.MonkeyPatch) -> Inbox:
    monkeypatch.setattr(requests, "POLL_SECONDS", 0.0)
    return Inbox(tmp_path, said.append)


def place(root: Path, name: str, data: bytes) -> Path:
    file = root / requests.FOLDER / name
    file.parent.mkdir(exist_ok=True)
    file.write_bytes(data)
    return file


def test_requests_come_in_the_order_in_which_they_were_made_and_are_answered_once(tmp_path, inbox, said):
    names = [send_request(tmp_path, StopRequest(str(number))) for number in range(3)]
    found = list(inbox.take())
    assert [name for name, _ in found] == names
    assert [request.trial for _, request in found] == ["0", "1", "2"]
    for name in names:
        assert read_reply(tmp_path, name) is None
        inbox.reply(name, Reply(True, "done"))
        assert read_reply(tmp_path, name) == Reply(True, "done")
        assert read_reply(tmp_path, name) is None
    assert list(inbox.take()) == [] and said == []


@pytest.mark.parametrize(
    ("data", "text"),
    [
        (b"", "is not a valid request"),
        (b"\x00\xff", "is not a valid request"),
        (b"[]", "is not a valid request"),
        (b'{"verb": "stop", "trial": 3}', "is not a valid request"),
        (b'{"verb": "stop", "more": 1}', "is not a valid request"),
        (b'{"verb": "exec", "code": "1"}', "is not a valid request"),
        (b'{"verb": "add", "config": ' + b'{"a":' * 2_000 + b"1" + b"}" * 2_001, "is not a valid request"),
        (b'{"verb": "stop", "text": "' + b"x" * requests.MAX_BYTES + b'"}', "bytes"),
    ],
)
def test_what_is_no_request_is_moved_away_and_said(tmp_path, inbox, said, data, text):
    file = place(tmp_path, GOOD, data)
    assert list(inbox.take()) == []
    assert not file.exists()
    assert text in said[0] and GOOD in said[0]
    assert text in read_reply(tmp_path, GOOD).text
    assert len(os.listdir(tmp_path / "requests" / requests.REFUSED)) == 1
    assert list(inbox.take()) == [] and len(said) == 1


def test_links_pipes_folders_and_foreign_names_are_moved_away(tmp_path, inbox, said):
    secret = tmp_path / "secret.json"
    secret.write_bytes(b'{"verb": "stop"}')
    folder = tmp_path / requests.FOLDER
    folder.mkdir()
    os.symlink(secret, folder / GOOD)
    os.mkfifo(folder / GOOD.replace("abcd", "abce"))
    (folder / GOOD.replace("abcd", "abcf")).mkdir()
    place(tmp_path, "stop.json", b'{"verb": "stop"}')
    place(tmp_path, "\n\x1b[2Jx", b"")
    assert list(inbox.take()) == []
    assert secret.exists() and len(said) == 5
    assert not any("\n" in text or "\x1b" in text for text in said)
    assert sorted(os.listdir(folder)) == ["answers", "refused"]


def test_a_folder_that_is_a_link_is_not_looked_into(tmp_path, inbox, said):
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    (elsewhere / GOOD).write_bytes(b'{"verb": "stop"}')
    os.symlink(elsewhere, tmp_path / requests.FOLDER)
    assert list(inbox.take()) == [] and (elsewhere / GOOD).exists()


def test_answers_are_not_written_through_a_link(tmp_path, inbox):
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    place(tmp_path, GOOD, b"nonsense")
    for name in (requests.ANSWERS, requests.REFUSED):
        os.symlink(elsewhere, tmp_path / requests.FOLDER / name)
    assert list(inbox.take()) == []
    assert os.listdir(elsewhere) == []


def test_a_folder_in_which_nothing_changed_is_not_listed(tmp_path, inbox, monkeypatch):
    name = send_request(tmp_path, StopRequest())
    inbox.reply(name, Reply(True, ""))
    list(inbox.take())
    clock = requests.time.monotonic() + 1_000
    monkeypatch.setattr(requests.time, "monotonic", lambda: clock)
    listed = []
    monkeypatch.setattr(inbox, "_names", lambda: listed.append(1) or [])
    list(inbox.take())
    assert listed == []
    send_request(tmp_path, StopRequest())
    list(inbox.take())
    assert listed == [1]


def engine() -> SimulatedEngine:
    return SimulatedEngine(lambda config, iteration: config["x"], iterations=9)


def interrupted(store: Path) -> Path:
    with pytest.raises(Interrupted) as caught:
        searching(store).run(engine=engine(), quiet=True, listeners=[Breaker(12)])
    return Path(caught.value.path)


def test_where_no_driver_runs_requests_take_effect_at_the_next_resume(tmp_path):
    path = interrupted(tmp_path)
    added = call("add", path, "x=0.25")
    assert added.exit_code == 0, added.output
    assert added.stdout.startswith("no driver runs this experiment: the request takes effect with tunedsl resume ")
    running = next(trial.id for trial in load(path).trials if trial.status == "pending" and trial.iterations)
    assert call("stop", path, running).exit_code == 0
    results = searching(tmp_path).resume(path, engine=engine(), quiet=True)
    assert any(trial.id == "added-00000" for trial in results.trials)
    assert "a user requested it: requested by" in results.why(running)
    for words in (["stop", path], ["add", path, "x=0.1"]):
        over = call(*words)
        assert over.exit_code == 2 and "The experiment is finished" in over.stderr and "--amend" in over.stderr


def test_there_is_nothing_to_pause_where_no_driver_runs(tmp_path):
    path = interrupted(tmp_path)
    paused = call("pause", path)
    assert paused.exit_code == 2 and "nothing to pause" in paused.stderr
    assert not (path / "requests").exists()


@pytest.mark.parametrize(
    ("words", "text"),
    [
        (["x=2"], "The space does not have this configuration: space.x must be a value of uniform(0.0, 1.0), not 2."),
        (["x=nonsense"], "space.x must be a value of uniform(0.0, 1.0), not 'nonsense'."),
        (["y=1"], "The parameter x is missing."),
        (["x=0.5", "y=1"], "This configuration has no parameter 'y'."),
        (["x=0.5", "x=0.5"], "x is repeated"),
        (["x"], "'x' is not NAME=VALUE"),
        (["x=0.5", "x.y=1"], "which another word sets as a whole"),
    ],
)
def test_a_configuration_that_is_none_is_refused_before_it_is_sent(tmp_path, words, text):
    path = interrupted(tmp_path)
    result = call("add", path, *words)
    assert result.exit_code == 2 and text in result.stderr, result.output
    assert not (path / "requests").exists()


def relu(x: float) -> float:
    return max(x, 0.0)


def test_words_of_a_terminal_spell_configurations():
    inner = space(rate=loguniform(1e-3, 1)).where(ref("rate") < 0.5)
    found = space(
        x=uniform(0, 1), layer=inner, act=choice([relu, None]), kind=choice(["1", "b"]), n=choice([1, 2])
    ).clauses.space
    words = ["x=1e-1", "layer.rate=0.01", "act=relu", "kind=b", "n=2"]
    assert control.configuration(found, words) == {
        "x": 0.1, "layer": {"rate": 0.01}, "act": relu, "kind": "b", "n": 2
    }  # fmt: skip
    assert control.configuration(found, ["x=true", "act=null"]) == {"x": True, "act": None}


def test_what_is_no_configuration_or_no_experiment_is_said(tmp_path):
    with pytest.raises(ArgumentError):
        control.add(tmp_path, ["x"])  # type: ignore[arg-type]
    with pytest.raises(JournalError):
        control.stop(tmp_path)


def test_a_driver_that_does_not_look_is_named_and_the_request_stays(tmp_path):
    path = interrupted(tmp_path)
    hold = Lease(path, FileLeaseStore(path / "journal.hold"))
    text = control.stop(path, wait=0.0)
    assert f"process {os.getpid()}" in text and "has not read the request yet" in text
    hold.release()
    (name,) = (name for name in os.listdir(path / "requests") if name.endswith(".json"))
    assert isinstance(msgspec.json.decode((path / "requests" / name).read_bytes())["text"], str)
    with pytest.raises(RequestRefused, match="nothing to pause"):
        control.pause(path)


def test_a_configuration_of_any_cell_of_a_grid_can_be_added() -> None:
    over = Space.of({"g": grid([1, "b"]), "x": uniform(0, 1)})
    for value in (1, "b"):
        assert complete_config(over, {"g": value, "x": 0.5}, 0) == {"g": value, "x": 0.5}
    for wrong in ({"g": 9, "x": 0.5}, {"x": 0.5, "h": 1}):
        with pytest.raises(RequestRefused, match="The space does not have this configuration"):
            complete_config(over, wrong, 0)
