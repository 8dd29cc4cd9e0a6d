"""SMAC in a process of its own, with a fixed hash seed, since its proposals depend on the hash seed.

It reads one JSON command per line from standard input and answers with one line; it ends when the input ends. It
imports nothing of this package, so that Python does not search the package's folder for libraries.
"""

from __future__ import annotations

import functools
import json
import logging
import os
import sys
import tempfile
import warnings
from pathlib import Path
from typing import Any


class Optimizer:
    """The library's facade and its proposals by handle."""

    def __init__(self, folder: str, dims: list[Any], seed: int, facade: str, options: dict[str, Any]) -> None:
        import smac

        self._dims = dims
        self._space = _space(dims, seed)
        chosen = {"hpo": smac.HyperparameterOptimizationFacade, "bb": smac.BlackBoxFacade}[facade]
        scenario = smac.Scenario(
            self._space,
            deterministic=True,
            seed=seed,
            output_directory=Path(folder),
            n_trials=options.pop("n_trials", 100),
        )
        parts = {}
        for part in ("initial_design", "acquisition_function", "model"):
            make = getattr(chosen, f"get_{part}")
            names = make.__code__.co_varnames[: make.__code__.co_argcount + make.__code__.co_kwonlyargcount]
            own = {name: options.pop(name) for name in names if name in options}
            parts[part] = make(scenario, **own)
        self._facade = chosen(scenario, _dummy_target, **parts, overwrite=True, logging_level=False)
        self._infos: dict[int, Any] = {}

    def suggest(self, handle: int) -> list[Any] | None:
        try:
            info = self._facade.ask()
        except StopIteration:
            return None  # it has tried all configurations
        self._infos[handle] = info
        found = dict(info.config)
        return [_to_python(found.get(name)) for name, *_ in self._dims]

    def settle(self, handle: int, point: list[Any]) -> None:
        from ConfigSpace.util import deactivate_inactive_hyperparameters
        from smac.runhistory import StatusType, TrialInfo, TrialValue

        suggested = self._infos.pop(handle, None)
        if suggested is not None:  # else it would count as running; no model uses a trial that timed out
            abandoned = TrialValue(cost=0.0, status=StatusType.TIMEOUT)
            self._facade.tell(suggested, abandoned, save=False)
        values = {name: raw for (name, *_), raw in zip(self._dims, point, strict=True)}
        config = deactivate_inactive_hyperparameters(values, self._space)
        self._infos[handle] = TrialInfo(config=config, seed=0)  # a deterministic scenario has this one seed

    def observe(self, handle: int, loss: float) -> None:
        from smac.runhistory import TrialValue

        self._facade.tell(self._infos.pop(handle), TrialValue(cost=loss), save=False)


def _dummy_target(config: Any, seed: int = 0) -> float:
    return 0.0


def _to_python(raw: Any) -> Any:
    return raw.item() if hasattr(raw, "item") else raw


def _space(dims: list[Any], seed: int) -> Any:
    import ConfigSpace as library

    space = library.ConfigurationSpace(seed=seed)
    parameters = []
    for name, kind, low, high, log, _ in dims:
        if kind == "choice":
            parameters.append(library.Categorical(name, list(range(high + 1))))
        elif kind == "int":
            parameters.append(library.Integer(name, (low, high), log=log))
        else:
            parameters.append(library.Float(name, (low, high), log=log))
    space.add(*parameters)
    for parameter, (*_, form) in zip(parameters, dims, strict=True):
        if form is not None:
            space.add(_condition(library, parameter, parameters, form))
    return space


def _condition(library: Any, child: Any, parameters: list[Any], form: list[Any]) -> Any:
    verb, left, right = form
    if verb in ("and", "or"):
        make = library.AndConjunction if verb == "and" else library.OrConjunction
        return make(*(_condition(library, child, parameters, part) for part in (left, right)))
    make = {
        "in": library.InCondition,
        "less": library.LessThanCondition,
        "greater": library.GreaterThanCondition,
    }[verb]
    return make(child, parameters[left], right)


def main() -> None:
    """Answers commands until the input ends."""
    answers = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)  # the library's output is not an answer
    warnings.filterwarnings("ignore")
    logging.disable(logging.WARNING)
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
        optimizer: Any = None
        for line in sys.stdin:
            verb, *arguments = json.loads(line)
            try:
                if verb == "start":
                    optimizer, found = Optimizer(folder, *arguments), None
                else:
                    found = functools.partial(getattr(optimizer, verb), *arguments)()
                answer = {"found": found}
            except Exception as error:
                answer = {"error": f"{type(error).__name__}: {error}"}
            answers.write(json.dumps(answer) + "\n")
            answers.flush()


if __name__ == "__main__":
    main()
