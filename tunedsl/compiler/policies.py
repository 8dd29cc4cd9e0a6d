"""Pass 4: the searcher and the scheduler, alone and together with the rest of the experiment."""

from __future__ import annotations

from collections.abc import Iterator

from tunedsl.base.diagnostics import Diagnostic, shorten
from tunedsl.compiler.context import CompileContext
from tunedsl.compiler.source import restores_learning_rate
from tunedsl.plan.settings import Resources
from tunedsl.schedulers.contract import NON_LEARNING, SchedulerContext, scheduler_of
from tunedsl.searchers.contract import nested_specs, searcher_of
from tunedsl.searchers.limit import Limit
from tunedsl.spaces.domains import Branch, Choice, Domain
from tunedsl.spaces.layout import index_space, resolve_space
from tunedsl.spaces.sampling import cell_count


def check(context: CompileContext) -> Iterator[Diagnostic]:
    """Reports invalid specs, missing objectives and checkpoints, and policies that do not fit."""
    scheduler, searcher = scheduler_of(context.scheduler), searcher_of(context.searcher)
    yield from scheduler.validate(context.scheduler)
    yield from searcher.validate(context.searcher)
    yield from context.warm_started[1]
    yield from _objectives(context)
    needs = scheduler.requirements(context.scheduler)
    if not context.clauses.objectives:
        for subject, needed, name in (
            ("scheduler", needs.objective, scheduler.name),
            ("searcher", searcher.learns, searcher.name),
        ):
            if needed:
                hint = 'add .minimize("loss") or .maximize("accuracy")'
                yield Diagnostic("E045", subject, f"{name} needs an objective to compare trials by.", hint)
    if needs.checkpoints and context.trainable is not None and not context.can_save():
        how = "save and load methods" if context.form == "class" else "report(..., checkpoint=folder)"
        message = f"{scheduler.name} needs checkpoints, but {context.trainable.__name__} does not save any."
        yield Diagnostic("E046", "scheduler", message, f"give {context.trainable.__name__} {how}")
    yield from _compatible_policies(context)
    yield from _searcher_compatibility(context)
    if needs.searcher == NON_LEARNING and context.trainable is not None and restores_learning_rate(context.trainable):
        undone = f"which undoes {scheduler.name}'s new learning rate"
        message = f"{context.trainable.__name__} loads the optimiser's state, {undone}."
        hint = 'after load_state_dict: for group in optimizer.param_groups: group["lr"] = config["lr"]'
        yield Diagnostic("W042", "trainable", message, hint)


def _compatible_policies(context: CompileContext) -> Iterator[Diagnostic]:
    """Checks the searcher, the number of trials and the space against the scheduler's requirements."""
    scheduler, searcher = scheduler_of(context.scheduler), searcher_of(context.searcher)
    needs = scheduler.requirements(context.scheduler)
    for part in nested_specs(context.searcher):
        if needs.pause and isinstance(part, Limit):
            message = f"{scheduler.name} pauses trials, and {part!r} counts paused trials as running."
            hint = f"write .parallel({part.n}), which limits how many trials run"
            yield Diagnostic("E070", "searcher", message, hint)
    if needs.searcher == NON_LEARNING and searcher.observes_results:
        message = (
            f"{searcher.name} cannot learn from the trials of {scheduler.name}, which changes their configurations."
        )
        yield Diagnostic("E070", "searcher", message, "use random_search() or sobol()")
    elif needs.searcher not in ("any", NON_LEARNING, searcher.name):
        message = f"{scheduler.name} needs the searcher {needs.searcher}, not {searcher.name}."
        yield Diagnostic("E070", "searcher", message, f"add .searcher({needs.searcher}())")
    elif needs.ends_losers_last and searcher.learns and not searcher.supports.intermediate:
        message = (
            f"{searcher.name} learns only from ended trials, but {scheduler.name} ends most trials after the last "
            "one is proposed."
        )
        hint = "use auto() or gp(), which learn at each rung, or asha(...), which ends trials at each rung"
        yield Diagnostic("W044", "searcher", message, hint)
    if not context.has_valid_space or scheduler.validate(context.scheduler):
        return
    clauses = context.clauses
    trials = (clauses.samples or 1) * cell_count(resolve_space(clauses.space))
    if needs.trials not in (None, trials):
        needed = f"{needs.trials} trial{'s' if needs.trials != 1 else ''}"
        message = f"{scheduler.name} needs exactly {needed}, but the experiment has {trials}."
        yield Diagnostic("E075", "samples", message, f"write .samples({needs.trials}), and no grid")
    amounts = clauses.resources or Resources()
    scheduler_context = SchedulerContext(
        key=0,
        trials=trials,
        objective=clauses.objectives[0] if clauses.objectives else None,
        space=clauses.space,
        resources=amounts.amounts() if isinstance(amounts, Resources) else {},
        objectives=clauses.objectives if len(clauses.objectives) > 1 else (),
    )
    yield from scheduler.check_compatibility(context.scheduler, scheduler_context)


