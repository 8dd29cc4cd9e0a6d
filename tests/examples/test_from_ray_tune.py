"""Ray Tune's own examples in the DSL: each runs, and none is longer than its original."""

from __future__ import annotations

import importlib.util
import io
import sys
import tokenize
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from tunedsl.experiment import Experiment

OURS = sorted((Path(__file__).resolve().parents[2] / "examples" / "from_ray_tune").glob("*.py"))
SMALL: dict[str, Any] = {"bohb_example": 12, "hyperband_example": 12, "hyperband_function_example": 12}


def lines_of_code(source: str) -> int:
    """Lines that hold code: no comments, docstrings or blank lines."""
    blank = (tokenize.COMMENT, tokenize.NL, tokenize.NEWLINE, tokenize.INDENT, tokenize.DEDENT, tokenize.ENDMARKER)
    lines: set[int] = set()
    starts = True
    for token in tokenize.generate_tokens(io.StringIO(source).readline):
        if token.type in blank:
            starts = starts or token.type in (tokenize.NEWLINE, tokenize.INDENT)
            continue
        if not (starts and token.type == tokenize.STRING):
            lines.update(range(token.start[0], token.end[0] + 1))
        starts = False
    return len(lines)


def imported(file: Path, monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    monkeypatch.syspath_prepend(str(file.parent))
    spec = importlib.util.spec_from_file_location(file.stem, file)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    monkeypatch.setitem(sys.modules, file.stem, module)
    spec.loader.exec_module(module)
    return module


def test_there_are_ten() -> None:
    assert len(OURS) >= 10


@pytest.mark.parametrize("file", OURS, ids=lambda file: file.stem)
def test_it_runs(file: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    module = imported(file, monkeypatch)
    if hasattr(module, "sleep"):
        monkeypatch.setattr(module, "sleep", lambda seconds: None)
    experiment: Experiment = module.experiment
    assert not [str(item) for item in experiment.check() if item.code.startswith("E")]
    small = experiment.samples(SMALL.get(file.stem, 4)).seed(0).stop(training_iteration=10).store(str(tmp_path))
    results = small.run("inline", quiet=True)
    assert not results.errors and results.best.metrics


@pytest.mark.parametrize("file", OURS, ids=lambda file: file.stem)
def test_it_is_no_longer_than_the_original(file: Path) -> None:
    origin = importlib.util.find_spec(f"ray.tune.examples.{file.stem}")
    if origin is None or origin.origin is None:
        pytest.skip("Ray Tune's examples are not installed")
    assert lines_of_code(file.read_text()) <= lines_of_code(Path(origin.origin).read_text())
