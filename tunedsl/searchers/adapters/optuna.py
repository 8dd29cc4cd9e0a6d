"""Optuna: its samplers, over its own define-by-run trials, so it handles conditions itself.

Source: Akiba et al., Optuna: A Next-generation Hyperparameter Optimization Framework, KDD 2019.
"""

from __future__ import annotations

import contextlib
import functools
import math
from collections.abc import Iterator, Sequence
from typing import Any, Final

from tunedsl.base import keys
from tunedsl.base.arguments import check_arguments
from tunedsl.base.codec import value
from tunedsl.base.diagnostics import Diagnostic
from tunedsl.base.errors import SpaceError
from tunedsl.base.objective import Objective, total_violation
from tunedsl.base.types import Config
from tunedsl.searchers.adapters.dimensions import Dimension, dimension, make_reader
from tunedsl.searchers.adapters.libraries import (
    ExternalOptimizer,
    Library,
    LibraryContext,
    LibrarySpec,
    Options,
    PackageRequirement,
    as_option,
    decode_options,
    encode_options,
    keyword_names,
    probes_until_model,
    register_library,
    to_losses,
)
from tunedsl.searchers.adapters.points import MAX_REJECTIONS
from tunedsl.searchers.contract import UNLIMITED, Observation, Proposal, Supports
from tunedsl.spaces.encoding import column_values
from tunedsl.spaces.layout import ResolvedParam
from tunedsl.spaces.sampling import assemble_config, sample_with_rejections
from tunedsl.spaces.space import Space

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

_SAMPLER_PACKAGES: Final = {
    "cmaes": PackageRequirement("cmaes", "cmaes"),
    "gp": PackageRequirement("torch", "torch"),
    "qmc": PackageRequirement("scipy", "scipy"),
}

_SINGLE_OBJECTIVE: Final = ("cmaes", "qmc")

_CONSTRAINTS: Final = "constraints_func"


@value(repr=False)
class Optuna(LibrarySpec):
    """The spec of `optuna`."""

    sampler: str = "tpe"
    options: Options = ()


@check_arguments
def optuna(sampler: str = "tpe", **options: Any) -> Optuna:
    """One of Optuna's samplers.

    The sampler is told a stopped trial as pruned, with its last value and iteration, and a failed trial as failed.
    `tpe`, `gp`, `nsgaii` and `nsgaiii` learn outcome constraints by the library's `constraints_func`; the others are
    told infeasible trials as failed, and so is one with your own `constraints_func`.
    `cmaes`, `gp` and `qmc` draw parameters at random that exist in some configurations only; `cmaes` also draws
    choices at random.

    Args:
        sampler: `tpe`, `cmaes`, `gp` (needs torch), `nsgaii`, `nsgaiii`, `qmc` or `random`.
        options: of the library's class, such as `n_startup_trials=20`; the defaults of TPE are
            `multivariate=True` and `constant_liar=True`.

    Raises:
        ArgumentError: for a sampler that is not one of these, or an option that is not data.

    Example:
        >>> optuna(n_startup_trials=20)
        optuna(sampler='tpe', n_startup_trials=20)
    """
    sampler = as_option("optuna.sampler", sampler, SAMPLERS)
    return Optuna(sampler, encode_options("optuna", options))


