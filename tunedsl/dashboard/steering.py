"""Steers a run from the page: each action is a request in the run's inbox, with who asked and why.

What an action does is decided by the run's driver. Without one, `resume` starts the same command as a terminal would.
"""

from __future__ import annotations

import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import attrs
import msgspec

from tunedsl.base.errors import TunedslError
from tunedsl.cli.overrides import apply_overrides
from tunedsl.compiler.replanning import replan
from tunedsl.dashboard.watching import WatchedRun
from tunedsl.experiment import Experiment
from tunedsl.journal import ENDED, Address, has_driver
from tunedsl.journal.requests import RequestRefused
from tunedsl.plan import Plan
from tunedsl.plan.contents import functions_of
from tunedsl.plan.settings import EXTERNAL
from tunedsl.results.selection import find_record
from tunedsl.runs import control
from tunedsl.runs.resume_command import next_command
from tunedsl.spaces.domains import Branch
from tunedsl.spaces.layout import resolve_space
from tunedsl.web.trials import plain_text

WAIT_SECONDS: Final = 8.0
"""How long a page waits for the driver's reply."""
START_SECONDS: Final = 20.0
"""How long a page waits for a resumed driver to take the run."""
MAX_WORDS: Final = 300
MAX_NAME: Final = 60
AMENDABLE: Final = ("samples", "budget", "space", "stop", "until", "scheduler")
"""The clauses that a page can amend."""
RESUME_LOG: Final = "resume.log"


