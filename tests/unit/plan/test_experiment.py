"""Clauses of an experiment: they add or replace, compare as values, and raise at wrong calls."""

from pathlib import Path

import pytest

import tunedsl
from tests.experiments import Quadratic, quadratic
from tunedsl import Experiment, asha, backoff, grid, metric, plateau, random_search, ref, space, uniform
from tunedsl.base.errors import ArgumentError
from tunedsl.searchers import sobol


def name_by_x(number, config):
    return f"{number}-x{config['x']:.3f}"


def by_config(config):
    return {"cpu": config["x"]}


def full():
    return (
        space(x=uniform(0, 1), low=uniform(0, 1), inner={"y": grid([1, 2]), "z": space(w=ref("y") * 2)}, note="text")
        .where(ref("low") < ref("x"))
        .trainable(quadratic)
        .data(scale=2, table=None)
        .minimize("loss")
        .searcher(sobol())
        .scheduler(asha(max_t=9, reduction_factor=3))
        .stop(metric("loss") < 0.01, plateau("loss"), training_iteration=20)
        .budget(trials=10, failures=2)
        .resources(cpu=0.5, memory="1GiB", custom={"tpu": 1})
        .parallel(2)
        .order("logical")
        .samples(3)
        .seed(1)
        .retry(1, lost=-1)
        .fail_fast()
        .timeout(60, idle=5)
        .isolate("process")
        .checkpoint(every=2, at_end=True)
        .named("all")
        .store("results")
        .name_trials(name_by_x)
        .log_to_file(("out", "err"))
    )


EXPERIMENTS = [
    space(),
    full(),
    space(x=1).resources(by_config).log_to_file(),
    space(x=1).resources(bundles=[{"cpu": 1}, {"gpu": 1, "memory": "1KB"}], strategy="SPREAD"),
    space(**{"if": 1}).stop(**{"a/b": 1.5}).stop(quadratic).trainable(Quadratic),
]


@pytest.mark.parametrize("experiment", EXPERIMENTS, ids=lambda experiment: repr(experiment)[:40])
def test_repr_evaluates_back_to_an_equal_experiment(experiment):
    names = {**vars(tunedsl), **globals(), "Quadratic": Quadratic}
    back = eval(repr(experiment), names)
    assert back == experiment and hash(back) == hash(experiment) and repr(back) == repr(experiment)


def test_places_are_kept_outside_equality():
    first = space(x=1).seed(0)
    second = space(x=1).seed(0)
    assert first == second
    assert first.places["seed"].line + 1 == second.places["seed"].line
    assert first.places["space.x"].file == str(Path(__file__))


def test_clauses_leave_the_experiment_as_it_was():
    base = space(x=1)
    assert base.seed(1) != base.seed(2) != base
    assert base == space(x=1)


def test_parameters_are_added_replaced_and_fixed():
    base = space(x=uniform(0, 1), y=2)
    assert base.replace(x=3) == space(x=3, y=2)
    assert base.fix(x=3) == base.replace(x=3)
    assert space(x=uniform(0, 1)).space(y=2) == base


def test_space_and_resources_take_a_mapping():
    assert space({"x": uniform(0, 1)}, y=2) == space(x=uniform(0, 1), y=2)
    assert space({"a-b": 1}).clauses.space.params[0][0] == "a-b"
    e = space(x=1)
    assert e.resources({"cpu": 2, "custom": {"tpu": 1}}) == e.resources(cpu=2, custom={"tpu": 1})


def test_nested_experiments_give_their_space():
    assert space(a=space(x=1).where(ref("x") < 2)) == space(a=space(x=1).where(ref("x") < 2))
    assert space(a=space(x=1)) == space(a={"x": 1})
    with pytest.raises(ArgumentError, match=r"E003: An experiment with objective.* cannot be part of another space"):
        space(a=space(x=1).minimize("loss"))


