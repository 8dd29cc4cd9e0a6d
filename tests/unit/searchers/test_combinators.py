"""The combinators: what each adds to the searcher inside."""

from __future__ import annotations

import math

import pytest

from tunedsl.base.codec import value
from tunedsl.base.errors import ArgumentError
from tunedsl.base.objective import Objective
from tunedsl.searchers import (
    Exhausted,
    Observation,
    Proposal,
    Wait,
    bohb,
    dedupe,
    evolution,
    limit,
    per_grid_cell,
    random_search,
    register_searcher,
    repeat,
    scored,
    searcher_of,
    switch,
    tpe,
    try_first,
    warm_start,
    with_results,
    zoopt,
)
from tunedsl.searchers.contract import Searcher
from tunedsl.spaces import Space, choice, grid, randint, ref, uniform

SPACE = Space.of({"x": uniform(0, 1), "c": choice(["a", "b"])})
GOALS = (Objective("loss", "min"),)
KEY = 3


def done(number: float, iteration: int = 1) -> Observation:
    return Observation("done", iteration, (number,))


class Search:
    """A searcher and its state, for tests that read as a story."""

    def __init__(self, spec, space=SPACE, goals=GOALS):
        self.spec, self.searcher = spec, searcher_of(spec)
        self.state = self.searcher.init(spec, space, goals, KEY)

    def ask(self, trial):
        state, answer = self.searcher.ask(self.spec, self.state, trial, KEY)
        if not isinstance(answer, Wait):
            self.state = state
        return answer.config if isinstance(answer, Proposal) else answer

    def tell(self, trial, observation):
        self.state = self.searcher.tell(self.spec, self.state, trial, observation)


@value
class Witness:
    """A searcher that only records its observations."""


register_searcher(
    Witness,
    Searcher(
        "witness",
        searcher_of(tpe()).supports,
        init=lambda spec, space, objectives, key: (),
        ask=lambda spec, state, trial, key: ((*state, ("ask", trial)), Proposal({"x": 0.5, "c": "a"})),
        tell=lambda spec, state, trial, observation: (*state, ("tell", trial, observation)),
        force=lambda spec, state, trial, config, key: (*state, ("force", trial, config)),
    ),
)


@value
class Deaf:
    """A searcher that cannot adopt."""


register_searcher(
    Deaf,
    Searcher(
        "deaf",
        searcher_of(tpe()).supports,
        init=lambda spec, space, objectives, key: (),
        ask=lambda spec, state, trial, key: ((*state, trial), Proposal({"x": 0.5, "c": "a"})),
        tell=lambda spec, state, trial, observation: (*state, trial),
    ),
)


class TestLimit:
    def test_waits_while_so_many_are_in_flight(self):
        search = Search(limit(tpe(), 2))
        assert isinstance(search.ask(0), dict) and isinstance(search.ask(1), dict)
        assert search.ask(2) == Wait()
        search.tell(0, Observation("reported", 1, (0.5,)))
        assert search.ask(2) == Wait()
        search.tell(0, Observation("failed", 1, (math.nan,)))
        assert isinstance(search.ask(2), dict)

    def test_in_batches_all_have_to_end(self):
        search = Search(limit(tpe(), 2, batch=True))
        search.ask(0), search.ask(1)
        search.tell(1, done(0.5))
        assert search.ask(2) == Wait()
        search.tell(0, done(0.5))
        assert isinstance(search.ask(2), dict) and isinstance(search.ask(3), dict)
        assert search.ask(4) == Wait()

    def test_hears_without_learning(self):
        assert not searcher_of(limit(random_search(), 2)).learns
        assert (
            searcher_of(limit(random_search(), 2)).observes_results
            and not searcher_of(random_search()).observes_results
        )


