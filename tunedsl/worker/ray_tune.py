"""Runs unchanged training code for Ray Tune: functions that call `ray.tune.report`, and `ray.tune.Trainable` classes.

Ray Tune is loaded only where the user's code loads it: a class is recognised by its bases, a function by the names in
its code. While such a function runs, Ray Tune's variable for the session of this process is `_Bridge`, which forwards
each call to the trial of the calling thread.
"""

from __future__ import annotations

import dis
import functools
import importlib
import sys
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from types import CodeType, ModuleType
from typing import TYPE_CHECKING, Any, Final

import cloudpickle

from tunedsl.base.errors import ReportError
from tunedsl.plan.forms import ray_class_saves
from tunedsl.worker.current import current_session

if TYPE_CHECKING:
    from tunedsl.worker.session import Session

_SESSIONS: Final = "ray.train._internal.session"
_STATE: Final = "state.pkl"
"""File of the dict that `save_checkpoint` returned; only trials of the same class unpickle it."""

_lock = threading.Lock()


class RayTuneBody:
    """Adapts a `ray.tune.Trainable` to the class form.

    Its folder is the folder of the trial. A true `done` ends the trial with that row. The checkpoint stores a dict that
    `save_checkpoint` returns.
    """

    def __init__(self, cls: type, session: Session) -> None:
        self._cls = cls
        self._info = session.info
        self._inner: Any = None
        self._done = False
        if ray_class_saves(cls):
            self.save, self.load = self._save, self._load

    def setup(self, config: Mapping[str, Any], **data: Any) -> None:
        cls, folder = self._cls, str(self._info.path)

        def set_up(inner: Any, config: dict[str, Any]) -> None:
            cls.setup(inner, config, **data)  # type: ignore[attr-defined]

        def set_up_logdir(inner: Any) -> None:
            inner._logdir = folder

        self._inner = type(cls.__name__, (cls,), {"setup": set_up, "_setup_logdir": set_up_logdir})(dict(config))
        self._inner._iteration = self._info.iteration

    def step(self) -> Mapping[str, Any] | None:
        if self._done:
            return None
        row = self._inner.step()
        self._inner._iteration += 1
        if not isinstance(row, Mapping):
            return row  # type: ignore[no-any-return]  # the caller reports the error
        self._done = bool(row.get("done", False))
        return {name: item for name, item in row.items() if name != "done"}

    def cleanup(self) -> None:
        if self._inner is not None:
            self._inner.stop()

    def _save(self, folder: Path) -> None:
        state = self._inner.save_checkpoint(str(folder))
        if isinstance(state, Mapping):
            (folder / _STATE).write_bytes(cloudpickle.dumps(dict(state)))

    def _load(self, folder: Path) -> None:
        state = folder / _STATE
        self._inner.load_checkpoint(cloudpickle.loads(state.read_bytes()) if state.exists() else str(folder))


@contextmanager
def ray_tune_session(trainable: Callable[..., Any]) -> Iterator[None]:
    """Forward the Ray Tune calls of a function to the trial of its thread, while the context is open."""
    if _SESSIONS not in sys.modules and not uses_ray_tune(trainable):
        yield
        return
    sessions: Any = importlib.import_module(_SESSIONS)
    with _lock:
        sessions._session = _BRIDGE
        _BRIDGE.users += 1
    try:
        yield
    finally:
        with _lock:
            _BRIDGE.users -= 1
            if not _BRIDGE.users:
                sessions._session = None


def uses_ray_tune(function: Any) -> bool:
    """Return whether a function imports Ray, or uses a global that is a module or function of Ray."""
    code, world = getattr(function, "__code__", None), getattr(function, "__globals__", {})
    return code is not None and (_imports_ray(code) or any(_of_ray(name, world) for name in _names(code)))


@functools.lru_cache(maxsize=256)
def _imports_ray(code: CodeType) -> bool:
    """Return whether a function, or one inside it, imports Ray Tune."""
    here = (step.argval for step in dis.get_instructions(code) if step.opname == "IMPORT_NAME")
    if any(name == "ray" or name.startswith(("ray.tune", "ray.train", "ray.air")) for name in here):
        return True
    return any(_imports_ray(item) for item in code.co_consts if isinstance(item, CodeType))


def _of_ray(name: str, world: Mapping[str, Any]) -> bool:
    found = world.get(name)
    module = found.__name__ if isinstance(found, ModuleType) else getattr(found, "__module__", None)
    return isinstance(module, str) and (module == "ray" or module.startswith(("ray.tune", "ray.train", "ray.air")))


def _names(code: CodeType) -> Iterator[str]:
    yield from code.co_names
    for item in code.co_consts:
        if isinstance(item, CodeType):
            yield from _names(item)


class _Bridge:
    """Replaces the session that the functions of Ray Tune call."""

    world_rank = None
    """None marks a session of Ray Tune, as opposed to distributed training."""

    def __init__(self) -> None:
        self.users = 0

    def report(self, metrics: Mapping[str, Any], checkpoint: Any = None) -> None:
        session = current_session("ray.tune.report()")
        if not isinstance(metrics, Mapping):
            raise ReportError(f"ray.tune.report() takes a dict of metrics, not a {type(metrics).__name__}.")
        if checkpoint is None:
            session.report(metrics)
            return
        with checkpoint.as_directory() as folder:
            session.report(metrics, folder)

    @property
    def loaded_checkpoint(self) -> Any:
        folder = current_session("ray.tune.get_checkpoint()").info.checkpoint
        if folder is None:
            return None
        return importlib.import_module("ray.tune").Checkpoint.from_directory(str(folder))

    @property
    def experiment_name(self) -> str:
        return Path(current_session("ray.tune.get_context()").shipment.root).name

    run_id = experiment_name

    @property
    def trial_id(self) -> str:
        return current_session("ray.tune.get_context()").info.id

    trial_name = trial_id

    @property
    def trial_resources(self) -> Any:
        amounts = dict(current_session("ray.tune.get_context()").info.resources)
        named = {"CPU": amounts.pop("cpu", 0.0), "GPU": amounts.pop("gpu", 0.0), **amounts}
        return importlib.import_module("ray.tune").PlacementGroupFactory(
            [{name: amount for name, amount in named.items() if amount}]
        )

    @property
    def trial_dir(self) -> str:
        return str(current_session("ray.tune.get_context()").info.path)


_BRIDGE: Final = _Bridge()