def test_unions_hold_the_clauses_of_both():
    both = space(x=1).seed(0).stop(loss=1) | space(y=2).minimize("loss").stop(loss=1).stop(accuracy=1)
    assert both == space(x=1, y=2).minimize("loss").stop(loss=1).stop(accuracy=1).seed(0)


@pytest.mark.parametrize(
    ("left", "right", "subject"),
    [
        (space().seed(1), space().seed(2), "seed"),
        (space(x=1), space(x=2), "space.x"),
        (space().minimize("loss"), space().maximize("loss"), "objective.loss"),
        (space().named("a"), space().named("b"), "named"),
        (space().data(x=[1]), space().data(x=[1]), "data.x"),
        (space(x=1, y=1).seed(1), space(x=2, y=1).seed(2).parallel(3), "space.x, seed"),
    ],
)
def test_a_clause_that_both_set_differently_names_the_two_places(left, right, subject):
    with pytest.raises(ArgumentError, match=r"E005: .* at .*test_experiment.py.* and .*test_experiment.py") as caught:
        left | right
    assert caught.value.diagnostic.subject == subject


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        (lambda e: e.space(x=2), r"(?s)E004: The parameter x is already set \(.*test_experiment.py:\d+\)\..*replace"),
        (lambda e: e.replace(xx=2), r"(?s)E001: The space has no parameter 'xx'\..*did you mean 'x'\?"),
        (lambda e: e.fix(xx=2), r"(?s)E001: The space has no parameter 'xx'\..*did you mean 'x'\?"),
        (lambda e: e.fix(x=uniform(0, 1)), r"E003: fix.x must be a constant.*, not uniform\(0.0, 1.0\)"),
        (lambda e: e.where(3), "E003: where must be a condition.*, not 3"),
        (lambda e: e.trainable("train"), "E003: trainable must be a function or class.*, not 'train'"),
        (lambda e: e.trainable(__import__("functools").partial(print)), "has no name"),
        (lambda e: e.data(a=[]).data(a=[]), "E004: The object a is already set"),
        (lambda e: e.minimize("a").maximize("a"), r"E004: minimize\('a'\) is already set"),
        (lambda e: e.minimize(metrics="a"), r"(?s)E001: minimize\(\) has no argument 'metrics'.*did you mean 'metric'\?"),  # noqa: E501
        (lambda e: e.searcher(random_search), r"(?s)E003: The argument of searcher.*did you mean random_search\(\)\?"),
        (lambda e: e.scheduler(asha), r"(?s)E003: The argument of scheduler.*call it: asha\(...\)"),
        (lambda e: e.stop(), r"E002: stop\(\) has no condition"),
        (lambda e: e.stop(3), r"E003: The argument of stop\(...\) must be a condition, not 3"),
        (lambda e: e.stop(loss="low"), "E003: stop.loss must be a number.*, not 'low'"),
        (lambda e: e.stop(**{"a.b": float("nan")}), r"(?s)E003: stop.a.b must be a value .*, not nan.*diverged\('a.b'\)"),  # noqa: E501
        (lambda e: e.budget(), r"(?s)E002: budget\(\) has no limit.*seconds"),
        (lambda e: e.stop(ref("x") < 1), r"E003: A stop condition compares metrics, but ref\('x'\) is a parameter"),
        (lambda e: e.budget(second=1), r"(?s)E001: budget\(\) has no argument 'second'.*did you mean 'seconds'\?"),
        (lambda e: e.resources(cpus=1), r"(?s)E001: resources\(\) has no argument 'cpus'.*did you mean 'cpu'\?"),
        (lambda e: e.resources(memory="2 gigs"), "E003: resources.memory must be bytes.*, not '2 gigs'"),
        (lambda e: e.resources(cpu=-1), "E003: resources.cpu must be .*, not -1"),
        (lambda e: e.resources(cpu=1, bundles=[{"cpu": 1}]), "E003: resources.* has both bundles and plain amounts"),
        (lambda e: e.resources(by_config, cpu=1), "E003: resources.* has both a function and keywords"),
        (lambda e: e.parallel(0), "E003: parallel.n must be a whole number of at least 1.*, not 0"),
        (lambda e: e.samples(float("inf")), "E003: samples.n must be a whole number of at least 1.*, not inf"),
        (lambda e: e.order("random"), "E003: order must be 'arrival' or 'logical'.*, not 'random'"),
        (lambda e: e.retry(-2), "E003: retry.n must be a whole number of at least -1.*, not -2"),
        (lambda e: e.retry(oom=2, grow=0.5), "E003: retry.grow must be a finite number of at least 1.*, not 0.5"),
        (lambda e: e.retry(1, backoff=backoff(initial=-1)), "E003: backoff.initial must be a finite number.*, not -1"),
        (lambda e: e.retry(1, backoff=2), r"(?s)E003: retry.backoff must be .*, not 2.*help: write backoff=backoff\(initial=1"),  # noqa: E501
        (lambda e: e.retry(1, max_consecutive=-2), "E003: retry.max_consecutive must be a whole number.*, not -2"),
        (lambda e: e.space(3), "E003: space must be a mapping from names to parameters.*, not 3"),
        (lambda e: e.space({"y": 1}, y=2), "E004: space.* has y both in the mapping and as a keyword"),
        (lambda e: e.resources({"cpu": 1}, gpu=1), "E003: resources.* has both a mapping and keywords"),
        (lambda e: e.resources({"cpus": 1}), r"(?s)E001: resources\(...\) has no argument 'cpus'.*did you mean 'cpu'\?"),  # noqa: E501
        (lambda e: e.timeout(0), "E003: timeout.seconds must be .*, not 0"),
        (lambda e: e.timeout(idle=-1), "E003: timeout.idle must be .*, not -1"),
        (lambda e: e.timeout(), r"(?s)E002: timeout\(\) has no limit.*idle"),
        (lambda e: e.isolate("proces"), "(?s)E003: isolate must be .*, not 'proces'.*did you mean 'process'"),
        (lambda e: e.fail_fast("yes"), "E003: fail_fast must be True or False.*, not 'yes'"),
        (lambda e: e.log_to_file(3), "E003: log_to_file.to must be .*, not 3"),
        (lambda e: e.named(""), "E003: named.name must be .*, not ''"),
        (lambda e: e.pipe(lambda x: None), "E003: The result of <lambda> must be an experiment, not None"),
    ],
)  # fmt: skip
def test_wrong_arguments_raise_where_they_are_written(wrong, message):
    with pytest.raises(ArgumentError, match=message) as caught:
        wrong(space(x=1))
    assert caught.value.diagnostic.place.file == str(Path(__file__))


def test_whole_numbers_are_shown_as_they_were_written():
    written = space().stop(training_iteration=81).budget(seconds=60).timeout(9.0).resources(cpu=2, custom={"tpu": 1})
    assert repr(written) == (
        "space().stop(training_iteration=81).budget(seconds=60)"
        ".resources(cpu=2, custom={'tpu': 1}).timeout(9)"
    )  # fmt: skip
    assert repr(space().resources(cpu=1)) == repr(space().resources()) == "space().resources(cpu=1)"
    assert "max_t=81)" in repr(space().scheduler(asha(max_t=81.0)))


def test_a_store_may_lie_in_the_users_home(monkeypatch, tmp_path):
    monkeypatch.setenv("HOME", str(tmp_path))
    assert space().store("~/x").clauses.store == str(tmp_path / "x")
    assert space().store("s3://bucket/~/x").clauses.store == "s3://bucket/~/x"
    for nowhere in ("memory://", "file:///", "s3://"):
        with pytest.raises(ArgumentError, match="an address with a folder"):
            space().store(nowhere)


def test_an_experiment_is_not_combined_with_something_else():
    with pytest.raises(TypeError):
        space() | 3
    assert isinstance(space(), Experiment)
