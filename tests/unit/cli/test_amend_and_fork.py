"""`tunedsl amend` and `tunedsl fork`, and the same calls in Python."""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.commands import call
from tests.experiments import quadratic_engine, searching
from tunedsl import control, load, replay, uniform
from tunedsl.cli.files import Target, experiment_at
from tunedsl.driver.driver import Listener
from tunedsl.journal.requests import RequestRefused
from tunedsl.kernel import Amended, Reported
from tunedsl.runs.runs import run

SCRIPT = """
from tunedsl import report, space, uniform

amended = []

def train(config):
    report(loss=config["x"])
    while not amended:
        report(loss=config["x"])

experiment = (
    space(x=uniform(0, 1)).trainable(train).minimize("loss").samples(2).parallel(1).seed(0).store({store!r})
)
"""


@pytest.fixture
def script(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    monkeypatch.setattr(sys, "path", list(sys.path))
    file = tmp_path / "scratch_live.py"
    file.write_text(SCRIPT.format(store=str(tmp_path / "runs")))
    yield file
    sys.modules.pop("scratch_live", None)


class Once(Listener):
    """Calls a function in a thread at the first report, and notes what it returned or raised."""

    def __init__(self, act: Callable[[], Any], then: Callable[[], None]) -> None:
        self.result: Any = None
        self._begun, self._thread = False, threading.Thread(target=self._run, args=(act, then))

    def _run(self, act: Callable[[], Any], then: Callable[[], None]) -> None:
        try:
            self.result = act()
        except Exception as error:
            self.result = error
        finally:
            then()

    def on_event(self, event: Any, commands: Any, state: Any) -> None:
        if isinstance(event, Reported) and not self._begun:
            self._begun = True
            self._thread.start()

    def close(self, state: Any) -> None:
        self._thread.join()


def run_with(script: Path, act: Callable[[Path], Any]) -> tuple[Any, Any]:
    """The results of a run, and the result of `act`, which is called with its folder while it runs."""
    experiment = experiment_at(Target.of(str(script)))

    def acting() -> Any:
        (folder,) = (script.parent / "runs").iterdir()
        return act(folder)

    once = Once(acting, lambda: sys.modules["scratch_live"].amended.append(True))
    return run(experiment, "inline", quiet=True, listeners=[once]), once.result


def test_a_running_experiment_is_amended_from_the_terminal(script):
    words = [script, "--set", "samples=4", "--set", "space.x=uniform(0, 0.5)", "--wait", "60"]
    results, told = run_with(script, lambda folder: call("amend", folder, *words))
    assert told.exit_code == 0, told.output
    assert "amended: space, samples, trials; 0 ended trials continue" in told.stdout
    assert len(results.trials) == 4 and replay(results.path).state.finished
    assert all(trial.config["x"] <= 0.5 for trial in results.trials[2:])
    assert sum(isinstance(event, Amended) for event in results.journal.events()) == 1


def test_new_parameters_of_a_running_experiment_get_defaults_for_earlier_trials(script):
    def amend(folder: Path) -> Any:
        changed = experiment_at(Target.of(str(script))).samples(3).space(y=uniform(0, 1))
        return control.amend(folder, changed, defaults={"y": 0.25}, wait=60.0)

    results, told = run_with(script, amend)
    assert str(told).startswith("amended: space, samples, trials")
    assert [trial.config["y"] == 0.25 for trial in results.trials] == [True, False, False]


def test_what_a_driver_cannot_change_is_refused_with_what_to_do(script):
    _, told = run_with(script, lambda folder: call("amend", folder, script, "--set", "resources.cpu=2"))
    assert told.exit_code == 2
    assert "A run cannot change resources while its trials run." in told.stderr and "help: pause the run" in told.stderr


def test_without_a_driver_the_command_says_how_to_resume(tmp_path):
    e = searching(tmp_path)
    results = e.run(engine=quadratic_engine(), quiet=True)
    with pytest.raises(RequestRefused, match=r"No driver runs this experiment\.\n  help: tunedsl resume .* --amend"):
        control.amend(str(results.path), e.samples(20))
    with pytest.raises(RequestRefused, match="there is nothing to amend"):
        control.amend(str(results.path), e)


def test_resume_takes_defaults_and_what_becomes_of_ended_trials(script):
    results, _ = run_with(script, lambda folder: None)
    words = ["--amend", "--ended", "keep", "--set", "samples=3", "--quiet"]
    again = call("resume", results.path, "--file", script, *words, "--default", "z=1")
    assert again.exit_code == 2 and "defaults has 'z', which is not a new" in again.stderr
    assert call("resume", results.path, "--file", script, *words).exit_code == 0
    (event,) = [event for event in load(results.path).journal.events() if isinstance(event, Amended)]
    assert event.ended == "keep"


def test_a_fork_from_the_terminal(tmp_path):
    results = searching(tmp_path).run(engine=quadratic_engine(), quiet=True)
    made = call("fork", results.path, "--at", "trial 5")
    assert made.exit_code == 0, made.output
    folder, hint = made.stdout.splitlines()
    assert len(load(folder).trials) == 5 and hint == f"to continue: tunedsl resume {folder}"
    record = load(folder).forked_from.record
    assert f"forked from {results.path} after record {record}\n" in call("show", folder).stdout
    assert call("fork", results.path, "--at", "40").exit_code == 0
    wrong = call("fork", results.path, "--at", "trial 500")
    assert wrong.exit_code == 2 and "Traceback" not in wrong.stderr
