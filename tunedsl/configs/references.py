"""Imports the functions and classes that a file names as `module:function`."""

from __future__ import annotations

import importlib
import importlib.util
import operator
import re
import sys
from pathlib import Path
from types import ModuleType
from typing import Any, Final

from tunedsl.base.diagnostics import reason, shorten
from tunedsl.base.errors import ArgumentError
from tunedsl.base.names import did_you_mean

_REFERENCE: Final = re.compile(r"[^\W\d]\w*(\.[^\W\d]\w*)*:[^\W\d]\w*(\.[^\W\d]\w*)*")
_PYTHON_FILE: Final = re.compile(r"([\w./-]+)\.py(?::|::)?(\w*)")


def is_reference(item: Any) -> bool:
    """Whether a value is a text such as `module:function`."""
    return isinstance(item, str) and _REFERENCE.fullmatch(item) is not None


def import_object(subject: str, text: Any, folder: Path | None) -> Any:
    """The object that a text names.

    Args:
        subject: the clause, in error messages.
        text: `module:function`, with dots in either part.
        folder: of the file; a module next to the file must be the one that is imported.

    Raises:
        ArgumentError: if the text is malformed, or there is no such module or object. An error in the module's own
            code is raised unchanged.
    """
    file = _PYTHON_FILE.fullmatch(text) if isinstance(text, str) else None
    if file is not None or not is_reference(text):
        written = f"{Path(file[1]).name}:{file[2] or 'train'}" if file is not None else "train:train"
        message = f"{subject} must be a module and a function, MODULE:FUNCTION, not {shorten(repr(text))}."
        raise ArgumentError("E003", subject, message, f"write {subject}: {written}")
    name, _, path = text.partition(":")
    module = _import(subject, name)
    if folder is not None:
        _check_place(subject, name, module, folder)
    try:
        return operator.attrgetter(path)(module)
    except AttributeError as error:
        known = [each for each in vars(module) if not each.startswith("_")]
        hint = did_you_mean(path, known) if "." not in path else ""
        message = f"The module {name} has no {path}: {reason(error)}." if "." in path else f"{name} has no {path!r}."
        raise ArgumentError("E001", subject, message, hint) from None


def _import(subject: str, name: str) -> ModuleType:
    importlib.invalidate_caches()
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError as error:
        if error.name is None or not f"{name}.".startswith(f"{error.name}."):
            raise
        hint = f"put {name.partition('.')[0]}.py next to the file, or set PYTHONPATH to its folder"
        raise ArgumentError("E001", subject, f"The module {name} cannot be found.", hint) from None


def _check_place(subject: str, name: str, module: ModuleType, folder: Path) -> None:
    """Raises `ArgumentError` if another module has the name of the one next to the file."""
    first = name.partition(".")[0]
    own = next((each for each in (folder / f"{first}.py", folder / first / "__init__.py") if each.is_file()), None)
    found = getattr(sys.modules.get(first, module), "__file__", None)
    if own is not None and found is not None and Path(found).resolve() != own.resolve():
        message = f"The module {first} is {found}, not {own}."
        raise ArgumentError("E003", subject, message, f"rename {own.name}, so that no other module has its name")
