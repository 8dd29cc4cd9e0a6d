"""`tunedsl init`: what it writes runs unchanged, and nothing is overwritten."""

from __future__ import annotations

import importlib.util
import os
import sys
from pathlib import Path
from typing import Any

import click.testing
import pytest

from tests.commands import call
from tunedsl import load
from tunedsl.cli.starters import STARTERS


@pytest.fixture(autouse=True)
def in_a_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("KERAS_BACKEND", os.environ.get("KERAS_BACKEND", "torch"))


def run(file: str) -> Any:
    sets = ["--set", "samples=2", "--set", "store=runs"]
    done = call("run", file, "--engine", "inline", "--quiet", *sets)
    assert done.exit_code == 0, done.output
    (folder,) = Path("runs").iterdir()
    return load(folder)


@pytest.mark.filterwarnings("ignore")  # of the frameworks
@pytest.mark.parametrize("framework", STARTERS)
@pytest.mark.parametrize("suffix", [".py", ".yaml"])
def test_each_starting_file_runs(framework: str, suffix: str) -> None:
    package = framework if framework not in ("plain", "class") else ""
    needed = [name for name in (package, "torch" if package in ("keras", "lightning", "transformers") else "") if name]
    file = f"scratch_{framework}_{suffix[1:]}{suffix}"
    made = call("init", file, "--framework", framework)
    assert made.exit_code == 0 and f"wrote {file}" in made.output, made.output
    for written in Path().glob("*.py"):
        compile(written.read_text(), written, "exec")
    if any(importlib.util.find_spec(name) is None for name in needed):
        pytest.skip(f"needs {' and '.join(needed)}")
    checked = call("check", file)
    assert checked.output.startswith("The experiment has no errors."), checked.output
    results = run(file)
    assert len(results.trials) == 2 and results.best.metrics["loss"] >= 0
    assert max(len(trial.curve) for trial in results.trials) == 9


def test_python_and_yaml_describe_the_same_experiment() -> None:
    call("init", "scratch_same_py.py")
    call("init", "scratch_same_yaml.yaml")
    shown = [call("explain", file).output for file in ("scratch_same_py.py", "scratch_same_yaml.yaml")]
    same = [text.partition("\n")[2].replace("_yaml_train:", "_py:") for text in shown]
    assert same[0] == same[1] != ""


@pytest.mark.parametrize("suffix", [".py", ".yaml"])
def test_a_program_is_tuned_with_the_parameters_of_its_command(suffix: str) -> None:
    program = "import sys; print(f'loss={float(sys.argv[1]) + float(sys.argv[2])}')"
    Path("scratch_program.py").write_text(program)
    file = f"scratch_command_{suffix[1:]}{suffix}"
    made = call("init", file, "--command", f"{sys.executable} scratch_program.py {{lr}} {{decay}} '{{trial}}'")
    assert made.exit_code == 0, made.output
    assert set(run(file).best.config) == {"lr", "decay"}


@pytest.mark.parametrize("suffix", [".py", ".yaml"])
def test_a_function_of_the_user_is_tuned(suffix: str) -> None:
    module = f"scratch_mine_{suffix[1:]}"
    Path(f"{module}.py").write_text("from tunedsl import report\n\ndef fit(config):\n    report(loss=config['lr'])\n")
    file = f"scratch_of_mine_{suffix[1:]}{suffix}"
    assert call("init", file, "--trainable", f"{module}:fit").exit_code == 0
    assert run(file).best.metrics["loss"] > 0


def test_nothing_is_overwritten() -> None:
    assert call("init").output.splitlines()[0] == "wrote tune.py"
    Path("tune.py").write_text("mine")
    refused = call("init")
    assert refused.exit_code == 2 and "exists, and it is not overwritten" in refused.output
    Path("sweep_train.py").write_text("mine too")
    refused = call("init", "sweep.yaml")
    assert refused.exit_code == 2 and "sweep_train.py exists" in refused.output and not Path("sweep.yaml").exists()
    assert (Path("tune.py").read_text(), Path("sweep_train.py").read_text()) == ("mine", "mine too")


@pytest.mark.parametrize(("words", "part"), [
    (["tune.toml"], "neither .py nor .yaml"),
    (["missing/tune.py"], "The folder missing does not exist"),
    (["json.py"], "that of an installed module"),
    (["numpy.py"], "that of an installed module"),
    (["my-tune.py"], "cannot be imported"),
    (["--trainable", "train.train"], "must be MODULE:FUNCTION"),
    (["--command", "echo"], "has no parameter"),
    (["--command", "echo {"], "malformed placeholder"),
    (["--command", "echo {x}", "--framework", "plain"], "are alternatives"),
    (["--framework", "plane"], "plain"),
])  # fmt: skip
def test_wrong_arguments_are_refused(words: list[str], part: str) -> None:
    done = call("init", *words)
    assert done.exit_code == 2 and part in done.output and not list(Path().iterdir())


def test_a_terminal_is_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    from tunedsl.cli import starting
    from tunedsl.cli.commands import cli

    class Terminal:
        stdin = type("Input", (), {"isatty": staticmethod(lambda: True)})
        stdlib_module_names = sys.stdlib_module_names

    monkeypatch.setattr(starting, "sys", Terminal)
    done = click.testing.CliRunner().invoke(cli, ["init"], input="scratch_asked.py\nclass\n")
    assert done.exit_code == 0 and "class train(Trainable)" in Path("scratch_asked.py").read_text()
