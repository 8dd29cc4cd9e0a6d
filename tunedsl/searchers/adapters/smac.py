"""SMAC: random forests or Gaussian processes, in a process of its own; it has conditions in its own space.

Source: Lindauer et al., SMAC3: A Versatile Bayesian Optimization Package for Hyperparameter Optimization, JMLR 23,
2022.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import weakref
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

from tunedsl.base.arguments import check_arguments
from tunedsl.base.codec import value
from tunedsl.base.errors import SpaceError
from tunedsl.searchers.adapters.conditions import condition_forms
from tunedsl.searchers.adapters.dimensions import Dimension, Point, fill_missing
from tunedsl.searchers.adapters.libraries import (
    Library,
    LibraryContext,
    LibrarySpec,
    Options,
    PackageRequirement,
    as_option,
    decode_options,
    encode_options,
    register_library,
)
from tunedsl.searchers.adapters.points import Losses, PointModel, start_points
from tunedsl.searchers.contract import Supports

_FACADES: Final = ("hpo", "bb")

_DESIGN_OPTIONS: Final = {"n_trials", "n_configs", "n_configs_per_hyperparameter", "max_ratio", "xi"}
_MODEL_OPTIONS: Final = {
    "hpo": {"n_trees", "ratio_features", "min_samples_split", "min_samples_leaf", "max_depth", "bootstrapping"},
    "bb": {"model_type"},
}


@value(repr=False)
class Smac(LibrarySpec):
    """The spec of `smac`."""

    facade: str = "hpo"
    options: Options = ()


@check_arguments
def smac(facade: str = "hpo", **options: Any) -> Smac:
    """SMAC's Bayesian optimisation, over random forests (`hpo`) or Gaussian processes (`bb`).

    Args:
        facade: `hpo` or `bb`.
        options: of the initial design (`n_configs=10`, `n_configs_per_hyperparameter=10`, `max_ratio=0.25` of
            `n_trials=100`), of the acquisition function (`xi=0.0`), and of the model (`n_trees=10`).

    Raises:
        ArgumentError: for a facade that is neither, or an option that is not data.

    Example:
        >>> smac(n_configs=10)
        smac(facade='hpo', n_configs=10)
    """
    facade = as_option("smac.facade", facade, _FACADES)
    return Smac(facade, encode_options("smac", options))


class _SmacProcess(PointModel):
    """The other process, which ends with this object; each command and each answer is one line."""

    def __init__(self, spec: Smac, dims: Sequence[Dimension], context: LibraryContext) -> None:
        self._dims = dims
        self._suggested: dict[int, Point] = {}
        command = [sys.executable, "-P", str(Path(__file__).with_name("smac_process.py"))]
        environment = {**os.environ, "PYTHONHASHSEED": "0"}
        self._child = subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env=environment,
            text=True,
            encoding="utf-8",
        )
        weakref.finalize(self, _stop_process, self._child)
        described = [
            (dim.name, dim.kind, dim.low, dim.high, dim.log, form)
            for dim, form in zip(dims, condition_forms(dims), strict=True)
        ]
        self._call("start", described, context.seed, spec.facade, decode_options(spec.options))

    def suggest(self, handle: int) -> Point | None:
        point = self._suggested[handle] = self._call("suggest", handle)
        return point  # type: ignore[no-any-return]

    def settle(self, handle: int, point: Point) -> None:
        if self._suggested.pop(handle, None) != point:
            self._call("settle", handle, fill_missing(self._dims, point))

    def observe(self, handle: int, point: Point, losses: Losses | None) -> None:
        assert losses is not None  # failures have the worst losses
        self._call("observe", handle, losses[0])

    def _call(self, *command: Any) -> Any:
        assert self._child.stdin is not None and self._child.stdout is not None  # both are pipes
        try:
            self._child.stdin.write(json.dumps(command) + "\n")
            self._child.stdin.flush()
            line = self._child.stdout.readline()
        except BrokenPipeError:
            line = ""
        answer = json.loads(line) if line else {"error": f"its process ended with {self._child.wait()}"}
        if "error" in answer:
            raise SpaceError(f"SMAC failed: {answer['error']}")
        return answer["found"]


def _stop_process(child: subprocess.Popen[str]) -> None:
    for pipe in (child.stdin, child.stdout):
        if pipe is not None:
            pipe.close()
    try:
        child.wait(5)
    except subprocess.TimeoutExpired:
        child.kill()
        child.wait()


register_library(
    Smac,
    Library(
        name="smac",
        packages=(PackageRequirement("smac", "smac", "2.4"), PackageRequirement("ConfigSpace", "ConfigSpace", "1.2")),
        install="pip install 'tunedsl[smac]'",
        supports=Supports.whole_space(),
        start=start_points(_SmacProcess),
        option_names=lambda spec: _DESIGN_OPTIONS | _MODEL_OPTIONS[spec.facade],
        probe_count=lambda spec: 0,
    ),
)
