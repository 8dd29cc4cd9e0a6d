"""Changes of capacity and preemptions, as the kernel and the digest see them."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.journals import journal, reported
from tests.plans import make_plan
from tunedsl.base.errors import JournalError
from tunedsl.journal import replay
from tunedsl.kernel import (
    CapacityChanged,
    Ended,
    Failed,
    Finish,
    Launch,
    Propose,
    Proposed,
    Reported,
    RunState,
    Started,
    initial,
    step,
)
from tunedsl.kernel.demand import wanted_trials
from tunedsl.kernel.events import DigestView
from tunedsl.plan import Retry

PLAN = make_plan(trials=6, parallel=None)


def proposed(number: int) -> Proposed:
    return Proposed(0.0, number, {"x": 0.5}, f"{number:05d}")


def after(*events, plan=PLAN):
    """The state after events, and the commands of the last one."""
    state, commands = initial(plan), []
    for event in events:
        state, commands = step(plan, state, event)
    return state, commands


def test_free_slots_are_filled_as_nodes_join_and_none_is_while_too_many_trials_run():
    began = [CapacityChanged(0.0, 2), proposed(0), proposed(1), Started(0.0, 0, 0), Started(0.0, 1, 0)]
    _, grown = after(*began, CapacityChanged(1.0, 5))
    assert grown == [Propose(2, 3)]
    state, shrunk = after(*began, CapacityChanged(1.0, 1))
    assert shrunk == [] and len(state.live) == 2, "running trials continue"
    _, one_less = after(*began, CapacityChanged(1.0, 1), Ended(2.0, 0, 1))
    assert one_less == []
    _, none_left = after(*began, CapacityChanged(1.0, 1), Ended(2.0, 0, 1), Ended(2.0, 1, 1))
    assert none_left == [Propose(2, 1)]


def test_a_run_without_slots_waits_and_ends_only_when_nothing_is_left():
    began = [CapacityChanged(0.0, 1), proposed(0), Started(0.0, 0, 0), CapacityChanged(1.0, 0)]
    state, commands = after(*began, Ended(2.0, 0, 1))
    assert commands == [] and not state.finished
    _, resumed = after(*began, Ended(2.0, 0, 1), CapacityChanged(3.0, 2))
    assert resumed == [Propose(1, 2)]
    single = make_plan(trials=1)
    state, commands = after(*began, Ended(2.0, 0, 1), plan=single)
    assert commands == [Finish("all trials have ended")] and state.finished


def test_preemptions_have_no_limit_and_count_for_nothing():
    plan = make_plan(trials=1, retry=Retry.of(0, lost=0, max_consecutive=1))
    events = [CapacityChanged(0.0, 1), proposed(0), Started(0.0, 0, 0)]
    state, _ = after(*events, plan=plan)
    for attempt in range(1, 20):
        state, commands = step(plan, state, Failed(1.0, 0, "preempted", "drained"))
        assert commands == [Launch(0, attempt)] and not state.trials[0].consecutive_losses
    assert state.trials[0].phase == "PENDING"
    state, _ = step(plan, state, Failed(1.0, 0, "lost", "killed"))
    assert state.trials[0].phase == "ERRORED"


def test_a_preempted_trial_continues_from_the_checkpoint_that_it_wrote():
    events = [CapacityChanged(0.0, 1), proposed(0), Started(0.0, 0, 0), reported(0, [1.0, 2.0])]
    saved = Failed(3.0, 0, "preempted", "drained", saved="trials/00000/checkpoints/00000002")
    state, commands = after(*events, saved)
    assert commands == [Launch(0, 1, 2, 2)]
    assert state.trials[0].folder == saved.saved and state.checkpoint_refs[saved.saved] == 1


def test_a_searcher_that_waits_for_results_is_not_asked_again_for_a_preemption():
    state = initial(PLAN)
    for event in (CapacityChanged(0.0, 2), proposed(0)):
        state, _ = step(PLAN, state, event)
    waiting = RunState(**{**{name: getattr(state, name) for name in state.__struct_fields__}, "postponed": True})
    assert step(PLAN, waiting, Failed(1.0, 0, "preempted", "drained"))[0].postponed
    assert not step(PLAN, waiting, Failed(1.0, 0, "lost", "killed"))[0].postponed


def test_as_many_trials_are_wanted_as_could_run():
    assert wanted_trials(PLAN, initial(PLAN)) == 6
    state, _ = after(CapacityChanged(0.0, 2), proposed(0), proposed(1))
    assert wanted_trials(PLAN, state) == 6
    state, _ = step(PLAN, step(PLAN, state, Started(1.0, 0, 0))[0], Ended(1.0, 0, 1))
    assert wanted_trials(PLAN, state) == 5


@given(st.lists(st.booleans(), max_size=4), st.booleans())
def test_the_digest_does_not_see_preemptions(preempted, crash):
    """Attempts that were preempted, before or after their start, leave the same journal as none."""

    def events(moves):
        found, attempt = [proposed(0)], 0
        for started in moves:
            found += [Started(1.0, 0, attempt)] if started else []
            found.append(Failed(1.0, 0, "preempted", "drained", saved="trials/00000/checkpoints/00000001"))
            attempt += 1
        found.append(Started(1.0, 0, attempt))
        if crash:
            found += [Failed(2.0, 0, "crash", "boom"), Started(2.0, 0, attempt + 1)]
        return [*found, Ended(3.0, 0, 2)]

    def seen(moves):
        view = DigestView()
        return [part for event in events(moves) if (part := view.view(event)) is not None]

    assert seen(preempted) == seen([])


def test_a_journal_with_changes_of_capacity_and_preemptions_is_replayed():
    saved = Failed(3.0, 0, "preempted", "drained", saved="trials/00000/checkpoints/00000001")
    events = [CapacityChanged(0.0, 1), proposed(0), Started(0.0, 0, 0), reported(0, [1.0]), CapacityChanged(2.0, 0)]
    events += [saved, CapacityChanged(4.0, 1), Started(4.0, 0, 1), reported(0, [2.0], first=2, ends="rule")]
    plan = make_plan(trials=1)
    found = journal(plan, events)
    assert replay(found).state.finished
    assert [event.kind for event in found.events() if isinstance(event, Failed)] == ["preempted"]
    assert sum(isinstance(event, Reported) for event in found.events()) == 2


@pytest.mark.parametrize("folder", ["../escape", "/etc"])
def test_a_checkpoint_outside_the_folder_is_refused(folder):
    found = journal(make_plan(trials=1), [CapacityChanged(0.0, 1), proposed(0), Started(0.0, 0, 0)])
    assert list(found.events())
    bad = journal(
        make_plan(trials=1),
        [CapacityChanged(0.0, 1), proposed(0), Started(0.0, 0, 0), Failed(1.0, 0, "preempted", "x", saved=folder)],
    )
    with pytest.raises(JournalError):
        list(bad.events())
