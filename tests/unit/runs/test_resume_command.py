"""The resume command that an interrupted run prints finishes the run, from any folder."""

from __future__ import annotations

import os
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from tunedsl import load

PACKAGE = Path(__file__).resolve().parents[3]

TRAINING = """
import os, signal, sys
from pathlib import Path
from tunedsl import report, space, uniform

def train(config, table=None):
    once = Path({once!r})
    if not once.exists():
        once.touch()
        os.kill(os.getpid(), signal.SIGINT)
    report(loss=config["x"])

def made(trainable=train):
    return space(x=uniform(0, 1)).trainable(trainable).minimize("loss").samples(3).store({store!r})

def closing(k):
    def inner(config):
        train(config, k)
    return inner

OPTIONS = dict(engine="inline", quiet=True)

def go(experiment):
    experiment.resume(sys.argv[1], **OPTIONS) if sys.argv[1:] else experiment.run(**OPTIONS)
"""

IN_TERMINAL = {
    "an experiment with data at the top": """
experiment = made().data(table=[1, 2])
if __name__ == "__main__":
    go(experiment)
""",
    "a closure in an experiment at the top": """
experiment = made(closing(2))
if "__main__" == __name__:
    go(experiment)
""",
    "an experiment made in a function": """
def main():
    go(made())
if __name__ == '__main__':
    main()
""",
    "an experiment under the guard": """
if __name__ == "__main__":
    experiment = made()
    go(experiment)
""",
}

IN_PYTHON = {
    "data under the guard": """
if __name__ == "__main__":
    go(made().data(table=[1, 2]))
""",
    "no guard": """
experiment = made()
go(experiment)
""",
    "a call without a guard": """
def main():
    go(made())
main()
""",
    "a lambda in a function": """
def main():
    go(made(lambda config: train(config)))
if __name__ == "__main__":
    main()
""",
    "a closure in a function": """
def main():
    go(made(closing(1)))
if __name__ == "__main__":
    main()
""",
    "a trainable under the guard": """
if __name__ == "__main__":
    def late(config):
        train(config)
    go(made(late))
""",
}


def python(*words: str, cwd: Path, text: str | None = None) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "PYTHONPATH": str(PACKAGE)}
    return subprocess.run(
        [sys.executable, *words],
        cwd=cwd,
        env=environment,
        input=text,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


def tunedsl(words: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    """Runs a line of the terminal as the installed command does, which has no working directory on its path."""
    command, *rest = shlex.split(words)
    assert command == "tunedsl"
    return python("-c", "import sys; sys.path.remove(''); from tunedsl.cli import main; main()", *rest, cwd=cwd)


def goes_on(ended: subprocess.CompletedProcess[str]) -> str:
    """The resume command that an interrupted process printed."""
    assert ended.returncode == 130 and "Traceback" not in ended.stderr, ended.stderr
    return ended.stderr.splitlines()[-1].removeprefix("  help: ")


def training(folder: Path) -> str:
    return TRAINING.format(once=str(folder / "once"), store=str(folder / "the runs"))


@pytest.fixture
def elsewhere(tmp_path: Path) -> Path:
    folder = tmp_path / "elsewhere"
    folder.mkdir()
    return folder


@pytest.mark.slow
@pytest.mark.parametrize("name", IN_TERMINAL)
def test_a_command_that_is_printed_finishes_the_run(name: str, tmp_path: Path, elsewhere: Path) -> None:
    script = tmp_path / "my tuning.py"
    script.write_text(training(tmp_path) + IN_TERMINAL[name])
    line = goes_on(python(str(script), cwd=tmp_path))
    (folder,) = (tmp_path / "the runs").iterdir()
    assert line == f"tunedsl resume '{folder}'"
    done = tunedsl(line + " --quiet", elsewhere)
    assert done.returncode == 0, done.stderr
    assert load(folder).finished and len(load(folder)) == 3


@pytest.mark.slow
@pytest.mark.parametrize("name", IN_PYTHON)
def test_where_no_command_works_a_line_of_python_is_printed(name: str, tmp_path: Path) -> None:
    script = tmp_path / "tuning.py"
    script.write_text(training(tmp_path) + IN_PYTHON[name])
    line = goes_on(python(str(script), cwd=tmp_path))
    (folder,) = (tmp_path / "the runs").iterdir()
    assert line == f"experiment.resume({str(folder)!r})"
    done = python(str(script), str(folder), cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert load(folder).finished


@pytest.mark.slow
def test_code_without_a_file_is_resumed_by_python(tmp_path: Path) -> None:
    line = goes_on(python("-", cwd=tmp_path, text=training(tmp_path) + "made().run(**OPTIONS)\n"))
    assert line.startswith("experiment.resume(")


@pytest.mark.slow
@pytest.mark.parametrize("by_command", [False, True])
def test_a_module_of_a_package_is_found_again(by_command: bool, tmp_path: Path, elsewhere: Path) -> None:
    package = tmp_path / "project" / "pkg"
    package.mkdir(parents=True)
    (package / "__init__.py").touch()
    (package / "parts.py").write_text(training(tmp_path))
    (package / "tune.py").write_text(
        "from .parts import OPTIONS, space, train, uniform\n"
        "def body(config):\n"
        "    from . import parts\n"
        "    parts.train(config)\n"
        "experiment = space(x=uniform(0, 1)).trainable(body).minimize('loss').samples(3)"
        f".store({str(tmp_path / 'the runs')!r})\n"
        "if __name__ == '__main__':\n"
        "    experiment.run(**OPTIONS)\n"
    )
    if by_command:
        ended = tunedsl("tunedsl run -m pkg.tune --engine inline --quiet", package.parent)
    else:
        ended = python("-m", "pkg.tune", cwd=package.parent)
    (folder,) = (tmp_path / "the runs").iterdir()
    line = goes_on(ended)
    assert line == f"tunedsl resume '{folder}'"
    done = tunedsl(line, elsewhere)
    assert done.returncode == 0, done.stderr
    assert load(folder).finished


@pytest.mark.slow
def test_overrides_are_part_of_the_command(tmp_path: Path, elsewhere: Path) -> None:
    script = tmp_path / "tuning.py"
    script.write_text(training(tmp_path) + "first = made().data(table=[1])\nsecond = made()\n")
    words = ["run", f"{script}:first", "--engine", "inline", "--quiet", "--set", "samples=2", "--set", "named=other"]
    line = goes_on(tunedsl(shlex.join(["tunedsl", *words]), tmp_path))
    (folder,) = (tmp_path / "the runs").iterdir()
    assert line == f"tunedsl resume '{folder}' --file {script}:first --set samples=2 --set named=other"
    done = tunedsl(line, elsewhere)
    assert done.returncode == 0, done.stderr
    assert load(folder).finished and len(load(folder)) == 2
