"""Checks and conversions of the arguments of an experiment's clauses.

Each function looks at the arguments of one clause. How clauses fit together is checked by the compiler.
"""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

from tunedsl.base.arguments import as_bool, as_int, as_number, as_text, has_password
from tunedsl.base.diagnostics import shorten
from tunedsl.base.errors import ArgumentError, CodecError, wrong_value
from tunedsl.base.objective import Objective
from tunedsl.base.references import FunctionRef
from tunedsl.base.suggestions import for_keyword
from tunedsl.base.types import TIME_THIS_ITER, TIME_TOTAL, Mode
from tunedsl.plan.command import Command
from tunedsl.plan.output import output_of
from tunedsl.plan.settings import CheckpointPolicy, Resources, Strategy
from tunedsl.spaces.expressions import And, Compare, Expr, Not, Or, Ref, leaves, operands
from tunedsl.stopping import Calls, Failing, Metric, Reached, StudyCalls
from tunedsl.stopping.constraints import split_constraint
from tunedsl.stopping.study import NUMBERS, STUDY_LEAVES, misused_parts
from tunedsl.stopping.study import __name__ as STUDY_MODULE

_CONSTRAINT: Final = 'subject_to(metric("latency_ms") <= 20)'
_RESOURCE_NAMES: Final = ("cpu", "gpu", "memory", "custom", "bundles", "strategy")


def named_params(clause: str, mapping: Mapping[str, Any] | None, keywords: Mapping[str, Any]) -> dict[str, Any]:
    """The parameters of a clause that takes a mapping, keywords or both.

    Raises:
        ArgumentError: for a positional argument that is not a mapping, or for a name that is in both.
    """
    if mapping is None:
        return dict(keywords)
    if not isinstance(mapping, Mapping):
        hint = f"write {clause}(name=...) or {clause}({{'name': ...}})"
        raise wrong_value(clause, mapping, "a mapping from names to parameters", hint)
    repeated = next((name for name in keywords if name in mapping), None)
    if repeated is not None:
        message = f"{clause}(...) has {repeated} both in the mapping and as a keyword."
        raise ArgumentError("E004", f"{clause}.{repeated}", message, "write the name once")
    return {**mapping, **keywords}


def callable_reference(clause: str, f: Any) -> FunctionRef:
    """A user's function or class as a reference.

    Raises:
        ArgumentError: for an object that cannot be called or has no name.
    """
    if isinstance(f, FunctionRef):
        return f
    if not callable(f):
        raise wrong_value(clause, f, "a function or class")
    try:
        return FunctionRef.of(f)
    except CodecError:
        hint = "write a function that calls it; objects that it needs go through .data(...)"
        message = f"The argument of {clause}(...) has no name: {shorten(repr(f))}."
        raise ArgumentError("E003", clause, message, hint) from None


def trainable_of(f: Callable[..., Any] | Command) -> FunctionRef | Command:
    """The trainable that `.trainable(f)` sets; raises `ArgumentError` for an object of another kind."""
    return f if isinstance(f, Command) else callable_reference("trainable", f)


def objective(clause: str, metric: str, mode: Mode) -> Objective:
    """The objective that `minimize` or `maximize` sets.

    Raises:
        ArgumentError: for a metric that is not a name.
    """
    return Objective(as_text(f"{clause}.metric", metric, _metric_hint(clause, metric)), mode)


def _metric_hint(clause: str, item: Any) -> str:
    """The hint for an argument that is not the name of a metric."""
    if callable(item):
        name = getattr(item, "__name__", "train")
        return f"the function that reports the metric is a clause of its own: .trainable({name})"
    if isinstance(item, (list, tuple)) and item and all(isinstance(name, str) for name in item):
        return f"a clause for each: {''.join(f'.{clause}({name!r})' for name in item)}"
    return ""


def stop_conditions(conditions: Sequence[Any], reached: Mapping[str, Any]) -> tuple[Reached | Expr, ...]:
    """The stop conditions of one `stop` clause, in the order written.

    Raises:
        ArgumentError: for a clause without conditions, or for an argument that is not a condition.
    """
    if not conditions and not reached:
        raise ArgumentError("E002", "stop", "stop() has no condition.", "write stop(training_iteration=10)")
    named = {as_text("a name in stop", name): item for name, item in reached.items()}
    thresholds = (Reached(name, _threshold(f"stop.{name}", item)) for name, item in named.items())
    return (*map(_condition, conditions), *thresholds)


