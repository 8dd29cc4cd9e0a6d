"""Random functions of conditional spaces: each branch is a function of its own parameters, with its own least value."""

from __future__ import annotations

import functools
from collections.abc import Iterator
from typing import Any

import attrs
import numpy as np

from tests.benchmarks.functions import DEVELOPMENT, REPORTED, Function, function
from tunedsl.spaces import Space, choice, uniform


@attrs.frozen(eq=False)
class Branches:
    """A function of shared parameters and of those of the chosen branch, whose least value is 0.

    Attributes:
        shared: number of shared parameters.
        parts: by branch, the function, its median and what is added to it.
    """

    shared: int
    parts: dict[str, tuple[Function, float, float]]

    @property
    def space(self) -> Space:
        options = {
            name: Space.of({f"x{dim}": uniform(0, 1) for dim in range(part.dims - self.shared)})
            for name, (part, _, _) in self.parts.items()
        }
        return Space.of({**{f"s{dim}": uniform(0, 1) for dim in range(self.shared)}, "branch": choice(options)})

    def __call__(self, config: dict[str, Any]) -> float:
        ((name, own),) = config["branch"].items()
        part, unit, added = self.parts[name]
        x = np.array([*(config[f"s{dim}"] for dim in range(self.shared)), *own.values()])
        return part(x) / unit + added


@functools.cache
def branches(seed: int, development: bool) -> Branches:
    """The function of a seed: 2 to 4 branches with 1 to 4 parameters each, and up to 2 shared ones."""
    generator = np.random.default_rng([seed, development])
    shapes, shared = DEVELOPMENT if development else REPORTED, int(generator.integers(0, 3))
    least = generator.uniform(0, 0.7, generator.integers(2, 5))
    parts = {}
    for index, added in enumerate((least - least.min()).tolist()):
        dims = max(shared + int(generator.integers(1, 5)), 2)
        part = function(str(generator.choice(shapes)), dims, 1_000 * development + 10 * seed + index)
        unit = float(np.median([part(x) for x in generator.random((200, dims))]))
        parts[f"b{index}"] = (part, unit, added)
    return Branches(shared, parts)


def named(seed: int, development: bool) -> Iterator[tuple[str, Branches]]:
    """Four functions of a seed."""
    for index in range(4):
        yield f"branches {index}", branches(4 * seed + index, development)
