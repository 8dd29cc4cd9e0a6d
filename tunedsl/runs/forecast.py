"""A dry run: the same plan, kernel and journal on the simulated engine, and what came of it."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

import attrs

from tunedsl.backends.simulated import Cost, Curve, CurveModel, SimulatedEngine
from tunedsl.base import codec
from tunedsl.base.references import referenced_objects
from tunedsl.driver.driver import Driver
from tunedsl.journal import FORMAT, Header, Journal, MemoryWriter
from tunedsl.kernel import Ended, Reported, RunState, Saved, Started, Stop
from tunedsl.plan import Plan
from tunedsl.plan.explain import seed_text
from tunedsl.schedulers.contract import At
from tunedsl.worker import Shipment

if TYPE_CHECKING:
    from tunedsl.experiment import Experiment


@attrs.frozen
class Span:
    """When a trial ran on the virtual clock, in seconds, and how far it came."""

    trial: int
    start: float
    end: float
    iterations: int


@attrs.frozen(repr=False)
class Forecast:
    """What a plan will do, as far as can be known before it is run.

    Attributes:
        trials: how many trials there are.
        iterations: how many iterations they make together.
        rungs: for each iteration at which trials are compared or ended, how many came that far, ascending.
        seconds: time from start to end at this width.
        width: trials at a time.
        checkpoints: how many are written by the plan's policy.
        timeline: one span a trial, in order of their start.
        assumptions: what was made up for lack of knowledge.
        journal: the simulated run's journal.
    """

    plan: Plan
    trials: int
    iterations: int
    rungs: tuple[tuple[int, int], ...]
    seconds: float
    width: int
    checkpoints: int
    timeline: tuple[Span, ...]
    assumptions: tuple[str, ...]
    journal: Journal

    def __str__(self) -> str:
        lines = [
            f"{self.plan.name}: {self.trials} trials, {self.iterations} iterations, {self.width} at a time",
            f"time: {_duration(self.seconds)} on the virtual clock",
        ]
        if len(self.rungs) > 1:
            lines += ["iteration  trials that reach it"]
            lines += [f"{iteration:9d}  {count}" for iteration, count in self.rungs]
        if self.checkpoints:
            lines.append(f"checkpoints: {self.checkpoints} written; their size is not known before a run")
        lines += [f"assumed: {text}" for text in self.assumptions]
        if self.plan.drawn_seed:
            lines.append(f"seed: {seed_text(self.plan)}")
        return "\n".join(lines)

    __repr__ = __str__


def dry_run(
    experiment: Experiment,
    curve: Curve | CurveModel | None = None,
    cost: float | Cost | None = None,
    iterations: int | None = None,
    workers: int | None = None,
) -> Forecast:
    """Runs the plan on a virtual clock, with no training code.

    Args:
        curve: `curve(config, iteration)` gives the objective or a mapping of metrics, or None
            where the trial returns; or `Recorded(path)` of an earlier run. Made up without one.
        cost: seconds an iteration takes, or `cost(config, iteration)`; one second without it.
        iterations: reports of a trial that no rule ends.
        workers: trials at a time, where the plan has no `parallel(n)`.

    Raises:
        CompileError: with every error of the experiment.
    """
    plan = experiment.compile(engine="simulated")
    engine = SimulatedEngine(curve, 1.0 if cost is None else cost, iterations, workers)
    writer = MemoryWriter()
    writer.header(Header(FORMAT, codec.encode(plan), plan.digest, {}))
    objects = referenced_objects(plan)
    shipment = Shipment.of(plan, {}, objects, ".")
    driver = Driver(plan, engine, writer, shipment, objects.__getitem__)
    driver.run()
    return _forecast(plan, Journal(writer.lines), driver.state, tuple(engine.assumptions))


def _forecast(plan: Plan, journal: Journal, state: RunState, assumptions: tuple[str, ...]) -> Forecast:
    starts: dict[int, float] = {}
    ends: dict[int, float] = {}
    saved = 0
    for line in journal.records():
        event = line.e
        if isinstance(event, Started):
            starts.setdefault(event.trial, event.seconds)
        elif isinstance(event, Ended) or (isinstance(event, Reported) and event.ends):
            ends[event.trial] = event.seconds
        saved += isinstance(event, Saved) or (isinstance(event, Reported) and event.saved != "")
        for command in line.c:
            if isinstance(command, Stop) and event is not None:
                ends[command.trial] = event.seconds
    timeline = tuple(
        Span(trial, start, ends.get(trial, state.seconds), state.trials[trial].iteration)
        for trial, start in sorted(starts.items(), key=lambda item: (item[1], item[0]))
    )
    stops = Counter(span.iterations for span in timeline)
    reached = len(timeline)
    compared = plan.decision_points.iterations if isinstance(plan.decision_points, At) else ()
    rungs = []
    for iteration in sorted({*stops, *compared}):
        rungs.append((iteration, reached))
        reached -= stops[iteration]
    return Forecast(
        plan=plan,
        trials=len(state.trials),
        iterations=state.iterations,
        rungs=tuple(rungs),
        seconds=state.seconds,
        width=state.width,
        checkpoints=saved,
        timeline=timeline,
        assumptions=assumptions,
        journal=journal,
    )


def _duration(seconds: float) -> str:
    hours, rest = divmod(round(seconds), 3600)
    minutes, rest = divmod(rest, 60)
    return f"{hours} h {minutes:02d} min" if hours else f"{minutes} min {rest:02d} s" if minutes else f"{seconds:g} s"
