"""Overrides given as text: their meaning, and that none of them runs as code."""

from __future__ import annotations

import contextlib
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tunedsl import (
    ArgumentError,
    asha,
    choice,
    grid,
    iteration,
    loguniform,
    metric,
    plateau,
    qrandint,
    ref,
    space,
    tpe,
    uniform,
)
from tunedsl.cli.overrides import apply_overrides
from tunedsl.configs.expressions import language_functions
from tunedsl.experiment import Experiment
from tunedsl.searchers import limit
from tunedsl.sinks import csv, tensorboard

BASE = (
    space(lr=loguniform(1e-4, 1e-1), momentum=uniform(0, 1), optim={"inner": {"beta": uniform(0, 1)}, "eps": 1e-8})
    .minimize("loss")
    .samples(8)
    .stop(training_iteration=3)
    .resources(cpu=1)
)


@pytest.mark.parametrize(("texts", "expected"), [
    (["samples=20"], BASE.samples(20)),
    (["space.lr=loguniform(1e-5, 1e-2)"], BASE.replace(lr=loguniform(1e-5, 1e-2))),
    (["space.lr=0.1"], BASE.replace(lr=0.1)),
    (["space.momentum = ref('lr') * 2 + 1"], BASE.replace(momentum=ref("lr") * 2 + 1)),
    (["space.momentum=uniform(0, 1).when(ref('lr') > 1e-2)"],
     BASE.replace(momentum=uniform(0, 1).when(ref("lr") > 1e-2))),
    (["space.optim.inner.beta=qrandint(0, 2**3, 2)"],
     BASE.replace(optim={"inner": {"beta": qrandint(0, 8, 2)}, "eps": 1e-8})),
    (["space.lr=choice({'a': space(x=grid([1, 2])), 'b': space()})"],
     BASE.replace(lr=choice({"a": space(x=grid([1, 2])), "b": space()}))),
    (["scheduler=asha(max_t=9)", "searcher=limit(tpe(), 4)"], BASE.scheduler(asha(max_t=9)).searcher(limit(tpe(), 4))),
    (["resources.cpu=2", "resources.gpu=0.5"], BASE.resources(cpu=2, gpu=0.5)),
    (["budget.seconds=60", "retry.crash=2", "retry.lost=-1"], BASE.budget(seconds=60).retry(crash=2, lost=-1)),
    (["order=logical", "named=other", "store=s3://bucket/x"], BASE.order("logical").named("other").store("s3://bucket/x")),
    (["fail_fast=True", "seed=7", "parallel=2"], BASE.fail_fast().seed(7).parallel(2)),
    (["sinks=csv(), tensorboard()"], BASE.sinks(csv(), tensorboard())),
])  # fmt: skip
def test_each_text_is_the_clause(texts: list[str], expected: Experiment) -> None:
    assert apply_overrides(BASE, texts) == expected


def test_what_collects_is_replaced() -> None:
    bare = space(x=uniform(0, 1))
    found = apply_overrides(bare.minimize("loss").stop(training_iteration=3), ["stop=iteration(5) | plateau('loss')"])
    assert found == bare.minimize("loss").stop(iteration(5) | plateau("loss"))
    assert apply_overrides(bare.minimize("loss"), ["maximize=accuracy"]) == bare.maximize("accuracy")
    found = apply_overrides(bare, ["stop=metric('loss') < 0.1, iteration(2)"])
    assert found == bare.stop(metric("loss") < 0.1, iteration(2))


@pytest.mark.parametrize(("text", "part"), [
    ("sample=20", "did you mean"),
    ("samples", "NAME=VALUE"),
    ("samples=", "NAME=VALUE"),
    ("samples=many", "not many"),
    ("space.lrr=1", "The space has no parameter 'lrr'"),
    ("scheduler.max_t=9", "help: write all of it: scheduler=asha(...)"),
    ("space.optim.inner.gamma=1", "no parameter 'gamma'"),
    ("space.lr.x=1", "'lr' is not a nested space"),
    ("scheduler=ash(max_t=9)", "asha"),
    ("scheduler=asha(max=9)", "max"),
    ("space.lr=loguniform(1e-5", "never closed"),
    ("trainable=train", "--set cannot change 'trainable'"),
])  # fmt: skip
def test_mistakes_are_said_where_they_stand(text: str, part: str) -> None:
    with pytest.raises(ArgumentError) as caught:
        apply_overrides(BASE, [text])
    assert part in str(caught.value)


@pytest.mark.parametrize("value", [
    "__import__('os').system('touch owned')", "().__class__", "open('x')", "[x for x in (1,)]", "lambda: 1", "f'{1}'",
    "uniform.__globals__", "eval('1')", "sample_from(print)", "uniform(*[0, 1])", "uniform(**{'low': 0})", "x := 1",
    "9 ** 9 ** 9", "[0] * 10 ** 10", "'a' * 10 ** 10", "1 if True else 2", "ref('lr').op", "register_searcher(1, 2)",
    "1 / 0",
    "(" * 500 + "1" + ")" * 500, "-" * 100_000 + "1",
])  # fmt: skip
def test_code_is_refused(value: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ArgumentError):
        apply_overrides(BASE, [f"space.lr={value}"])
    assert not list(tmp_path.iterdir())


@given(st.text(alphabet="abcluniform(),.=[]{}'0123456789+-*/<>&|~ ", max_size=40))
def test_any_text_is_a_clause_or_an_argument_error(text: str) -> None:
    with contextlib.suppress(ArgumentError):
        apply_overrides(BASE, [f"space.lr={text}"])


def test_nothing_but_the_language_can_be_called() -> None:
    assert {"uniform", "metric", "tpe", "asha", "csv"} <= set(language_functions())
    assert not {
        "sample_from",
        "register_searcher",
        "table",
        "searcher_of",
        "compile_condition",
        "calls",
        "export",
    } & set(language_functions())
