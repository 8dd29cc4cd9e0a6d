"""Each law detects its violation: steps of a real run with one change each."""

import functools
from pathlib import Path

import attrs
import pytest
from msgspec.structs import replace

import tunedsl
from tunedsl.kernel import (
    CapacityChanged,
    DeleteCheckpoints,
    Failed,
    Finish,
    Launch,
    Pause,
    Proposed,
    Reported,
    RunState,
    Saved,
)
from tunedsl.kernel.events import UserTrialAdded
from tunedsl.schedulers import pbt
from tunedsl.stopping import Budget
from tunedsl.testing import FINAL_INVARIANTS, INVARIANTS, Fault, FinishedRun, Scenario, Step, invariants
from tunedsl.testing import final_invariants as endings
from tunedsl.testing.__main__ import laws
from tunedsl.testing.invariant_listener import InvariantListener

RUN = Scenario(
    scheduler=pbt(perturbation_interval=2),
    trials=6,
    width=3,
    faults=(Fault("crash", 9), Fault("add_asked", 5)),
    retry=1,
)


@functools.cache
def steps():
    """The steps of a run in which trials fail, are paused and added."""
    found = []
    hear = InvariantListener.on_event

    def kept(self, event, commands, state):
        before, stored, attempts = self._state, set(self.stored), dict(self._attempts)
        hear(self, event, commands, state)
        statuses = dict(self._statuses)
        found.append(Step(self._plan, before, event, tuple(commands), state, stored, attempts, statuses))

    InvariantListener.on_event = kept
    try:
        outcome = RUN.run()
    finally:
        InvariantListener.on_event = hear
    return found, outcome


def first(kind, given=object):
    """The first step of an event of this kind that gave such a command."""
    return next(
        step
        for step in steps()[0]
        if isinstance(step.event, kind) and (given is object or any(isinstance(item, given) for item in step.commands))
    )


def without(step, kind):
    return attrs.evolve(step, commands=tuple(item for item in step.commands if not isinstance(item, kind)))


def with_trial(step, number, **changes):
    """The step with the trial as it is after it changed."""
    trial = replace(step.after.trials[number], **changes)
    return attrs.evolve(step, after=replace(step.after, trials=step.after.trials.set(number, trial)))


def of(step, name, **changes):
    return attrs.evolve(step, **{name: replace(getattr(step, name), **changes)})


def broken_steps():
    report, launch = first(Reported), first(Proposed, Launch)
    retry, last = first(Failed, Launch), steps()[0][-1]
    number = retry.event.trial
    discard = first(Reported, DeleteCheckpoints)
    exploit = first(Reported, Pause)
    end = next(step for step in steps()[0] if isinstance(step.event, Reported) and step.event.ends)
    plan = steps()[1].plan
    return {
        "finish_is_the_last_word": [without(last, Finish), of(last, "before", finished=True)],
        "trials_are_numbered_in_turn": [
            of(launch, "event", trial=99),
            attrs.evolve(launch, event=UserTrialAdded(0.0, 3, {}, "more")),
        ],
        "iterations_go_on_by_one": [
            of(report, "event", first=report.event.first + 1),
            of(report, "event", first=report.event.first - 1),
            of(report, "after", iterations=99),
        ],
        "saves_are_of_the_last_report": [attrs.evolve(report, event=Saved(0.0, report.event.trial, 7, "folder"))],
        "moves_are_legal": [
            attrs.evolve(with_trial(report, report.event.trial, phase="RUNNING"), before=_ended(report)),
            with_trial(first(Reported), report.event.trial, phase="PENDING"),
        ],
        "nothing_finished_runs_again": [
            attrs.evolve(retry, before=_ended(retry)),
        ],
        "trials_are_parted": [
            with_trial(report, report.event.trial, phase="TERMINATED"),
            of(report, "after", paused=report.after.live),
        ],
        "counts_are_those_of_a_recount": [
            of(report, "after", terminated_count=report.after.terminated_count + 1),
            of(end, "after", succeeded_count=end.after.succeeded_count - 1),
            of(end, "after", errored_count=end.after.errored_count + 1),
            of(discard, "after", checkpoint_refs=discard.after.checkpoint_refs.set("folder", 1)),
        ],
        "statuses_are_those_of_the_journal": [
            attrs.evolve(report, statuses={report.event.trial: "paused"}),
            attrs.evolve(exploit, statuses={exploit.event.trial: "paused"}),
            attrs.evolve(end, statuses={**end.statuses, end.event.trial: "stopped"}),
            attrs.evolve(end, statuses={}),
        ],
        "width_is_kept": [attrs.evolve(launch, after=replace(launch.after, proposing=9))],
        "attempts_count_up": [
            with_trial(retry, number, attempt=5),
            attrs.evolve(retry, attempts={number: 7}),
            with_trial(retry, number, iteration=retry.after.trials[number].iteration + 1),
        ],
        "retries_are_those_allowed": [
            with_trial(retry, number, failures=(0,) * 7),
            with_trial(retry, number, failures=(2,) + (0,) * 6),
            with_trial(retry, number, phase="ERRORED"),
            attrs.evolve(retry, plan=attrs.evolve(plan, retry=attrs.evolve(plan.retry, crash=0))),
        ],
        "who_waits_is_answered": [attrs.evolve(exploit, commands=())],
        "checkpoints_are_held": [
            attrs.evolve(discard, stored=set(), event=replace(discard.event, saved="")),
            with_trial(discard, next(item.trial for item in discard.commands if isinstance(item, Launch)), folder=""),
            attrs.evolve(
                discard,
                commands=(*discard.commands, DeleteCheckpoints((discard.after.trials[discard.event.trial].folder,))),
            ),
        ],
        "budgets_are_kept": [
            attrs.evolve(first(CapacityChanged), plan=attrs.evolve(plan, budget=Budget(trials=1))),
            attrs.evolve(report, plan=attrs.evolve(plan, budget=Budget(iterations=1))),
            attrs.evolve(report, plan=attrs.evolve(plan, budget=Budget(seconds=0.0))),
            of(report, "after", closing_reason="asked"),
        ],
        "something_is_under_way": [of(report, "after", live=RunState(None).live, proposing=0)],
        "time_goes_forward": [of(report, "event", seconds=-1.0)],
    }


