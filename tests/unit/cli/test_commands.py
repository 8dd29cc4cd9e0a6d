"""The commands: what they print, and their exit codes."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
from click.shell_completion import ShellComplete
from click.testing import CliRunner

import tunedsl.cli.experiments as module
from tests.commands import call
from tunedsl.base.errors import Interrupted
from tunedsl.cli.commands import cli

EXPORTS = ("comet", "csv", "jsonl", "mlflow", "tensorboard", "wandb")

SCRIPT = """
from tunedsl import report, space, uniform

def train(config):
    if config["x"] > {limit}:
        raise ValueError("x is too large")
    report(loss=config["x"])

base = space(x=uniform(0, 1))
experiment = base.trainable(train).minimize("loss").samples(3).seed(0).store({store!r})
wrong = base.trainable(train).samples(3).replace(x=uniform(1, 0)).minimize("loss")

if __name__ == "__main__":
    raise SystemExit("it was run as a script")
"""


@pytest.fixture
def script(tmp_path: Path) -> Path:
    return write(tmp_path, limit=2)


def write(folder: Path, limit: float, name: str = "scratch_experiment.py") -> Path:
    file = folder / name
    file.write_text(SCRIPT.format(limit=limit, store=str(folder / "runs")))
    return file


def folder_of(script: Path) -> Path:
    (journal,) = script.parent.glob("runs/*/journal.jsonl")
    return journal.parent


def test_run_show_why_and_replay(script: Path) -> None:
    ran = call("run", f"{script}:experiment", "--engine", "inline", "--quiet")
    assert ran.exit_code == 0, ran.output
    folder = folder_of(script)
    assert ran.stdout.splitlines()[0] == "finished: all trials have ended, 3 trials: 3 completed"
    assert f"results in {folder}" in ran.stdout
    assert ran.stderr == ""

    shown = call("show", folder).stdout.splitlines()
    assert shown[0].split() == ["trial", "status", "iterations", "loss", "config"]
    losses = [float(line.split()[3]) for line in shown[1:4]]
    assert losses == sorted(losses)

    content = json.loads(call("show", folder, "--json").stdout)
    assert [trial["metrics"]["loss"] for trial in content["trials"]] == pytest.approx(losses, rel=1e-5)

    best = content["trials"][0]["id"]
    assert call("why", folder).stdout.startswith(f"trial {best} ")
    assert call("why", folder, "1").stdout == call("why", folder, "00001").stdout
    assert call("replay", folder).stdout.startswith("proved ")


def test_a_finished_run_is_resumed_to_its_results(script: Path) -> None:
    call("run", f"{script}:experiment", "--engine", "inline", "--quiet")
    again = call("resume", folder_of(script), "--quiet")
    assert again.exit_code == 0, again.output
    assert again.stdout.startswith("finished")


def test_failed_trials_give_1_and_the_users_traceback(tmp_path: Path) -> None:
    result = call("run", f"{write(tmp_path, limit=-1)}:experiment", "--engine", "inline", "--quiet")
    assert result.exit_code == 1, result.output
    assert "3 of 3 trials failed" in result.stdout
    assert 'raise ValueError("x is too large")' in result.stdout


def test_failed_trials_are_run_again_when_their_code_is_corrected(tmp_path: Path) -> None:
    folder = folder_of_failed(tmp_path)
    content = json.loads(call("show", folder, "--json").stdout)
    assert content["statuses"] == {"failed": 3} and {trial["status"] for trial in content["trials"]} == {"failed"}
    assert content["trials"][0]["stop_reason"] == "crash: ValueError: x is too large"
    (listed,) = json.loads(call("list", folder.parent, "--json").stdout)
    assert listed["statuses"] == {"failed": 3}
    write(tmp_path, limit=2)
    sys.modules.pop("scratch_experiment")
    again = call("resume", folder, "--retry-failed")
    assert again.exit_code == 0, again.output
    assert "3 trials: 3 completed" in again.stdout and "amended: trainable" in again.stderr
    assert call("replay", folder).exit_code == 0
    once_more = call("resume", folder, "--retry-failed")
    assert once_more.exit_code == 0 and "there is nothing to retry" in once_more.stderr


def folder_of_failed(folder: Path) -> Path:
    script = write(folder, limit=-1)
    assert call("run", f"{script}:experiment", "--engine", "inline", "--quiet").exit_code == 1
    return folder_of(script)


PBT = """
from tunedsl import pbt, space, trial, uniform

