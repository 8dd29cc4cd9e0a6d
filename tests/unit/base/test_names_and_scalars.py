"""Names and options may be any kind of text, and numbers any kind of number; enum members stay unchanged."""

from __future__ import annotations

import enum
from typing import Any

import numpy as np
import pytest

from tunedsl import Plan, choice, diff, grid, metric, plateau, ref, report, space, uniform
from tunedsl.backends import SimulatedEngine
from tunedsl.base.arguments import as_bool, as_choice, as_int, as_number, as_text
from tunedsl.base.errors import ArgumentError, ReportError
from tunedsl.base.references import Literal
from tunedsl.base.standard_types import scalar
from tunedsl.searchers import random_search, repeat, scored, tpe, try_first
from tunedsl.worker.metrics import split_metrics


class Name(str):
    __slots__ = ()


class Metric(enum.StrEnum):
    LOSS = "loss"


class Mixed(str, enum.Enum):  # noqa: UP042  # its text is another one than its value
    LOSS = "loss"


class Level(enum.IntEnum):
    LOW = 1
    HIGH = 2


class Optimizer(enum.Enum):
    SGD = "sgd"
    ADAM = ("adam", 0.9)


class Kind(enum.StrEnum):
    A = "a"
    B = "b"


class Number(int):
    pass


TEXTS = [np.str_("loss"), Name("loss"), Metric.LOSS, Mixed.LOSS]


@pytest.mark.parametrize("text", TEXTS, ids=lambda text: type(text).__name__)
def test_any_text_is_a_name_everywhere(text):
    plain = space(loss=uniform(0, 1)).minimize("loss").stop(loss=1).data(loss=2).checkpoint(best="loss")
    plain = plain.stop(metric("loss") < 0, plateau("loss")).named("loss").store("loss").log_to_file("loss")
    other = space(**{text: uniform(0, 1)}).minimize(text).stop(**{text: 1}).data(**{text: 2}).checkpoint(best=text)
    other = other.stop(metric(text) < 0, plateau(text)).named(text).store(text).log_to_file(text)
    assert other == plain and repr(other) == repr(plain) and hash(other) == hash(plain)
    assert {type(name) for name, _ in other.clauses.space.params} == {str}
    assert type(other.clauses.objectives[0].metric) is str is type(other.clauses.data[0][0])
    assert plain.fix(**{text: 1}) == plain.fix(loss=1) and plain.replace(**{text: 1}) == plain.replace(loss=1)
    assert repr(ref(text)) == "ref('loss')" and repr(choice({text: {"x": 1}})) == repr(choice({"loss": {"x": 1}}))
    assert try_first(tpe(), [{text: 0.5}]) == try_first(tpe(), [{"loss": 0.5}])
    assert space(a={text: uniform(0, 1)}) == space(a={"loss": uniform(0, 1)})


@pytest.mark.parametrize("text", TEXTS, ids=lambda text: type(text).__name__)
def test_any_text_names_a_metric(text):
    assert split_metrics({text: 1.0}) == (("loss",), [1.0], {})
    keys, _, data = split_metrics({text: np.float64(1.0), "more": {text: text}}, ["loss"])
    assert type(keys[0]) is str and data == {"more": {"loss": "loss"}}
    assert {type(name) for name in data["more"]} == {str} == {type(item) for item in data["more"].values()}
    with pytest.raises(ReportError, match="counted automatically"):
        split_metrics({type(text).LOSS if isinstance(text, enum.Enum) else text: 1, np.str_("time_total_s"): 1})


def words(word: str) -> list[Any]:
    return [np.str_(word), Name(word), enum.StrEnum("Words", {"W": word}).W]


@pytest.mark.parametrize("at", range(3))
def test_any_text_is_an_option(at):
    pairs = [
        (lambda word: space().order(word), "logical"),
        (lambda word: space().isolate(word), "process"),
        (lambda word: space().resources(cpu=1, strategy=word), "SPREAD"),
        (lambda word: space().resources(custom={word: 1}), "tpu"),
        (lambda word: plateau("loss", metric_threshold=1, mode=word), "min"),
        (lambda word: repeat(tpe(), 3, by=word), "median"),
        (lambda word: scored(tpe(), word), "last"),
    ]
    for make, word in pairs:
        assert make(words(word)[at]) == make(word) and repr(make(words(word)[at])) == repr(make(word))
        if word != "tpu":
            with pytest.raises(ArgumentError):
                make(words("other")[at])


