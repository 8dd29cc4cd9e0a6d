"""Folders that users report as checkpoints: copied completely or refused at once, and never modified."""

from __future__ import annotations

import os
import socket
from pathlib import Path
from typing import Any

import fsspec
import pytest

from tests.unit.worker.test_forms import run
from tunedsl import Trainable, report, space, trial, uniform
from tunedsl.base.errors import ReportError
from tunedsl.kernel import Failed, Reported
from tunedsl.worker.checkpoints import CheckpointStorage
from tunedsl.worker.folder_copy import copy_from

PLACES = [f"trials/00000/checkpoints/{n:08d}" for n in range(1, 5)]


@pytest.fixture
def mine(tmp_path):
    folder = tmp_path / "mine"
    folder.mkdir()
    return folder


@pytest.fixture(params=["path", "address"])
def storage(request, tmp_path):
    yield CheckpointStorage(str(tmp_path / "run") if request.param == "path" else "memory://bucket/run")
    fsspec.filesystem("memory").store.clear()


def contents(folder: Path) -> dict[str, bytes]:
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def copying(mine: Path, tmp_path: Path) -> Any:
    return copy_from(mine, tmp_path / "run", tmp_path / "run" / "trials" / "00000" / "checkpoints")


NAMES = ["weights", "weights.link", "weights.link.link", "a.part", ".hidden", "deep/weights", "deep/weights.link"]


def test_files_of_any_name_are_stored_checkpoint_after_checkpoint(mine, storage, tmp_path):
    before = None
    for turn, place in enumerate(PLACES):
        for name in NAMES:
            (mine / name).parent.mkdir(exist_ok=True)
            if turn != 2 or name == "weights":  # one changes, the others do not
                (mine / name).write_bytes(f"{name} {turn // 2}".encode())
        expected = contents(mine)
        storage.write(place, copying(mine, tmp_path), before)
        before = place
        assert contents(storage.fetch(place)) == expected and contents(mine) == expected
    assert set(storage.list_checkpoints()) == set(PLACES), "nothing else is left"


def test_what_did_not_change_is_stored_once_and_users_files_stay_their_own(mine, tmp_path):
    storage = CheckpointStorage(str(tmp_path / "run"))
    (mine / "weights").write_bytes(b"old")
    for place, before in zip(PLACES, [None, *PLACES], strict=False):
        storage.write(place, copying(mine, tmp_path), before)
    stored = [tmp_path / "run" / place / "weights" for place in PLACES]
    assert len({file.stat().st_ino for file in stored}) == 1
    assert (mine / "weights").stat().st_nlink == 1
    with (mine / "weights").open("r+b") as file:
        file.write(b"new")
    assert {file.read_bytes() for file in stored} == {b"old"}


def test_links_are_replaced_by_what_they_lead_to(mine, storage, tmp_path):
    elsewhere = tmp_path / "elsewhere"
    (elsewhere / "deep").mkdir(parents=True)
    (elsewhere / "deep" / "data").write_bytes(b"d")
    (mine / "real").write_bytes(b"r")
    (mine / "latest").symlink_to("real")
    (mine / "outside").symlink_to(elsewhere / "deep" / "data")
    (mine / "folder").symlink_to(elsewhere)
    storage.write(PLACES[0], copying(mine, tmp_path))
    found = storage.fetch(PLACES[0])
    assert contents(found) == {"real": b"r", "latest": b"r", "outside": b"d", "folder/deep/data": b"d"}
    assert not any(path.is_symlink() for path in found.rglob("*")) and (mine / "latest").is_symlink()


def dangling(mine: Path) -> None:
    (mine / "bad").symlink_to("nowhere")


def in_a_circle(mine: Path) -> None:
    (mine / "bad").symlink_to("bad")


def to_its_parent(mine: Path) -> None:
    (mine / "deep").mkdir()
    (mine / "deep" / "bad").symlink_to("..")


