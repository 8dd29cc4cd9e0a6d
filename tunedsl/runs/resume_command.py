"""The command that resumes an interrupted run: one for the terminal if that works, or else a line of Python.

`tunedsl resume PATH` imports the script that names the trainable and uses the experiment in it, or else imports what
the plan refers to. This module predicts whether that works; it imports and runs nothing.
"""

from __future__ import annotations

import ast
import contextlib
import os
import shlex
import sys
from collections.abc import Iterator, Sequence
from contextvars import ContextVar
from pathlib import Path
from types import ModuleType
from typing import Any, Final

from tunedsl.base import codec
from tunedsl.base.import_path import installed_folders
from tunedsl.base.references import FunctionRef, loaded_module, referenced_objects
from tunedsl.journal import Journal, Location, read_status
from tunedsl.plan import Plan
from tunedsl.plan.contents import functions_of
from tunedsl.plan.definition import Definition
from tunedsl.plan.settings import EXTERNAL
from tunedsl.runs.provenance import module_of

_UNKNOWN: Final = object()
_options: ContextVar[Sequence[str] | None] = ContextVar("options", default=None)
_caller_line: ContextVar[str] = ContextVar("caller_line", default="")


@contextlib.contextmanager
def resumed_with(options: Sequence[str]) -> Iterator[None]:
    """Declares that a terminal command runs the body, and the options that `tunedsl resume PATH` needs."""
    token = _options.set(options)
    try:
        yield
    finally:
        _options.reset(token)


@contextlib.contextmanager
def resumed_by(line: str) -> Iterator[None]:
    """Declares the line of Python that resumes a run in the body, which a function of this package runs for a user."""
    token = _caller_line.set(line)
    try:
        yield
    finally:
        _caller_line.reset(token)


def resume_command(plan: Plan, home: Location) -> str:
    """The terminal command or line of Python that resumes a run.

    Args:
        home: the run's folder or address.
    """
    if _caller_line.get():
        return _caller_line.get()
    options = _options.get()
    if options is None and not _works_in_terminal(plan, home):
        if plan.definition is not None:
            return f"experiment.resume({str(home)!r})"
        if plan.data or not all(map(_is_importable, _references(plan))):
            return "run it again"
        return f"tunedsl.resume({str(home)!r})"
    return shlex.join(["tunedsl", "resume", str(home), *(options or ())])


def next_command(journal: Journal, engine: str | None = None) -> str:
    """The terminal command that continues an unfinished run by its path.

    Args:
        engine: what ran it last, from a reader that knows it; without it, the journal is read.
    """
    is_asked = (read_status(journal).engine if engine is None else engine) == EXTERNAL or journal.plan.trainable is None
    return shlex.join(["tunedsl", "ask" if is_asked else "resume", str(journal.folder)])


def _works_in_terminal(plan: Plan, home: Location) -> bool:
    try:
        header = Journal(home).header.provenance
    except Exception:  # the storage may fail; the interruption must still be reported
        return False
    script = header.get("script")
    module = module_of(Path(script)) if isinstance(script, str) else None
    if module is None or _may_be_in_store(Path(str(script)), home):
        return False
    names = _names_after_import(module, str(script))
    if names is None:
        return False
    held = [item for name, item in vars(module).items() if name in names and isinstance(item, Definition)]
    if any(plan.definition in (item, item.with_clauses(seed=plan.seed)) for item in held):
        return True
    folders = {str(_root(module, Path(str(script)))), *installed_folders(), *_python_path()}
    sinks = plan.definition.clauses.sinks if plan.definition is not None else ()
    return not plan.data and all(
        _is_importable(each) and _is_found(each, module, names, folders) for each in _references((plan, sinks))
    )


def _may_be_in_store(script: Path, home: Location) -> bool:
    """Whether the command refuses the script, since it may be as untrusted as the journal next to it."""
    return isinstance(home, Path) and script.is_relative_to(home.resolve().parent)


def _references(item: Any) -> list[FunctionRef]:
    """All references to the user's objects in a value."""
    objects = [FunctionRef(name, "", thing) for name, thing in referenced_objects(item).items()]
    return [*objects, *(reference for _, reference in functions_of(item))]


def _is_importable(reference: FunctionRef) -> bool:
    """Whether importing a reference gives the same object."""
    name, _, path = reference.reference.partition(":")
    found: Any = loaded_module(name)
    for part in path.split("."):
        found = getattr(found, part, _UNKNOWN)
    return found is not _UNKNOWN and (reference.object is None or reference.object is found)


def _is_found(reference: FunctionRef, script: ModuleType, names: set[str], folders: set[str]) -> bool:
    """Whether a new process can import a reference: from the script, or from a folder on its path."""
    name, _, path = reference.reference.partition(":")
    module = loaded_module(name)
    if module is script:
        return path.partition(".")[0] in names
    file = getattr(module, "__file__", None)
    return file is None or str(_root(module, Path(file).resolve())) in folders


def _root(module: Any, file: Path) -> Path:
    """The folder from which a module is imported by its full name."""
    name: str = codec.module_name(module.__name__)
    return file.parents[name.count(".") + (file.name == "__init__.py")]


def _python_path() -> set[str]:
    """The absolute folders of PYTHONPATH; relative ones depend on the working directory."""
    places = os.environ.get("PYTHONPATH", "").split(os.pathsep)
    return {os.path.realpath(place) for place in places if os.path.isabs(place)}


def _names_after_import(module: ModuleType, file: str) -> set[str] | None:
    """The names of a module that is imported instead of run; None when its import would run the experiment."""
    running = _running_line(module)
    if module.__name__ != "__main__":
        return set(vars(module)) if running is None else None
    if running is None:
        return None
    try:
        tree = ast.parse(Path(file).read_bytes())
    except (OSError, SyntaxError, ValueError):
        return None
    visitor = _OnImport()
    visitor.visit(tree)
    if not any(running in lines for lines in visitor.guarded):
        return None
    return set(vars(module)) if visitor.star else visitor.names


def _running_line(module: ModuleType) -> int | None:
    """The top-level line of a module that this thread is executing."""
    frame = sys._getframe()
    while frame is not None:
        if frame.f_globals is vars(module) and frame.f_code.co_name == "<module>":
            return frame.f_lineno
        frame = frame.f_back  # type: ignore[assignment]
    return None


class _OnImport(ast.NodeVisitor):
    """Collects what an import of a script executes.

    Attributes:
        names: the names that it binds.
        guarded: lines that run only in the main program.
        star: whether it has a star import.
    """

    def __init__(self) -> None:
        self.names: set[str] = set()
        self.guarded: list[range] = []
        self.star = False

    def visit_If(self, node: ast.If) -> None:
        words = ast.unparse(node.test).replace('"', "'")
        if words not in ("__name__ == '__main__'", "'__main__' == __name__"):
            self.generic_visit(node)
            return
        self.guarded.append(range(node.body[0].lineno, (node.body[-1].end_lineno or 0) + 1))
        for each in node.orelse:
            self.visit(each)

    def visit_FunctionDef(self, node: ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef) -> None:
        self.names.add(node.name)

    visit_AsyncFunctionDef = visit_ClassDef = visit_FunctionDef  # names of the visitor's protocol

    def visit_Lambda(self, node: ast.Lambda) -> None:
        """Skips a lambda, whose names are local."""

    def visit_Name(self, node: ast.Name) -> None:
        if isinstance(node.ctx, ast.Store):
            self.names.add(node.id)

    def visit_alias(self, node: ast.alias) -> None:
        self.star = self.star or node.name == "*"
        self.names.add((node.asname or node.name).partition(".")[0])