def _condition(condition: Any) -> Expr:
    if isinstance(condition, Expr):
        parameter = next((leaf for leaf in leaves(condition) if isinstance(leaf, Ref)), None)
        if parameter is not None:
            message = f"A stop condition compares metrics, but {parameter!r} is a parameter."
            hint = f"write metric({parameter.path!r}) for what the trial reports under that name"
            raise ArgumentError("E003", "stop", message, hint)
        study = next((leaf for leaf in leaves(condition) if isinstance(leaf, STUDY_LEAVES)), None)
        if study is not None:
            message = f"A stop condition is over one trial, but {study!r} is over all trials."
            raise ArgumentError("E003", "stop", message, f"write .until({condition!r}), which ends the run")
        return condition
    if callable(condition):
        return Calls(callable_reference("stop", condition))
    hint = 'write stop(training_iteration=10), or stop(metric("loss") < 0.1)'
    raise wrong_value("The argument of stop(...)", condition, "a condition", hint, subject="stop")


def _threshold(subject: str, item: Any) -> float:
    threshold = float(item if isinstance(item, bool) else as_number(subject, item))
    if math.isnan(threshold):
        hint = f"write diverged({subject.removeprefix('stop.')!r}), which is met by NaN"
        raise wrong_value(subject, item, "a value that a metric can reach", hint)
    return threshold


def outcome_constraints(conditions: Sequence[Any]) -> tuple[Compare, ...]:
    """The comparisons of one `subject_to` clause, in the order written.

    Raises:
        ArgumentError: for a clause without conditions, or for a part that is not a comparison of metrics.
    """
    if not conditions:
        raise ArgumentError("E002", "subject_to", "subject_to() has no condition.", f"write {_CONSTRAINT}")
    for condition in conditions:
        if not isinstance(condition, Expr):
            hint = f"write {_CONSTRAINT}"
            if callable(condition):
                hint = f"report what the function computes as a metric, and {hint}"
            raise wrong_value("The argument of subject_to(...)", condition, "a comparison", hint, subject="subject_to")
    return tuple(_constraint(part) for condition in conditions for part in split_constraint(condition))


def _constraint(part: Expr) -> Compare:
    """One part of a `subject_to` clause, if it is a comparison of metrics."""
    hint = ""
    for leaf in leaves(part):
        if isinstance(leaf, Ref):
            hint = f"where(...) restricts configurations; metric({leaf.path!r}) is what a trial reports"
        elif isinstance(leaf, STUDY_LEAVES):
            hint = "until(...) takes conditions over all trials"
        elif not isinstance(leaf, Metric):
            hint = "stop(...) takes conditions that end a trial"
        elif leaf.name == TIME_THIS_ITER:
            hint = f"write metric({TIME_TOTAL!r}), or report the time as a metric of another name"
        if hint:
            message = f"subject_to(...) compares what trials report, but {leaf!r} is something else."
            raise ArgumentError("E003", "subject_to", message, hint)
    if isinstance(part, Or) or (isinstance(part, Not) and isinstance(part.operand, And)):
        hint = "report one metric that is small if one of them holds, and compare this metric"
        message = f"subject_to(...) needs conditions that all hold, but {part!r} is one of several."
        raise ArgumentError("E003", "subject_to", message, hint)
    if not isinstance(part, Compare) or part.op == "!=" or not all(map(_is_number, operands(part))):
        hint = f"write {_CONSTRAINT}; the comparisons are < <= > >= =="
        raise wrong_value("A condition of subject_to(...)", part, "a comparison of numbers", hint, subject="subject_to")
    return part


def _is_number(expr: Expr) -> bool:
    """Whether an expression is arithmetic without conditions inside."""
    if isinstance(expr, (Compare, And, Or, Not)):
        return False
    return all(map(_is_number, operands(expr)))