class TestRepeat:
    @pytest.mark.parametrize(("by", "expected"), [("mean", 3.0), ("median", 2.0), ("best", 1.0), ("worst", 6.0)])
    def test_tells_one_number_of_all(self, by, expected):
        search = Search(repeat(Witness(), 3, by=by))
        assert search.ask(0) == search.ask(1) == search.ask(2)
        for trial, number in ((2, 6.0), (0, 1.0), (1, 2.0)):
            search.tell(trial, done(number, 4))
        assert search.state.inner == (("ask", 0), ("tell", 0, done(expected, 4)))
        search.ask(5)
        assert search.state.inner[-1] == ("ask", 1)

    def test_leaves_failures_out_unless_all_failed(self):
        search = Search(repeat(Witness(), 2))
        failed = Observation("failed", 0, (math.nan,))
        for trial, told in enumerate([failed, done(2.0), failed, failed]):
            search.ask(trial)
            search.tell(trial, told)
        heard = [record[2] for record in search.state.inner if record[0] == "tell"]
        assert heard[0] == done(2.0) and heard[1].status == "failed"

    def test_a_run_that_was_stopped_makes_it_stopped(self):
        search = Search(repeat(Witness(), 2))
        search.ask(0), search.ask(1)
        search.tell(0, done(2.0, 9))
        search.tell(1, Observation("stopped", 3, (4.0,)))
        assert search.state.inner[-1] == ("tell", 0, Observation("stopped", 3, (3.0,)))

    def test_configurations_of_others_are_observations_by_themselves(self):
        """Those of `try_first` are no runs of a group, as they are not the same."""
        first = [{"x": 0.1, "c": "a"}, {"x": 0.2, "c": "a"}, {"x": 0.3, "c": "b"}, {"x": 0.4, "c": "b"}]
        search = Search(try_first(repeat(Witness(), 3), first))
        asked = [search.ask(trial) for trial in range(9)]
        assert asked[:4] == first and asked[4:] == [{"x": 0.5, "c": "a"}] * 5
        for trial in range(9):
            search.tell(trial, done(trial))
        inside = search.state.inner.inner
        assert [config for verb, _, config in (each for each in inside if each[0] == "force")] == first
        told = {trial: observation.values for verb, trial, observation in (e for e in inside if e[0] == "tell")}
        given = [trial for verb, trial, *_ in inside if verb == "force"]
        assert [told.pop(trial) for trial in given] == [(0.0,), (1.0,), (2.0,), (3.0,)]
        assert told == {1: (4.5,), 2: (7.0,)}

    def test_dedupe_around_it_is_a_fault(self):
        spec = dedupe(scored(repeat(tpe(), 3)))
        assert [fault.code for fault in searcher_of(spec).validate(spec)] == ["E084"]


class TestTryFirst:
    def test_the_first_trials_are_those(self):
        search = Search(try_first(Witness(), [{"x": 0.25, "c": "b"}, {"x": 0.75}]))
        assert search.ask(0) == {"x": 0.25, "c": "b"}
        assert search.ask(1)["x"] == 0.75 and search.ask(1)["c"] in "ab"
        search.tell(0, done(1.0))
        assert search.ask(2) == {"x": 0.5, "c": "a"}
        kinds = [record[:2] for record in search.state.inner]
        assert kinds == [("force", 0), ("force", 1), ("force", 1), ("tell", 0), ("ask", 2)]

    def test_who_cannot_adopt_is_told_of_its_own_only(self):
        search = Search(try_first(Deaf(), [{"x": 0.25}]))
        search.ask(0)
        search.tell(0, done(1.0))
        search.ask(1)
        search.tell(1, done(1.0))
        assert search.state.inner == (1, 1)

    @pytest.mark.parametrize(
        ("config", "why"),
        [
            ({"x": 2.0}, "space.x must be a value of uniform(0.0, 1.0), not 2.0"),
            ({"y": 1}, "This configuration has no parameter 'y'"),
            ({"xx": 1}, "This configuration has no parameter 'xx'"),
            ({"x": 0.1}, "In 100 draws, no values of the missing parameters met the constraints"),
            ({"x": 0.1, "c": "a"}, "The configuration does not meet the constraints"),
        ],
    )
    def test_says_what_is_not_of_the_space(self, config, why):
        spec = try_first(tpe(), [config])
        (fault,) = searcher_of(spec).check_compatibility(spec, SPACE.where(ref("x") > 0.5), GOALS)
        assert fault.code == "E081" and why in fault.message
        assert (fault.hint == "did you mean 'x'?") is (config == {"xx": 1})

    @pytest.mark.parametrize("config", [{"b": 0.5}, {"model": {"svm": {}}}, {"model": {"svm": {"c": 0.5}}}, {}])
    def test_what_is_left_out_is_drawn_so_that_what_is_given_exists(self, config):
        a, model = choice(["x", "y"]), choice({"svm": Space.of({"c": uniform(0, 1)}), "none": Space.of({})})
        over = Space.of({"a": a, "b": uniform(0, 1).when(ref("a") == "x"), "model": model})
        spec = try_first(random_search(), [config] * 8)
        assert not searcher_of(spec).check_compatibility(spec, over, GOALS)
        search = Search(spec, over)
        for trial in range(8):
            found = search.ask(trial)
            assert found.get("b") == config.get("b", found.get("b"))
            assert "model" not in config or "svm" in found["model"]


