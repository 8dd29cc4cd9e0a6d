"""Experiments in files: equal to those in Python, for every clause, domain and policy."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.adapters import QUICK
from tests.natives import COMBINED, NATIVES
from tests.strategies import spaces
from tunedsl import (
    CompileError,
    asha,
    backoff,
    choice,
    command,
    experiment_from_config,
    grid,
    loguniform,
    metric,
    randint,
    ref,
    sample_from,
    space,
    tpe,
    uniform,
)
from tunedsl.base.references import Literal
from tunedsl.configs.clauses import CLAUSES
from tunedsl.configs.expressions import read_expression
from tunedsl.experiment import Experiment
from tunedsl.metrics import jsonl, key_values
from tunedsl.schedulers import hyperband, median_stopping, pasha, pbt
from tunedsl.searchers import limit, random_search, repeat, switch, try_first
from tunedsl.sinks import csv, tensorboard
from tunedsl.spaces.space import Space
from tunedsl.stopping import best, failing, iteration, no_improvement

MODULE = """
from tunedsl.sinks import csv

def train(config):
    pass

def rule(trial_id, result):
    return False

def enough(summary):
    return False

def amounts(config):
    return {"cpu": 1}

def name(number, config):
    return f"t{number}"

def draw(config):
    return 3

receiver = csv()
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A folder with a module that files name."""
    made = tmp_path_factory.mktemp("files")
    (made / "scratch_code.py").write_text(MODULE)
    path = list(sys.path)
    sys.path.insert(0, str(made))
    yield made
    sys.path[:] = path
    sys.modules.pop("scratch_code", None)


def written(node: Any) -> Any:
    """A parameter as a file has it: text for domains and expressions, plain constants, mappings for nested spaces."""
    if isinstance(node, Space):
        return repr(node) if node.constraints else {name: written(part) for name, part in node.params}
    return quoted(node.object) if isinstance(node, Literal) else repr(node)


def quoted(item: Any) -> Any:
    """A constant whose texts cannot be read as expressions."""
    return repr(item) if isinstance(item, str) else [quoted(part) for part in item] if isinstance(item, list) else item


def saved(folder: Path, name: str, content: Any) -> Path:
    file = folder / name
    text = json.dumps(content) if file.suffix == ".json" else yaml.safe_dump(content, sort_keys=False)
    file.write_text(text, encoding="utf-8")
    return file


@settings(max_examples=40)
@given(space=spaces(), samples=st.integers(1, 99), suffix=st.sampled_from([".yaml", ".json"]))
def test_a_generated_experiment_has_the_digest_of_the_one_in_python(
    space: Space, samples: int, suffix: str, folder: Path
) -> None:
    content = {
        "space": {name: written(node) for name, node in space.params},
        "where": [repr(condition) for condition in space.constraints],
        "minimize": "loss",
        "trainable": "scratch_code:train",
        "samples": samples,
        "seed": 1,
    }
    from scratch_code import train

    expected = Experiment(Experiment().with_clauses(space=space).clauses).minimize("loss").samples(samples).seed(1)
    expected = expected.trainable(train)
    found = experiment_from_config(saved(folder, f"generated{suffix}", content))
    assert found == expected and repr(found) == repr(expected)
    assert found.compile().digest == expected.compile().digest


def code() -> Any:
    import scratch_code

    return scratch_code


X = space(x=uniform(0, 1))
CASES: dict[str, list[tuple[Any, Any]]] = {
    "space": [
        ({"lr": {"loguniform": [1e-4, 0.1]}}, lambda: space(lr=loguniform(1e-4, 0.1))),
        ({"lr": {"loguniform": {"low": 1e-4, "high": 0.1}}}, lambda: space(lr=loguniform(1e-4, 0.1))),
        ({"a": {"choice": ["sgd", "adam"]}, "b": "adam", "c": [1, 2]},
         lambda: space(a=choice(["sgd", "adam"]), b="adam", c=[1, 2])),
        ({"a": {"choice": {"svm": {"c": "uniform(0, 1)"}, "none": {}}}},
         lambda: space(a=choice({"svm": {"c": uniform(0, 1)}, "none": {}}))),
        ({"a": {"grid": [1, 2]}, "b": {"c": {"d": {"randint": [1, 3]}}}},
         lambda: space(a=grid([1, 2]), b={"c": {"d": randint(1, 3)}})),
        ({"a": {"sample_from": "scratch_code:draw"}}, lambda: space(a=sample_from(code().draw))),
        ({"a": "uniform(0, 1)", "b": "ref('a') * 2", "c": "uniform(0, 1).when(ref('d') == 'x')",
          "d": "choice(['x', 'y'])"},
         lambda: space(a=uniform(0, 1), b=ref("a") * 2, c=uniform(0, 1).when(ref("d") == "x"), d=choice(["x", "y"]))),
        ({"a": "'uniform(0, 1)'", "b": "resnet-50", "c": "u/v", "d": None, "e": "1, 2"},
         lambda: space(a="uniform(0, 1)", b="resnet-50", c="u/v", d=None, e="1, 2")),
    ],
    "where": [("ref('x') < 0.5", lambda: X.where(ref("x") < 0.5)),
              (["ref('x') < 0.5", "ref('x') > 0.1"], lambda: X.where(ref("x") < 0.5).where(ref("x") > 0.1))],
    "trainable": [("scratch_code:train", lambda: X.trainable(code().train)),
                  ("command('true {x}')", lambda: X.trainable(command("true {x}")))],
    "command": [
        ("echo {x}", lambda: X.trainable(command("echo {x}"))),
        (["echo", "{x}"], lambda: X.trainable(command(["echo", "{x}"]))),
        ({"program": "echo {x}", "metrics": "jsonl", "env": {"A": "f(x)"}, "iteration": "epoch"},
         lambda: X.trainable(command("echo {x}", metrics=jsonl(), env={"A": "f(x)"}, iteration="epoch"))),
        ({"program": "echo {x}", "metrics": ["jsonl('m.jsonl')", {"key_values": "stderr"}]},
         lambda: X.trainable(command("echo {x}", metrics=[jsonl("m.jsonl"), key_values("stderr")]))),
    ],
    "data": [({"a": 3, "b": "text"}, lambda: X.data(a=3, b="text")),
             ({"a": "scratch_code:train"}, lambda: X.data(a=code().train))],
    "minimize": [("loss", lambda: X.minimize("loss")), (["a", "b"], lambda: X.minimize("a").minimize("b"))],
    "maximize": [("f(x)", lambda: X.maximize("f(x)"))],
    "subject_to": [("metric('size') <= 20", lambda: X.subject_to(metric("size") <= 20)),
                   (["metric('a') < 1", "metric('b') < 2"],
                    lambda: X.subject_to(metric("a") < 1).subject_to(metric("b") < 2))],
    "searcher": [
        ("tpe", lambda: X.searcher(tpe())),
        ({"tpe": {"n_startup_trials": 5}}, lambda: X.searcher(tpe(n_startup_trials=5))),
        ({"limit": ["tpe", 4]}, lambda: X.searcher(limit(tpe(), 4))),
        ({"repeat": {"searcher": {"tpe": {}}, "n": 3}}, lambda: X.searcher(repeat(tpe(), 3))),
        ({"switch": ["random_search", "tpe()", 6]}, lambda: X.searcher(switch(random_search(), tpe(), 6))),
        ({"try_first": ["tpe", [{"x": 0.5}]]}, lambda: X.searcher(try_first(tpe(), [{"x": 0.5}]))),
    ],
    "scheduler": [
        ("asha(max_t=9)", lambda: X.scheduler(asha(max_t=9))),
        ({"hyperband": {"max_t": 9}}, lambda: X.scheduler(hyperband(max_t=9))),
        ({"pbt": {"perturbation_interval": 2, "hyperparam_mutations": {"x": "uniform(0, 1)"}}},
         lambda: X.scheduler(pbt(perturbation_interval=2, hyperparam_mutations={"x": uniform(0, 1)}))),
        ("median_stopping", lambda: X.scheduler(median_stopping())),
        ({"pasha": None}, lambda: X.scheduler(pasha())),
    ],
    "stop": [
        ({"training_iteration": 9, "best": 2}, lambda: X.stop(training_iteration=9, best=2)),
        ("metric('loss') < 0.1", lambda: X.stop(metric("loss") < 0.1)),
        (["iteration(9)", "scratch_code:rule", {"acc": 0.9}],
         lambda: X.stop(iteration(9)).stop(code().rule).stop(acc=0.9)),
    ],
    "until": [
        ("best() <= 0.05", lambda: X.until(best() <= 0.05)),
        ("(best('a') <= 0.05) & ~no_improvement(3)", lambda: X.until((best("a") <= 0.05) & ~no_improvement(3))),
        (["scratch_code:enough", {"failing": 3}], lambda: X.until(code().enough).until(failing(3))),
        ("failing", lambda: X.until(failing())),
    ],
    "budget": [({"seconds": 60, "trials": 3}, lambda: X.budget(seconds=60, trials=3)), (60, lambda: X.budget(60))],
    "samples": [(3, lambda: X.samples(3))],
    "resources": [({"cpu": 2, "memory": "2GiB"}, lambda: X.resources(cpu=2, memory="2GiB")),
                  ({"bundles": [{"cpu": 1}, {"cpu": 2}], "strategy": "SPREAD"},
                   lambda: X.resources(bundles=[{"cpu": 1}, {"cpu": 2}], strategy="SPREAD")),
                  ("scratch_code:amounts", lambda: X.resources(code().amounts))],
    "parallel": [(3, lambda: X.parallel(3))],
    "order": [("logical", lambda: X.order("logical"))],
    "seed": [(3, lambda: X.seed(3))],
    "retry": [(3, lambda: X.retry(3)), ({"crash": 2, "lost": -1}, lambda: X.retry(crash=2, lost=-1)),
              ({"n": 1, "backoff": {"initial": 1}}, lambda: X.retry(1, backoff=backoff(initial=1))),
              ({"n": 1, "backoff": "backoff(initial=1)"}, lambda: X.retry(1, backoff=backoff(initial=1)))],
    "fail_fast": [(True, lambda: X.fail_fast()), (False, lambda: X.fail_fast(False))],
    "timeout": [({"seconds": 60, "idle": 5}, lambda: X.timeout(seconds=60, idle=5)), (60, lambda: X.timeout(60))],
    "isolate": [("process", lambda: X.isolate("process"))],
    "checkpoint": [({"every": 5, "at_end": True, "best": "loss"}, lambda: X.checkpoint(5, at_end=True, best="loss"))],
    "named": [("digits", lambda: X.named("digits"))],
    "store": [("s3://bucket/x", lambda: X.store("s3://bucket/x"))],
    "name_trials": [("scratch_code:name", lambda: X.name_trials(code().name))],
    "log_to_file": [(True, lambda: X.log_to_file()), ("a.log", lambda: X.log_to_file("a.log")),
                    (["a.log", "b.log"], lambda: X.log_to_file(("a.log", "b.log")))],
    "sinks": [(["csv", "tensorboard()"], lambda: X.sinks(csv(), tensorboard())),
              ("scratch_code:receiver", lambda: X.sinks(code().receiver))],
}  # fmt: skip
"""What a file has for each clause, and the same in Python."""


def test_every_clause_has_a_case() -> None:
    assert set(CASES) == set(CLAUSES)


@pytest.mark.parametrize(
    ("clause", "content", "expected"),
    [(clause, content, expected) for clause, pairs in CASES.items() for content, expected in pairs],
)
def test_each_clause_is_the_one_in_python(clause: str, content: Any, expected: Any, folder: Path) -> None:
    whole = {"space": {"x": "uniform(0, 1)"}, clause: content}
    from_file = experiment_from_config(saved(folder, "clause.yaml", whole))
    assert from_file == expected() and repr(from_file) == repr(expected())
    assert experiment_from_config(whole) == expected()


@pytest.mark.parametrize("spec", [*NATIVES, *COMBINED, *QUICK], ids=repr)
def test_each_searcher_can_be_written_as_it_prints(spec: Any) -> None:
    assert read_expression("searcher", repr(spec)) == spec


def test_examples_in_hints_are_right(folder: Path) -> None:
    for name, clause in CLAUSES.items():
        text = clause.example.replace("train:train", "scratch_code:train").replace("train:name", "scratch_code:name")
        (folder / "example.yaml").write_text(text)
        assert experiment_from_config(folder / "example.yaml") != Experiment(), name


def test_a_mapping_may_have_the_objects_themselves() -> None:
    def train(config: Any) -> None: ...

    found = experiment_from_config(
        {"space": {"x": uniform(0, 1)}, "trainable": train, "searcher": tpe(), "stop": iteration(3)}
    )
    assert found == X.trainable(train).searcher(tpe()).stop(iteration(3))


def test_the_compiler_names_lines_of_the_file(folder: Path) -> None:
    file = folder / "lines.toml"
    file.write_text(
        '# a comment\nminimize = "loss"\nsamples = 3\n\n[space]\nlr = """loguniform(\n  1.0,\n  0.1)"""\n\n'
        '[space.model]\ndepth = "uniform(1, 0)"\n'
    )
    found = {each.subject: each.place for each in experiment_from_config(file).check()}
    assert {name: str(place) for name, place in found.items() if name.startswith("space")} == {
        "space.lr": f"{file}:6",
        "space.model.depth": f"{file}:11",
    }


def test_a_module_that_another_one_hides_is_refused(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "scratch_code.py").write_text("def train(config): pass\n")
    with pytest.raises(CompileError, match="rename scratch_code"):
        code()
        experiment_from_config(saved(tmp_path, "x.yaml", {"trainable": "scratch_code:train"}))


def test_only_the_named_module_is_imported(tmp_path: Path) -> None:
    (tmp_path / "scratch_never.py").write_text("raise SystemExit('imported')\n")
    file = saved(tmp_path, "x.yaml", {"space": {"a": "scratch_never:x", "b": "__import__('scratch_never')"}})
    with pytest.raises(CompileError, match="cannot call __import__"):
        experiment_from_config(file)
    assert "scratch_never" not in sys.modules


@pytest.fixture(autouse=True, scope="module")
def same_path() -> Iterator[None]:
    path = list(sys.path)
    yield
    sys.path[:] = path
