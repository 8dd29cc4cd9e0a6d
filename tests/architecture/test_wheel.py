"""The wheel: the package with its data files, without the documentation."""

from __future__ import annotations

import importlib.metadata
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

import tunedsl

ROOT = Path(__file__).resolve().parents[2]
DATA = {"py.typed", ".css", ".html", ".js"}


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    try:
        setuptools = int(importlib.metadata.version("setuptools").split(".")[0])
    except importlib.metadata.PackageNotFoundError:
        setuptools = 0
    if setuptools < 77:
        pytest.skip("setuptools 77 or later is not installed")
    source, target = tmp_path_factory.mktemp("source"), tmp_path_factory.mktemp("wheel")
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, source)
    shutil.copytree(ROOT / "tunedsl", source / "tunedsl", ignore=shutil.ignore_patterns("__pycache__"))
    options = ["--no-deps", "--no-build-isolation", "--no-index", "--quiet", "--wheel-dir", str(target)]
    subprocess.run([sys.executable, "-m", "pip", "wheel", *options, str(source)], check=True, capture_output=True)
    return next(target.glob("*.whl"))


@pytest.mark.slow
def test_it_holds_the_package_and_its_data(wheel: Path) -> None:
    inside = {name for name in zipfile.ZipFile(wheel).namelist() if name.startswith("tunedsl/")}
    files = {path.relative_to(ROOT).as_posix() for path in (ROOT / "tunedsl").rglob("*") if path.is_file()}
    expected = {
        name
        for name in files
        if not name.startswith("tunedsl/docs/")
        and (name.endswith(".py") or Path(name).name in DATA or Path(name).suffix in DATA)
    }
    assert inside == expected


@pytest.mark.slow
def test_its_version_is_the_package_s(wheel: Path) -> None:
    assert wheel.name.startswith(f"tunedsl-{tunedsl.__version__}-")
