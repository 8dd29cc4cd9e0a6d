"""Two people steer a run of a real engine from two browsers; the run's journal then shows who asked for what."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

from click.testing import CliRunner

from tests.served import eventually, serving
from tunedsl import load
from tunedsl.cli.commands import cli
from tunedsl.journal import has_driver, journal_file
from tunedsl.kernel import Amended, StopRequested, UserTrialAdded

SCRIPT = """
import time
from pathlib import Path
from tunedsl import choice, loguniform, randint, report, space, uniform

def train(config):
    while not Path({gate!r}).exists():
        report(loss=config["x"])
        time.sleep(0.02)
    report(loss=config["x"] / 2)

models = choice({{"svm": {{"C": loguniform(0.1, 10)}}, "tree": {{"depth": randint(1, 9)}}}})
experiment = space(x=uniform(0, 1), model=models).trainable(train).minimize("loss").samples(2).parallel(2)
if __name__ == "__main__":
    experiment.seed(0).store({store!r}).run({engine!r}, quiet=True)
"""


def steer_from_two_browsers(browser: Any, folder: Path, engine: str) -> None:
    """Starts a run and steers it: add, clone with changes, stop a trial, amend, pause, resume."""
    store, gate, script = folder / "runs", folder / "gate", folder / "steered_script.py"
    script.write_text(SCRIPT.format(gate=str(gate), store=str(store), engine=engine))
    driver = subprocess.Popen([sys.executable, str(script)], cwd=folder)
    try:
        (run,) = eventually(lambda: driver.poll() is None and list(store.glob("*/journal.jsonl")))
        name = run.parent.name
        with serving(store) as address:
            ann, ben = (Person(browser, address, name, who) for who in ("Ann", "Ben"))
            ann.open("")
            ben.open("/trial/0")
            ann.page.wait_for_selector("td:has-text('00001')")
            added, cloned = ann.begin("Add a configuration"), ben.begin("Clone with changes")  # both at once
            added.get_by_label("x", exact=True).fill("7")
            added.get_by_label("model", exact=True).select_option("svm")
            added.get_by_label("model.svm.C").fill("2.5")
            assert added.get_by_label("model.tree.depth").is_hidden()
            ann.send(added)
            wrong = added.locator(".field:has([aria-invalid]) .wrong")
            wrong.wait_for()
            assert wrong.inner_text() == "x must be a value of uniform(0.0, 1.0), not 7."
            added.get_by_label("x", exact=True).fill("0.25")
            ann.send(added)
            cloned.get_by_label("model", exact=True).select_option("tree")
            assert cloned.get_by_label("model.svm.C").is_hidden()
            cloned.get_by_label("model.tree.depth").fill("4")
            ben.send(cloned)
            ann.told("is added and starts")
            ben.told("is added and starts")
            ben.act("Stop the trial", "")
            ben.open("")
            amended = ann.begin("Amend")
            amended.get_by_label("Samples").fill("3")
            amended.get_by_label("Budget: trials").fill("9")
            amended.get_by_label("Space, stop rules, scheduler").fill("space.x=uniform(0, 2)")
            ann.send(amended)
            ann.told("amended: ")
            ben.act("Pause", "")
            ann.page.get_by_role("button", name="Resume").wait_for()
            driver.wait(60)
            ann.act("Resume", "resumed")
            ben.page.get_by_role("button", name="Pause").wait_for()
            gate.touch()
            for each in (ann, ben):
                each.page.wait_for_selector(".phase.finished", timeout=60_000)
                each.end()
    finally:
        gate.touch()
        driver.wait(60)
    eventually(lambda: not has_driver(journal_file(run.parent)))
    check(run.parent)


class Person:
    """A browser of one person, whose page is the run's."""

    def __init__(self, browser: Any, address: str, run: str, name: str) -> None:
        self.context = browser.new_context(viewport={"width": 1200, "height": 900})
        self.page, self.name, self.home = self.context.new_page(), name, f"{address}#/run/{run}"
        self.page.set_default_timeout(30_000)
        self.wrong: list[str] = []
        self.page.on("pageerror", lambda error: self.wrong.append(str(error)))

    def open(self, part: str) -> None:
        self.page.goto(self.home + part)
        self.page.wait_for_selector(".steer button")

    def begin(self, action: str) -> Any:
        self.page.get_by_role("button", name=action, exact=True).click()
        box = self.page.locator("dialog")
        box.get_by_label("Who asks").fill(self.name)
        box.get_by_label("Reason").fill(f"{self.name} wants to {action.lower()}")
        return box

    def send(self, box: Any) -> None:
        box.locator("button[type=submit]").click()

    def told(self, text: str) -> None:
        self.page.locator("dialog").wait_for(state="detached")
        self.page.locator(".toast", has_text=text).last.wait_for()

    def act(self, action: str, reply: str) -> None:
        self.send(self.begin(action))
        self.told(reply)

    def end(self) -> None:
        self.context.close()
        assert not self.wrong


def check(folder: Path) -> None:
    """The journal replays, and has each request with who asked and why."""
    replayed = CliRunner().invoke(cli, ["replay", str(folder)])
    assert replayed.exit_code == 0, replayed.output
    results = load(folder)
    events = list(results.journal.events())
    asked = {
        kind: [event.text for event in events if isinstance(event, kind)]
        for kind in (UserTrialAdded, Amended, StopRequested)
    }
    texts = sorted(asked[UserTrialAdded])
    assert (
        len(texts) == 2
        and "Ann, by the dashboard" in texts[0]
        and texts[0].endswith("Ann wants to add a configuration")
    )
    assert "Ben, by the dashboard" in texts[1] and "a clone of trial 00000, Ben wants to clone with changes" in texts[1]
    assert ["Ann wants to amend" in text for text in asked[Amended]] == [True]
    assert any("Ben wants to stop the trial" in text for text in asked[StopRequested])
    added, cloned = results["added-00000"].config, results["added-00001"].config
    both = {next(iter(each["model"])): each for each in (added, cloned)}
    assert both["svm"] == {"x": 0.25, "model": {"svm": {"C": 2.5}}}
    assert both["tree"] == {"x": results[0].config["x"], "model": {"tree": {"depth": 4}}}
    assert results.plan.samples == 3 and results.plan.budget.trials == 9
    assert str(dict(results.plan.space.params)["x"]) == "uniform(0.0, 2.0)"
    assert len(results.trials) == 5 and results[0].status == "stopped"
    assert {trial.status for trial in results.trials} == {"stopped", "completed"}
    assert "Ben wants to stop the trial" in results.why(0)