def to_the_run(mine: Path) -> None:
    (mine / "bad").symlink_to(mine.parent / "run")


def to_all(mine: Path) -> None:
    (mine / "bad").symlink_to("/")


def a_pipe(mine: Path) -> None:
    os.mkfifo(mine / "bad")


def a_socket(mine: Path) -> None:
    here = os.getcwd()
    os.chdir(mine)  # a socket's path may not be long
    try:
        with socket.socket(socket.AF_UNIX) as open_one:
            open_one.bind("bad")
    finally:
        os.chdir(here)


def a_device(mine: Path) -> None:
    (mine / "bad").symlink_to("/dev/zero")


REFUSED = {
    dangling: "cannot be followed",
    in_a_circle: "cannot be followed",
    to_its_parent: "a folder that it is in",
    to_the_run: "where this run is stored",
    to_all: "where this run is stored",
    a_pipe: "a named pipe",
    a_socket: "a socket",
    a_device: "a device",
}


@pytest.mark.parametrize("spoil", REFUSED, ids=lambda spoil: spoil.__name__)
def test_what_cannot_be_copied_is_a_bad_report_at_once_that_names_it(tmp_path, spoil):
    def train(config):
        folder = tmp_path / "mine"
        folder.mkdir()
        (tmp_path / "run").mkdir(exist_ok=True)
        (folder / "weights").write_bytes(b"w")
        spoil(folder)
        report(loss=1.0, checkpoint=folder)

    (_, failed) = run(train, tmp_path=tmp_path / "run")
    assert isinstance(failed, Failed) and failed.kind == "bad_report"
    assert REFUSED[spoil] in failed.message and "bad" in failed.message and "help:" in failed.message
    assert not list((tmp_path / "run").rglob("*.part"))


def no_folder(run: Path) -> Path:
    return run.parent / "nowhere"


def a_file(run: Path) -> Path:
    (run.parent / "file").write_text("x")
    return run.parent / "file"


def nothing(run: Path) -> str:
    return ""


def own_folder(run: Path) -> Path:
    return trial().path


def own_checkpoints(run: Path) -> Path:
    return trial().path / "checkpoints"


def inside_of_them(run: Path) -> Path:
    folder = trial().path / "checkpoints" / "mine"
    folder.mkdir(parents=True)
    return folder


def the_run(run: Path) -> Path:
    return run


def the_store(run: Path) -> Path:
    return run.parent


def all_of_it(run: Path) -> str:
    return "/"


def by_a_link(run: Path) -> Path:
    (run.parent / "link").symlink_to(run.parent)
    return run.parent / "link"


WRONG = {
    no_folder: "does not exist",
    a_file: "is not a folder",
    nothing: "does not exist",
    own_folder: "where this run is stored",
    own_checkpoints: "where the checkpoints of this trial are stored",
    inside_of_them: "where the checkpoints of this trial are stored",
    the_run: "where this run is stored",
    the_store: "where this run is stored",
    all_of_it: "where this run is stored",
    by_a_link: "where this run is stored",
}


@pytest.mark.parametrize("which", WRONG, ids=lambda which: which.__name__)
def test_a_folder_that_holds_the_store_or_is_none_is_a_bad_report(tmp_path, which):
    root = tmp_path / "run"
    root.mkdir()
    if which is own_checkpoints:
        (root / "trials" / "00003" / "checkpoints").mkdir(parents=True)
    (_, failed) = run(lambda config: report(loss=1.0, checkpoint=which(root)), tmp_path=root)
    assert failed.kind == "bad_report" and WRONG[which] in failed.message and "help:" in failed.message


def test_a_folder_of_its_own_below_the_trials_is_fine(tmp_path):
    def train(config):
        folder = trial().path / "mine"
        folder.mkdir()
        (folder / "weights").write_bytes(b"w")
        report(loss=1.0, checkpoint=folder)

    events = run(train, tmp_path=tmp_path)
    (saved,) = [event.saved for event in events if isinstance(event, Reported)]
    assert contents(tmp_path / saved) == {"weights": b"w"}


