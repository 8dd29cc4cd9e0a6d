"""One trial of a run again: the same configuration, seed, number, resources, data and code, in a run of its own."""

from __future__ import annotations

import sys
from collections.abc import Iterable
from typing import Any

import attrs

from tunedsl.backends.protocol import Engine
from tunedsl.base.errors import ArgumentError, NoResult, TunedslError
from tunedsl.driver.driver import Listener, allotted
from tunedsl.kernel import UserTrialAdded
from tunedsl.plan import Plan, diff
from tunedsl.plan.definition import Definition
from tunedsl.results.trial import TrialResult
from tunedsl.results.trial_history import TrialHistory
from tunedsl.runs.amendments import compile_for_run
from tunedsl.runs.compiling import compile_plan
from tunedsl.runs.runs import begin, chosen_engine, may_run
from tunedsl.schedulers import fifo
from tunedsl.schedulers.contract import scheduler_of
from tunedsl.searchers import random_search
from tunedsl.stopping import Budget, iteration


def rerun(
    trial: TrialResult,
    definition: Definition | None = None,
    engine: str | Engine = "inline",
    *,
    address: str | None = None,
    quiet: bool = False,
    listeners: Iterable[Listener] = (),
) -> TrialResult:
    """Runs a trial again, from its beginning, in a new folder beside the experiment's runs.

    A trainable that draws all that it draws from `trial().seed`, or from the generators that are seeded by it, reports
    the same. A trial that something else ended (its scheduler, a budget, a user) ends after as many reports.

    Args:
        trial: of the results of `experiment`.
        definition: the experiment that the trial is of; without it the trainable is imported as the journal names it.
        engine, address, quiet, listeners: as for `run`.

    Returns:
        The trial that ran now; its `number`, `id` and `seed` are the same.

    Raises:
        NoResult: for a trial that went on from another one's weights: no run from the beginning gives those.
        TunedslError: without the experiment, where the trial needs objects of `.data(...)`.
    """
    may_run()
    if not isinstance(trial, TrialResult):
        hint = "results.trials has them; results.rerun(17) takes a number"
        raise ArgumentError("E003", "rerun.trial", repr(trial), "a trial of results", hint)
    chosen = chosen_engine(engine, address)
    before, record = trial.results.plan, trial.results.reading.records[trial.number]
    if definition is None:
        plan, home = before, Definition().with_clauses(store=str(trial.results.path.parent))
        if plan.data:
            raise TunedslError(
                f"trial {trial.id} was run with .data({', '.join(plan.data)}), whose objects no journal holds: "
                f"rerun it by experiment.rerun(results[{trial.number}])"
            )
    else:
        plan, home = compile_for_run(definition, before, compile_plan(definition, chosen.name))[0], definition
        changes = diff(before, plan)
        if changes and not quiet:
            print(f"rerun of trial {trial.id} by an experiment that was changed since:\n{changes}", file=sys.stderr)
    if len(record.configs) > 1:
        times = len(record.configs) - 1
        raise NoResult(
            f"trial {trial.id} went on from another trial's weights, with a changed configuration, {times} "
            f"time{'' if times == 1 else 's'}: no run of one trial from its beginning is the same. To train along its "
            f"whole schedule: experiment.samples(1).scheduler(pbt_replay(results.pbt_policy({trial.number}))).run()"
        )
    first = UserTrialAdded(0.0, record.number, record.config, record.name, request="rerun")
    return begin(_plan_of(record, plan), home, chosen, quiet, listeners, (first,)).trials[0]


def _plan_of(record: TrialHistory, plan: Plan) -> Plan:
    """The plan of a run that has only this trial: nothing is proposed, and nobody decides about it."""
    stop = plan.stop
    if record.status not in ("completed", "failed") and record.iterations:
        limit = iteration(record.iterations)
        stop = limit if stop is None else limit | stop
    given = record.resources
    changes: dict[str, Any] = {
        "name": f"{plan.name}-{record.name}",
        "searcher": random_search(),
        "scheduler": fifo(),
        "decision_points": scheduler_of(fifo()).decision_points(fifo()),
        "stop": stop,
        "budget": Budget(trials=0),
        "parallel": 1,
        "order": "arrival",
        "samples": 1,
        "trials": 1,
        "resources": plan.resources if given is None else allotted(tuple(sorted(given.items()))),
        "naming": None,
        "definition": None,
    }
    changed: Plan = attrs.evolve(plan, **changes)  # type: ignore[misc]  # `value` makes attrs classes
    return changed
