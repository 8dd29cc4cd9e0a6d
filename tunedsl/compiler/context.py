"""The input of the compiler's passes: a definition, and facts about it that several passes use."""

from __future__ import annotations

import sys
import tempfile
import types
from functools import cached_property
from pathlib import Path
from typing import Any

import attrs

from tunedsl.base import codec
from tunedsl.base.content import Content, content_of
from tunedsl.base.diagnostics import Diagnostic, errors_of
from tunedsl.base.errors import TunedslError
from tunedsl.base.references import import_reference
from tunedsl.base.types import Config
from tunedsl.compiler.source import SourceFacts, command_facts, max_reports, read_source
from tunedsl.compiler.warm_start import PriorReader, with_prior_results
from tunedsl.plan.clauses import Clauses
from tunedsl.plan.command import Command
from tunedsl.plan.contents import with_functions
from tunedsl.plan.definition import Definition
from tunedsl.plan.forms import form_of, is_ray_class, ray_class_saves
from tunedsl.plan.plan import Form
from tunedsl.plan.preview import proposed_configs
from tunedsl.schedulers import fifo
from tunedsl.schedulers.contract import scheduler_of
from tunedsl.searchers import Limit, PerGridCell, random_search
from tunedsl.searchers.contract import searcher_of
from tunedsl.spaces.check import diagnose_space
from tunedsl.spaces.domains import Grid
from tunedsl.spaces.layout import index_space, resolve_space
from tunedsl.spaces.sampling import cell_count, sample

_RAY_ADDRESS_FILE = "ray/ray_current_cluster"


@attrs.frozen(slots=False)
class CompileContext:
    """A definition, and where it will run.

    Attributes:
        definition: the clauses and their places.
        engine: the name of the engine.
        address: the address of a running cluster, or None for this machine.
        read_prior: reads the trials of earlier experiments, for `warm_start`.
    """

    definition: Definition
    engine: str = "ray"
    address: str | None = None
    read_prior: PriorReader | None = None

    @cached_property
    def clauses(self) -> Clauses:
        """The clauses, with each function under its current name."""
        current: Clauses = with_functions(self.definition.clauses, lambda _, reference: reference.settled())
        return current

    @cached_property
    def data(self) -> dict[str, Content]:
        """The contents of the objects of `.data(...)`, by keyword."""
        return {name: content_of(held.object, f"data.{name}") for name, held in self.clauses.data}

    @cached_property
    def trainable(self) -> Any:
        """The user's function or class, or None."""
        reference = self.clauses.trainable
        return None if reference is None else reference.resolve()

    @property
    def trainable_name(self) -> str:
        """The name of the trainable; empty without one."""
        return "" if self.clauses.trainable is None else self.clauses.trainable.name

    @cached_property
    def form(self) -> Form:
        """The form of the trainable."""
        return form_of(self.trainable)

    @cached_property
    def source_facts(self) -> SourceFacts | None:
        """Facts from the trainable's source; None if the source is not that of the callable itself."""
        if isinstance(self.trainable, Command):
            return command_facts(self.trainable)
        plain = isinstance(self.trainable, (type, types.FunctionType)) and not hasattr(self.trainable, "__wrapped__")
        return read_source(self.trainable, self.form) if plain else None

    @cached_property
    def max_reports(self) -> int | None:
        """The maximum number of reports of a trial by the trainable's source; None if unknown."""
        return None if self.trainable is None or self.form in ("class", "command") else max_reports(self.trainable)

    @cached_property
    def space_diagnostics(self) -> list[Diagnostic]:
        """What is wrong with the space."""
        return diagnose_space(self.clauses.space)

    @cached_property
    def has_valid_space(self) -> bool:
        """Whether the space has no errors, so that it can be resolved."""
        return not errors_of(self.space_diagnostics)

    @cached_property
    def warm_started(self) -> tuple[Any, list[Diagnostic]]:
        """The searcher as written, with results of earlier experiments in it, and diagnostics about them."""
        spec = random_search() if self.clauses.searcher is None else self.clauses.searcher
        return (
            with_prior_results(
                spec, self.clauses.space, self.clauses.objectives, self.read_prior, self.clauses.constraints
            )
            if self.has_valid_space
            else (spec, [])
        )

    @cached_property
    def searcher(self) -> Any:
        """The searcher that runs: with grids, one searcher per cell unless proposals come in batches."""
        spec, _ = self.warm_started
        has_grid = any(isinstance(entry.node, Grid) for entry in index_space(self.clauses.space).params)
        return _per_grid_cell(spec) if has_grid else spec

    @cached_property
    def scheduler(self) -> Any:
        return fifo() if self.clauses.scheduler is None else self.clauses.scheduler

    @cached_property
    def last_iteration(self) -> int | None:
        """The iteration at which the scheduler ends every trial; None if there is no limit or its spec is invalid."""
        scheduler = scheduler_of(self.scheduler)
        return None if scheduler.validate(self.scheduler) else scheduler.last_iteration(self.scheduler)

    def first_configs(self, count: int) -> list[Config]:
        """The first configurations, to try user functions on; empty if they cannot be drawn.

        If proposals depend on results, random configurations of the space replace them.
        """
        if not self.has_valid_space:
            return []
        space, seed, spec = self.clauses.space, self.clauses.seed or 0, self.searcher
        searcher, layout = searcher_of(spec), resolve_space(space)
        count = min(count, (self.clauses.samples or 1) * cell_count(layout))
        objectives = self.clauses.objectives
        try:
            if searcher.learns or errors_of(
                (*searcher.validate(spec), *searcher.check_compatibility(spec, space, objectives))
            ):
                return [
                    codec.decode(codec.encode(config), import_reference)
                    for config in sample(layout, seed, range(count))
                ]
            return proposed_configs(spec, space, objectives, seed, count)
        except TunedslError:
            return []

    @property
    def starts_local_ray(self) -> bool:
        """Whether the run will start Ray on this machine; a running Ray checks resources itself."""
        ray = sys.modules.get("ray")
        running = (ray is not None and ray.is_initialized()) or (
            Path(tempfile.gettempdir()) / _RAY_ADDRESS_FILE
        ).exists()
        return self.engine == "ray" and self.address is None and not running

    def can_save(self) -> bool:
        """Whether the trainable can save: a class with `save`, or a function that reports a checkpoint.

        A function whose source is not available counts as able to save.
        """
        if is_ray_class(self.trainable):
            return ray_class_saves(self.trainable)
        if self.form == "class":
            return hasattr(self.trainable, "save") and hasattr(self.trainable, "load")
        return self.source_facts is None or self.source_facts.saves_checkpoints


def _per_grid_cell(spec: Any) -> Any:
    """One searcher per grid cell unless proposals come in batches; a limit applies to all cells together."""
    if searcher_of(spec).batch is not None or isinstance(spec, PerGridCell):
        return spec
    return Limit(_per_grid_cell(spec.searcher), spec.n, spec.batch) if isinstance(spec, Limit) else PerGridCell(spec)