class TestKnown:
    def test_the_searcher_knows_them_before_its_first_trial(self):
        search = Search(
            with_results(
                with_results(Witness(), [({"x": 0.1, "c": "a"}, 1.0)]), [({"x": 0.2, "c": "b"}, 2.0, 3, "stopped")]
            )
        )
        assert search.state == (
            ("force", -1, {"x": 0.1, "c": "a"}),
            ("tell", -1, done(1.0)),
            ("force", -2, {"x": 0.2, "c": "b"}),
            ("tell", -2, Observation("stopped", 3, (2.0,))),
        )

    def test_they_count(self):
        results = [({"x": x / 20, "c": "a"}, abs(x / 20 - 0.3)) for x in range(20)]
        search = Search(with_results(tpe(), results))
        near = [abs(search.ask(trial)["x"] - 0.3) for trial in range(12)]
        assert sorted(near)[6] < 0.2

    def test_says_what_is_missing(self):
        spec = with_results(Deaf(), [({"x": 0.5}, 1.0), ({"x": 0.5, "c": "a"}, (1.0, 2.0))])
        deaf, lacking, many = searcher_of(spec).check_compatibility(spec, SPACE, GOALS)
        useless = with_results(repeat(random_search(), 2), [])
        assert [fault.code for fault in searcher_of(useless).check_compatibility(useless, SPACE, GOALS)] == ["E081"]
        useful = with_results(repeat(dedupe(random_search()), 2), [])
        assert not searcher_of(useful).check_compatibility(useful, SPACE, GOALS)
        assert "Deaf" in deaf.message and "The parameter c is missing" in lacking.message and "has 2." in many.message


class TestSwitch:
    def test_the_second_learns_from_the_first(self):
        search = Search(switch(random_search(), Witness(), after=2))
        first = search.ask(0)
        search.tell(0, done(1.0))
        search.ask(1)
        assert search.ask(2) == {"x": 0.5, "c": "a"}
        search.tell(2, done(2.0))
        kinds = [record[:2] for record in search.state.then]
        assert kinds == [("force", 0), ("tell", 0), ("force", 1), ("ask", 2), ("tell", 2)]
        assert search.state.then[0][2] == first

    def test_takes_what_both_take(self):
        assert searcher_of(switch(random_search(), zoopt(), after=2)).supports.objectives == 1
        assert not searcher_of(switch(random_search(), zoopt(), after=2)).supports.intermediate

    def test_reports_of_running_trials_come_to_whom_takes_them(self):
        search = Search(switch(Witness(), bohb(), after=2))
        assert search.searcher.supports.intermediate
        search.ask(0)
        search.tell(0, Observation("reported", 1, (0.5,)))
        assert search.state.first == (("ask", 0),)
        assert search.state.then.to_arrays().losses.tolist() == [[0.5]]

    def test_the_scope_of_either_holds_for_both(self):
        assert searcher_of(switch(random_search(), scored(tpe()), after=2)).scope == "best"
        assert searcher_of(switch(scored(tpe()), random_search(), after=2)).scope == "best"
        split = switch(scored(tpe()), scored(tpe(), "last"), after=2)
        assert [fault.code for fault in searcher_of(split).validate(split)] == ["E084"]


