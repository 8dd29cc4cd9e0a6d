"""What people see of experiments: diagnostics, explanations, plans as JSON."""

import json
from pathlib import Path

import pytest

from tests.snapshots import cases, mistakes
from tests.snapshots.snapshot import matches
from tunedsl import CompileError
from tunedsl.compiler import execution as means
from tunedsl.compiler.context import CompileContext


def relative(text: str) -> str:
    return text.replace(str(Path(__file__).parent) + "/", "")


def test_a_page_of_mistakes(monkeypatch):
    monkeypatch.setattr(CompileContext, "starts_local_ray", True)  # other tests may have started a Ray here
    monkeypatch.setattr(means, "_machine_resources", lambda: {"cpu": 8, "gpu": 0, "memory": 2**33})
    found = mistakes.build().check()
    assert len({diagnostic.code for diagnostic in found if diagnostic.severity == "error"}) >= 15
    assert all(diagnostic.place is not None for diagnostic in found)
    with pytest.raises(CompileError) as caught:
        mistakes.build().compile()
    assert caught.value.diagnostics == found
    matches("mistakes.txt", relative(str(caught.value)) + "\n")


@pytest.mark.parametrize(
    ("name", "experiment"),
    [("asha", cases.halving()), ("everything", cases.everything()), ("class", cases.as_a_class())],
)
def test_explanations(name, experiment):
    matches(f"explain-{name}.txt", relative(experiment.compile(engine="inline").explain()))


@pytest.mark.parametrize(("name", "experiment"), [("asha", cases.halving()), ("everything", cases.everything())])
def test_plans_as_json(name, experiment):
    plan = json.loads(experiment.compile(engine="inline").to_json())
    matches(f"plan-{name}.json", json.dumps(plan, indent=1, sort_keys=True) + "\n")
