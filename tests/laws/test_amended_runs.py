"""Laws of amended runs: they replay, end the same after a cut anywhere, and refuse other changes."""

from __future__ import annotations

import contextlib
import shutil
from pathlib import Path
from typing import Any

import attrs
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from tests.experiments import Breaker, Quadratic, quadratic, quadratic_engine, searching
from tests.plans import make_plan
from tunedsl import asha, choice, fifo, hyperband, load, pbt, replay, tpe, uniform
from tunedsl.base.codec import data_fields
from tunedsl.base.errors import CompileError, Interrupted, JournalError
from tunedsl.base.objective import Objective
from tunedsl.experiment import Experiment
from tunedsl.journal import Journal
from tunedsl.kernel import Amended, Reopen, Reported, Started
from tunedsl.plan import Plan
from tunedsl.plan.amending import AMENDABLE, AmendError, FixedField, refused_changes
from tunedsl.schedulers import median_stopping, pasha
from tunedsl.searchers import random_search, sobol


def cut(e: Experiment, after: int) -> Path:
    """The folder of a run that was interrupted."""
    with pytest.raises(Interrupted) as caught:
        e.run(engine=quadratic_engine(), quiet=True, listeners=[Breaker(after)])
    return Path(caught.value.path)


def resumed(e: Experiment, path: Path, **options: Any) -> Any:
    return e.resume(path, engine=quadratic_engine(), quiet=True, **options)


CHANGES = {
    "samples": lambda e: e.samples(20),
    "fewer": lambda e: e.samples(3),
    "stop": lambda e: e.stop(training_iteration=5),
    "budget": lambda e: e.budget(iterations=200),
    "resources": lambda e: e.resources(cpu=0.5),
    "policies": lambda e: e.retry(2).fail_fast().checkpoint(keep=1),
    "wider": lambda e: e.parallel(6),
    "fifo": lambda e: e.scheduler(fifo()),
    "hyperband": lambda e: e.trainable(Quadratic).scheduler(hyperband(max_t=9)),
    "pasha": lambda e: e.trainable(Quadratic).scheduler(pasha(max_t=9)),
    "median": lambda e: e.scheduler(median_stopping(time_attr="training_iteration", grace_period=2)),
    "longer": lambda e: (
        Experiment(attrs.evolve(e.clauses, scheduler=attrs.evolve(e.clauses.scheduler, max_t=15)))
        if hasattr(e.clauses.scheduler, "max_t")
        else e.samples(13)
    ),
    "domain": lambda e: e.samples(16).replace(x=uniform(0, 2)),
    "options": lambda e: e.samples(16).replace(x=choice([0.1, 0.2, 0.4])),
    "fixed": lambda e: e.samples(16).replace(x=0.5),
    "constant": lambda e: e.samples(16).space(depth=3),
    "tpe": lambda e: e.samples(16).searcher(tpe()),
    "sobol": lambda e: e.samples(16).searcher(sobol()),
    "all": lambda e: e.samples(16).scheduler(fifo()).parallel(5).resources(cpu=2),
}
SCHEDULERS = {
    "asha": asha(max_t=9, reduction_factor=3),
    "hyperband": hyperband(max_t=9),
    "pasha": pasha(max_t=9),
    "pbt": pbt(hyperparam_mutations={"x": [0.1, 0.5, 0.9]}, perturbation_interval=3),
}
BASES = {name: (Quadratic, spec) for name, spec in SCHEDULERS.items()} | {"asha": (quadratic, SCHEDULERS["asha"])}


def check(path: Path) -> None:
    proof = replay(path)
    results = load(path)
    assert proof.state.finished and results.finished
    assert {trial.status for trial in results.trials} <= {"completed", "stopped", "cancelled", "failed"}
    assert proof.state.terminated_count == len(results.trials)
    assert not proof.state.live and not proof.state.paused and not proof.state.queued
    ended: set[int] = set()
    for line in Journal(path).records():
        ended -= {command.trial for command in line.c if isinstance(command, Reopen)}
        if isinstance(line.e, Started):
            assert line.e.trial not in ended, "what had ended was begun again"
        if isinstance(line.e, Reported) and line.e.ends:
            ended.add(line.e.trial)


