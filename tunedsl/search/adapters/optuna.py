"""Optuna: its samplers, over its own define-by-run trials, so that conditions are as the library has them.

Source: Akiba et al., Optuna: A Next-generation Hyperparameter Optimization Framework, KDD 2019.
"""

from __future__ import annotations

import contextlib
import functools
from collections.abc import Iterator, Sequence
from typing import Any, Final

from tunedsl.base import keys
from tunedsl.base.arguments import checked
from tunedsl.base.codec import value
from tunedsl.base.diagnostics import Diagnostic
from tunedsl.base.errors import ArgumentError, SpaceError
from tunedsl.base.names import did_you_mean
from tunedsl.base.objective import Objective
from tunedsl.base.vocabulary import Config
from tunedsl.search.adapters.dimensions import Dimension, dimension, reader
from tunedsl.search.adapters.libraries import (
    Library,
    Options,
    Package,
    Setting,
    enrol_library,
    live_options,
    losses_of,
    options_of,
    parameters_of,
    spelled,
    until_modelled,
)
from tunedsl.search.adapters.points import REJECTIONS
from tunedsl.search.contract import ANY_NUMBER, Observation, Proposal, Takes
from tunedsl.space.encoding import values
from tunedsl.space.layout import Leaf
from tunedsl.space.sampling import assemble, counted
from tunedsl.space.space import Space

SAMPLERS: Final = {
    "tpe": "TPESampler",
    "cmaes": "CmaEsSampler",
    "gp": "GPSampler",
    "nsgaii": "NSGAIISampler",
    "nsgaiii": "NSGAIIISampler",
    "qmc": "QMCSampler",
    "random": "RandomSampler",
}

_DEFAULTS: Final = {"tpe": {"multivariate": True, "constant_liar": True}}

_NEEDS: Final = {
    "cmaes": Package("cmaes", "cmaes"),
    "gp": Package("torch", "torch"),
    "qmc": Package("scipy", "scipy"),
}

_SINGLE: Final = ("cmaes", "qmc")


@value(repr=False)
class Optuna:
    """The spec of `optuna`."""

    sampler: str = "tpe"
    options: Options = ()

    def __repr__(self) -> str:
        return spelled("optuna", self.options, sampler=self.sampler)


@checked
def optuna(sampler: str = "tpe", **options: Any) -> Optuna:
    """One of Optuna's samplers.

    A stopped trial is told as pruned, with the value and the iteration that it reached; a failed one as failed.
    Parameters that only some configurations have are drawn at random by `cmaes`, `gp` and `qmc`, and so are choices by
    `cmaes`.

    Args:
        sampler: `tpe`, `cmaes`, `gp` (needs torch), `nsgaii`, `nsgaiii`, `qmc` or `random`.
        options: of the library's class, such as `n_startup_trials=20`; TPE has `multivariate=True` and
            `constant_liar=True` unless said otherwise.

    Raises:
        ArgumentError: for a sampler that is none of these, or an option that is no data.

    Example:
        >>> optuna(n_startup_trials=20)
        optuna(sampler='tpe', n_startup_trials=20)
    """
    if sampler not in SAMPLERS:
        expected = f"one of {', '.join(SAMPLERS)}"
        raise ArgumentError("E003", "optuna.sampler", repr(sampler), expected, did_you_mean(str(sampler), SAMPLERS))
    return Optuna(sampler, options_of("optuna", options))


