"""Pass 4: searcher and scheduler, each by itself and with what the experiment gives them."""

from __future__ import annotations

from collections.abc import Iterator

from tunedsl.base.diagnostics import Diagnostic
from tunedsl.compiler.context import CompileContext
from tunedsl.compiler.source import restores_learning_rate
from tunedsl.plan.settings import Resources
from tunedsl.schedulers.contract import NON_LEARNING, SchedulerContext, scheduler_of
from tunedsl.searchers.contract import nested_specs, searcher_of
from tunedsl.searchers.limit import Limit
from tunedsl.spaces.domains import Branch, Choice, Domain
from tunedsl.spaces.layout import index_space, resolve_space
from tunedsl.spaces.sampling import cell_count


def check(case: CompileContext) -> Iterator[Diagnostic]:
    """Faults of the specs, missing objectives and checkpoints, and what the searcher cannot take."""
    scheduler, searcher = scheduler_of(case.scheduler), searcher_of(case.searcher)
    yield from scheduler.validate(case.scheduler)
    yield from searcher.validate(case.searcher)
    yield from case.warm_started[1]
    yield from _objectives(case)
    needs = scheduler.requirements(case.scheduler)
    if not case.clauses.objectives:
        for subject, needed, name in (
            ("scheduler", needs.objective, scheduler.name),
            ("searcher", searcher.learns, searcher.name),
        ):
            if needed:
                hint = 'add .minimize("loss") or .maximize("accuracy")'
                yield Diagnostic("E045", subject, f"{name} without an objective", "a metric to compare trials by", hint)
    if needs.checkpoints and case.trainable is not None and not case.can_save():
        how = "save and load methods" if case.form == "class" else "report(..., checkpoint=folder)"
        expected = "a trainable that saves"
        found = f"{scheduler.name} needs checkpoints, and {case.trainable.__name__} saves none"
        yield Diagnostic("E046", "scheduler", found, expected, f"give it {how}")
    yield from _compatible_policies(case)
    yield from _scheduler_compatibility(case)
    if needs.searcher == NON_LEARNING and case.trainable is not None and restores_learning_rate(case.trainable):
        found = f"{case.trainable.__name__} loads its optimiser's state, which brings back the donor's learning rate"
        hint = 'after load_state_dict: for group in optimizer.param_groups: group["lr"] = config["lr"]'
        expected = f"a trial that goes on with the configuration that {scheduler.name} gave it"
        yield Diagnostic("W042", "trainable", found, expected, hint)


def _compatible_policies(case: CompileContext) -> Iterator[Diagnostic]:
    """What the scheduler says of the searcher, the number of trials and the space."""
    scheduler, searcher = scheduler_of(case.scheduler), searcher_of(case.searcher)
    needs = scheduler.requirements(case.scheduler)
    found = f"{scheduler.name} with {searcher.name}"
    for held in nested_specs(case.searcher):
        if needs.pause and isinstance(held, Limit):
            what = f"{scheduler.name} pauses trials, which {held!r} counts as in flight"
            hint = f"write .parallel({held.n}), which limits how many trials run"
            yield Diagnostic("E070", "searcher", what, "a searcher without limit", hint)
    if needs.searcher == NON_LEARNING and searcher.observes_results:
        found = f"{found}, which would learn from trials whose configurations change while they run"
        yield Diagnostic("E070", "searcher", found, "a searcher that does not learn", "use random_search() or sobol()")
    elif needs.searcher not in ("any", NON_LEARNING, searcher.name):
        yield Diagnostic("E070", "searcher", found, needs.searcher, f"add .searcher({needs.searcher}())")
    if not case.has_valid_space or scheduler.validate(case.scheduler):
        return
    clauses = case.clauses
    trials = (clauses.samples or 1) * cell_count(resolve_space(clauses.space))
    if needs.trials not in (None, trials):
        found = f"{trials} trial{'s' if trials > 1 else ''} with {scheduler.name}"
        expected = f"{needs.trials} trial{'s' if needs.trials != 1 else ''}"
        yield Diagnostic("E075", "samples", found, expected, f"write .samples({needs.trials}), and no grid")
    amounts = clauses.resources or Resources()
    setting = SchedulerContext(
        key=0,
        trials=trials,
        objective=clauses.objectives[0] if clauses.objectives else None,
        space=clauses.space,
        resources=amounts.amounts() if isinstance(amounts, Resources) else {},
    )
    yield from scheduler.check_compatibility(case.scheduler, setting)


def _objectives(case: CompileContext) -> Iterator[Diagnostic]:
    """Whether searcher and scheduler take as many objectives as there are."""
    goals = case.clauses.objectives
    scheduler, searcher = scheduler_of(case.scheduler), searcher_of(case.warm_started[0])
    if len(goals) > searcher.supports.objectives:
        found = f"{len(goals)} objectives with {searcher.name}, which takes {searcher.supports.objectives}"
        yield Diagnostic("E083", "objective", found, "a searcher that takes them", "use tpe() or random_search()")
    if len(goals) > 1 and scheduler.requirements(case.scheduler).objective:
        found = f"{len(goals)} objectives with {scheduler.name}, which compares trials by one"
        hint = "use fifo(), or report one weighted sum and optimise that"
        yield Diagnostic("E083", "objective", found, "a scheduler that compares no trials", hint)


def _scheduler_compatibility(case: CompileContext) -> Iterator[Diagnostic]:
    """What the searcher says that it cannot take."""
    searcher = searcher_of(case.warm_started[0])
    takes, found = searcher.supports, index_space(case.clauses.space)
    for entry in found.params:
        node, subject = entry.node, f"space.{entry.name}"
        lacks = [
            what
            for what, has, taken in (
                ("conditions", bool(entry.conditions or entry.branch_condition), takes.conditions),
                ("log domains", isinstance(node, Domain) and node.log, takes.log),
                ("quantised domains", isinstance(node, Domain) and node.quantised, takes.quantised),
                ("integer domains", isinstance(node, Domain) and node.integer, takes.integer),
                ("categorical domains", isinstance(node, (Choice, Branch)), takes.categorical),
            )
            if has and not taken
        ]
        if lacks:
            expected = f"a space without {' and '.join(lacks)}"
            yield Diagnostic(
                "E048", subject, f"{node!r} with {searcher.name}", expected, "use another searcher, such as tpe()"
            )
    if found.constraints and not takes.constraints:
        expected = "a space without constraints"
        yield Diagnostic(
            "E048", "space.where", f"where(...) with {searcher.name}", expected, "use another searcher, such as tpe()"
        )
    if case.has_valid_space:
        yield from searcher_of(case.searcher).check_compatibility(
            case.searcher, case.clauses.space, case.clauses.objectives
        )
