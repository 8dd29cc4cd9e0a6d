"""The plan: everything that a run is decided by, as one immutable value that data gives back."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

from tunedsl.base import codec, markup
from tunedsl.base.arguments import public
from tunedsl.base.codec import omit_default_field, transient_field, value
from tunedsl.base.diagnostics import Diagnostic
from tunedsl.base.errors import CodecError
from tunedsl.base.objective import Objective
from tunedsl.base.references import FunctionRef
from tunedsl.base.types import Order
from tunedsl.base.verbs import verb
from tunedsl.plan.settings import GRACE_SECONDS, CheckpointPolicy, Isolation, Resources, Retry
from tunedsl.schedulers.contract import DecisionPoints
from tunedsl.spaces.expressions import Expr
from tunedsl.spaces.space import Space
from tunedsl.stopping import Budget

if TYPE_CHECKING:
    from tunedsl.plan.definition import Definition

Form = Literal["function", "generator", "class"]
Contents = tuple[tuple[str, str], ...]
"""Names and digests by content, sorted."""


@value
class Plan:
    """An experiment, checked, normalised and lowered.

    Attributes:
        name: of the experiment, a portable folder name.
        trainable: the user's code; the live object is beside its reference.
        form: how the trainable is run.
        data: keywords of `.data(...)`; the objects themselves are not part of a plan.
        stop: the condition that workers end a trial by, with the scheduler's last iteration in it.
        decision_points: the iterations at which a trial waits for the scheduler.
        parallel: trials at a time, or None for as many as the resources carry.
        samples: proposals, or repeats of the whole grid.
        trials: samples times cells of the grid.
        seed: the root of all randomness.
        timeout: seconds that one attempt at a trial may take.
        naming: `(number, config) -> name` of a trial.
        idle: seconds that an attempt may go without a report.
        isolate: `pool`, `process` or `none`: what a trial shares its worker with.
        grace: seconds that an attempt's code may run on after its trial has ended.
        contents: digests by content: `data.name` for what `.data(...)` ships, `module:name` for each helper, class and
            constant of the user's modules that the functions use, a module's name for what they import when called.
        until: the condition over the whole study that ends the run.
        written: the experiment's own text; outside equality and digest.
        warnings: what the compiler doubts; outside equality and digest.
        definition: what it was compiled from, None where it was read from data; outside equality and digest.
        drawn_seed: whether the seed was drawn, since the experiment names none; outside equality and digest.
    """

    name: str
    trainable: FunctionRef
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
    written: str = transient_field("")
    warnings: tuple[Diagnostic, ...] = transient_field(())
    definition: Definition | None = transient_field(None)
    drawn_seed: bool = transient_field(False)

    @property
    def digest(self) -> str:
        """32 hex digits, equal exactly for equal plans, in any process."""
        return codec.digest(self)

    def to_json(self) -> str:
        """The plan as canonical JSON."""
        return codec.to_json(self)

    @staticmethod
    def from_json(text: str | bytes) -> Plan:
        """The plan that `to_json` wrote. The user's functions are imported when they are first needed.

        Raises:
            CodecError: when `text` is no plan.
        """
        plan = codec.from_json(text)
        if not isinstance(plan, Plan):
            raise CodecError(f"expected a plan, found {type(plan).__name__}")
        return plan

    def explain(self) -> str:
        """The plan as text: as written, normalised, and lowered to what runs where."""
        return str(verb("explain")(self))

    def _repr_html_(self) -> str:
        return markup.preformatted(self.explain())

    @public
    def preview(self, n: int | None = None) -> list[dict[str, Any]]:
        """The first `n` configurations as they will run; all of them without `n`.

        Raises:
            ArgumentError: for a searcher that learns: what it proposes hangs on results.
        """
        configs: list[dict[str, Any]] = verb("preview")(self, n)
        return configs

    def run(self, engine: Any = "ray", *, address: str | None = None, quiet: bool = False) -> Any:
        """Runs the plan as it is, seed included; arguments and results as of `tunedsl.run`.

        Where trials' files go, who is told and the objects of `.data(...)` come from the experiment that it was
        compiled from.
        """
        return verb("run")(self, engine, address=address, quiet=quiet)