def study_conditions(existing: Sequence[Expr], condition: Any) -> tuple[Expr, ...]:
    """The study conditions after one more `until` clause; a `failing(...)` replaces an existing one.

    Raises:
        ArgumentError: for an argument that is not a condition over the study.
    """
    if getattr(condition, "__module__", "") == STUDY_MODULE and callable(condition):
        message = f"until(...) takes a condition, but {condition.__name__} is the function that makes one."
        raise ArgumentError("E003", "until", message, f"call it: until({condition.__name__}(...))")
    if not isinstance(condition, Expr) and callable(condition):
        condition = StudyCalls(callable_reference("until", condition))
    if not isinstance(condition, Expr):
        hint = "write until(best() < 0.05), or until(function) with a function of a StudySummary"
        raise wrong_value("until", condition, "a condition over all trials", hint)
    for leaf in leaves(condition):
        if not isinstance(leaf, STUDY_LEAVES):
            message = f"until(...) takes conditions over all trials, but {leaf!r} is over one trial."
            raise ArgumentError("E003", "until", message, _study_hint(leaf))
    for part in misused_parts(condition):
        is_number = isinstance(part, NUMBERS)
        message = f"{part!r} is a number, but until(...) needs a condition." if is_number else f"{part!r} is misplaced."
        hint = (
            f"compare it: {part!r} < 0.05" if is_number else "compare numbers, and combine conditions with &, | and ~"
        )
        raise ArgumentError("E003", "until", message, hint)
    kept = [part for part in existing if not (isinstance(part, Failing) and isinstance(condition, Failing))]
    return tuple(dict.fromkeys((*kept, condition)))


def _study_hint(leaf: Expr) -> str:
    """What to write instead of a condition over a trial."""
    if isinstance(leaf, Metric):
        return f"best({leaf.name!r}) is the best value of all trials; stop(...) takes conditions over one trial"
    return "stop(...) takes conditions over one trial"


def resources(
    source: Mapping[str, Any] | Callable[[Any], Any] | None, amounts: Mapping[str, Any], strategy: Strategy
) -> Resources | FunctionRef:
    """The resources of one `resources` clause.

    Args:
        source: a mapping with the names of the keywords, a function of the configuration, or None.
        amounts: the keywords; None for each that was not passed.
        strategy: how bundles are placed.

    Raises:
        ArgumentError: for invalid amounts, or for a mapping or function together with keywords.
    """
    if source is None:
        return Resources.of(**amounts, strategy=strategy)
    if any(amount is not None for amount in amounts.values()):
        kind = "a mapping" if isinstance(source, Mapping) else "a function"
        raise ArgumentError(
            "E003", "resources", f"resources(...) has both {kind} and keywords.", "write one of the two"
        )
    if not isinstance(source, Mapping):
        return callable_reference("resources", source)
    unknown = next((name for name in source if name not in _RESOURCE_NAMES), None)
    if unknown is not None:
        hint = for_keyword("resources", str(unknown), _RESOURCE_NAMES)
        hint = hint or f"the names are {', '.join(_RESOURCE_NAMES)}; others go into custom={{...}}"
        raise ArgumentError("E001", "resources", f"resources(...) has no argument {shorten(repr(unknown))}.", hint)
    return Resources.of(**{"strategy": strategy, **source})


def checkpoint_policy(every: int | None, keep: int | None, at_end: bool, best: str | None) -> CheckpointPolicy:
    """The policy of one `checkpoint` clause.

    Raises:
        ArgumentError: for a count below 1, or an argument of the wrong type.
    """
    return CheckpointPolicy(
        None if every is None else as_int("checkpoint.every", every, minimum=1),
        None if keep is None else as_int("checkpoint.keep", keep, minimum=1),
        as_bool("checkpoint.at_end", at_end),
        None if best is None else as_text("checkpoint.best", best),
    )


def store_location(path: Any) -> str:
    """The location of a `store` clause, with `~` replaced by the home folder.

    Raises:
        ArgumentError: for an object that is not a path, or for an address with a password or without a folder.
    """
    if not isinstance(path, (str, os.PathLike)):
        raise wrong_value("store.path", path, "a path")
    location = str.__str__(os.fspath(path))
    _, separator, rest = location.partition("://")
    if has_password(location):
        hint = "put passwords into fsspec's configuration file, ~/.config/fsspec/conf.json"
        raise ArgumentError("E003", "store.path", "The address in store(...) contains a password.", hint)
    if separator and not rest.strip("/"):
        raise wrong_value("store.path", location, "an address with a folder", f"write {location}tuning")
    return location if separator else os.path.expanduser(location)


def output_files(to: Any) -> bool | str | tuple[str, str]:
    """The argument of a `log_to_file` clause.

    Raises:
        ArgumentError: for an argument that is not a file name, or for a name that is in use.
    """
    is_pair = isinstance(to, (tuple, list)) and len(to) == 2 and all(isinstance(part, str) for part in to)
    if not (is_pair or isinstance(to, (bool, str))):
        raise wrong_value("log_to_file.to", to, "True, a file name, or a pair of them")
    files: Any = tuple(map(str.__str__, to)) if is_pair else str.__str__(to) if isinstance(to, str) else to
    output_of(files)
    return files  # type: ignore[no-any-return]
