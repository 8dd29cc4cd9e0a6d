"""The resources of an attempt: from amounts that a retry or a scheduler asked for, and as engines compare them."""

from __future__ import annotations

from functools import lru_cache

from tunedsl.base.codec import to_json
from tunedsl.plan import Resources


@lru_cache(maxsize=256)
def allotted(amounts: tuple[tuple[str, float], ...]) -> Resources:
    """Resources from pairs of name and amount, with names as in `.resources(...)`."""
    custom = dict(amounts)
    memory = custom.pop("memory", None)
    cpu, gpu = custom.pop("cpu", 0.0), custom.pop("gpu", 0.0)
    return Resources.of(cpu=cpu, gpu=gpu, memory=None if memory is None else int(memory), custom=custom)


@lru_cache(maxsize=256)
def shape_of(resources: Resources) -> str:
    """The text by which engines match workers to trials."""
    return to_json(resources)
