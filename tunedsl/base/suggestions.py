"""Hints of error messages: what to write instead of an unknown name.

The tables of names in other tools are in `other_tools`; misspelt names are found by similarity.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any, Final, TypeVar

from tunedsl.base.diagnostics import with_help
from tunedsl.base.names import did_you_mean, is_number, nearest
from tunedsl.base.other_tools import ARGUMENTS, CLAUSES, LOG_WORDS, PACKAGE, RESULTS, TRIAL

__all__ = [
    "CLAUSES",
    "PACKAGE",
    "RESULTS",
    "TRIAL",
    "for_call",
    "for_keyword",
    "for_module",
    "for_name",
    "for_object",
    "hinted",
]

T = TypeVar("T")

_CLOSE: Final = 0.75
"""Minimum similarity of a misspelt name that is also a name in another tool."""
_LOG: Final = {"uniform": "loguniform", "quniform": "qloguniform", "randint": "lograndint", "qrandint": "qlograndint"}
_STEP: Final = {
    "uniform": "quniform",
    "loguniform": "qloguniform",
    "randint": "qrandint",
    "lograndint": "qlograndint",
    "randn": "qrandn",
}
_DOMAINS: Final = frozenset({*_LOG, *_STEP, *_LOG.values(), *_STEP.values()})
_STEP_WORDS: Final = frozenset({"q", "step", "quantization", "quantize", "resolution", "multiple_of"})
_DROPPED: Final = {
    "base": "leave it out: the base of a logarithm changes nothing",
    "multivariate": "leave it out: the model is of all parameters together",
    "require_attrs": "leave it out",
    "log_config": "leave it out: the journal has every configuration",
}


def hinted(names: Mapping[str, str]) -> Callable[[type[T]], type[T]]:
    """Adds hints to the errors for unknown attributes of a class's instances.

    Names with a leading underscore, which protocols look up, raise Python's own error.

    Args:
        names: what to write, by the names in other tools.
    """

    def decorate(cls: type[T]) -> type[T]:
        def __getattr__(self: Any, name: str) -> Any:
            if name.startswith("_") or hasattr(type(self), name):
                return object.__getattribute__(self, name)
            known = [each for each in dir(type(self)) if not each.startswith("_")]
            text = f"{cls.__name__!r} object has no attribute {name!r}"
            raise AttributeError(with_help(text, for_name(name, known, names)), name=name, obj=None)

        setattr(cls, "__getattr__", __getattr__)  # noqa: B010  # hidden from type checkers
        return cls

    return decorate


def for_name(name: str, known: Iterable[str], names: Mapping[str, str]) -> str:
    """The hint for an unknown name: from the tables of other tools, or by similarity.

    >>> for_name("num_samples", ["samples", "seed"], CLAUSES)
    'write .samples(100)'
    >>> for_name("sample", ["samples", "seed"], CLAUSES)
    "did you mean 'samples'?"
    """
    return f"write {names[name]}" if name in names else did_you_mean(name, known)


def for_module(name: str, known: Iterable[str]) -> str:
    """The hint for an unknown name of a package of this library."""
    if name in PACKAGE:
        return f"write {PACKAGE[name]}"
    if name in CLAUSES:
        return f"it is a clause of the experiment: {CLAUSES[name]}"
    near = nearest(name, known)
    return "" if near is None else f"did you mean {near!r}?"


def for_keyword(function: str, keyword: str, known: Iterable[str]) -> str:
    """The hint for an unknown keyword argument of a function."""
    known = list(known)
    own = ARGUMENTS.get(function, {}).get(keyword)
    if own is not None and own in known:
        return f"did you mean {own!r}?"
    if own is not None and own.partition("=")[0] in known:
        return f"write {own}"
    if function in _DOMAINS | {"choice", "grid", "sample_from"} and keyword in ("name", "label"):
        return f"write the name as the keyword of space(...): space(lr={function}(...))"
    near = nearest(keyword, known, _CLOSE)
    if near is None:
        if keyword in _DROPPED:
            return _DROPPED[keyword]
        if keyword in CLAUSES:
            return f"it is a clause of the experiment: {CLAUSES[keyword]}"
        near = nearest(keyword, known)
    return "" if near is None else f"did you mean {near!r}?"


def for_call(function: str, args: tuple[Any, ...], keywords: Mapping[str, Any], known: Iterable[str]) -> str:
    """The hint for a wrong call of a function, or nothing.

    >>> for_call("choice", ("a", "b"), {}, ["options"])
    "write choice(['a', 'b'])"
    >>> for_call("uniform", (1e-4, 1e-1), {"log": True}, ["low", "high"])
    'write loguniform(0.0001, 0.1)'
    """
    if function in _DOMAINS:
        return _for_domain(function, args, keywords)
    if function in ("choice", "grid") and not keywords and len(args) > 1:
        if isinstance(args[0], str) and len(args) == 2 and isinstance(args[1], (list, tuple)):
            return f"write space({_identifier(args[0])}={function}({list(args[1])!r}))"
        return f"write {function}({list(args)!r})"
    return ""


def _identifier(label: str) -> str:
    return label if label.isidentifier() else "name"


def _for_domain(function: str, args: tuple[Any, ...], keywords: Mapping[str, Any]) -> str:
    """The call of the domain that corresponds to arguments of another tool."""
    label = args[0] if args and isinstance(args[0], str) and not is_number(args[0]) else None
    if label is not None:
        args = args[1:]
    elif len(args) == 1 and not keywords and isinstance(args[0], (list, tuple)) and len(args[0]) == 2:
        args = tuple(args[0])
    elif len(args) < 3 and not keywords.keys() & (LOG_WORDS | _STEP_WORDS):
        return ""
    bounds = ("mean", "sd") if function.endswith("randn") else ("low", "high")
    values = [*args[:2], *(keywords[name] for name in bounds if name in keywords)]
    step = args[2] if len(args) > 2 else next((keywords[name] for name in _STEP_WORDS if name in keywords), None)
    log = any(_is_log(keywords[name]) for name in LOG_WORDS & keywords.keys())
    wanted = _LOG.get(function, function) if log else function
    wanted = _STEP.get(wanted, wanted) if step is not None else wanted
    if log and values and not isinstance(values[0], bool) and isinstance(values[0], (int, float)) and values[0] <= 0:
        values[0] = 1 if wanted.endswith("randint") else 1e-6
    if len(values) < 2:
        return f"did you mean {wanted}(...)?" if wanted != function else ""
    shown = ", ".join([*map(repr, values[:2]), *([] if step is None else [f"q={step!r}"])])
    call = f"{wanted}({shown})"
    return f"write space({_identifier(label)}={call})" if label is not None else f"write {call}"


def _is_log(item: Any) -> bool:
    """Whether an argument selects a log scale: True, or a text such as `"log-uniform"`."""
    return "log" in item if isinstance(item, str) else item is True


def for_object(item: Any) -> str:
    """The hint for an object of another tool, or its name, where a value of this package is expected."""
    name = item if isinstance(item, str) else getattr(item, "__name__", type(item).__name__)
    return f"write {PACKAGE[name]}" if name in PACKAGE else ""
