"""A scheduler and a searcher of your own: for each a frozen spec, pure functions and one registration.

    python examples/custom_policy.py
    python -m pytest examples/custom_policy.py

The two suites at the end test the contract, then whole experiments on a simulated cluster with failing workers.
"""

from tunedsl import policy, replay, report, space, uniform
from tunedsl.testing import scheduler_suite, searcher_suite

INFINITY = float("inf")


@policy.value
class WorseThanMean:
    """Every `interval` iterations, ends a trial that is worse than the mean of the reports at that iteration."""

    interval: int = 3


def on_report(spec, state, report):
    if not abs(report.value) < INFINITY:
        return state, "continue", None  # NaN or infinite: the mean would be too
    count, mean = state.get(report.iteration, (0, report.value))
    state = {**state, report.iteration: (count + 1, mean + (report.value - mean) / (count + 1))}
    why = policy.reason("worse_than_mean", value=report.value, mean=mean, competitors=count)
    return state, "stop" if report.value < mean else "continue", why


scheduler = policy.Scheduler(
    name="worse_than_mean",
    init=lambda spec, context: {},
    on_report=on_report,
    decision_points=lambda spec: policy.Every(spec.interval),
    describe=lambda spec: f"trials below the mean end, at every {spec.interval} iterations",
    requirements=lambda spec: policy.Requirements(objective=True),
)
policy.register_scheduler(WorseThanMean, scheduler)


@policy.value
class HillClimb:
    """Proposes points near the best observed point."""

    width: float = 0.1


def init(spec, space, objectives, key):
    return {"sign": objectives[0].sign, "best": (-INFINITY, None)}


def ask(spec, state, trial, key):
    x, center = policy.uniform(key, trial), state["best"][1]
    if center is not None:
        x = min(1.0, max(0.0, center + spec.width * (2 * x - 1)))
    return {**state, trial: x}, policy.Proposal.of({"x": x})


def tell(spec, state, trial, observation):
    score = state["sign"] * observation.values[0]  # larger is better; NaN if the trial failed
    return {**state, "best": (score, state[trial])} if INFINITY > score > state["best"][0] else state


searcher = policy.Searcher(name="hill_climb", supports=policy.Supports(), init=init, ask=ask, tell=tell)
policy.register_searcher(HillClimb, searcher)


def train(config):
    for step in range(1, 10):
        report(loss=(config["x"] - 0.3) ** 2 + 1 / step)


experiment = space(x=uniform(0, 1)).trainable(train).minimize("loss").samples(30).parallel(3).order("logical").seed(1)
experiment = experiment.searcher(HillClimb(width=0.2)).scheduler(WorseThanMean(interval=3))

test_worse_than_mean = scheduler_suite(WorseThanMean(interval=3))
test_hill_climb = searcher_suite(HillClimb(width=0.2), space(x=uniform(0, 1)))

if __name__ == "__main__":
    results = experiment.run(engine="inline")
    print(f"best {results.best.config} with loss {results.best.metrics['loss']:.4f}")
    print(results.why(results.trials[-1].id))
    print(replay(results.path))