@settings(max_examples=15)
@given(
    st.sampled_from(sorted(BASES)),
    st.sampled_from(sorted(CHANGES)),
    st.integers(1, 120),
    st.integers(1, 80),
    st.sampled_from(["arrival", "logical"]),
)
def test_an_amended_run_ends_and_replays_wherever_it_was_cut_before_and_after(
    tmp_path_factory, base, change, before, after, order
):
    trainable, scheduler = BASES[base]
    store = tmp_path_factory.mktemp("amended")
    e = searching(store, trainable).scheduler(scheduler).order(order)
    changed = CHANGES[change](e)
    assume(changed != e and (base, change) != ("pbt", "tpe"))
    try:
        path = cut(e, before)
    except pytest.fail.Exception:  # it had ended before
        path = next(iter(store.glob("*/journal.jsonl"))).parent
    if trainable is quadratic and changed.clauses.trainable != e.clauses.trainable:
        with pytest.raises(AmendError):
            resumed(changed, path, amend=True)
        return
    known = sum(1 for _ in Journal(path).events())
    try:
        resumed(changed, path, amend=True, listeners=[Breaker(known + after)])
    except Interrupted:
        assert load(path).plan != Journal(path).first_plan
        resumed(changed, path)
    check(path)
    assert Journal(path).first_plan.digest == Journal(path).header.digest


@pytest.mark.slow
@pytest.mark.parametrize("change", ["samples", "fifo", "stop", "longer", "domain", "fixed", "tpe", "sobol"])
def test_a_cut_at_any_event_after_the_amendment_leaves_no_trace(tmp_path, change):
    """Of runs amended at the same point, each is cut at another event and resumed; in logical order all end alike."""
    e = searching(tmp_path / "first")
    changed, first = CHANGES[change](e), cut(e, 30)
    known = sum(1 for _ in Journal(first).events())

    def copied(name: str) -> Path:
        return Path(shutil.copytree(first, tmp_path / name))

    whole = resumed(changed, copied("whole"), amend=True).journal
    for after in range(known + 1, sum(1 for _ in whole.events()) + 1):
        path = copied(str(after))
        with contextlib.suppress(Interrupted):  # none after the last event
            resumed(changed, path, amend=True, listeners=[Breaker(after)])
        journal = resumed(changed, path).journal
        assert journal.digest == whole.digest, f"cut after event {after}"
        assert sum(isinstance(event, Amended) for event in journal.events()) == 1


def test_an_extended_run_equals_one_that_had_as_many_samples_from_the_beginning(tmp_path):
    """Sequential trials that no scheduler compares do not depend on when they were proposed."""

    def curves(results):
        return {trial.id: (trial.config, list(trial.curve["loss"])) for trial in results.trials}

    e = searching(tmp_path / "extended").scheduler(fifo()).parallel(1)
    first = e.run(engine=quadratic_engine(), quiet=True)
    assert len(first.trials) == 12
    extended = resumed(e.samples(20), first.path, amend=True)
    whole = e.samples(20).store(tmp_path / "whole").run(engine=quadratic_engine(), quiet=True)
    assert curves(extended) == curves(whole)
    assert extended.finished and len(extended.trials) == 20
    assert extended.plan.samples == 20 and extended.journal.first_plan.samples == 12
    assert replay(first.path).state.finished
    assert resumed(e.samples(20), first.path).journal.digest == extended.journal.digest