def train(config: dict[str, Any]) -> None:
    report(dict(zip(np.array(["loss"]), [config["x"]], strict=True)))


@pytest.mark.parametrize("engine", ["inline", "simulated"])
def test_a_run_with_names_of_numpy(tmp_path, engine):
    (name,) = np.array(["loss"])
    e = space(x=uniform(0, 1)).trainable(train).minimize(name).samples(3).seed(0).store(tmp_path).parallel(1)
    running = (
        SimulatedEngine(lambda config, i: {name: config["x"]} if i == 1 else None) if engine != "inline" else engine
    )
    results = e.run(running, quiet=True)
    assert not results.errors and results.best.metrics["loss"] == results.best.config["x"]
    assert Plan.from_json(e.compile().to_json()) == e.compile()


OPTIONS = [Optimizer.SGD, Optimizer.ADAM, Kind.A, Kind.B, Level.LOW, Mixed.LOSS]


def kinds(config: dict[str, Any]) -> None:
    fixed, chosen = config["fixed"], config["chosen"]
    assert fixed is Level.HIGH and config["deep"] == {"kind": [Kind.A]} and config["deep"]["kind"][0] is Kind.A
    report(loss=1.0, same=any(chosen is option for option in OPTIONS), name=f"{type(chosen).__name__}.{chosen.name}")


def test_members_of_enums_keep_their_type_as_options_and_constants(tmp_path):
    e = space(chosen=grid(OPTIONS), fixed=Level.HIGH, deep={"kind": [Kind.A]}).trainable(kinds).minimize("loss")
    results = e.seed(0).store(tmp_path).parallel(1).run("inline", quiet=True)
    assert not results.errors, results.errors[0]
    assert [trial.config["chosen"] for trial in results.trials] == OPTIONS
    assert all(trial.config["chosen"] is option for trial, option in zip(results.trials, OPTIONS, strict=True))
    assert all(trial.metrics["same"] for trial in results.trials)
    plan = e.compile()
    assert not diff(plan, Plan.from_json(plan.to_json())) and "Optimizer.SGD" in repr(e)


def test_a_member_is_another_option_than_its_value():
    assert Literal.of(Kind.A) != Literal.of("a") and Literal.of(Level.LOW) != Literal.of(1)


@pytest.mark.parametrize(
    ("item", "plain"),
    [
        (np.str_("a"), "a"),
        (np.int64(3), 3),
        (np.float32(0.5), 0.5),
        (np.longdouble("0.5"), 0.5),
        (np.bool_(True), True),
        (Number(3), 3),
        (Name("a"), "a"),
        (True, True),
    ],
)
def test_scalars_are_pythons_own(item, plain):
    assert scalar(item) == plain and type(scalar(item)) is type(plain)
    literal = Literal.of(item)
    assert literal == Literal.of(plain) and type(literal.object) is type(plain)
    assert choice([item]) == choice([plain]) and repr(choice([item])) == repr(choice([plain]))


def test_numbers_and_truth_values_of_numpy_are_taken():
    assert as_int("n", np.int8(3)) == 3 and as_int("n", Level.HIGH) == 2 and as_number("x", np.float16(0.5)) == 0.5
    assert type(as_number("x", Number(3))) is int and as_bool("b", np.bool_(False)) is False
    assert space().checkpoint(at_end=np.bool_(True)) == space().checkpoint(at_end=True)
    assert space().fail_fast(np.True_) == space().fail_fast() and space().samples(np.int64(2)) == space().samples(2)
    assert as_text("t", np.str_("a")) == "a" and as_choice("c", np.str_("a"), ("a", "b")) == "a"
    for wrong in ("", 1, None, b"a"):
        with pytest.raises(ArgumentError):
            as_text("t", wrong)
    with pytest.raises(ArgumentError, match="True or False"):
        as_bool("b", 1)


def test_the_searchers_propose_members(tmp_path):
    e = space(kind=choice(OPTIONS), x=uniform(0, 1)).trainable(lambda config: {"loss": config["x"]}).minimize("loss")
    for searcher in (random_search(), tpe(), try_first(tpe(), [{"kind": Kind.B, "x": 0.5}])):
        results = e.searcher(searcher).samples(8).seed(1).store(tmp_path).parallel(1).run("inline", quiet=True)
        assert not results.errors and all(trial.config["kind"] in OPTIONS for trial in results.trials)
        assert {type(trial.config["kind"]) for trial in results.trials} <= {Optimizer, Kind, Level, Mixed}