def _ended(step):
    number = step.event.trial
    trial = replace(step.before.trials[number], phase="TERMINATED")
    return replace(step.before, trials=step.before.trials.set(number, trial))


@pytest.mark.parametrize("law", INVARIANTS, ids=lambda law: law.__name__)
def test_it_complains_of_what_breaks_it_and_of_nothing_else(law):
    assert [law(step) for step in steps()[0] if law(step)] == []
    for step in broken_steps()[law.__name__]:
        assert law(step), f"{law.__name__} takes this: {step.event}, {step.commands}"


def broken_ends():
    outcome = steps()[1]
    end = FinishedRun(outcome.plan, outcome.state, outcome.journal)
    trial = replace(outcome.state.trials[0], row=(0.5, 1))
    other = replace(outcome.state, trials=outcome.state.trials.set(0, trial))
    fewer = replace(outcome.state, trials=outcome.state.trials.delete(0))
    twice = [*outcome.journal.events()]
    added = next(event for event in twice if isinstance(event, UserTrialAdded))

    class Twice:
        def events(self):
            return iter([*twice, added])

    return end, {
        "all_trials_end": [attrs.evolve(end, state=replace(outcome.state, finished=False)), _with_phase(end, "PAUSED")],
        "all_trials_are_made": [attrs.evolve(end, state=fewer)],
        "requests_are_taken_once": [attrs.evolve(end, journal=Twice())],
        "the_journal_proves_itself": [attrs.evolve(end, state=other)],
        "faults_leave_no_trace": [
            attrs.evolve(end, undisturbed=attrs.evolve(end, state=other)),
            attrs.evolve(end, undisturbed=attrs.evolve(end, state=fewer)),
            attrs.evolve(end, undisturbed=_other_journal(end), same_journal=True),
        ],
    }


def _with_phase(end, phase):
    trial = replace(end.state.trials[0], phase=phase)
    return attrs.evolve(end, state=replace(end.state, trials=end.state.trials.set(0, trial)))


def _other_journal(end):
    return attrs.evolve(end, journal=RUN.changed(seed=1).run().journal)


@pytest.mark.parametrize("law", FINAL_INVARIANTS, ids=lambda law: law.__name__)
def test_a_law_of_the_end_complains_too(law):
    end, broken = broken_ends()
    assert law(end) == ""
    assert all(law(other) for other in broken[law.__name__])


def test_every_law_is_listed_with_what_it_says():
    assert all(text.endswith(".") for text in laws().values())
    functions = {name for module in (invariants, endings) for name, item in vars(module).items() if callable(item)}
    named = {name for name in functions if name in laws()}
    assert named == {law.__name__ for law in (*INVARIANTS, *FINAL_INVARIANTS)}
    guide = " ".join((Path(tunedsl.__file__).parent / "docs" / "guides" / "testing.md").read_text().split())
    assert all(f"`{name}`: {text}" in guide for name, text in laws().items())