@pytest.mark.skipif(os.geteuid() == 0, reason="everything is readable for root")
def test_a_file_that_may_not_be_read_is_refused(mine, tmp_path):
    (mine / "secret").write_bytes(b"s")
    (mine / "secret").chmod(0)
    with pytest.raises(ReportError, match=r"'secret' cannot be read"):
        copying(mine, tmp_path)


def test_a_file_that_cannot_be_opened_is_refused(mine, tmp_path, monkeypatch):
    (mine / "secret").write_bytes(b"s")
    fill = copying(mine, tmp_path)
    (tmp_path / "copy").mkdir()
    opened = os.open

    def refuses(path, *words, **options):
        if str(path).endswith("secret"):
            raise PermissionError(13, "Permission denied")
        return opened(path, *words, **options)

    with monkeypatch.context() as patch:
        patch.setattr(os, "open", refuses)
        with pytest.raises(ReportError, match=r"'secret' cannot be read: Permission denied"):
            fill(tmp_path / "copy")


def test_a_read_only_folder_is_copied_into_one_that_can_be_removed(mine, storage, tmp_path):
    (mine / "deep").mkdir()
    (mine / "deep" / "weights").write_bytes(b"w")
    (mine / "deep" / "weights").chmod(0o444)
    (mine / "deep").chmod(0o555)
    storage.write(PLACES[0], copying(mine, tmp_path))
    (mine / "deep").chmod(0o755)
    assert storage.discard([PLACES[0]]) == []


class Linking(Trainable):
    """A class whose `save` leaves links to files that change later."""

    outside = Path()

    def setup(self, config: dict[str, Any], **data: Any) -> None:
        self.done = 0

    def step(self) -> dict[str, float] | None:
        self.done += 1
        (self.outside / "state").write_bytes(str(self.done).encode())
        return {"loss": 1.0 / self.done} if self.done < 4 else None

    def save(self, folder: Path) -> None:
        os.link(self.outside / "state", folder / "hard")
        (folder / "soft").symlink_to(self.outside / "state")
        (folder / "own").write_bytes(b"own")
        (folder / "own too").symlink_to(folder / "own")

    def load(self, folder: Path) -> None: ...


def test_links_that_save_makes_become_files_of_the_checkpoint(tmp_path):
    Linking.outside = tmp_path / "outside"
    Linking.outside.mkdir()
    events = run(Linking, "class", tmp_path / "run", save_every=1)
    saved = [tmp_path / "run" / event.saved for event in events if isinstance(event, Reported) and event.saved]
    assert [contents(folder) for folder in saved] == [
        {"hard": text, "soft": text, "own": b"own", "own too": b"own"} for text in (b"1", b"2", b"3")
    ]
    assert not any(path.is_symlink() for folder in saved for path in folder.rglob("*"))
    assert (Linking.outside / "state").stat().st_nlink == 1


def test_what_save_leaves_that_cannot_be_copied_is_a_bad_report(tmp_path):
    class Pipes(Linking):
        def save(self, folder: Path) -> None:
            os.mkfifo(folder / "bad")

    Pipes.outside = tmp_path
    failed = run(Pipes, "class", tmp_path / "run", save_every=1)[-1]
    assert failed.kind == "bad_report" and "save()" in failed.message and "a named pipe" in failed.message


def test_a_run_whose_checkpoints_hold_the_store_fails_trial_by_trial(tmp_path):
    def train(config):
        report(loss=1.0, checkpoint=trial().path)

    e = space(x=uniform(0, 1)).trainable(train).minimize("loss").samples(2).seed(0).store(tmp_path)
    results = e.run("inline", quiet=True)
    assert [error.kind for error in results.errors] == ["bad_report"] * 2
