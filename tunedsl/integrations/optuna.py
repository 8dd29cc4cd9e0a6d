"""Conversion of Optuna studies to known results, and of experiments to Optuna studies."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

from tunedsl.base.arguments import check_arguments
from tunedsl.base.errors import ArgumentError, TunedslError
from tunedsl.base.references import source_repr
from tunedsl.base.types import Config
from tunedsl.results import Results
from tunedsl.results.warm_start import read_prior_trials
from tunedsl.searchers import KnownResult
from tunedsl.searchers.contract import ObservationStatus
from tunedsl.searchers.user_configs import as_config_literal
from tunedsl.spaces.domains import Branch, Choice, Grid, Normal, QNormal
from tunedsl.spaces.encoding import column_values
from tunedsl.spaces.layout import Layout, ResolvedParam, resolve_space
from tunedsl.spaces.unit_interval import is_discrete, step_range, value_at_step

if TYPE_CHECKING:
    from optuna.distributions import BaseDistribution
    from optuna.study import Study
    from optuna.trial import FrozenTrial

_STATUS: dict[str, ObservationStatus] = {"COMPLETE": "done", "PRUNED": "stopped", "FAIL": "failed"}


@check_arguments
def known_from_optuna(study: Study) -> list[KnownResult]:
    """Convert an Optuna study to known results, for `with_results(searcher, ...)`.

    A name with dots is a nested parameter; a name that is also the first part of others is a choice between spaces.
    A pruned trial has the last value that it reported. A trial that ended without a value is a failed result if it
    failed in Optuna; otherwise it is left out.

    Args:
        study: a study with the objectives of the experiment, in the same order.

    Returns:
        One result for each ended trial, in the order of the study.

    Example:
        >>> with_results(tpe(), known_from_optuna(study))  # doctest: +SKIP
    """
    found = (_known(trial, len(study.directions)) for trial in study.get_trials(deepcopy=False))
    return [result for result in found if result is not None]


def _known(trial: FrozenTrial, objectives: int) -> KnownResult | None:
    status = _STATUS.get(trial.state.name)
    if status is None:
        return None
    steps = sorted(trial.intermediate_values)
    told = tuple(trial.values or ())
    if not told and steps and objectives == 1:
        told = (trial.intermediate_values[steps[-1]],)
    if not told:
        if status != "failed":
            return None
        told = (math.nan,) * objectives
    return KnownResult(as_config_literal("known.results", nested(trial.params)), told, len(steps) or 1, status)


def nested(params: Mapping[str, Any]) -> Config:
    """A configuration of flat names with dots.

    >>> nested({"model": "svm", "model.svm.C": 1.0, "lr": 0.1})
    {'model': {'svm': {'C': 1.0}}, 'lr': 0.1}
    """
    made: Config = {}
    for name in sorted(params, key=lambda name: name.count(".")):
        *folders, last = name.split(".")
        place: Any = made
        for folder in folders:
            inside = place.setdefault(folder, {})
            if not isinstance(inside, dict):  # the name of the branch that was chosen
                inside = place[folder] = {inside: {}}
            place = inside
        place[last] = params[name]
    return made


@check_arguments
def to_optuna(results: Results, storage: Any = None, name: str | None = None) -> Study:
    """Convert an experiment to an Optuna study, for Optuna's dashboard, plots and importances.

    Parameters keep their names, nested ones with dots. Computed parameters and whole configurations become user
    attributes of the trials. Trials that a scheduler stopped are pruned. Trials that have not ended are left out.

    Args:
        results: the results of an experiment with objectives.
        storage: a storage of Optuna, or its address such as `sqlite:///study.db`; by default in memory.
        name: the name of a new study; by default that of the experiment's folder.

    Raises:
        TunedslError: when Optuna is not installed, or the experiment has no objective.
    """
    try:
        import optuna
    except ImportError as error:
        raise TunedslError(
            "to_optuna(...) needs Optuna, which is not installed.\n  help: pip install 'tunedsl[optuna]'"
        ) from error
    if not results.plan.objectives:
        message = "to_optuna(...) needs results of an experiment with an objective."
        raise ArgumentError("E003", "to_optuna.results", message, 'add .minimize("loss") to the experiment')
    study = optuna.create_study(
        directions=["minimize" if goal.mode == "min" else "maximize" for goal in results.plan.objectives],
        study_name=name or results.path.name,
        storage=storage,
    )
    study.add_trials(_trials(results))
    return study


def _trials(results: Results) -> Iterable[FrozenTrial]:
    from optuna.trial import TrialState, create_trial

    states = {"done": TrialState.COMPLETE, "stopped": TrialState.PRUNED, "failed": TrialState.FAIL}
    goals = [goal.metric for goal in results.plan.objectives]
    layout = resolve_space(results.plan.space)
    pasts = list(read_prior_trials(str(results.path)))
    ranges = {id(leaf): _distribution(leaf, layout, [past.config for past in pasts]) for leaf in layout.cube_params}
    for past, trial in zip(pasts, results.trials, strict=True):
        state = states.get(past.status)
        if state is None:
            continue
        held = list(zip(layout.cube_params, column_values(layout, past.config), strict=True))
        told = [float(past.metrics.get(goal, math.nan)) for goal in goals]
        if state == TrialState.COMPLETE and not all(map(math.isfinite, told)):
            state = TrialState.FAIL  # Optuna requires a number for complete trials
        curve = trial.curve
        steps = dict(zip(curve["training_iteration"], curve[goals[0]], strict=True)) if goals[0] in curve else {}
        yield create_trial(
            state=state,
            values=told if state == TrialState.COMPLETE else None,
            params={leaf.name: _param(leaf, item) for leaf, found in held for item in found},
            distributions={leaf.name: ranges[id(leaf)] for leaf, found in held if found},
            intermediate_values={int(step): float(value) for step, value in steps.items()} if len(goals) == 1 else {},
            user_attrs={"trial": trial.id, "config": source_repr(past.config)},
        )


def _param(leaf: ResolvedParam, item: Any) -> Any:
    return item if not isinstance(leaf.node, (Choice, Grid)) else _category(item)


def _category(item: Any) -> Any:
    """A category as Optuna stores it: types that Optuna does not accept become text."""
    return item if item is None or isinstance(item, (bool, int, float, str)) else source_repr(item)


def _distribution(leaf: ResolvedParam, layout: Layout, configs: list[Config]) -> BaseDistribution:
    from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution

    node = leaf.node
    if isinstance(node, Branch):
        return CategoricalDistribution([name for name, _ in node.options])
    if isinstance(node, (Choice, Grid)):
        options = node.options if isinstance(node, Choice) else node.values
        return CategoricalDistribution(list(dict.fromkeys(_category(option.copy()) for option in options)))
    if isinstance(node, (Normal, QNormal)):  # Optuna needs bounds: the range of the drawn values
        at = layout.cube_params.index(leaf)
        drawn = [float(item) for config in configs for item in column_values(layout, config)[at]]
        return FloatDistribution(min(drawn, default=0.0), max(drawn, default=0.0))
    if not is_discrete(node):
        return FloatDistribution(float(node.low), float(node.high), log=node.log)
    first, last = step_range(node)
    low, high, step = value_at_step(node, first), value_at_step(node, last), value_at_step(node, 1)
    if isinstance(low, int):
        return IntDistribution(low, high, log=node.log, step=1 if node.log else step)
    return FloatDistribution(low, high, log=node.log, step=None if node.log else step)
