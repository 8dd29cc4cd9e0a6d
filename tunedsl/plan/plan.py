"""The plan: everything that decides a run, as one immutable value that can be written as data and read back."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

from tunedsl.base import codec, markup
from tunedsl.base.arguments import public
from tunedsl.base.codec import omit_default_field, transient_field, value
from tunedsl.base.diagnostics import Diagnostic
from tunedsl.base.errors import CodecError
from tunedsl.base.interrupts import interruptible
from tunedsl.base.objective import Objective
from tunedsl.base.references import FunctionRef
from tunedsl.base.types import Order
from tunedsl.base.verbs import verb
from tunedsl.plan.command import Command
from tunedsl.plan.settings import GRACE_SECONDS, CheckpointPolicy, Isolation, Resources, Retry
from tunedsl.schedulers.contract import DecisionPoints
from tunedsl.spaces.expressions import Compare, Expr
from tunedsl.spaces.space import Space
from tunedsl.stopping import Budget

if TYPE_CHECKING:
    from tunedsl.plan.definition import Definition

Form = Literal["function", "generator", "class", "command"]
Contents = tuple[tuple[str, str], ...]
"""Names and digests by content, sorted."""


@value(eq=False)
class Plan:
    """An experiment, checked, normalised and lowered.

    Attributes:
        name: of the experiment, a portable folder name.
        trainable: the user's code, as a reference and the live object, or a command; None for asked trials.
        form: the form of the trainable.
        data: keywords of `.data(...)`; the objects themselves are not part of a plan.
        stop: the condition with which workers end a trial; it includes the scheduler's last iteration.
        decision_points: the iterations at which a trial waits for the scheduler.
        parallel: limit of concurrent trials, or None if only the resources limit them.
        samples: proposals, or repeats of the whole grid.
        trials: samples times the number of grid cells.
        seed: the root of all randomness.
        timeout: seconds that one attempt at a trial may take.
        naming: `(number, config) -> name` of a trial.
        idle: seconds that an attempt may take without a report.
        isolate: `pool`, `process` or `none`: what a trial shares its worker process with.
        grace: seconds that an attempt's code may run after its trial ended.
        contents: digests of content: `data.name` for objects of `.data(...)`, `module:name` for helpers, classes and
            constants of the user's modules, a module's name for modules that functions import when called.
        until: the condition over the whole study that ends the run.
        constraints: the outcome constraints, each a comparison that a feasible result meets.
        written: the experiment's text; outside equality and digest.
        warnings: the compiler's warnings; outside equality and digest.
        definition: the definition it was compiled from, None if it was read from data; outside equality and digest.
        drawn_seed: whether the seed was drawn because the experiment sets none; outside equality and digest.
    """

    name: str
    trainable: FunctionRef | Command | None
    form: Form
    data: tuple[str, ...]
    space: Space
    objectives: tuple[Objective, ...]
    searcher: Any
    scheduler: Any
    stop: Expr | None
    decision_points: DecisionPoints
    budget: Budget
    resources: Resources | FunctionRef
    parallel: int | None
    order: Order
    samples: int
    trials: int
    seed: int
    retry: Retry
    fail_fast: bool
    timeout: float | None
    checkpoint: CheckpointPolicy
    naming: FunctionRef | None
    idle: float | None = omit_default_field(None)
    isolate: Isolation = omit_default_field("pool")
    grace: float = omit_default_field(GRACE_SECONDS)
    contents: Contents = omit_default_field(())
    until: Expr | None = omit_default_field(None)
    constraints: tuple[Compare, ...] = omit_default_field(())
    written: str = transient_field("")
    warnings: tuple[Diagnostic, ...] = transient_field(())
    definition: Definition | None = transient_field(None)
    drawn_seed: bool = transient_field(False)

    def __eq__(self, other: object) -> bool:
        """By data: a comparison of two conditions is itself a condition, which is always true."""
        return isinstance(other, Plan) and (self is other or self.to_json() == other.to_json())

    def __hash__(self) -> int:
        return hash(self.digest)

    @property
    def digest(self) -> str:
        """32 hex digits that are equal for equal plans only, in any process."""
        return codec.digest(self)

    def to_json(self) -> str:
        """The plan as canonical JSON."""
        return codec.to_json(self)

    @staticmethod
    def from_json(text: str | bytes) -> Plan:
        """The plan that `to_json` wrote. The user's functions are imported when they are first needed.

        Raises:
            CodecError: if `text` is not a plan.
        """
        plan = codec.from_json(text)
        if not isinstance(plan, Plan):
            raise CodecError(f"The data holds a {type(plan).__name__}, not a plan.")
        return plan

    def explain(self) -> str:
        """The plan as text: as written, normalised, and lowered to what runs where."""
        return str(verb("explain")(self))

    def _repr_html_(self) -> str:
        return markup.preformatted(self.explain())

    @public
    def preview(self, n: int | None = None) -> list[dict[str, Any]]:
        """The first `n` configurations that will run; all of them without `n`.

        Raises:
            ArgumentError: for a searcher that learns, since its proposals depend on results.
        """
        configs: list[dict[str, Any]] = verb("preview")(self, n)
        return configs

    @interruptible()
    def run(self, engine: Any = "ray", *, address: str | None = None, quiet: bool = False) -> Any:
        """Runs the plan unchanged, seed included; arguments and results are those of `tunedsl.run`.

        The store, the sinks and the objects of `.data(...)` come from the experiment that it was compiled from.
        """
        return verb("run")(self, engine, address=address, quiet=quiet)
