"""Effects of failures: counts by kind, delays, larger memory, and crash loops."""

from __future__ import annotations

from tests.journals import journal
from tests.plans import make_plan
from tunedsl.journal import replay
from tunedsl.kernel import (
    CapacityChanged,
    Failed,
    GiveUp,
    Launch,
    Proposed,
    Reported,
    RunState,
    SetResources,
    Started,
    initial,
    step,
)
from tunedsl.plan import Plan, Resources, Retry, backoff


def failing(plan: Plan, kinds: list[str], most: dict[str, float] | None = None, **more):
    """One trial fails by these kinds, one after the other; the state, the commands of each and the events."""
    events = [CapacityChanged(0.0, 1, 0, most or {}), Proposed(0.0, 0, {"x": 0.5}, "00000")]
    events += [Failed(float(place), 0, kind, "test", **more) for place, kind in enumerate(kinds, 1)]
    state, answers = initial(plan), []
    for event in events:
        state, commands = step(plan, state, event)
        answers.append(commands)
    assert replay(journal(plan, events)).state == state
    return state, answers[2:]


def one(retry: Retry, **changes) -> Plan:
    return make_plan(trials=1, retry=retry, **changes)


def waits(answers):
    return [command.wait for commands in answers for command in commands if isinstance(command, Launch)]


def test_each_kind_has_its_own_count():
    plan = one(Retry.of(1, backoff=backoff(initial=0)))
    state, _ = failing(plan, ["crash", "timeout", "idle", "storage", "bad_report", "oom", "lost"])
    assert state.trials[0].phase == "PENDING" and state.trials[0].attempt == 7
    assert failing(plan, ["crash", "idle", "crash"])[0].trials[0].phase == "ERRORED"


def test_retries_wait_longer_each_time_up_to_a_bound():
    retry = Retry.of(crash=-1, backoff=backoff(initial=1, factor=3, maximum=20))
    state, answers = failing(one(retry), ["crash"] * 5)
    assert waits(answers) == [1, 3, 9, 20, 20]
    assert state.trials[0].not_before == 25.0
    assert waits(failing(one(Retry.of(crash=-1)), ["crash"] * 100)[1])[-1] == 60


def test_nothing_waits_for_a_lost_worker():
    assert waits(failing(one(Retry.of()), ["lost"] * 3)[1]) == [0, 0, 0]


def test_a_trial_out_of_memory_asks_for_more_up_to_what_a_node_has():
    plan = one(Retry.of(oom=4, grow=1.5), resources=Resources.of(memory=1000, cpu=2))
    state, answers = failing(plan, ["oom"] * 4, most={"memory": 2000.0})
    allotted = [command.resources for commands in answers for command in commands if isinstance(command, SetResources)]
    assert [given["memory"] for given in allotted] == [1500, 2000] and allotted[0]["cpu"] == 2
    assert state.trials[0].resources == {"cpu": 2.0, "memory": 2000.0}
    for commands in answers[:2]:
        assert isinstance(commands[0], SetResources) and isinstance(commands[1], Launch), (
            "allotted before it is launched"
        )


def test_no_other_failure_asks_for_more():
    plan = one(Retry.of(2, grow=1.5), resources=Resources.of(memory=1000))
    assert failing(plan, ["crash", "lost"])[0].trials[0].resources is None


def test_what_a_function_gave_is_known_from_the_failure():
    from tunedsl.base.references import FunctionRef

    plan = one(Retry.of(oom=2, grow=2), resources=FunctionRef.of(test_each_kind_has_its_own_count))
    assert failing(plan, ["oom"], resources={"cpu": 1.0, "memory": 8.0})[0].trials[0].resources == {
        "cpu": 1.0,
        "memory": 16.0,
    }


def test_a_trial_that_kills_its_workers_is_given_up_and_says_why():
    state, answers = failing(one(Retry.of(lost=-1)), ["lost"] * 6)
    assert state.trials[0].phase == "ERRORED"
    (given_up, *_) = answers[-1]
    assert isinstance(given_up, GiveUp) and given_up.reason.facts == {"losses": 6, "iteration": 0, "in_a_row": 5}


def test_one_that_gets_further_each_time_is_not():
    plan = one(Retry.of(lost=-1))
    state: RunState = initial(plan)
    for event in (CapacityChanged(0.0, 1), Proposed(0.0, 0, {"x": 0.5})):
        state, _ = step(plan, state, event)
    for iteration in range(1, 30):
        attempt = state.trials[0].attempt
        for event in (
            Started(0.0, 0, attempt),
            Reported(0.0, 0, iteration, ("loss",), ((1.0,),), (1.0,)),
            Failed(0.0, 0, "lost", "preempted"),
        ):
            state, _ = step(plan, state, event)
    assert state.trials[0].phase == "PENDING"


def test_crashes_between_do_not_hide_losses():
    plan = one(Retry.of(-1, backoff=backoff(initial=0), max_consecutive=2))
    assert failing(plan, ["lost", "crash", "oom", "crash", "lost"])[0].trials[0].phase == "ERRORED"
