"""The experiment under the compiler's eyes: its clauses, and what several passes ask of them."""

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
from tunedsl.compiler.source import SourceFacts, most_reports, read_source
from tunedsl.compiler.warm_start import PriorReader, with_prior_results
from tunedsl.plan.clauses import Clauses
from tunedsl.plan.contents import with_functions
from tunedsl.plan.definition import Definition
from tunedsl.plan.forms import form_of, is_ray_class, ray_class_saves
from tunedsl.plan.plan import Form
from tunedsl.plan.preview import proposed_configs
from tunedsl.schedulers import fifo
from tunedsl.schedulers.contract import scheduler_of
from tunedsl.searchers import PerGridCell, Limit, random_search
from tunedsl.searchers.contract import searcher_of
from tunedsl.spaces.check import diagnose_space
from tunedsl.spaces.domains import Grid
from tunedsl.spaces.layout import index_space, resolve_space
from tunedsl.spaces.sampling import cell_count, sample

_RAY_ADDRESS_FILE = "ray/ray_current_cluster"


@attrs.frozen(slots=False)
class CompileContext:
    """One experiment, and where it is to run.

    Attributes:
        engine: the engine's name.
        address: of a cluster that runs already, or None for this machine.
        read_prior: reads earlier experiments, for `warm`.
    """

    definition: Definition
    engine: str = "ray"
    address: str | None = None
    read_prior: PriorReader | None = None

    @cached_property
    def clauses(self) -> Clauses:
        """What was written, each function by the name that leads to it now."""
        settled: Clauses = with_functions(self.definition.clauses, lambda _, reference: reference.settled())
        return settled

    @cached_property
    def data(self) -> dict[str, Content]:
        """What the objects of `.data(...)` hold."""
        return {name: content_of(held.object, f"data.{name}") for name, held in self.clauses.data}

    @cached_property
    def trainable(self) -> Any:
        """The user's function or class, or None."""
        reference = self.clauses.trainable
        return None if reference is None else reference.resolve()

    @cached_property
    def form(self) -> Form:
        """How the trainable is run."""
        return form_of(self.trainable)

    @cached_property
    def source_facts(self) -> SourceFacts | None:
        """What the trainable's source says, where there is one of just what is called."""
        plain = isinstance(self.trainable, (type, types.FunctionType)) and not hasattr(self.trainable, "__wrapped__")
        return read_source(self.trainable, self.form) if plain else None

    @cached_property
    def most_reports(self) -> int | None:
        """How many reports a trial makes at most, where the trainable's source says so."""
        return None if self.trainable is None or self.form == "class" else most_reports(self.trainable)

    @cached_property
    def has_valid_space(self) -> bool:
        """Whether the space has no errors, so that it can be laid out."""
        return not errors_of(diagnose_space(self.clauses.space))

    @cached_property
    def warm_started(self) -> tuple[Any, list[Diagnostic]]:
        """The searcher as written, with earlier experiments' results in it, and what is to be said of those."""
        spec = random_search() if self.clauses.searcher is None else self.clauses.searcher
        return (
            with_prior_results(spec, self.clauses.space, self.clauses.objectives, self.read_prior)
            if self.has_valid_space
            else (spec, [])
        )

    @cached_property
    def searcher(self) -> Any:
        """The searcher that runs: beside grids, where proposals are made one by one, one for each cell."""
        spec, _ = self.warm_started
        crossed = any(isinstance(entry.node, Grid) for entry in index_space(self.clauses.space).params)
        return _per_grid_cell(spec) if crossed else spec

    @cached_property
    def scheduler(self) -> Any:
        return fifo() if self.clauses.scheduler is None else self.clauses.scheduler

    @cached_property
    def last_iteration(self) -> int | None:
        """The iteration at which the scheduler ends every trial; None also where its spec has faults."""
        scheduler = scheduler_of(self.scheduler)
        return None if scheduler.validate(self.scheduler) else scheduler.last_iteration(self.scheduler)

    def first_configs(self, count: int) -> list[Config]:
        """The first configurations, for functions of the user's to be tried on; none where they cannot be drawn.

        Where proposals hang on results, random configurations of the space stand for them.
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
        """Whether it is to run on a Ray that is started for it, here; a Ray that runs already knows better."""
        ray = sys.modules.get("ray")
        running = (ray is not None and ray.is_initialized()) or (
            Path(tempfile.gettempdir()) / _RAY_ADDRESS_FILE
        ).exists()
        return self.engine == "ray" and self.address is None and not running

    def can_save(self) -> bool:
        """Whether the trainable can save: a class with `save`, a function that reports a checkpoint.

        A source that cannot be read gets the benefit of the doubt.
        """
        if is_ray_class(self.trainable):
            return ray_class_saves(self.trainable)
        if self.form == "class":
            return hasattr(self.trainable, "save") and hasattr(self.trainable, "load")
        return self.source_facts is None or self.source_facts.saves_checkpoints


def _per_grid_cell(spec: Any) -> Any:
    """One search for each cell, unless proposals come in batches; a limit is that of all of them together."""
    if searcher_of(spec).batch is not None or isinstance(spec, PerGridCell):
        return spec
    return Limit(_per_grid_cell(spec.searcher), spec.n, spec.batch) if isinstance(spec, Limit) else PerGridCell(spec)
