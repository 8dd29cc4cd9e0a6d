"""A run resumes with the objects that it was run with, or with objects of the same content."""

from __future__ import annotations

import functools
import shutil
import subprocess
import sys
import textwrap
import threading
from pathlib import Path

import attrs
import numpy as np
import pandas as pd
import pytest
from msgspec.structs import replace

from tunedsl import choice, load, pbt, replay, report, resume, sample_from, space, uniform
from tunedsl.base import codec
from tunedsl.base.errors import ArgumentError, CodecError, JournalError
from tunedsl.base.references import legacy_digest
from tunedsl.journal import Journal
from tunedsl.journal.records import Line, to_line
from tunedsl.plan.amending import AmendError
from tunedsl.sinks import Sink

ROOT = Path(__file__).resolve().parents[3]


def plain(config, k=1):
    return {"loss": config["x"] * 0 + k}


def keyed(config, k):
    """One that its partials can be called by a config alone, and it cannot."""
    report(loss=k)


class Offset:
    def __init__(self, k):
        self.k = k

    def train(self, config):
        return {"loss": self.k}

    def __call__(self, config):
        return {"loss": self.k}

    @classmethod
    def of_class(cls, config):
        return {"loss": 3}


def adding(k):
    def decorate(function):
        @functools.wraps(function)
        def wrapper(config):
            return {"loss": function(config)["loss"] + k}

        return wrapper

    return decorate


part = functools.update_wrapper(functools.partial(plain, k=3), plain)
offset = Offset(3)
decorated = adding(2)(plain)


def tuned(trainable, store, **data):
    e = space(x=uniform(0, 1)).trainable(trainable).minimize("loss").samples(4).store(store)
    return e.data(**data) if data else e


