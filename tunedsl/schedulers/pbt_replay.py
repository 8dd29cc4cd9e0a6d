"""Replay of PBT: trains one trial with the schedule of configurations of an earlier population.

Source: `PopulationBasedTrainingReplay` of Ray Tune. The schedule is plain data; `tunedsl.results` reads it
from a journal or from a file of Ray Tune.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import msgspec

from tunedsl.base import codec
from tunedsl.base.arguments import as_int, check_arguments
from tunedsl.base.codec import value
from tunedsl.base.diagnostics import Diagnostic, shorten
from tunedsl.base.errors import wrong_value
from tunedsl.base.references import Literal, source_repr
from tunedsl.base.types import Json
from tunedsl.schedulers.contract import (
    At,
    DecisionPoints,
    DecisionResult,
    Exploit,
    Report,
    Requirements,
    Scheduler,
    SchedulerContext,
    reason,
    register_scheduler,
)
from tunedsl.spaces.domains import Domain
from tunedsl.spaces.expressions import as_literal
from tunedsl.spaces.layout import resolve_space


@value(repr=False)
class PbtReplay:
    """The settings of a replay; see `pbt_replay`.

    Attributes:
        policy: pairs of an iteration and the configuration after it.
    """

    policy: tuple[tuple[int, Literal], ...] = ()

    def __repr__(self) -> str:
        return f"pbt_replay([{', '.join(f'({at}, {source_repr(config)})' for at, config in self.policy)}])"


@check_arguments
def pbt_replay(policy: Iterable[tuple[int, Mapping[str, Any]]]) -> PbtReplay:
    """Trains one trial with a schedule of configurations: at each of its iterations, the next one applies.

    Args:
        policy: pairs of an iteration, from 0, and the complete configuration after it, as
            `results.pbt_policy(trial)` of an earlier run returns. With an entry at 0, the experiment must start with
            that configuration: `space(**policy[0][1])`.

    Returns:
        A scheduler spec. It needs a trainable with checkpoints, and one trial.

    Raises:
        ArgumentError: for anything but a schedule.

    >>> pbt_replay([(0, {"lr": 0.1}), (20, {"lr": 0.05})])
    pbt_replay([(0, {'lr': 0.1}), (20, {'lr': 0.05})])
    """
    if isinstance(policy, (str, bytes, Mapping)) or not isinstance(policy, Iterable):
        expected = "a list of pairs, as results.pbt_policy(trial) returns"
        raise wrong_value("pbt_replay.policy", policy, expected)
    return PbtReplay(tuple(_as_policy_entry(f"pbt_replay.policy[{i}]", entry) for i, entry in enumerate(policy)))


def _as_policy_entry(subject: str, entry: Any) -> tuple[int, Literal]:
    if not isinstance(entry, (list, tuple)) or len(entry) != 2:
        raise wrong_value(subject, entry, "a pair of an iteration and a configuration")
    at, config = entry
    if not isinstance(config, Mapping) or not all(isinstance(name, str) for name in config):
        raise wrong_value(subject, config, "a configuration such as {'lr': 0.1}")
    return as_int(subject, at, 0), as_literal(subject, dict(config))


class PbtReplayState(msgspec.Struct, frozen=True):
    """The current configuration, as canonical data."""

    config: dict[str, Json] = {}


def init(spec: PbtReplay, context: SchedulerContext) -> PbtReplayState:
    """No configuration."""
    return PbtReplayState()


def on_add(spec: PbtReplay, state: PbtReplayState, trial: int, config: dict[str, Json]) -> PbtReplayState:
    """The trial starts with its own configuration."""
    return PbtReplayState(config)


def on_report(spec: PbtReplay, state: PbtReplayState, report: Report) -> DecisionResult:
    """Continues from the trial's own checkpoint with the next configuration of the schedule."""
    due = [config for at, config in spec.policy if at == report.iteration]
    if not due:
        return state, "continue", None
    config: dict[str, Json] = codec.encode(due[-1].object)
    names = sorted({*state.config, *config})
    changes = {
        f"config/{name}": f"{_format_value(state.config, name)} -> {_format_value(config, name)}"
        for name in names
        if state.config.get(name) != config.get(name)
    }
    entry = 1 + max(i for i, (at, _) in enumerate(spec.policy) if at == report.iteration)
    facts: dict[str, int | float | str] = {"entry": entry, "of": len(spec.policy), "iteration": report.iteration}
    return PbtReplayState(config), Exploit(report.trial, config), reason("pbt_replay", **facts, **changes)


def _format_value(config: Mapping[str, Json], name: str) -> str:
    return source_repr(codec.decode(config[name])) if name in config else "none"


def decision_points(spec: PbtReplay) -> DecisionPoints:
    """The iterations of the schedule."""
    return At(tuple(sorted({at for at, _ in spec.policy if at > 0})))


def validate(spec: PbtReplay) -> list[Diagnostic]:
    """Diagnostics of iterations that do not ascend."""
    times = [at for at, _ in spec.policy]
    if times == sorted(times):
        return []
    message = f"The iterations of pbt_replay(...) do not ascend: {shorten(', '.join(map(str, times)))}."
    return [Diagnostic("E077", "scheduler.policy", message, "sort the pairs by iteration")]


def check_compatibility(spec: PbtReplay, context: SchedulerContext) -> list[Diagnostic]:
    """Diagnostics of a schedule that starts with another configuration than the experiment."""
    if not spec.policy or spec.policy[0][0] > 0:
        return []
    first = spec.policy[0][1].object
    differ = [
        leaf.name
        for leaf in resolve_space(context.space).params
        if isinstance(leaf.node, Domain)
        or (isinstance(leaf.node, Literal) and leaf.node != Literal.of(_value_at(first, leaf.path)))
    ]
    if not differ:
        return []
    message = f"The space differs from the schedule's configuration at iteration 0: {', '.join(differ)}."
    return [Diagnostic("E077", "scheduler.policy", message, "write space(**policy[0][1])")]


def _value_at(config: Any, path: tuple[str, ...]) -> Any:
    for name in path:
        config = config.get(name) if isinstance(config, Mapping) else None
    return config


def describe(spec: PbtReplay) -> str:
    """One line: when the configuration changes."""
    times = ", ".join(str(at) for at, _ in spec.policy if at > 0)
    return f"uses the next configuration of the schedule after iterations {times}" if times else "changes nothing"


register_scheduler(
    PbtReplay,
    Scheduler(
        "pbt_replay",
        init,
        on_report,
        decision_points,
        describe,
        on_add=on_add,
        requirements=lambda spec: Requirements(checkpoints=True, searcher="any", trials=1),
        validate=validate,
        check_compatibility=check_compatibility,
    ),
)
