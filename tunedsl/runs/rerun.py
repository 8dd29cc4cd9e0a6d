"""Runs one trial of a run again, in a new run with the same configuration, seed, number, resources, data and code."""

from __future__ import annotations

import sys
from collections.abc import Iterable
from typing import Any

import attrs

from tunedsl.backends.protocol import Engine
from tunedsl.base.errors import NoResult, TunedslError, wrong_value
from tunedsl.driver.assignments import allotted
from tunedsl.driver.driver import Listener
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
    """Run a trial again from its start, in a new folder next to the experiment's runs.

    A trainable whose random numbers all depend on `trial().seed` reports the same values. A trial that was stopped (by
    a scheduler, a budget or a user) stops after the same number of reports.

    Args:
        trial: a trial of some results.
        definition: the trial's experiment; without it the trainable is imported by the journal's reference.
        engine, address, quiet, listeners: as for `run`.

    Returns:
        The new trial, with the same `number`, `id` and `seed`.

    Raises:
        NoResult: when the trial continued from another trial's weights, so that one run cannot reproduce it.
        TunedslError: without the experiment, when the trial needs objects of `.data(...)`.
    """
    may_run()
    if not isinstance(trial, TrialResult):
        hint = "take one of results.trials, or call results.rerun(17) with a number"
        raise wrong_value("rerun.trial", trial, "a trial of results", hint)
    chosen = chosen_engine(engine, address)
    before, record = trial.results.plan, trial.results.reading.records[trial.number]
    if definition is None:
        plan, home = before, Definition().with_clauses(store=str(trial.results.path.parent))
        if plan.data:
            raise TunedslError(
                f"Trial {trial.id} used .data({', '.join(plan.data)}), whose objects are not in the journal.\n"
                f"  help: experiment.rerun(results[{trial.number}])"
            )
    else:
        plan, home = compile_for_run(definition, before, compile_plan(definition, chosen.name))[0], definition
        changes = diff(before, plan)
        if changes and not quiet:
            print(f"rerun of trial {trial.id} with an experiment that has changed since:\n{changes}", file=sys.stderr)
    if len(record.configs) > 1:
        times = len(record.configs) - 1
        raise NoResult(
            f"Trial {trial.id} continued from another trial's weights {times} time{'' if times == 1 else 's'}, "
            "so a run of one trial cannot reproduce it.\n"
            "  help: to train with its schedule, "
            f"experiment.samples(1).scheduler(pbt_replay(results.pbt_policy({trial.number}))).run()"
        )
    first = UserTrialAdded(0.0, record.number, record.config, record.name, request="rerun")
    return begin(_plan_of(record, plan), home, chosen, quiet, listeners, (first,)).trials[0]


def _plan_of(record: TrialHistory, plan: Plan) -> Plan:
    """The plan of a run with only this trial: no proposals, and a scheduler that stops nothing."""
    stop = plan.stop
    if record.status not in ("completed", "failed") and record.iterations:
        limit = iteration(record.iterations)
        stop = limit if stop is None else limit | stop
    amounts = record.resources
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
        "resources": plan.resources if amounts is None else allotted(tuple(sorted(amounts.items()))),
        "naming": None,
        "definition": None,
    }
    changed: Plan = attrs.evolve(plan, **changes)  # type: ignore[misc]  # `value` makes attrs classes
    return changed
