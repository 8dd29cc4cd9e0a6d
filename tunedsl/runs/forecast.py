"""A dry run: the same plan, kernel and journal on the simulated engine, and what came of it."""

from __future__ import annotations

from collections import Counter

import attrs

from tunedsl.backends.simulated import Cost, Curve, CurveModel, SimulatedEngine
from tunedsl.base import codec
from tunedsl.base.arguments import check_arguments
from tunedsl.base.references import referenced_objects
from tunedsl.driver.driver import Driver
from tunedsl.journal import ENDED, FORMAT, Header, Journal, MemoryWriter, TrialStatuses
from tunedsl.kernel import Reported, RunState, Saved
from tunedsl.plan import Plan
from tunedsl.plan.definition import Definition
from tunedsl.plan.explain import seed_text
from tunedsl.runs.compiling import compile_plan
from tunedsl.schedulers.contract import At
from tunedsl.worker import Shipment


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
        trials: how many trials start.
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


@check_arguments
def dry_run(
    definition: Definition,
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
    plan = compile_plan(definition, "simulated")
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
    saved, statuses = 0, TrialStatuses()
    for line in journal.records():
        event = line.e
        if event is None:
            continue
        saved += isinstance(event, Saved) or (isinstance(event, Reported) and event.saved != "")
        for change in statuses.take(line):
            if change.status == "running":
                starts.setdefault(change.trial, event.seconds)
            elif change.status in ENDED:
                ends[change.trial] = event.seconds
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
        trials=len(starts),
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