class Asked(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A request of a page.

    Attributes:
        action: one of `ACTIONS`.
        trial: the trial's number, of actions on one.
        values: the parameters of a new configuration as text, by dotted name; of a choice between spaces, the name of
            one.
        sets: amended clauses, as `samples=40` or `space.lr=uniform(0, 1)`.
        defaults: values of new parameters for earlier trials, as text, by dotted name.
        why, by: the reason, and who asks.
    """

    action: str
    trial: int | None = None
    values: dict[str, str] = {}
    sets: tuple[str, ...] = ()
    defaults: dict[str, str] = {}
    why: str = ""
    by: str = ""


def steer(run: WatchedRun, asked: Asked) -> str:
    """Carry out an action; return the driver's reply.

    Raises:
        RequestRefused: when it is not possible; the message says why.
        TunedslError: when a value is wrong.
    """
    act = ACTIONS.get(asked.action)
    if act is None:
        raise RequestRefused(f"There is no action {asked.action[:40]!r}.")
    why_not = obstacles(run, asked.trial).get(asked.action, "")
    if why_not:
        raise RequestRefused(why_not)
    return act(run, asked)


def obstacles(run: WatchedRun, trial: int | None = None) -> dict[str, str]:
    """Why each action is not possible now; empty where it is.

    Args:
        trial: the number of the trial for actions on one.
    """
    with run.reading():
        history = run.history
        plan, driven, over = history.plan, history.driven, bool(history.finish)
        record = None if trial is None else find_record(history, trial)
        engine = str(run.opened.get("engine", ""))
        next_words = next_command(history.journal, engine)
    ended = f"The run is {history.state}." if over else ""
    idle = ended or ("" if driven else f"No driver runs this experiment. Resume it first: {next_words}")
    asked = "A program asks for its trials, and decides when they run." if engine == EXTERNAL else ""
    here = "" if _is_here(run) else "The run's folder is on another machine: only its driver's machine can steer it."
    code = _needs_code(plan)
    known = "Choose a trial." if record is None else ""
    done = f"Trial {record.name} has already ended: it is {record.status}." if record and record.status in ENDED else ""
    return {
        "stop": here or ended,
        "pause": here or asked or idle,
        "resume": here or ended or asked or ("The run is in progress." if driven else "") or code,
        "add": here or ended,
        "amend": here or asked or idle,
        "stop_trial": here or known or ended or done,
        "clone": here or known or ended,
    }


def _is_here(run: WatchedRun) -> bool:
    try:
        return control.locate_driver(run.history.journal)[1].is_dir()
    except TunedslError:
        return False


def _needs_code(plan: Plan) -> str:
    if plan.data:
        return f"The run needs the objects of .data({', '.join(plan.data)}): resume it from the program that made them."
    missing = [reference.reference for _, reference in functions_of(plan) if not reference.importable]
    return f"The function {missing[0]} cannot be imported: resume the run from its program." if missing else ""


def _common(asked: Asked) -> dict[str, Any]:
    by = plain_text(asked.by).strip()[:MAX_NAME]
    who = f"{by}, by the dashboard of {control.requester()}" if by else f"{control.requester()}, by the dashboard"
    return {"wait": WAIT_SECONDS, "why": plain_text(asked.why).strip()[:MAX_WORDS], "by": who}


def _stop(run: WatchedRun, asked: Asked) -> str:
    return control.stop(run.place, **_common(asked))


def _stop_trial(run: WatchedRun, asked: Asked) -> str:
    return control.stop(run.place, asked.trial, **_common(asked))


def _pause(run: WatchedRun, asked: Asked) -> str:
    return control.pause(run.place, **_common(asked))


def _add(run: WatchedRun, asked: Asked) -> str:
    space = run.history.plan.space
    branches = {param.name for param in resolve_space(space).cube_params if isinstance(param.node, Branch)}
    chosen = sorted(f"{name}.{text.strip()}={{}}" for name, text in asked.values.items() if name in branches)
    words = [f"{name}={text}" for name, text in asked.values.items() if name not in branches]
    return control.add(run.place, control.configuration(space, [*chosen, *words]), **_common(asked))


def _clone(run: WatchedRun, asked: Asked) -> str:
    name = find_record(run.history, asked.trial if asked.trial is not None else -1).name
    why = f"a clone of trial {name}{f', {asked.why}' if asked.why else ''}"
    return _add(run, msgspec.structs.replace(asked, why=why))


def _amend(run: WatchedRun, asked: Asked) -> str:
    plan = amended(run.history.plan, asked.sets)
    defaults = {name: control.parse_value(text) for name, text in asked.defaults.items()}
    return control.amend_plan(run.place, plan, defaults=defaults, **_common(asked))


def amended(before: Plan, sets: Sequence[str]) -> Plan:
    """A plan with some clauses replaced; a limit that is not named keeps its value.

    Raises:
        TunedslError: for a clause that cannot be amended here, or a wrong value.
    """
    for text in sets:
        clause = text.partition("=")[0].partition(".")[0].strip()
        if clause not in AMENDABLE:
            raise RequestRefused(f"The page cannot amend {clause[:40]!r}.\n  help: one of {', '.join(AMENDABLE)}")
    written = apply_overrides(Experiment().with_clauses(space=before.space), sets)
    limits = written.clauses.budget
    if limits is not None:
        names = ("seconds", "trials", "iterations", "failures")
        given = {name: getattr(limits, name) for name in names if getattr(limits, name) is not None}
        written = written.with_clauses(budget=attrs.evolve(before.budget, **given))  # type: ignore[misc]  # a value
    return replan(before, written)


def _resume(run: WatchedRun, asked: Asked) -> str:
    """Starts `tunedsl resume` as a process of its own, which outlives the dashboard and writes to `RESUME_LOG`."""
    root = control.locate_driver(run.history.journal)[1]
    words = [sys.executable, "-m", "tunedsl", "resume", str(run.place), "--quiet"]
    with open(root / RESUME_LOG, "ab") as log:
        process = subprocess.Popen(
            words, stdin=subprocess.DEVNULL, stdout=log, stderr=log, cwd=_folder(run), start_new_session=True
        )
    threading.Thread(target=process.wait, daemon=True).start()  # so that no ended process remains
    path, until = run.journal().path, time.monotonic() + START_SECONDS
    while time.monotonic() < until:
        if process.poll() is not None and process.returncode:
            said = plain_text((root / RESUME_LOG).read_bytes()[-2_000:].decode("utf-8", "replace")).strip()
            raise RequestRefused(f"The run could not be resumed: {said[-600:]}")
        if has_driver(path) or process.poll() is not None:
            return "The run is resumed."
        time.sleep(0.1)
    return f"The run is being resumed; its output is in {root / RESUME_LOG}."


def _folder(run: WatchedRun) -> Path:
    """The folder from which the run's script was started, as far as the journal says it: the script's own."""
    script = run.history.journal.header.provenance.get("script")
    folder = Path(str(script)).parent if script else Path.cwd()
    return folder if folder.is_dir() and not isinstance(run.place, Address) else Path.cwd()


ACTIONS: Final[Mapping[str, Callable[[WatchedRun, Asked], str]]] = {
    "stop": _stop,
    "pause": _pause,
    "resume": _resume,
    "add": _add,
    "amend": _amend,
    "stop_trial": _stop_trial,
    "clone": _clone,
}
"""The actions by name."""