class _OptunaStudy(ExternalOptimizer):
    """An Optuna study and its running trials."""

    def __init__(self, spec: Optuna, context: LibraryContext) -> None:
        import optuna as library

        self._context = context
        self._state = library.trial.TrialState
        # Pruned trials without a value rank last, so the sampler learns to avoid the region.
        self._rejected = self._state.PRUNED if len(context.objectives) == 1 else self._state.FAIL
        dims = [dimension(leaf) for leaf in context.layout.cube_params]
        self._dims = {id(dim.param): (dim, make_reader(dim)) for dim in dims}
        self._trials: dict[int, Any] = {}
        self._silence = functools.partial(quiet_optuna, library, library.logging.ERROR)
        options = {**_DEFAULTS.get(spec.sampler, {}), **decode_options(spec.options), "seed": context.seed}
        directions = ["minimize" if goal.mode == "min" else "maximize" for goal in context.objectives]
        chosen = getattr(library.samplers, SAMPLERS[spec.sampler])
        known = keyword_names(chosen)
        if "warn_independent_sampling" in known:
            options.setdefault("warn_independent_sampling", False)  # it warns once per conditional parameter and trial
        # By the library's number of a trial. Only TPE compares trials with different numbers of constraints.
        self._violations: dict[int, tuple[float, ...]] = {}
        self._learns_constraints = _CONSTRAINTS in known and _CONSTRAINTS not in options
        self._is_ragged = spec.sampler == "tpe"
        if self._learns_constraints:
            options[_CONSTRAINTS] = lambda told: self._violations.get(told.number, ())
        with quiet_optuna(library):
            sampler = chosen(**options)
            self._study = library.create_study(directions=directions, sampler=sampler)

    def ask(self, trial: int) -> Proposal:
        for rejected in range(MAX_REJECTIONS):
            config, met = self._start_trial(trial)
            if met:
                return Proposal.of(config, rejected)
            self._study.tell(self._trials.pop(trial), state=self._rejected)
        ((config, drawn),) = sample_with_rejections(
            self._context.layout, keys.key(self._context.key, "instead"), [trial]
        )
        self.force(trial, config)
        return Proposal.of(config, MAX_REJECTIONS + drawn)

    def force(self, trial: int, config: Config) -> None:
        before = self._trials.pop(trial, None)
        if before is not None:
            self._study.tell(before, state=self._state.FAIL)
        columns = zip(self._context.layout.cube_params, column_values(self._context.layout, config), strict=True)
        raws = {leaf.name: self._dims[id(leaf)][0].to_raw(item) for leaf, column in columns for item in column}
        self._study.enqueue_trial(raws)
        self._start_trial(trial)

    def tell(self, trial: int, observation: Observation) -> None:
        if observation.status == "reported" or trial not in self._trials:
            return
        running = self._trials.pop(trial)
        is_known = to_losses(observation, self._context.objectives) is not None
        if not is_known or not self._record_violations(running.number, observation.constraints):
            self._study.tell(running, state=self._state.FAIL)
        elif observation.status == "done":
            self._study.tell(running, list(observation.values))
        elif len(observation.values) == 1:
            running.report(observation.values[0], observation.iteration)
            self._study.tell(running, state=self._state.PRUNED)
        else:
            self._study.tell(running, state=self._state.FAIL)  # the library prunes for one objective only

    def _record_violations(self, number: int, violations: tuple[float, ...]) -> bool:
        """Whether the sampler can learn from a trial: its violations are known, or it is feasible."""
        if self._learns_constraints:
            first = next(iter(self._violations.values()), violations)
            if self._is_ragged or len(violations) == len(first):
                self._violations[number] = violations
                return not any(map(math.isnan, violations))
            self._violations[number] = (0.0,) * len(first)  # a result from elsewhere
        return total_violation(violations) == 0

    def _start_trial(self, number: int) -> tuple[Config, bool]:
        trial = self._trials[number] = self._study.ask()
        failed: list[Exception] = []

        def value_of(leaf: ResolvedParam) -> Any:
            dim, read = self._dims[id(leaf)]
            try:
                return read(_suggest(trial, dim))[0]
            except Exception as error:
                failed.append(error)
                raise

        try:
            with self._silence():  # QMC warns of conditions at each trial
                return assemble_config(self._context.layout, value_of, number, self._context.key)
        except SpaceError:
            if failed:
                raise failed[0] from None  # the error is the library's, not the space's
            raise


def _suggest(trial: Any, dim: Dimension) -> Any:
    if dim.kind == "float":
        return trial.suggest_float(dim.name, dim.low, dim.high, log=dim.log)
    if dim.kind == "int":
        return trial.suggest_int(dim.name, dim.low, dim.high, log=dim.log)
    return trial.suggest_categorical(dim.name, range(dim.size))


@contextlib.contextmanager
def quiet_optuna(library: Any, level: int | None = None) -> Iterator[None]:
    """Hides messages below a level, and the message that a study was created."""
    before = library.logging.get_verbosity()
    library.logging.set_verbosity(library.logging.WARNING if level is None else level)
    try:
        yield
    finally:
        library.logging.set_verbosity(before)


def _option_names(spec: Optuna) -> set[str]:
    import optuna as library

    return keyword_names(getattr(library.samplers, SAMPLERS[spec.sampler]), exclude=("seed",))


def _validate(spec: Optuna) -> Sequence[Diagnostic]:
    package = _SAMPLER_PACKAGES.get(spec.sampler)
    problem = package.unmet_reason() if package is not None else ""
    if not problem:
        return ()
    assert package is not None  # an unmet reason is always a package's
    return [Diagnostic("E049", "searcher", f"{spec!r} needs {package}, but {problem}.", f"pip install {package}")]


def _probe_count(spec: Optuna) -> int:
    return probes_until_model(spec, "n_startup_trials", 10) if spec.sampler == "tpe" else 2


def _check_compatibility(spec: Optuna, space: Space, objectives: tuple[Objective, ...]) -> Sequence[Diagnostic]:
    if len(objectives) < 2 or spec.sampler not in _SINGLE_OBJECTIVE:
        return ()
    message = f"{spec!r} supports one objective, but the experiment has {len(objectives)}."
    return [Diagnostic("E083", "searcher", message, 'write optuna(sampler="nsgaii")')]


register_library(
    Optuna,
    Library(
        name="optuna",
        packages=(PackageRequirement("optuna", "optuna", "5.0"),),
        install="pip install 'tunedsl[optuna]'",
        supports=Supports.whole_space(UNLIMITED, outcome_constraints=True),
        start=_OptunaStudy,
        option_names=_option_names,
        noisy="throughout",
        validate=_validate,
        check_compatibility=_check_compatibility,
        probe_count=_probe_count,
    ),
)