def _objectives(context: CompileContext) -> Iterator[Diagnostic]:
    """Checks that the searcher and the scheduler support the number of objectives."""
    goals = context.clauses.objectives
    scheduler, searcher = scheduler_of(context.scheduler), searcher_of(context.warm_started[0])
    if len(goals) > searcher.supports.objectives:
        most = f"{searcher.supports.objectives} objective{'s' if searcher.supports.objectives != 1 else ''}"
        message = f"{searcher.name} supports {most}, but the experiment has {len(goals)}."
        yield Diagnostic("E083", "objective", message, "use tpe() or random_search()")
    needs = scheduler.requirements(context.scheduler)
    if needs.objective and len(goals) > needs.objectives:
        most = f"{needs.objectives} objectives" if needs.objectives > 1 else "one objective"
        message = f"{scheduler.name} compares trials by {most}, but the experiment has {len(goals)}."
        hint = "use asha() or fifo(), or report and optimise one weighted sum"
        yield Diagnostic("E083", "objective", message, hint)


def _searcher_compatibility(context: CompileContext) -> Iterator[Diagnostic]:
    """Reports parts of the space that the searcher does not support."""
    searcher = searcher_of(context.warm_started[0])
    supports, index = searcher.supports, index_space(context.clauses.space)
    for entry in index.params:
        node, subject = entry.node, f"space.{entry.name}"
        unsupported = [
            what
            for what, present, supported in (
                ("conditions", bool(entry.conditions or entry.branch_condition), supports.conditions),
                ("log domains", isinstance(node, Domain) and node.log, supports.log),
                ("quantised domains", isinstance(node, Domain) and node.quantised, supports.quantised),
                ("integer domains", isinstance(node, Domain) and node.integer, supports.integer),
                ("categorical domains", isinstance(node, (Choice, Branch)), supports.categorical),
            )
            if present and not supported
        ]
        if unsupported:
            kinds = " or ".join(unsupported)
            message = f"{searcher.name} does not support {kinds}, such as {subject} = {shorten(repr(node))}."
            yield Diagnostic("E048", subject, message, "use another searcher, such as tpe()")
    believed = [f"space.{entry.name}" for entry in index.params if getattr(entry.node, "belief", None) is not None]
    if believed and not supports.priors:
        message = f"{searcher.name} ignores the priors of {', '.join(believed)}."
        hint = "use a searcher that uses them, such as tpe(), or leave out .prior(...)"
        yield Diagnostic("W043", believed[0], shorten(message), hint)
    if index.constraints and not supports.constraints:
        message = f"{searcher.name} does not support constraints, but the space has where(...)."
        yield Diagnostic("E048", "space.where", message, "use another searcher, such as tpe()")
    if context.has_valid_space:
        yield from searcher_of(context.searcher).check_compatibility(
            context.searcher, context.clauses.space, context.clauses.objectives
        )
