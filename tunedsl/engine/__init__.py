"""What carries a plan out: the driver, the port, and the engines `inline`, `simulated` and `ray`.

Policy lives elsewhere: nothing here chooses a configuration or ends a trial.
"""

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
    "dry_run",
    "resume",
    "resume_experiment",
    "run",
]
