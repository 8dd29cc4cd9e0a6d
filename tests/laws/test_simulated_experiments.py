"""Random experiments end to end on the simulated cluster; `python -m tunedsl.testing` runs more of them.

The other tests are shrunk failures that such runs have found.
"""

import pytest

from tunedsl.backends import SimulatedEngine
from tunedsl.base import codec
from tunedsl.driver.driver import Driver
from tunedsl.driver.searcher_session import SearcherSession
from tunedsl.journal import FORMAT, Header, Journal, Line, MemoryWriter
from tunedsl.journal.records import from_line, to_line
from tunedsl.schedulers import distribute_to_top, hyperband, median_stopping, pbt, resource_changing
from tunedsl.testing import Fault, Scenario
from tunedsl.testing.fuzz import ALL, FuzzTarget, fuzz
from tunedsl.testing.schedulers import holds_in_experiments
from tunedsl.testing.simulation.cluster import NO_STORAGE
from tunedsl.worker import Shipment

BATCHES, SEEDS, ASKED_SEEDS = 20, 18, 6


@pytest.mark.slow
@pytest.mark.parametrize("batch", range(BATCHES))
def test_every_law_holds_whatever_happens(batch):
    holds_in_experiments(ALL, batch * SEEDS, (batch + 1) * SEEDS)


@pytest.mark.slow
@pytest.mark.parametrize("batch", range(BATCHES))
def test_every_law_holds_for_asked_trials(batch):
    tally = fuzz(range(batch * ASKED_SEEDS, (batch + 1) * ASKED_SEEDS), FuzzTarget(asked=True), most=1)
    assert not tally.findings, str(tally.findings[0])


@pytest.mark.parametrize(
    "found",
    [
        pytest.param(
            Scenario(
                scheduler=hyperband(max_t=9),
                trials=6,
                width=1,
                stop=4,
                faults=(Fault("duplicate", 21, 0.726),),
                seed=41,
            ),
            id="a report that arrives twice was taken twice",
        ),
        pytest.param(
            Scenario(
                trials=6,
                stop=1,
                cost=0.0,
                order="arrival",
                faults=(Fault("driver_slow", 3, 0.331), Fault("late", 11, 0.045)),
                seed=160,
            ),
            id="what came with an attempt's failure was taken for the next attempt's",
        ),
        pytest.param(
            Scenario(
                scheduler=pbt(quantile_fraction=0.5, time_attr="epochs"),
                trials=2,
                stop=7,
                faults=(Fault("late", 11, 0.897),),
                seed=154,
            ),
            id="a retry held its trial up in the logical order",
        ),
        pytest.param(
            Scenario(width=1, stop=1, faults=(Fault("add_asked", 6, 0.737),), seed=3),
            id="an added trial's request stood in the place of another field",
        ),
        pytest.param(
            Scenario(trials=1, width=1, stop=1, faults=(Fault("resume_amended", 0, 0.778),), seed=34),
            id="a capacity was recorded after an amendment that left nothing to do",
        ),
        pytest.param(
            Scenario(
                scheduler=resource_changing(hyperband(max_t=9), resources=distribute_to_top(cpu=30)),
                trials=2,
                width=8,
                stop=2,
                faults=(
                    Fault("driver_killed", 8, 0.999),
                    Fault("amend_asked", 19, 0.14),
                    Fault("driver_killed", 11, 0.633),
                ),
                asked=True,
                seed=187,
            ),
            id="an outstanding trial had the checkpoint of its launch, which was deleted",
        ),
    ],
)
def test_what_the_hunt_has_found_stays_away(found):
    found.run()


def test_what_a_user_adds_is_read_back_as_it_was_written():
    desk = SearcherSession(Scenario().plan(), lambda reference: None)
    event = desk.user_trial(1.0, 10**9, {"x": 0.5, "y": 1.5}, "request-1")
    assert from_line(to_line(Line(1, e=event))[:-1], 1).e == event


def test_an_iteration_that_costs_nothing_does_not_turn_the_clock_back():
    """Floating point: `(clock + time) - time` is not always `clock`."""
    made = Scenario(
        scheduler=median_stopping(time_attr="training_iteration", grace_period=12), trials=40, width=8, order="arrival"
    )
    writer, plan = MemoryWriter(), made.plan()
    writer.header(Header(FORMAT, codec.encode(plan), plan.digest, {}))
    engine = SimulatedEngine(
        lambda config, iteration: config["x"], lambda config, iteration: iteration % 2 * config["x"]
    )
    shipment = Shipment.of(plan, {}, {}, NO_STORAGE, NO_STORAGE)
    Driver(plan, engine, writer, shipment, {}.__getitem__).run()
    seconds = [event.seconds for event in Journal(writer.lines).events()]
    assert seconds == sorted(seconds)