class TestEachCell:
    SPACE = Space.of({"g": grid([1, 2]), "x": uniform(0, 1), "inner": {"h": grid(["a", "b"])}})

    def test_searches_each_cell_by_itself(self):
        search = Search(per_grid_cell(tpe(n_startup_trials=4)), self.SPACE)
        for trial in range(80):
            config = search.ask(trial)
            best = (config["g"] + (config["inner"]["h"] == "b") - 1) / 3
            search.tell(trial, done(abs(config["x"] - best)))
        last = [search.ask(trial) for trial in range(80, 100)]
        assert [(config["g"], config["inner"]["h"]) for config in last[:4]] == [(1, "a"), (1, "b"), (2, "a"), (2, "b")]
        off = sorted(abs(config["x"] - (config["g"] + (config["inner"]["h"] == "b") - 1) / 3) for config in last)
        assert off[len(off) // 2] < 0.1

    def test_cells_that_the_constraints_shut_out_have_no_search(self):
        space = self.SPACE.where((ref("g") == 2) | (ref("inner.h") == "b"))
        found = [Search(per_grid_cell(tpe()), space).ask(trial) for trial in range(3)]
        assert [(config["g"], config["inner"]["h"]) for config in found] == [(1, "b"), (2, "a"), (2, "b")]

    def test_what_is_given_goes_to_its_cell(self):
        spec = per_grid_cell(try_first(tpe(), [{"g": 2, "x": 0.5, "inner": {"h": "a"}}, {"x": 0.25}]))
        assert list(searcher_of(spec).check_compatibility(spec, self.SPACE, GOALS)) == []
        search = Search(spec, self.SPACE)
        first = [search.ask(trial)["x"] for trial in range(4)]
        assert first == [0.25, 0.25, 0.5, 0.25]
        wrong = per_grid_cell(try_first(tpe(), [{"g": 3}]))
        assert [fault.code for fault in searcher_of(wrong).check_compatibility(wrong, self.SPACE, GOALS)] == ["E081"]


def test_dedupe_finds_the_last_one_of_many():
    search = Search(dedupe(random_search()), Space.of({"n": randint(0, 2_000)}))
    for number in range(1, 2_000):
        search.state = search.searcher.force(search.spec, search.state, number, {"n": number}, KEY)
    assert search.ask(2_000) == {"n": 0} and search.ask(2_001) == Exhausted()


def test_dedupe_asks_again():
    search = Search(dedupe(Witness()))
    found = [search.ask(trial) for trial in range(4)]
    assert len({str(config) for config in found}) == 4
    assert ("force", 1, found[1]) in search.state.inner


@pytest.mark.parametrize(
    "call",
    [
        lambda: limit(tpe, 2),
        lambda: limit(tpe(), 0),
        lambda: limit(tpe(), 2, batch=1),
        lambda: repeat(tpe(), 2, by="sum"),
        lambda: try_first(tpe(), {"x": 1}),
        lambda: try_first(tpe(), [3]),
        lambda: with_results(tpe(), [{"x": 1}]),
        lambda: with_results(tpe(), [({"x": 1}, 0.5, 1, "reported")]),
        lambda: warm_start(tpe(), 3),
        lambda: switch(tpe(), "random", after=3),
        lambda: tpe(gama=0.1),
        lambda: evolution(population_size="many"),
        lambda: tpe(constant_liar=1),
    ],
)
def test_wrong_calls_raise_where_they_are_written(call):
    with pytest.raises(ArgumentError):
        call()


@pytest.mark.parametrize(
    ("spec", "count"),
    [
        (tpe(n_startup_trials=0, n_ei_candidates=0, gamma=1.0, prior_weight=0), 4),
        (bohb(min_points_in_model=0, top_n_percent=0, num_samples=0, random_fraction=2), 4),
        (bohb(bandwidth_factor=0, min_bandwidth=0), 2),
        (evolution(population_size=0, sample_size=0, mutation_sd=0), 3),
        (zoopt(train_size=1, positive_size=1, uncertain_bits=0, probability=2), 4),
        (limit(tpe(gamma=0), 2), 1),
        (switch(tpe(gamma=0), zoopt(probability=-1), after=2), 2),
    ],
)
def test_options_out_of_range_are_faults(spec, count):
    assert [fault.code for fault in searcher_of(spec).validate(spec)] == ["E080"] * count
