"""A scheduler and a searcher of your own, in your own file: a frozen spec, pure functions, one registration each.

    python examples/custom_policy.py
    python -m pytest examples/custom_policy.py

The compiler checks them, the journal proves them, and they run on every engine like the ones of the package. The two
lines at the end are their tests: the contract, and whole experiments on a simulated cluster in which workers and
drivers die and messages come late, each event held to every law.
"""

import math

from tunedsl import replay, report, space, uniform
from tunedsl.base.codec import value
from tunedsl.base.keys import uniform as draw
from tunedsl.schedulers import contract as schedule
from tunedsl.searchers import contract as search
from tunedsl.testing import scheduler_suite, searcher_suite


@value
class WorseThanMean:
    """Every `interval` iterations, ends a trial that is worse than the mean of all reports made there."""

    interval: int = 3


def begin(spec, setting):
    return ()  # pairs of iteration and value


def on_report(spec, state, report):
    if not math.isfinite(report.value):
        return state, "continue", None  # a NaN would make the mean NaN, and then nothing is below it
    before = [seen for iteration, seen in state if iteration == report.iteration]
    state = (*state, (report.iteration, report.value))
    if not before:
        return state, "continue", None
    mean = sum(before) / len(before)
    note = schedule.reason("worse_than_mean", value=report.value, mean=mean, competitors=len(before))
    return state, "stop" if report.value < mean else "continue", note


schedule.register_scheduler(
    WorseThanMean,
    schedule.Scheduler(
        name="worse_than_mean",
        init=begin,
        on_report=on_report,
        decision_points=lambda spec: schedule.Every(spec.interval),
        describe=lambda spec: f"trials below the mean end, at every {spec.interval} iterations",
        requirements=lambda spec: schedule.Requirements(objective=True),
    ),
)


@value
class HillClimb:
    """Proposes a point near the best one told so far."""

    width: float = 0.1


def start(spec, space, objectives, key):
    return {"sign": objectives[0].sign, "asked": {}, "best": None}


def ask(spec, state, trial, key):
    x = draw(key, trial)
    if state["best"] is not None:
        x = min(1.0, max(0.0, state["best"][1] + spec.width * (2 * x - 1)))
    return {**state, "asked": {**state["asked"], trial: x}}, search.Proposal.of({"x": x})


def tell(spec, state, trial, observation):
    found = (state["sign"] * observation.values[0], state["asked"][trial])
    if not math.isfinite(found[0]):
        return state  # nothing is greater than a NaN: as the best, it would stay the best
    better = state["best"] is None or found > state["best"]
    return {**state, "best": found} if better else state


search.register_searcher(
    HillClimb,
    search.Searcher(
        name="hill_climb",
        supports=search.Supports(
            conditions=False,
            log=False,
            quantised=False,
            integer=False,
            categorical=False,
            constraints=False,
            objectives=1,
            intermediate=False,
            pending=True,
        ),
        init=start,
        ask=ask,
        tell=tell,
    ),
)


def train(config):
    for step in range(1, 10):
        report(loss=(config["x"] - 0.3) ** 2 + 1 / step)


experiment = (
    space(x=uniform(0, 1))
    .trainable(train)
    .minimize("loss")
    .searcher(HillClimb(width=0.2))
    .scheduler(WorseThanMean(interval=3))
    .samples(30)
    .parallel(3)
    .order("logical")
    .seed(1)
)

test_worse_than_mean = scheduler_suite(WorseThanMean(interval=3))
test_hill_climb = searcher_suite(HillClimb(width=0.2), space(x=uniform(0, 1)))


if __name__ == "__main__":
    results = experiment.run(engine="inline")
    print(f"best {results.best.config} with loss {results.best.metrics['loss']:.4f}")
    print(results.why(results.trials[-1].id))
    print(replay(results.path))
