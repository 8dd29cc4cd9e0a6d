"""Laws of experiments as values: union, pipe, equality, repr, and the plan's round trip."""

from hypothesis import given
from hypothesis import strategies as st

import tunedsl
from tests import experiments
from tunedsl import Plan, asha, metric, ref, space, uniform

NAMES = {**vars(tunedsl), "quadratic": experiments.quadratic, "Quadratic": experiments.Quadratic}

clauses = st.sampled_from(
    [
        lambda e: e if dict(e.clauses.space.params).get("x") else e.space(x=uniform(0, 1)),
        lambda e: e if dict(e.clauses.space.params).get("y") else e.space(y={"z": 1}),
        lambda e: e.where(ref("x") < 0.5),
        lambda e: e.trainable(experiments.quadratic),
        lambda e: e.minimize("loss"),
        lambda e: e.stop(metric("loss") < 0.1),
        lambda e: e.stop(training_iteration=7),
        lambda e: e.scheduler(asha(max_t=9)),
        lambda e: e.samples(3),
        lambda e: e.resources(cpu=0.5),
        lambda e: e.budget(trials=5),
        lambda e: e.seed(0),
        lambda e: e.retry(2),
    ]
)
some = st.lists(clauses, max_size=5).map(lambda functions: space().pipe(*functions))


@given(some, some, some)
def test_union_is_associative(a, b, c):
    assert (a | b) | c == a | (b | c)


@given(some)
def test_union_has_a_neutral_element_and_repeats_nothing(a):
    assert a | space() == space() | a == a | a == a


@given(some, clauses, clauses)
def test_pipe_is_composition(e, f, g):
    assert e.pipe(f, g) == e.pipe(f).pipe(g) == g(f(e))


@given(some)
def test_repr_evaluates_back(e):
    back = eval(repr(e), dict(NAMES))
    assert back == e and hash(back) == hash(e)


@given(some)
def test_plans_survive_json(e):
    plan = (space(x=uniform(0, 1)) | e.trainable(experiments.quadratic).minimize("loss").seed(1)).compile()
    assert Plan.from_json(plan.to_json()) == plan
