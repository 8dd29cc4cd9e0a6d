"""A run keeps its folder when a trial changes the working directory."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.experiments import Quadratic, searching
from tunedsl import Interrupted, load, report, resume, sinks, space, trial, uniform
from tunedsl.base.import_path import extend_import_path, import_path
from tunedsl.driver.driver import Listener
from tunedsl.sinks import Sink


def wanders(config: dict[str, Any]) -> None:
    os.chdir(config["to"])
    print("here")
    (trial().path / "file").touch()
    report(loss=config["x"])
    report(loss=config["x"], checkpoint=_checkpoint())


def _checkpoint() -> str:
    Path("weights").mkdir(exist_ok=True)
    (Path("weights") / "w").touch()
    return "weights"


class WanderingClass(Quadratic):
    def setup(self, config: dict[str, Any], **data: Any) -> None:
        super().setup(config)
        os.chdir(config["to"])


class Own(Sink):
    """A user's sink that changes the working directory as well."""

    def on_start(self, run: Any) -> None:
        os.chdir("/")


@pytest.fixture
def begun(tmp_path, monkeypatch) -> Path:
    """The working directory when runs begin; another one is `to`."""
    (tmp_path / "to").mkdir()
    (tmp_path / "from").mkdir()
    monkeypatch.chdir(tmp_path / "from")
    return tmp_path / "from"


@pytest.mark.parametrize("trainable", [wanders, WanderingClass])
@pytest.mark.parametrize("store", ["runs", "./runs", "../from/runs", None])
def test_a_relative_store_is_that_of_the_beginning(begun, trainable, store):
    to = str(begun.parent / "to")
    experiment = (
        space(x=uniform(0, 1), to=to).trainable(trainable).minimize("loss").samples(3).stop(training_iteration=2)
    )
    experiment = experiment.log_to_file().sinks(sinks.csv(), sinks.jsonl())
    if trainable is WanderingClass:
        experiment = experiment.checkpoint(at_end=True)
    if store is not None:
        experiment = experiment.store(store)
    results = experiment.run(engine="inline", quiet=True)
    assert os.getcwd() != str(begun) and not results.errors
    expected = begun / (store or "tunedsl-results")
    assert results.path.parent.resolve() == expected.resolve() and len(list(expected.iterdir())) == 1
    assert not {path.name for path in Path(to).iterdir()} - {"weights"}
    for found in results:
        assert found.checkpoint is not None and found.checkpoint.is_dir()
        assert trainable is not wanders or (found.path / "stdout.log").read_text() == "here\n"
    assert results.finished and load(results.path).finished


def test_a_run_that_wandered_is_resumed_by_the_path_that_it_says(begun):
    class Asks(Listener):
        def on_event(self, event, commands, state):
            if state.iterations >= 3:
                raise KeyboardInterrupt

        def on_wait(self, state): ...
        def close(self, state): ...

    experiment = searching("runs", wanders, to=str(begun.parent / "to"))
    with pytest.raises(Interrupted) as caught:
        experiment.run(engine="inline", quiet=True, listeners=[Asks()])
    assert os.getcwd() != str(begun) and Path(caught.value.path).is_absolute()
    assert resume(caught.value.path, quiet=True).finished


def test_results_and_exports_of_a_relative_path_stay_there(begun):
    folder = searching("runs").run(engine="inline", quiet=True).path
    os.chdir(begun)
    results = load(f"runs/{folder.name}")
    os.chdir("/")
    assert results.path == folder and len(results) == 12
    os.chdir(begun)
    results.export(Own, sinks.jsonl(), out="out")
    assert os.getcwd() == "/" and [*(begun / "out").rglob("*.jsonl")]


def test_workers_look_where_the_driver_looks_and_not_in_its_environment(begun, monkeypatch):
    monkeypatch.setattr(sys, "path", ["", "lib", "/the/project", *sys.path, "/the/project"])
    folders = import_path()
    assert folders[:3] == (str(begun), str(begun / "lib"), "/the/project")
    assert not any("site-packages" in folder or "lib-dynload" in folder for folder in folders)
    assert os.path.dirname(os.__file__) not in folders and len(set(folders)) == len(folders)
    monkeypatch.setattr(sys, "path", ["/worker", "/the/project", "/installed"])
    extend_import_path(("/first", "/the/project"))
    assert sys.path == ["/first", "/the/project", "/worker", "/installed"]
