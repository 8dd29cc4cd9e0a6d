"""How commands find an experiment: as `python FILE` and `python -m MODULE` find their modules."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from tests.commands import call
from tunedsl import load

TUNE = """
from tunedsl import report, space, uniform
{imports}

def train(config):
    report(loss=config["x"] + scratch_sibling())

experiment = space(x=uniform(0, 1)).trainable(train).minimize("loss").samples(2).seed(0).store({store!r})
"""
SIBLING = "def scratch_sibling():\n    return 10\n"


def write(folder: Path, name: str, imports: str, store: Path) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "scratch_sibling.py").write_text(SIBLING)
    file = folder / name
    file.write_text(TUNE.format(imports=imports, store=str(store)))
    return file


def package(folder: Path, store: Path, name: str = "scratch_tune.py") -> Path:
    """A package whose module imports its sibling relatively; a stranger's module of the sibling's name is elsewhere."""
    write(folder / "scratch_pkg" / "sub", name, "from .scratch_sibling import scratch_sibling", store)
    for part in ("scratch_pkg", "scratch_pkg/sub"):
        (folder / part / "__init__.py").touch()
    return folder


def best(store: Path) -> float:
    (folder,) = store.iterdir()
    return float(load(folder).best.metrics["loss"])


def test_a_file_finds_its_siblings_first(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere" / "scratch_sibling.py").write_text("def scratch_sibling():\n    return 99\n")
    monkeypatch.chdir(tmp_path / "elsewhere")
    imports = "from scratch_sibling import scratch_sibling"
    file = write(tmp_path / "my project", "scratch_tune.py", imports, tmp_path / "runs")
    done = call("run", file, "--engine", "inline", "--quiet")
    assert done.exit_code == 0, done.output
    assert 10 <= best(tmp_path / "runs") <= 11 and sys.path[0] == str(tmp_path / "my project")


@pytest.mark.parametrize("target", ["scratch_pkg.sub.scratch_tune", "scratch_pkg.sub.scratch_tune:experiment"])
def test_a_module_is_seen_from_the_working_directory(
    target: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(package(tmp_path / "project", tmp_path / "runs"))
    assert call("check", "-m", target).stdout == "The experiment has no errors.\n"
    assert call("explain", target, "-m").exit_code == call("dry-run", "-m", target).exit_code == 0
    done = call("run", "-m", target, "--engine", "inline", "--quiet", "--set", "samples=3")
    assert done.exit_code == 0, done.output
    assert 10 <= best(tmp_path / "runs") <= 11
    (folder,) = (tmp_path / "runs").iterdir()
    assert load(folder).journal.header.provenance["module"] == "scratch_pkg.sub.scratch_tune"
    more = call("resume", folder, "-m", target, "--amend", "--set", "samples=4", "--quiet")
    assert more.exit_code == 0 and len(load(folder)) == 4, more.output
    assert call("resume", folder, "-m", target, "--file", "x.py").exit_code == 2


def test_a_module_of_a_package_is_resumed_from_anywhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    project = package(tmp_path / "project", tmp_path / "runs")
    monkeypatch.chdir(project)
    call("run", "-m", "scratch_pkg.sub.scratch_tune", "--engine", "inline", "--quiet")
    (folder,) = (tmp_path / "runs").iterdir()
    journal = folder / "journal.jsonl"
    journal.write_bytes(b"".join(journal.read_bytes().splitlines(keepends=True)[:5]))  # as a kill would leave it
    for name in [name for name in sys.modules if "scratch" in name]:
        del sys.modules[name]
    sys.path.remove(str(project))
    monkeypatch.chdir("/")
    done = call("resume", folder, "--quiet")
    assert done.exit_code == 0 and load(folder).finished, done.output


def test_a_package_is_its_main_module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(package(tmp_path, tmp_path / "runs", "__main__.py"))
    assert call("check", "-m", "scratch_pkg.sub").stdout == "The experiment has no errors.\n"


@pytest.mark.parametrize(
    "name", ["scratch_none", "scratch_pkg.none", "scratch_pkg.none.x", "sys.x", ".scratch_pkg", "a/b.py"]
)
def test_a_module_that_is_not_there_is_named(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(package(tmp_path, tmp_path / "runs"))
    done = call("check", "-m", name)
    assert done.exit_code == 2 and f"The module {name} cannot be found from {tmp_path}" in done.stderr, done.stderr


def test_an_error_in_a_module_shows_the_users_frames_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for file in ("scratch_wrong.py", "scratch_needs.py"):
        (tmp_path / file).write_text("1 / 0\n" if "wrong" in file else "import scratch_absent\n")
    for words in (["-m", "scratch_wrong"], ["scratch_wrong.py"]):
        done = call("check", *words)
        lines = done.stderr.splitlines()
        assert done.exit_code == 2 and lines[-1] == "ZeroDivisionError: division by zero", done.output
        assert lines[1].startswith(f'  File "{tmp_path / "scratch_wrong.py"}", line 1')
        assert "scratch_wrong" not in sys.modules
    done = call("check", "-m", "scratch_needs")
    assert done.exit_code == 2 and "ModuleNotFoundError: No module named 'scratch_absent'" in done.stderr