def cut(e, engine="inline"):
    """A run of which the journal holds the beginning."""
    results = e.run(engine=engine, quiet=True)
    file = results.path / "journal.jsonl"
    lines = file.read_text().splitlines(keepends=True)
    file.write_text("".join(lines[: len(lines) // 2]))
    assert not load(results.path).finished
    return results.path


def losses(results):
    return [trial.metrics["loss"] for trial in results.trials]


# 1. A name need not lead back to the object.

NAMED = [part, offset.train, offset, decorated, Offset.of_class]
NAMELESS = {
    "partial": functools.update_wrapper(functools.partial(plain, k=3), plain),
    "partial of what needs more": functools.update_wrapper(functools.partial(keyed, k=3), keyed),
    "decorated": adding(2)(plain),
    "bound method": Offset(3).train,
    "lambda": lambda config: {"loss": 3},
}


@pytest.mark.parametrize("trainable", NAMED)
def test_what_a_module_has_by_a_name_is_resumed_by_it(tmp_path, trainable):
    e = tuned(trainable, tmp_path)
    assert e.check(engine="inline") == ()
    path = cut(e)
    assert losses(resume(path, "inline", quiet=True)) == [3] * 4


@pytest.mark.parametrize("trainable", NAMELESS.values(), ids=NAMELESS)
def test_what_no_name_leads_to_is_said_at_check_and_resumed_by_the_experiment_alone(tmp_path, trainable):
    e = tuned(trainable, tmp_path)
    assert [found.code for found in e.check()] == ["W034"]
    path = cut(e)
    with pytest.raises(CodecError, match=r"cannot be imported.\n  help: call experiment.resume\('"):
        resume(path, "inline", quiet=True)
    assert losses(e.resume(path, engine="inline", quiet=True)) == [3] * 4 and replay(path)


def test_a_function_that_was_defined_again_later_is_not_the_one_that_runs(tmp_path, monkeypatch):
    module = sys.modules[__name__]
    monkeypatch.setattr(module, "plain", plain)
    e = tuned(plain, tmp_path)
    assert e.check(engine="inline") == ()
    monkeypatch.setattr(module, "plain", lambda config: {"loss": 9})
    assert [found.code for found in e.check(engine="inline")] == ["W034"]
    path = cut(e)
    with pytest.raises(CodecError, match="cannot be imported"):
        resume(path, "inline", quiet=True)
    assert losses(e.resume(path, engine="inline", quiet=True)) == [1] * 4


class Bell(Sink):
    def __init__(self, tone):
        self.tone = tone


def named(number, config):
    return f"t{number}"


@pytest.mark.parametrize(
    ("change", "subject"),
    [
        (lambda e: e.space(y=sample_from(lambda config: 1)), "space"),
        (lambda e: e.resources(lambda config: {"cpu": 1}), "resources"),
        (lambda e: e.stop(lambda trial_id, result: True), "stop"),
        (lambda e: e.name_trials(functools.wraps(named)(lambda n, c: f"u{n}")), "name_trials"),
        (lambda e: e.sinks(functools.update_wrapper(functools.partial(Bell, tone="high"), Bell, updated=())), "sinks"),
        (lambda e: e.scheduler(pbt(custom_explore_fn=lambda config: config)), "scheduler"),
        (lambda e: e.scheduler(pbt(hyperparam_mutations={"x": lambda: 0.5})), "scheduler"),
    ],
)
def test_every_clause_says_what_no_name_leads_to(tmp_path, change, subject):
    found = change(tuned(plain, tmp_path)).check(engine="inline")
    assert [each.subject for each in found if each.code == "W034"] == [subject]


@pytest.mark.parametrize(
    "item",
    [
        functools.update_wrapper(functools.partial(plain, k=4), plain),
        adding(3)(plain),
        lambda config: 1,
        Offset(1).train,
        Offset(1),
        list[int],
        functools.partial(plain, k=4),
    ],
)
def test_constants_and_options_to_which_no_name_leads_are_refused(item):
    for write in (lambda: choice([1, item]), lambda: space(x=item), lambda: space(x={"a": [item]})):
        with pytest.raises(ArgumentError, match="E003"):
            write()


def test_constants_and_options_that_a_module_has_by_a_name_are_those_very_objects():
    e = space(x=choice([part, decorated]), y=part, z=choice([Offset.of_class])).trainable(plain).samples(20)
    configs = e.compile(engine="inline").preview()
    assert {id(config["x"]) for config in configs} == {id(part), id(decorated)}
    assert all(config["y"] is part and config["z"] == Offset.of_class for config in configs)


def test_what_is_called_is_asked_what_it_takes_and_not_what_it_wraps(tmp_path):
    def pair(config, k):
        return [config["x"], k]

    fixed = functools.update_wrapper(functools.partial(pair, k=3), pair)
    e = tuned(plain, tmp_path).space(y=sample_from(fixed))
    assert [found.code for found in e.check(engine="inline")] == ["W030", "W034"]
    assert all(config["y"] == [config["x"], 3] for config in e.compile(engine="inline").preview())


# 2. Functions count as equal by their content.


def test_two_conditions_on_one_line_both_count(tmp_path):
    def train(config):
        for step in range(50):
            report(loss=1.0, acc=step / 50)

    e = tuned(train, tmp_path).stop(lambda i, r: r["loss"] < 1e-3, lambda i, r: r["acc"] >= 0.1)
    assert len(e.clauses.stop) == 2
    assert [trial.iterations for trial in e.run(engine="inline", quiet=True).trials] == [6] * 4


def test_experiments_are_equal_when_their_functions_have_the_same_content():
    def until(limit):
        return space(x=1).stop(lambda i, r: r["loss"] < limit)

    assert until(1) == until(1) and hash(until(1)) == hash(until(1))
    assert until(1) != until(2) and until(np.arange(2)) != until(np.arange(3))
    assert until(np.arange(2)) == until(np.arange(2))
    with pytest.raises(ArgumentError, match="E005: The experiments differ: resources is "):
        space().resources(lambda c: {"cpu": 1}) | space().resources(lambda c: {"cpu": 2})


# 3. A run is compared by what is in it.


def missing(config, target):
    return {"loss": (config["x"] - target) ** 2 if np.isscalar(target) else 0}


DATA = [(2, 8), ([1], [2]), (np.arange(3), np.arange(1, 4)), (pd.DataFrame({"a": [1]}), pd.DataFrame({"a": [2]}))]
DATA += [(Offset(1), Offset(2)), (lambda: 1, lambda: 2), ({"a": {"b": np.zeros(2)}}, {"a": {"b": np.ones(2)}})]


@pytest.mark.parametrize(("one", "other"), DATA)
def test_another_content_of_data_is_another_experiment(tmp_path, one, other):
    import copy

    first = tuned(missing, tmp_path, target=one).run(engine="inline", quiet=True)
    assert tuned(missing, tmp_path, target=copy.deepcopy(one)).resume(quiet=True).path == first.path
    with pytest.raises(JournalError, match="has no run of this experiment"):
        tuned(missing, tmp_path, target=other).resume(quiet=True)
    with pytest.raises(AmendError, match=r"data.target: [0-9a-f]{8} -> [0-9a-f]{8}"):
        tuned(missing, tmp_path, target=other).resume(first.path, quiet=True)
    assert tuned(missing, tmp_path, target=other).resume(first.path, amend=True, quiet=True).finished


def test_another_content_of_a_closure_is_another_experiment(tmp_path):
    def aiming(target):
        return lambda config: {"loss": (config["x"] - target) ** 2}

    first = tuned(aiming(2), tmp_path).run(engine="inline", quiet=True)
    assert tuned(aiming(2), tmp_path).resume(quiet=True).path == first.path
    with pytest.raises(JournalError, match="has no run of this experiment"):
        tuned(aiming(8), tmp_path).resume(quiet=True)
    with pytest.raises(AmendError, match=r"trainable\.digest"):
        tuned(aiming(8), tmp_path).resume(first.path, quiet=True)


def test_what_cannot_be_compared_is_matched_by_no_search_and_said(tmp_path, capsys):
    one, other = threading.Lock(), threading.Lock()
    e = tuned(missing, tmp_path, target=one)
    assert [(found.code, found.subject) for found in e.check(engine="inline")] == [("W035", "data.target")]
    first = e.run(engine="inline", quiet=True)
    assert e.resume(quiet=True).path == first.path  # the very same object
    with pytest.raises(JournalError, match=r"may belong to this experiment, but data.target cannot be compared"):
        tuned(missing, tmp_path, target=other).resume(quiet=True)
    capsys.readouterr()
    assert tuned(missing, tmp_path, target=other).resume(first.path).path == first.path
    assert "data.target: cannot be compared with that of the run" in capsys.readouterr().err


@pytest.fixture
def program(tmp_path, monkeypatch):
    """A project of two modules, each of its steps run by a Python of its own."""
    folder = tmp_path / "project"
    folder.mkdir()

    def ran(step, **changes):
        texts = {"study": STUDY, "helpers": HELPERS}
        for name, (old, new) in changes.items():
            assert old in texts[name]
            texts[name] = texts[name].replace(old, new)
        for name, text in texts.items():
            (folder / f"{name}.py").write_text(textwrap.dedent(text))
        code = f"import study; {step}"
        env = {"PYTHONPATH": f"{ROOT}:{folder}", "PYTHONDONTWRITEBYTECODE": "1", "HOME": str(tmp_path)}
        done = subprocess.run(
            [sys.executable, "-c", code], capture_output=True, text=True, cwd=folder, env=env, check=False
        )
        return done.stdout.strip() or done.stderr.strip()

    return ran


STUDY = """
    import helpers
    from helpers import shifted
    from tunedsl import space, uniform, resume

    SCALE = 2

    def helper(x):
        return shifted(x) * SCALE

    class Model:
        def value(self, x):
            return helpers.squared(x)

    def unused():
        return 1

    def train(config):
        return {"loss": helper(config["x"]) + Model().value(config["x"])}

    def experiment():
        return space(x=uniform(0, 1)).trainable(train).minimize("loss").samples(2).store("store")

    def path():
        import pathlib
        return next(pathlib.Path("store").absolute().iterdir())
"""
HELPERS = """
    def shifted(x):
        return x + 1

    def squared(x):
        return x ** 2
"""


@pytest.mark.parametrize(
    ("module", "old", "new", "name"),
    [
        ("study", "* SCALE", "- SCALE", "study:helper"),
        ("study", "SCALE = 2", "SCALE = 3", "study:SCALE"),
        ("study", "helpers.squared(x)", "-helpers.squared(x)", "study:Model"),
        ("helpers", "x + 1", "x + 2", "study:shifted"),
        ("helpers", "x ** 2", "x ** 3", "helpers:squared"),
        ("study", "return 1", "return 2", ""),
        ("study", "SCALE = 2", "# A comment.\n    SCALE = 2  # another\n", ""),
        ("helpers", "return x + 1", "# why\n        return (x + 1)", ""),
    ],
)
def test_a_changed_helper_is_a_change_and_a_comment_is_none(program, module, old, new, name):
    finds = "print(study.experiment().resume(quiet=True).path == study.path())"
    assert program("print(study.experiment().run(engine='inline', quiet=True).finished)") == "True"
    assert program(finds) == "True"
    said = program(finds, **{module: (old, new)})
    assert ("has no run of this experiment" in said) is bool(name) and (said == "True") is not bool(name)
    unfinished = (
        "f = study.path() / 'journal.jsonl'; lines = f.read_text().splitlines(True); "
        "f.write_text(''.join(lines[:3])); print(study.resume(study.path(), 'inline', quiet=True).finished)"
    )
    said = program(unfinished, **{module: (old, new)})
    assert f"The code of {name} has changed since this run began" in said if name else said == "True"


# Older journals.


def aged(path):
    """The run as written by a version that compared functions by their source alone."""
    file = path / "journal.jsonl"
    _, *lines = file.read_text().splitlines(keepends=True)
    journal = Journal(path)
    plan = journal.plan
    trainable = attrs.evolve(plan.trainable, digest=legacy_digest(plan.trainable.resolve()))
    old = attrs.evolve(plan, trainable=trainable, contents=())
    header = replace(journal.header, plan=codec.encode(old), digest=old.digest)
    file.write_text(to_line(Line(n=0, h=header)).decode() + "".join(lines))


def alone(config):
    return {"loss": config["x"]}


def test_a_run_of_before_is_found_read_and_resumed(tmp_path):
    path = cut(tuned(alone, tmp_path))
    aged(path)
    assert len(Journal(path).plan.trainable.digest) == 16
    copy = tmp_path / "other" / path.name
    shutil.copytree(path, copy)
    assert resume(copy, "inline", quiet=True).finished
    results = tuned(alone, tmp_path).resume(engine="inline", quiet=True)
    assert results.path == path and results.finished and replay(path)


def test_a_run_of_before_with_data_is_resumed_by_its_path_alone(tmp_path, capsys):
    e = tuned(missing, tmp_path, target=2)
    path = cut(e)
    aged(path)
    with pytest.raises(JournalError, match=r"data\.target cannot be compared"):
        e.resume(engine="inline", quiet=True)
    assert e.resume(path, engine="inline").finished
    assert "data.target: cannot be compared with that of the run" in capsys.readouterr().err
