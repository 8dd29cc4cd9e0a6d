"""Journals for tests of plots and reports, made without a kernel so that ten thousand trials are quick."""

from __future__ import annotations

import math
from typing import Any

from tests.plans import make_plan
from tunedsl.base import codec
from tunedsl.base.keys import generator
from tunedsl.journal import FORMAT, Header, Journal, MemoryWriter
from tunedsl.kernel import (
    CapacityChanged,
    Command,
    Continue,
    CopyCheckpoint,
    Ended,
    Event,
    Failed,
    Finish,
    Launch,
    Pause,
    Proposed,
    Reported,
    Started,
    Stop,
)
from tunedsl.results import Results
from tunedsl.schedulers.contract import At, reason
from tunedsl.spaces import Space, choice, loguniform, randint, uniform
from tunedsl.spaces.expressions import Ref

HOSTILE = "</script><img src=http://example.com/x onerror=alert(1)><b>%{x}"
"""What somebody may call a parameter, an option, a worker or an error."""

RUNGS = (1, 3, 9)


def experiment(trials: int, width: int = 8, failing: float = 0.05, **changes: Any) -> Results:
    """Trials as under ASHA: a third continues at each rung and some fail; all names are hostile."""
    space = Space.of(
        {
            "lr": loguniform(1e-5, 1e-1),
            "layers": randint(1, 9),
            "optimizer": choice(["sgd", "adam", HOSTILE]),
            "momentum": uniform(0, 1).when(Ref("optimizer") == "sgd"),
            HOSTILE: uniform(0, 1),
            "fixed": 3,
        }
    )
    plan = make_plan(trials=trials, space=space, parallel=width, decision_points=At(RUNGS), **changes)
    rng, free, events = generator(trials), [0.0] * width, []
    for number in range(trials):
        worker = min(range(width), key=free.__getitem__)
        at = free[worker]
        config = {
            "lr": float(10 ** rng.uniform(-5, -1)),
            "layers": int(rng.integers(1, 9)),
            "optimizer": ["sgd", "adam", HOSTILE][int(rng.integers(3))],
            HOSTILE: float(rng.uniform()),
            "fixed": 3,
        }
        if config["optimizer"] == "sgd":
            config["momentum"] = float(rng.uniform())
        loss = (math.log10(config["lr"]) + 3) ** 2 + 0.05 * config["layers"] + 0.1 * config.get("momentum", 1.0)
        place = rng.uniform()
        last = 1 if place > 1 / 3 else 3 if place > 1 / 9 else 9
        rows = tuple((loss + 1 / step,) for step in range(1, last + 1))
        free[worker] = at + last + 0.5
        events += [
            (at, 0, Proposed(at, number, config, f"{number:05d}"), (Launch(number, 0),)),
            (at, 1, Started(at, number, 0, f"node {worker} {HOSTILE}"), ()),
        ]
        end = at + last
        times = tuple(float(step) for step in range(1, last + 1))
        report = Reported(end, number, 1, ("loss",), rows, times, waits=last < 9)
        if rng.uniform() < failing:
            trace = f"Traceback (most recent call last):\n  train.py, line {number % 2}\nValueError: {HOSTILE}\n"
            events += [
                (end, 2, report, ()),
                (end, 3, Failed(end, number, "crash", f"ValueError: {HOSTILE}", trace), ()),
            ]
        elif last < 9:
            events.append((end, 2, report, (Stop(number, 0, reason("asha", value=-loss, cut=-1.0)),)))
        else:
            events += [(end, 2, report, ()), (end, 3, Ended(end, number, last), ())]
    events.sort(key=lambda item: item[:2])
    until = max(free)
    content = [(CapacityChanged(0.0, width), ()), *(item[2:] for item in events)]
    return Results(_journal(plan, content, until))


def population(members: int, rounds: int = 4) -> Results:
    """Population based training: after each round the worst continues from the best with another rate."""
    plan = make_plan(trials=members, space=Space.of({"rate": loguniform(1e-4, 1), "kind": choice(["a", "b"])}))
    rng = generator(members)
    configs: list[dict[str, Any]] = [{"rate": float(10 ** rng.uniform(-4, 0)), "kind": "a"} for _ in range(members)]
    content: list[tuple[Event, tuple[Command, ...]]] = [(CapacityChanged(0.0, members), ())]
    for number, config in enumerate(configs):
        content.append((Proposed(0.0, number, config, f"{number:05d}"), (Launch(number, 0),)))
        content.append((Started(0.0, number, 0, f"worker {number}"), ()))
    attempts = [0] * members
    for turn in range(1, rounds + 1):
        for number in range(members):
            at, value = float(turn), abs(math.log10(configs[number]["rate"]) + 2) / turn
            commands: tuple[Command, ...] = (Continue(number, turn, reason("pbt", value=-value)),)
            if number == members - 1 and turn < rounds:
                configs[number] = {"rate": configs[0]["rate"] * 1.2, "kind": "b"}
                attempts[number] += 1
                commands = (
                    Pause(number, attempts[number] - 1, reason("pbt", value=-value)),
                    CopyCheckpoint(number, 0, configs[number]),
                    Launch(number, attempts[number], turn, turn),
                )
            saved = f"trials/{number:05d}/checkpoints/{turn}"
            report = Reported(at, number, turn, ("loss",), ((value,),), (at,), waits=True, saved=saved)
            content.append((report, commands))
            if len(commands) > 1:
                content.append((Started(at, number, attempts[number], f"worker {number}"), ()))
    content += [(Ended(float(rounds), number, rounds), ()) for number in range(members)]
    return Results(_journal(plan, content, float(rounds)))


def _journal(plan: Any, content: list[Any], until: float) -> Journal:
    writer = MemoryWriter()
    writer.header(Header(FORMAT, codec.encode(plan), plan.digest, {"script": HOSTILE}))
    *most, (event, commands) = content
    for each, given in most:
        writer.event(each, list(given))
    writer.event(event, [*commands, Finish("all trials have ended")])
    writer.flush()
    return Journal(writer.lines)
