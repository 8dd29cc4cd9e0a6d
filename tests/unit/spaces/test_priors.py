"""Priors: how they are written, checked and stored, and their distribution over the unit cube."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.strategies import NAMES, domains
from tunedsl import ArgumentError, choice, diff, grid, loguniform, quniform, randint, randn, ref, sample_from, space
from tunedsl import uniform as between
from tunedsl.base import codec
from tunedsl.base.keys import generator
from tunedsl.cli.overrides import apply_overrides
from tunedsl.spaces import Space, resolve_space
from tunedsl.spaces.check import diagnose_space
from tunedsl.spaces.priors import Column, prior_around, space_prior
from tunedsl.spaces.unit_interval import from_unit

CONFIDENCES = ("low", "medium", "high")


@settings(max_examples=60)
@given(domains, st.floats(0, 1), st.sampled_from(CONFIDENCES))
def test_every_domain_has_priors_at_each_of_its_values(domain, u, confidence):
    (centre,) = from_unit(domain, np.array([u]))
    if len(set(map(repr, from_unit(domain, np.linspace(0, 1, 5))))) == 1:
        return
    believed = domain.prior(centre, confidence)
    assert believed != domain and type(believed) is type(domain)
    assert codec.from_json(codec.to_json(believed)) == believed
    assert eval(repr(believed), NAMES) == believed
    assert believed.prior(centre, "low") == domain.prior(centre, "low")
    prior = space_prior(resolve_space(Space.of({"x": believed})))
    drawn = prior.draw(50, generator(1))
    assert ((drawn >= 0) & (drawn <= 1)).all() and np.isfinite(prior.log_density(drawn)).all()


def test_a_domain_without_a_prior_is_stored_as_before():
    assert codec.to_json(between(0, 1)) == '{"$value":["Uniform",{"high":1.0,"low":0.0}]}'
    assert space_prior(resolve_space(Space.of({"x": between(0, 1)}))) is None


@pytest.mark.parametrize(
    ("write", "message"),
    [
        (lambda: between(0, 1).prior(2), r"prior.centre must be a value of uniform\(0.0, 1.0\), not 2"),
        (lambda: between(0, 1).prior(float("nan")), "prior.centre must be a value of"),
        (lambda: between(0, 1).prior(True), "prior.centre must be a value of"),
        (lambda: between(0, 1).prior("0.5"), "prior.centre must be a value of"),
        (lambda: loguniform(1e-3, 1).prior(0), "prior.centre must be a value of"),
        (lambda: randint(1, 10).prior(4.4), r"not 4.4[^?]*help: did you mean 4\?"),
        (lambda: randint(1, 10).prior(10), "prior.centre must be a value of"),
        (lambda: quniform(0, 1, 0.1).prior(0.34), r"not 0.34[^?]*help: did you mean 0.3\?"),
        (lambda: choice(["adam", "sgd"]).prior("adm"), r"not 'adm'[^?]*help: did you mean 'adam'\?"),
        (lambda: choice({"svm": {}, "tree": {}}).prior("forest"), "not 'forest'"),
        (lambda: choice(["adam"]).prior("adam"), "has a single value, so a prior has no meaning"),
        (lambda: between(1, 1).prior(1), "has a single value"),
        (lambda: randint(3, 4).prior(3), "has a single value"),
        (lambda: between(0, 1).prior(0.5, "sure"), "prior.confidence must be 'low', 'medium' or 'high', not 'sure'"),
        (lambda: grid([1, 2]).prior(1), r"grid\(\[1, 2\]\) cannot have a prior"),
        (lambda: sample_from(len).prior(1), "cannot have a prior"),
        (lambda: (ref("x") * 2).prior(1), r"ref\('x'\) \* 2 cannot have a prior"),
        (lambda: grid([1, 2]).when(ref("x") == 1).prior(1), "cannot have a prior"),
    ],
)
def test_wrong_priors_are_refused_where_they_are_written(write, message):
    with pytest.raises(ArgumentError, match=f"(?s){message}"):
        write()


def test_an_invalid_domain_is_reported_with_the_others():
    (fault,) = diagnose_space(Space.of({"x": between(1, 0).prior(0.5)}))
    assert fault.code == "E011"


def test_a_condition_may_be_written_before_or_after():
    condition = ref("y") == "a"
    assert between(0, 1).when(condition).prior(0.5) == between(0, 1).prior(0.5).when(condition)


def test_it_is_part_of_the_plan_its_texts_and_its_changes(tmp_path):
    def train(config):
        return {"loss": config["x"]}

    plain = space(x=between(0, 1), y=choice(["a", "b"])).trainable(train).minimize("loss").samples(4).seed(1)
    told = plain.replace(x=between(0, 1).prior(0.25, "high"))
    before, after = plain.compile(), told.compile()
    assert before.digest != after.digest
    assert "uniform(0.0, 1.0).prior(0.25, confidence='high')" in after.explain()
    (change,) = diff(before, after).changes
    assert change.path == "space.x" and "prior" in str(change)
    assert told.preview()[0]["x"] == 0.25
    assert apply_overrides(plain, ["space.x=uniform(0, 1).prior(0.25, confidence='high')"]).clauses == told.clauses


@given(st.floats(0, 1), st.sampled_from([0.3, 0.15, 0.075]))
def test_a_column_is_a_distribution_that_its_quantiles_follow(centre, width):
    column = Column(centre, width)
    grid_points = (np.arange(4_000) + 0.5) / 4_000
    density = np.exp(column.log_density(grid_points))
    assert density.mean() == pytest.approx(1, abs=1e-3)
    u = np.linspace(0.01, 0.99, 9)
    below = [density[grid_points < point].sum() / 4_000 for point in column.quantile(u)]
    assert below == pytest.approx(u.tolist(), abs=5e-3)


def test_the_option_is_more_likely_by_its_odds():
    column = Column(0.5, 0.1, options=3, odds=4.0)
    positions = column.quantile((np.arange(6_000) + 0.5) / 6_000)
    counts = np.bincount((positions * 3).astype(int), minlength=3)
    assert counts.tolist() == [1_000, 4_000, 1_000]
    density = np.exp(column.log_density(np.array([0.1, 0.5, 0.9])))
    assert density.mean() == pytest.approx(1) and density[1] / density[0] == pytest.approx(4)


def test_absent_parameters_count_as_uniform():
    layout = resolve_space(
        Space.of({"kind": choice(["a", "b"]), "x": between(0, 1).prior(0.5, "high").when(ref("kind") == "a")})
    )
    prior = space_prior(layout)
    assert prior.log_density(np.array([[0.2, np.nan], [0.2, 0.0], [0.2, 0.5]])).tolist() == pytest.approx(
        [0.0, -20.55, 1.67], abs=0.01
    )


def test_a_prior_around_a_point_leaves_out_what_the_point_lacks():
    layout = resolve_space(Space.of({"x": between(0, 1), "y": randn(0, 1), "c": choice([1, 2])}))
    near = prior_around(layout, np.array([0.2, np.nan, 0.75]))
    assert [dim for dim, _ in near.columns] == [0, 2] and near.columns[1][1].options == 2
