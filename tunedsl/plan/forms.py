"""The form of a trainable, and whether it is a class written for Ray Tune."""

from __future__ import annotations

import inspect
from typing import Any, Final

from tunedsl.plan.command import Command
from tunedsl.plan.plan import Form

_RAY_BASE: Final = ("ray.tune.trainable.trainable", "Trainable")


def form_of(trainable: Any) -> Form:
    """The form in which a trainable runs."""
    if isinstance(trainable, Command):
        return "command"
    if inspect.isclass(trainable):
        return "class"
    called = getattr(type(trainable), "__call__", None)  # noqa: B004  # of an instance that can be called
    return "generator" if any(map(inspect.isgeneratorfunction, (trainable, called))) else "function"


def is_ray_class(trainable: Any) -> bool:
    """Whether this is a subclass of `ray.tune.Trainable`, by the names of its bases; Ray is not imported."""
    return inspect.isclass(trainable) and any(
        (base.__module__, base.__name__) == _RAY_BASE for base in trainable.__mro__
    )


def ray_class_saves(cls: type) -> bool:
    """Whether a subclass of `ray.tune.Trainable` overrides both checkpoint methods."""
    return all(getattr(cls, method).__module__ != _RAY_BASE[0] for method in ("save_checkpoint", "load_checkpoint"))
