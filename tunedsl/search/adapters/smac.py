"""SMAC: random forests or Gaussian processes, in a process of its own; conditions go to its conditional space.

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

from tunedsl.base.arguments import checked
from tunedsl.base.codec import value
from tunedsl.base.errors import ArgumentError, SpaceError
from tunedsl.base.names import did_you_mean
from tunedsl.search.adapters.conditions import forms
from tunedsl.search.adapters.dimensions import Dimension, Point, dimensions, filled
from tunedsl.search.adapters.libraries import (
    Library,
    Options,
    Package,
    Setting,
    enrol_library,
    live_options,
    options_of,
    spelled,
)
from tunedsl.search.adapters.points import Losses, Points
from tunedsl.search.contract import Takes

_FACADES: Final = ("hpo", "bb")

_INITIAL: Final = {"n_trials", "n_configs", "n_configs_per_hyperparameter", "max_ratio", "xi"}
_MODEL: Final = {
    "hpo": {"n_trees", "ratio_features", "min_samples_split", "min_samples_leaf", "max_depth", "bootstrapping"},
    "bb": {"model_type"},
}


@value(repr=False)
class Smac:
    """The spec of `smac`."""

    facade: str = "hpo"
    options: Options = ()

    def __repr__(self) -> str:
        return spelled("smac", self.options, facade=self.facade)


@checked
def smac(facade: str = "hpo", **options: Any) -> Smac:
    """SMAC's Bayesian optimisation, over random forests (`hpo`) or Gaussian processes (`bb`).

    Args:
        facade: `hpo` or `bb`.
        options: of the initial design (`n_configs=10`, `n_configs_per_hyperparameter=10`, `max_ratio=0.25` of
            `n_trials=100`), of the acquisition function (`xi=0.0`), and of the model (`n_trees=10`).

    Raises:
        ArgumentError: for a facade that is neither, or an option that is no data.

    Example:
        >>> smac(n_configs=10)
        smac(facade='hpo', n_configs=10)
    """
    if facade not in _FACADES:
        hint = did_you_mean(str(facade), _FACADES)
        raise ArgumentError("E003", "smac.facade", repr(facade), f"one of {', '.join(_FACADES)}", hint)
    return Smac(facade, options_of("smac", options))


class _Process:
    """The other process, which ends with this object; one line out, one line back."""

    def __init__(self, spec: Smac, dims: Sequence[Dimension], seed: int) -> None:
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
        weakref.finalize(self, _end, self._child)
        described = [
            (dim.name, dim.kind, dim.low, dim.high, dim.log, form) for dim, form in zip(dims, forms(dims), strict=True)
        ]
        self._call("start", described, seed, spec.facade, live_options(spec.options))

    def suggest(self, handle: int) -> Point | None:
        found = self._suggested[handle] = self._call("suggest", handle)
        return found  # type: ignore[no-any-return]

    def settle(self, handle: int, point: Point) -> None:
        if self._suggested.pop(handle, None) != point:
            self._call("settle", handle, filled(self._dims, point))

    def observe(self, handle: int, point: Point, losses: Losses | None) -> None:
        assert losses is not None  # failures come as the worst
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


def _end(child: subprocess.Popen[str]) -> None:
    for pipe in (child.stdin, child.stdout):
        if pipe is not None:
            pipe.close()
    try:
        child.wait(5)
    except subprocess.TimeoutExpired:
        child.kill()
        child.wait()


def _start(spec: Smac, setting: Setting) -> Points:
    dims = dimensions(setting.layout)
    return Points(setting, dims, lambda: _Process(spec, dims, setting.seed))


enrol_library(
    Smac,
    Library(
        name="smac",
        packages=(Package("smac", "smac", "2.4"), Package("ConfigSpace", "ConfigSpace", "1.2")),
        install="pip install 'tunedsl[smac]'",
        takes=Takes(
            conditions=True,
            log=True,
            quantised=True,
            integer=True,
            categorical=True,
            constraints=True,
            objectives=1,
            intermediate=False,
            pending=True,
        ),
        start=_start,
        accepts=lambda spec: _INITIAL | _MODEL[spec.facade],
        tried=lambda spec: 0,
    ),
)
