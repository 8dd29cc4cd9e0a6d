"""What the compiler says about a command, and where."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest

from tunedsl import choice, command, randint, ref, space, uniform
from tunedsl.base.diagnostics import Diagnostic
from tunedsl.compiler import command as checks
from tunedsl.experiment import Experiment
from tunedsl.metrics import jsonl, pattern, tensorboard_events

SPACE = space(lr=uniform(0, 1), model=choice({"tree": space(depth=randint(1, 5)), "line": space()}), n={"a": 1, "b": 2})
ALL = "{lr} {model} {n}"


def found(line: Any, experiment: Experiment = SPACE, **keywords: Any) -> dict[str, Diagnostic]:
    whole = experiment.trainable(command(line, **keywords)).minimize("loss").seed(0)
    return {each.code: each for each in whole.check(engine="local")}


@pytest.mark.parametrize(
    "line", [f"echo {ALL}", "echo {lr} {model.tree.depth} {n.a}", "echo {lr:.3f} {model:name} {n}", "echo {config}"]
)
def test_a_right_command_has_no_diagnostics(line: str) -> None:
    assert found(line) == {}


def test_an_unknown_placeholder_is_named_with_its_place_and_a_remedy() -> None:
    unknown = found(f"echo {ALL} {{learning}} {{lrr}}", env={"X": "{lrr}"})
    assert set(unknown) == {"E036"}
    assert "lr" in unknown["E036"].hint and "; for literal braces, double them" in unknown["E036"].hint
    assert unknown["E036"].place is not None and unknown["E036"].place.file == __file__


@pytest.mark.parametrize("keywords", [{"env": {"A": "{no}"}}, {"cwd": "{no}"}, {"metrics": jsonl("{no}/m")}])
def test_placeholders_are_looked_for_everywhere(keywords: dict[str, Any]) -> None:
    assert "E036" in found(f"echo {ALL}", **keywords)


def test_a_format_that_does_not_fit_is_found() -> None:
    assert "E036" in found(f"echo {ALL} {{lr:d}}")


def test_a_placeholder_may_lead_into_a_value() -> None:
    dicts = space(opt=choice([{"lr": 1}, {"lr": 2}]))
    assert found("echo {opt.lr}", dicts) == {}
    assert "E036" in found("echo {opt.rate}", dicts)


def test_a_missing_program_is_found_only_where_it_will_run(tmp_path: Path) -> None:
    assert "E037" in found(f"no-such-program {ALL}")
    assert "E037" in found(f"./no/such {ALL}")
    assert not found(f"no-such-program {ALL}", shell=True)
    assert not found(f"no-such-program {ALL}", env={"PATH": "/elsewhere"})
    remote = SPACE.trainable(command(f"no-such-program {ALL}")).minimize("loss")
    assert not remote.check(address="10.0.0.1:6379")
    script = tmp_path / "script.sh"
    script.write_text("#!/bin/sh\n")
    assert "chmod" in found([str(script), "{config}"])["E037"].hint
    script.chmod(0o755)
    assert not found([str(script), "{config}"])
    assert not found("./script.sh {config}", cwd=str(tmp_path))


def test_an_unused_parameter_is_named() -> None:
    unused = found("echo {lr} {model}")["W030"]
    assert unused.place is not None and unused.place.file == __file__
    assert not found("echo {lr} {model}", env_prefix="HP_")
    used = space(a=uniform(0, 1), b=ref("a") * 2)
    assert not found("echo {b}", used)


def test_a_pattern_tells_which_metrics_there_are() -> None:
    assert "W031" in found(f"echo {ALL}", metrics=pattern("(?P<los>.*)"))
    assert not found(f"echo {ALL}", metrics=pattern("(?P<loss>.*)"))


def test_a_file_that_trials_share_is_found() -> None:
    assert "W036" in found(f"echo {ALL}", metrics=jsonl("m.jsonl"))
    assert "W036" in found(f"echo {ALL}", metrics=jsonl(os.path.abspath("m.jsonl")), cwd="{folder}")
    assert not found(f"echo {ALL}", metrics=jsonl("m.jsonl"), cwd="{folder}")
    assert not found(f"echo {ALL}", metrics=jsonl("{folder}/m.jsonl"))
    assert not found(f"echo {ALL}", SPACE.parallel(1), metrics=jsonl("m.jsonl"))


def test_a_missing_package_of_a_source_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(checks, "_EVENT_PACKAGE", checks.PackageRequirement("no_such_module", "none", "1"))
    assert "pip install" in found(f"echo {ALL}", metrics=tensorboard_events("{folder}"))["E039"].hint


def test_a_command_takes_no_data() -> None:
    assert "E031" in found(f"echo {ALL}", SPACE.data(rows=[1]))
