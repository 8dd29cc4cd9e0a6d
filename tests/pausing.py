"""A scheduler for tests that uses every decision: pause, promote, cull, exploit, resize."""

from __future__ import annotations

from typing import Any

import immutables
import msgspec

from tunedsl.base.codec import value
from tunedsl.schedulers.contract import (
    Every,
    Exploit,
    Reason,
    Report,
    Requirements,
    Resize,
    Scheduler,
    SchedulerContext,
    register_scheduler,
)


@value
class Pausing:
    """Pauses every trial at every `period`-th iteration and resumes it when a slot is free.

    With `cull_at`, trials paused there are ended; with `exploit`, odd trials take over trial 0 at that
    iteration; with `resize`, trials ask for half a core there.
    """

    period: int = 1
    cull_at: int | None = None
    exploit: int | None = None
    resize: int | None = None


class State(msgspec.Struct, frozen=True):
    waiting: tuple[int, ...] = ()
    doomed: tuple[int, ...] = ()
    configs: immutables.Map[int, Any] = immutables.Map()


def init(spec: Pausing, setting: SchedulerContext) -> State:
    return State()


def on_add(spec: Pausing, state: State, trial: int, config: dict[str, Any]) -> State:
    return msgspec.structs.replace(state, configs=state.configs.set(trial, config))


def on_report(spec: Pausing, state: State, report: Report) -> Any:
    note = Reason("pausing", {"iteration": report.iteration})
    if spec.exploit == report.iteration and report.trial % 2:
        return state, Exploit(0, {**state.configs[0], "from": "0"}), note
    if spec.resize == report.iteration:
        return state, Resize({"cpu": 0.5}), note
    if spec.cull_at == report.iteration:
        return msgspec.structs.replace(state, doomed=(*state.doomed, report.trial)), "pause", note
    return msgspec.structs.replace(state, waiting=(*state.waiting, report.trial)), "pause", note


def cull(spec: Pausing, state: State) -> Any:
    doomed = tuple((trial, Reason("pausing", {"culled": 1})) for trial in state.doomed)
    return msgspec.structs.replace(state, doomed=()), doomed


def promote(spec: Pausing, state: State) -> Any:
    if not state.waiting:
        return state, None
    trial, *rest = state.waiting
    return msgspec.structs.replace(state, waiting=tuple(rest)), (trial, Reason("pausing", {"first": 1}))


def on_leave(spec: Pausing, state: State, trial: int) -> State:
    return msgspec.structs.replace(state, waiting=tuple(other for other in state.waiting if other != trial))


register_scheduler(
    Pausing,
    Scheduler(
        "pausing",
        init,
        on_report,
        lambda spec: Every(spec.period),
        lambda spec: "pauses",
        on_add=on_add,
        on_remove=on_leave,
        cull=cull,
        promote=promote,
        requirements=lambda spec: Requirements(checkpoints=True, pause=True),
    ),
)
