"""Dry runs: a plan on the simulated engine. No training code runs."""

from __future__ import annotations

from pathlib import Path

from tunedsl.backends.simulated import Cost, Curve, CurveModel, SimulatedEngine
from tunedsl.base import codec
from tunedsl.base.arguments import check_arguments
from tunedsl.base.errors import wrong_value
from tunedsl.base.references import referenced_objects
from tunedsl.driver.driver import Driver
from tunedsl.journal import FORMAT, Header, Journal, MemoryWriter
from tunedsl.plan.definition import Definition
from tunedsl.results import load
from tunedsl.runs.compiling import compile_plan
from tunedsl.runs.forecast import Forecast, summarize
from tunedsl.runs.projection import dry_runs_like
from tunedsl.worker import Shipment


@check_arguments
def dry_run(
    definition: Definition,
    curve: Curve | CurveModel | None = None,
    cost: float | Cost | None = None,
    iterations: int | None = None,
    workers: int | None = None,
    like: str | Path | None = None,
    runs: int = 20,
) -> Forecast:
    """Run the plan on a virtual clock, without training code.

    Args:
        curve: `curve(config, iteration)` gives the objective or a mapping of metrics, or None
            where the trial returns; or `Recorded(path)` of an earlier run. By default it is invented.
        cost: seconds per iteration, or `cost(config, iteration)`; by default one second.
        iterations: how many reports a trial makes that no rule stops.
        workers: how many trials run concurrently, when the plan has no `parallel(n)`.
        like: the path of an earlier run, such as of a few pilot trials. Curves, durations and failures are like its
            trials', instead of `curve` and `cost`: each trial follows a random one of them, and where that ends, the
            changes of a near one that went further. The forecast has the `ranges` of several dry runs.
        runs: the number of dry runs with `like`.

    Raises:
        ArgumentError: for `like` together with `curve`, `cost` or `iterations`.
        CompileError: with every error of the experiment.
    """
    plan = compile_plan(definition, "simulated")
    if like is not None:
        if (curve, cost, iterations) != (None, None, None):
            raise wrong_value("dry_run.like", like, "given without curve, cost and iterations")
        return dry_runs_like(plan, load(like), runs, workers)
    engine = SimulatedEngine(curve, 1.0 if cost is None else cost, iterations, workers)
    writer = MemoryWriter()
    writer.header(Header(FORMAT, codec.encode(plan), plan.digest, {}))
    objects = referenced_objects(plan)
    shipment = Shipment.of(plan, {}, objects, ".")
    driver = Driver(plan, engine, writer, shipment, objects.__getitem__)
    driver.run()
    return summarize(plan, Journal(writer.lines), driver.state, tuple(engine.assumptions))