class Walk:
    def setup(self, config):
        self.x, self.done = config["x"], 0

    def step(self):
        self.done += 1
        if self.done >= 5 and trial().number % 2:
            raise ValueError("broken from step 5 on")
        return {{"loss": self.x / self.done}}

    def save(self, folder):
        (folder / "done").write_text(str(self.done))

    def load(self, folder):
        self.done = int((folder / "done").read_text())

experiment = (
    space(x=uniform(0, 1)).trainable(Walk).minimize("loss").samples(6).stop(training_iteration=8)
    .scheduler(pbt(perturbation_interval=3, hyperparam_mutations={{"x": [0.1, 0.9]}})).seed(0).store({store!r})
)
"""


def test_trials_that_fail_after_a_promotion_give_1_too(tmp_path: Path) -> None:
    script = tmp_path / "scratch_pbt.py"
    script.write_text(PBT.format(store=str(tmp_path / "runs")))
    result = call("run", script, "--engine", "inline", "--quiet")
    assert result.exit_code == 1 and "3 of 6 trials failed: 3 crash" in result.stdout
    assert "6 trials: 3 completed, 3 failed" in result.stdout


def test_check_and_explain(script: Path) -> None:
    assert call("check", f"{script}:experiment").stdout == "The experiment has no errors.\n"
    assert "uniform(0.0, 1.0)" in call("explain", f"{script}:experiment").stdout
    wrong = call("check", f"{script}:wrong")
    assert wrong.exit_code == 2
    assert "space.x" in wrong.stdout
    assert wrong.stdout.startswith("The experiment has 1 error.\nE")


def test_an_experiment_for_ask_and_tell_is_checked(tmp_path: Path) -> None:
    file = tmp_path / "scratch_asked.yaml"
    file.write_text("space: {x: 'uniform(0, 1)'}\nminimize: loss\n")
    done = call("check", file)
    assert done.exit_code == 0 and done.stdout.splitlines()[0].startswith("The experiment has no errors")
    assert f"tunedsl open {file}" in done.stdout
    assert call("explain", file).exit_code == 0 and call("open", file, "--path", tmp_path / "run").exit_code == 0
    file.write_text("space: {x: 'uniform(1, 0)'}\nminimize: loss\n")
    assert call("check", file).exit_code == 2


def test_a_wrong_experiment_gives_2_and_diagnostics_without_a_traceback(script: Path) -> None:
    for words in (["run", f"{script}:wrong", "--engine", "inline"], ["explain", f"{script}:wrong"]):
        result = call(*words)
        assert result.exit_code == 2
        assert "space.x" in result.stderr
        assert f"at {script}" in result.stderr
        assert "Traceback" not in result.stderr


def test_a_wrong_argument_in_the_file_is_said_with_its_place(tmp_path: Path) -> None:
    file = tmp_path / "scratch_argument.py"
    file.write_text("from tunedsl import space\nspace().minimise('loss') if 0 else space().minimize(metrik='loss')\n")
    result = call("check", file)
    assert result.exit_code == 2
    assert f"{file}:2" in result.stderr
    assert "Traceback" not in result.stderr


def test_an_error_in_the_file_is_shown_from_there_on(tmp_path: Path) -> None:
    file = tmp_path / "scratch_broken.py"
    file.write_text("1 / 0\n")
    result = call("check", file)
    assert result.exit_code == 2
    assert result.stderr.splitlines()[1].startswith(f'  File "{file}", line 1')
    assert "scratch_broken" not in sys.modules


def test_dry_run(script: Path) -> None:
    result = call("dry-run", f"{script}:experiment", "--workers", 1, "--cost", 60)
    assert result.exit_code == 0, result.output
    assert "3 trials" in result.stdout
    assert "3 min" in result.stdout


@pytest.mark.parametrize(
    ("target", "text"),
    [
        ("scratch_experiment.py", "must hold one experiment, not base, experiment, wrong."),
        ("scratch_experiment.py:experimnt", "no experiment 'experimnt'. help: did you mean 'experiment'?"),
        ("missing.py", "missing.py does not exist"),
    ],
)
def test_which_experiment(script: Path, target: str, text: str) -> None:
    result = call("check", script.parent / target)
    assert result.exit_code == 2
    assert text in " ".join(result.stderr.split())


def test_a_file_does_not_take_the_place_of_a_module(tmp_path: Path) -> None:
    result = call("check", write(tmp_path, 2, "json.py"))
    assert result.exit_code == 2
    assert "rename the file" in result.stderr
    assert sys.modules["json"] is json


def test_a_damaged_journal_gives_3(script: Path) -> None:
    call("run", f"{script}:experiment", "--engine", "inline", "--quiet")
    journal = folder_of(script) / "journal.jsonl"
    journal.write_bytes(journal.read_bytes().replace(b'"loss"', b'"lass"', 1))
    result = call("replay", journal)
    assert result.exit_code == 3
    assert "record " in result.stderr and "tunedsl repair PATH" in result.stderr


def test_what_a_user_gets_wrong_at_the_terminal_is_said_with_what_to_do(script: Path) -> None:
    call("run", f"{script}:experiment", "--engine", "inline", "--quiet")
    folder = folder_of(script)
    for words, text in [
        (("show", folder.parent), f"tunedsl list {folder.parent}"),
        (("plot", folder, "--metric", "lss"), "objectives need none: loss"),
        (("plot", folder, "--out", script / "x.html"), "cannot be written"),
        (("report", folder, "--out", script / "x.html"), "cannot be written"),
        (("export", folder), "pass one of comet, csv"),
        (("check", f"{script}:experiment", "--set", "x=1"), "did you mean space.x?"),
        (("add", folder, "xx=1"), "The parameter x is missing.\n  help: did you mean 'x' by 'xx'?"),
    ]:
        done = call(*words)
        assert done.exit_code == 2 and text in done.stderr, done.output
        assert "click" not in done.stderr  # no place in this program, where the user wrote nothing


@pytest.mark.parametrize(
    "word, value", [("--cost", "-1"), ("--cost", "nan"), ("--workers", "0"), ("--iterations", "0")]
)
def test_a_dry_run_of_nothing_is_refused(script: Path, word: str, value: str) -> None:
    done = call("dry-run", f"{script}:experiment", word, value)
    assert done.exit_code == 2 and done.stderr.startswith(f"E003: {word[2:]} must be "), done.output


def test_a_run_whose_code_has_changed_is_not_resumed_silently(script: Path) -> None:
    call("run", f"{script}:experiment", "--engine", "inline", "--quiet")
    journal = folder_of(script) / "journal.jsonl"
    journal.write_bytes(b"".join(journal.read_bytes().splitlines(keepends=True)[:-2]))  # as a kill would leave it
    script.write_text(script.read_text().replace("too large", "too big"))
    for name in [name for name in sys.modules if "scratch" in name]:
        del sys.modules[name]
    done = call("resume", folder_of(script), "--engine", "inline", "--quiet")
    assert (
        done.exit_code == 2 and "has changed" in done.stderr and "--amend" in done.stderr and "Usage" not in done.stderr
    ), done.output


def test_an_interruption_gives_130_and_says_how_to_resume(script: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(*args: object, **options: object) -> None:
        raise Interrupted("runs/x")

    monkeypatch.setattr(module, "run", interrupted)
    result = call("run", f"{script}:experiment")
    assert result.exit_code == 130
    assert result.stderr == "The run was interrupted.\n  help: tunedsl resume runs/x\n"


def test_resume_finds_the_experiment_in_its_script_by_the_plan(script: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    call("run", f"{script}:experiment", "--engine", "inline", "--quiet")
    found = []
    monkeypatch.setattr(module, "resume_experiment", lambda experiment, *_, **__: found.append(experiment))
    monkeypatch.setattr(module, "_finish", lambda *_: None)
    call("resume", folder_of(script))
    assert found == [sys.modules["scratch_experiment"].experiment]

    resumed = []
    monkeypatch.setattr(module, "resume", lambda path, *_, **__: resumed.append(path))
    script.unlink()
    call("resume", folder_of(script))
    assert resumed == [folder_of(script)]


@pytest.mark.slow
def test_a_script_and_the_terminal_give_equal_plans_and_journals(tmp_path: Path) -> None:
    file = tmp_path / "scratch_equal.py"
    body = SCRIPT.format(limit=2, store=str(tmp_path / "runs")).replace(
        'raise SystemExit("it was run as a script")',
        'experiment.order("logical").parallel(1).run(engine="inline", quiet=True)',
    )
    file.write_text(body + 'logical = experiment.order("logical").parallel(1)\n')
    by_script = subprocess.run([sys.executable, str(file)], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert by_script.returncode == 0, by_script.stderr
    words = [sys.executable, "-m", "tunedsl", "run", f"{file}:logical", "--engine", "inline", "--quiet"]
    by_terminal = subprocess.run(words, cwd="/", capture_output=True, text=True, check=False)
    assert by_terminal.returncode == 0, by_terminal.stderr
    proofs = [call("replay", journal).stdout for journal in tmp_path.glob("runs/*/journal.jsonl")]
    assert len(proofs) == 2
    assert proofs[0] == proofs[1]


def test_a_file_that_runs_when_it_is_imported_is_refused(tmp_path):
    file = tmp_path / "runs_at_once.py"
    file.write_text(
        "from tunedsl import space, uniform\n"
        "def train(config):\n    return {'loss': config['x']}\n"
        "e = space(x=uniform(0, 1)).trainable(train).minimize('loss').seed(0)\n"
        "e.run(engine='inline')\n"
    )
    done = CliRunner().invoke(cli, ["check", str(file)])
    assert done.exit_code == 2
    assert 'if __name__ == "__main__"' in done.output


def test_clauses_can_be_given_as_text(script: Path) -> None:
    ran = call(
        "run", f"{script}:experiment", "--engine", "inline", "--quiet", "--set", "samples=5", "--set", "named=other"
    )
    assert ran.exit_code == 0, ran.output
    folder = folder_of(script)
    assert folder.name.startswith("other-") and len(json.loads(call("show", folder, "--json").stdout)["trials"]) == 5
    wrong = call("check", f"{script}:experiment", "--set", "space.x=uniform(1, 0)")
    assert wrong.exit_code == 2 and "E011: space.x" in wrong.stdout and "--set:1" in wrong.stdout
    refused = call("explain", f"{script}:experiment", "--set", "space.x=open('x')")
    assert refused.exit_code == 2 and "no clause" not in refused.stderr and "space.x" in refused.stderr


def test_a_run_with_overrides_is_resumed_and_amended_by_them(script: Path) -> None:
    call("run", f"{script}:experiment", "--engine", "inline", "--quiet", "--set", "seed=3")
    folder = folder_of(script)
    changes = ["--set", "seed=3", "--set", "samples=6", "--amend"]
    assert call("resume", folder, "--quiet", *changes).exit_code == 2  # the file holds several
    again = call("resume", folder, "--quiet", "--file", f"{script}:experiment", *changes)
    assert again.exit_code == 0, again.output
    assert len(json.loads(call("show", folder, "--json").stdout)["trials"]) == 6


def test_reading_commands_have_json_for_scripts(script: Path) -> None:
    (fault,) = [row for row in json.loads(call("check", f"{script}:wrong", "--json").stdout) if row["code"] == "E011"]
    assert fault["subject"] == "space.x" and fault["place"]["line"] > 1
    assert json.loads(call("explain", f"{script}:experiment", "--json").stdout)["$value"][0] == "Plan"
    assert json.loads(call("dry-run", f"{script}:experiment", "--json").stdout)["trials"] == 3
    call("run", f"{script}:experiment", "--engine", "inline", "--quiet")
    folder = folder_of(script)
    assert json.loads(call("replay", folder, "--json").stdout)["trials"] == 3
    story = json.loads(call("why", folder, "1", "--json").stdout)
    assert story["story"][0].startswith("trial 00001")


def test_a_run_says_at_once_that_it_begins(script: Path) -> None:
    first = call("run", f"{script}:experiment", "--engine", "inline").stderr.splitlines()[0]
    assert first.endswith(": running in this process, one trial at a time")


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_shells_can_complete(shell: str) -> None:
    assert "_TUNEDSL_COMPLETE" in call("completion", shell).stdout


@pytest.mark.parametrize(
    ("words", "found"),
    [
        (["show"], {("file", "")}),
        (["list"], {("file", "")}),
        (["clean"], {("file", "")}),
        (["resume", "there", "--file"], {("file", "")}),
        (["repair", "there", "--to"], {("file", "")}),
        (["completion"], {("plain", "bash"), ("plain", "zsh"), ("plain", "fish")}),
        (["export", "there", "--to"], {("plain", name) for name in EXPORTS}),
    ],
)
def test_a_shell_completes_places_and_names(words: list[str], found: set[tuple[str, str]]) -> None:
    completion = ShellComplete(cli, {}, "tunedsl", "_TUNEDSL_COMPLETE")
    assert {(item.type, item.value) for item in completion.get_completions(words, "")} == found