class _Study:
    """An Optuna study and the trials that it has out."""

    def __init__(self, spec: Optuna, setting: Setting) -> None:
        import optuna as library

        self._setting = setting
        self._state = library.trial.TrialState
        # Pruned without a value ranks last, so that the sampler learns to keep clear of there.
        self._rejected = self._state.PRUNED if len(setting.objectives) == 1 else self._state.FAIL
        dims = [dimension(leaf) for leaf in setting.layout.columns]
        self._dims = {id(dim.leaf): (dim, reader(dim)) for dim in dims}
        self._trials: dict[int, Any] = {}
        self._silence = functools.partial(silent, library, library.logging.ERROR)
        options = {**_DEFAULTS.get(spec.sampler, {}), **live_options(spec.options), "seed": setting.seed}
        directions = ["minimize" if goal.mode == "min" else "maximize" for goal in setting.objectives]
        chosen = getattr(library.samplers, SAMPLERS[spec.sampler])
        if "warn_independent_sampling" in parameters_of(chosen):
            options.setdefault("warn_independent_sampling", False)  # once for each conditional parameter and trial
        with silent(library):
            sampler = chosen(**options)
            self._study = library.create_study(directions=directions, sampler=sampler)

    def ask(self, trial: int) -> Proposal:
        for rejected in range(REJECTIONS):
            config, met = self._started(trial)
            if met:
                return Proposal.of(config, rejected)
            self._study.tell(self._trials.pop(trial), state=self._rejected)
        ((config, drawn),) = counted(self._setting.layout, keys.key(self._setting.key, "instead"), [trial])
        self.adopt(trial, config)
        return Proposal.of(config, REJECTIONS + drawn)

    def adopt(self, trial: int, config: Config) -> None:
        before = self._trials.pop(trial, None)
        if before is not None:
            self._study.tell(before, state=self._state.FAIL)
        columns = zip(self._setting.layout.columns, values(self._setting.layout, config), strict=True)
        held = {leaf.name: self._dims[id(leaf)][0].raw(item) for leaf, found in columns for item in found}
        self._study.enqueue_trial(held)
        self._started(trial)

    def tell(self, trial: int, observation: Observation) -> None:
        if observation.status == "reported" or trial not in self._trials:
            return
        running = self._trials.pop(trial)
        if losses_of(observation, self._setting.objectives) is None:
            self._study.tell(running, state=self._state.FAIL)
        elif observation.status == "done":
            self._study.tell(running, list(observation.values))
        elif len(observation.values) == 1:
            running.report(observation.values[0], observation.iteration)
            self._study.tell(running, state=self._state.PRUNED)
        else:
            self._study.tell(running, state=self._state.FAIL)  # the library prunes for one objective only

    def _started(self, number: int) -> tuple[Config, bool]:
        trial = self._trials[number] = self._study.ask()
        failed: list[Exception] = []

        def give(leaf: Leaf) -> Any:
            dim, read = self._dims[id(leaf)]
            try:
                return read(_suggested(trial, dim))[0]
            except Exception as error:
                failed.append(error)
                raise

        try:
            with self._silence():  # QMC warns of conditions at each trial
                return assemble(self._setting.layout, give, number, self._setting.key)
        except SpaceError:
            if failed:
                raise failed[0] from None  # the library's own: the space has no part in it
            raise


def _suggested(trial: Any, dim: Dimension) -> Any:
    if dim.kind == "float":
        return trial.suggest_float(dim.name, dim.low, dim.high, log=dim.log)
    if dim.kind == "int":
        return trial.suggest_int(dim.name, dim.low, dim.high, log=dim.log)
    return trial.suggest_categorical(dim.name, range(dim.size))


@contextlib.contextmanager
def silent(library: Any, least: int | None = None) -> Iterator[None]:
    """No word that a study was made, or none below another level."""
    before = library.logging.get_verbosity()
    library.logging.set_verbosity(library.logging.WARNING if least is None else least)
    try:
        yield
    finally:
        library.logging.set_verbosity(before)


def _accepts(spec: Optuna) -> set[str]:
    import optuna as library

    return parameters_of(getattr(library.samplers, SAMPLERS[spec.sampler]), but=("seed",))


def _check(spec: Optuna) -> Sequence[Diagnostic]:
    package = _NEEDS.get(spec.sampler)
    problem = package.missing() if package is not None else ""
    if not problem:
        return ()
    assert package is not None  # nothing else is missing
    return [Diagnostic("E049", "searcher", f"{spec!r}: {problem}", str(package), f"pip install {package}")]


def _tried(spec: Optuna) -> int:
    return until_modelled(spec, "n_startup_trials", 10) if spec.sampler == "tpe" else 2


def _fits(spec: Optuna, space: Space, objectives: tuple[Objective, ...]) -> Sequence[Diagnostic]:
    if len(objectives) < 2 or spec.sampler not in _SINGLE:
        return ()
    found = f"{len(objectives)} objectives with {spec!r}"
    return [Diagnostic("E083", "searcher", found, "one objective", 'optuna(sampler="nsgaii") takes several')]


enrol_library(
    Optuna,
    Library(
        name="optuna",
        packages=(Package("optuna", "optuna", "5.0"),),
        install="pip install 'tunedsl[optuna]'",
        takes=Takes(
            conditions=True,
            log=True,
            quantised=True,
            integer=True,
            categorical=True,
            constraints=True,
            objectives=ANY_NUMBER,
            intermediate=False,
            pending=True,
        ),
        start=_Study,
        accepts=_accepts,
        noisy="throughout",
        check=_check,
        fits=_fits,
        tried=_tried,
    ),
)
