"""What carries a plan out: the driver, the port, and the engines `inline`, `simulated` and `ray`.

Policy lives elsewhere: nothing here chooses a configuration or ends a trial. Names are imported when
they are first used: a worker, which comes through here too, needs few of them.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tunedsl.engine import control
    from tunedsl.engine.forecast import Forecast, dry_run
    from tunedsl.engine.inline import InlineEngine
    from tunedsl.engine.port import Engine
    from tunedsl.engine.runs import resume, resume_experiment, run
    from tunedsl.engine.simulated import Recorded, SimulatedEngine

__all__ = [
    "Engine",
    "Forecast",
    "InlineEngine",
    "Recorded",
    "SimulatedEngine",
    "control",
    "dry_run",
    "resume",
    "resume_experiment",
    "run",
]

_HOMES = {
    "Engine": "port",
    "Forecast": "forecast",
    "InlineEngine": "inline",
    "Recorded": "simulated",
    "SimulatedEngine": "simulated",
    "dry_run": "forecast",
    "resume": "runs",
    "resume_experiment": "runs",
    "run": "runs",
}


def __getattr__(name: str) -> Any:
    if name == "control":
        return import_module(f"{__name__}.control")
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
