"""Pass 2: whether there is a trainable, and whether it accepts the arguments of the call."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator
from typing import Any

from tunedsl.base.arguments import describe_mismatch
from tunedsl.base.diagnostics import Diagnostic
from tunedsl.compiler import command
from tunedsl.compiler.context import CompileContext
from tunedsl.plan.command import Command
from tunedsl.plan.forms import is_ray_class
from tunedsl.plan.settings import EXTERNAL

_BASE = "tunedsl.worker."


def check(context: CompileContext) -> Iterator[Diagnostic]:
    """Checks the form of the trainable, its methods and their arguments."""
    if context.clauses.trainable is None:
        if context.engine == EXTERNAL:
            return
        hint = "add .trainable(train), with def train(config): ...; or .open(path) to ask and tell"
        yield Diagnostic("E030", "trainable", "The experiment has no trainable.", hint)
        return
    function, name = context.trainable, context.clauses.trainable.name
    if inspect.iscoroutinefunction(function) or inspect.isasyncgenfunction(function):
        hint = "write a plain function that calls asyncio.run(...)"
        yield Diagnostic("E033", "trainable", f"{name} is an async function, which cannot be a trainable.", hint)
    elif isinstance(function, Command):
        yield from command.check(context, function)
    elif is_ray_class(function):
        yield from _ray_class(context, function, name)
    elif context.form == "class":
        yield from _class(context, function, name)
    else:
        yield from _check_config_call(context, function, name, "E031")


def _class(context: CompileContext, cls: type, name: str) -> Iterator[Diagnostic]:
    yield from check_call("E031", "trainable", cls, name, {})
    subclass = any(base.__module__.startswith(_BASE) for base in cls.__mro__)
    if not (subclass or hasattr(cls, "setup") or hasattr(cls, "step")):
        hint = f"class {name}(tunedsl.Trainable), with these two; or give a function train(config)"
        message = f"The class {name} has no methods setup(self, config) and step(self)."
        yield Diagnostic("E032", "trainable", message, hint)
        return
    for method, what in (("setup", "setup(self, config)"), ("step", "step(self)")):
        found = getattr(cls, method, None)
        # The base class defines both; its `step` only raises an error.
        if found is None or (method == "step" and found.__module__.startswith(_BASE)):
            hint = f"def {what}: ..." if method == "setup" else f'def {what}: return {{"loss": ...}}'
            hint += "" if subclass else f"; tunedsl.Trainable is the base to subclass: class {name}(tunedsl.Trainable)"
            yield Diagnostic("E032", "trainable", f"The class {name} has no method {what}.", hint)
        elif method == "step":
            yield from check_call("E031", "trainable", found, f"{name}.step", {}, cls)
        else:
            yield from _check_config_call(context, found, f"{name}.setup", "E031", cls)
    for method, other in (("save", "load"), ("load", "save")):
        if hasattr(cls, method) and not hasattr(cls, other):
            message = f"The class {name} has a method {method}, but no method {other}."
            yield Diagnostic("E032", "trainable", message, f"def {other}(self, folder): ...")
        elif hasattr(cls, method):
            yield from check_call("E031", "trainable", getattr(cls, method), f"{name}.{method}", {}, cls, "folder")


def _ray_class(context: CompileContext, cls: Any, name: str) -> Iterator[Diagnostic]:
    """Checks a `ray.tune.Trainable`: its base has all methods, and `setup` gets the config."""
    if cls.step.__module__.startswith("ray.tune."):
        hint = 'def step(self): return {"loss": ...}'
        yield Diagnostic("E032", "trainable", f"The class {name} has no method step(self).", hint)
    yield from _check_config_call(context, cls.setup, f"{name}.setup", "E031", cls)


def _check_config_call(
    context: CompileContext, function: Callable[..., Any], name: str, code: str, *before: Any
) -> Iterator[Diagnostic]:
    keywords = {keyword: None for keyword, _ in context.clauses.data}
    yield from check_call(code, "trainable", function, name, keywords, *before, "config")


def check_call(
    code: str, subject: str, function: Callable[..., Any], name: str, keywords: dict[str, Any], *args: Any
) -> Iterator[Diagnostic]:
    """Yields a diagnostic if `function` does not accept these arguments; strings name them in its text."""
    try:
        signature = inspect.signature(function, follow_wrapped=False)  # of the callable itself
    except (ValueError, TypeError):
        return
    try:
        signature.bind(*args, **keywords)
    except TypeError as error:
        shown = ", ".join([*(arg for arg in args if isinstance(arg, str)), *(f"{word}=..." for word in keywords)])
        message = f"{name}{signature} cannot be called as {name}({shown}): {describe_mismatch(name, error)}."
        hint = "objects of .data(...) are passed by keyword" if keywords else f"write {_signature(name, shown)}"
        yield Diagnostic(code, subject, message, hint)


def _signature(name: str, arguments: str) -> str:
    return f"def {name}({arguments}): ..." if name.isidentifier() else f"lambda {arguments}: ..."