def test_a_budget_that_is_used_up_is_widened(tmp_path):
    e = searching(tmp_path).scheduler(fifo()).budget(iterations=20)
    first = e.run(engine=quadratic_engine(), quiet=True)
    assert "budget" in first.state
    stopped = {trial.id for trial in first.trials}
    more = resumed(e.budget(iterations=1_000), first.path, amend=True)
    assert "all trials have ended" in more.state
    assert len(more.trials) == 12
    assert all(trial.iterations == 9 for trial in more.trials if trial.id in stopped), "they continue"
    still = resumed(e.budget(iterations=25, trials=12), more.path, amend=True)
    assert "budget of 25 iterations" in still.state


def test_a_changed_experiment_is_shown_and_refused_unless_that_is_asked_for(tmp_path):
    e = searching(tmp_path)
    path = cut(e, 9)
    before = Path(path, "journal.jsonl").read_bytes()
    with pytest.raises(AmendError) as caught:
        resumed(e.samples(30).parallel(5), path)
    assert str(caught.value).splitlines()[1:] == [
        "  parallel: 4 -> 5",
        "  samples: 12 -> 30",
        "  trials: 12 -> 30",
        f"  at {path}",
        f"  help: resume({str(path)!r}, amend=True) or --amend continues the run with these changes",
    ]
    assert Path(path, "journal.jsonl").read_bytes() == before
    with pytest.raises(
        JournalError, match=r"has no run of this experiment\.\n.*\n  help: .* pass its path and amend=True"
    ):
        e.samples(30).resume(engine=quadratic_engine(), quiet=True)


@pytest.mark.parametrize(
    ("change", "subject", "text"),
    [
        (lambda e: e.order("arrival"), "order", "warm_start("),
        (lambda e: e.seed(8), "seed", "leave seed(...) out"),
        (
            lambda e: Experiment(attrs.evolve(e.clauses, objectives=(Objective("loss", "max"),))),
            "objective",
            "warm_start(",
        ),
        (lambda e: e.named("other"), "named", "new experiment"),
        (lambda e: e.trainable(Quadratic), "trainable", "warm_start("),
    ],
)
def test_what_cannot_be_amended_says_why_and_what_to_do(tmp_path, change, subject, text):
    e = searching(tmp_path).searcher(random_search())
    path = cut(e, 9)
    with pytest.raises(AmendError) as caught:
        resumed(change(e).samples(20), path, amend=True)
    (found,) = caught.value.diagnostics
    assert (found.code, found.subject) == ("E006", subject)
    assert text in found.hint and found.message.startswith(f"A run in progress cannot change {subject}, because ")
    assert not any(isinstance(event, Amended) for event in Journal(path).events())


def test_a_wrong_experiment_is_refused_with_its_diagnostics(tmp_path):
    e = searching(tmp_path)
    with pytest.raises(CompileError):
        resumed(e.scheduler(pbt()).trainable(quadratic), cut(e, 9), amend=True)


def test_logical_order_is_not_narrowed_below_what_is_under_way(tmp_path):
    e = searching(tmp_path)
    path = cut(e, 20)
    with pytest.raises(AmendError, match=r"parallel\(1\) is too low"):
        resumed(e.parallel(1), path, amend=True)
    check_path = resumed(e, path).path
    assert replay(check_path).state.finished


def test_every_field_of_a_plan_has_its_ruling():
    assert set(AMENDABLE) == {field.name for field in data_fields(Plan)}
    assert all(ruling.why and ruling.instead for ruling in AMENDABLE.values() if isinstance(ruling, FixedField))
    plan = make_plan()
    assert refused_changes("x", plan, attrs.evolve(plan, samples=99)) == ()


def test_the_story_tells_of_an_amendment_and_later_decisions_are_those_of_the_new_plan(tmp_path):
    e = searching(tmp_path).parallel(1).order("arrival")
    path = cut(e, 4)
    results = resumed(e.scheduler(fifo()).stop(training_iteration=3), path, amend=True)
    assert "the plan was amended: scheduler, stop, decision_points" in results.why(0)
    assert "training_iteration" in results.why(3) and [trial.iterations for trial in results.trials] == [3] * 12
