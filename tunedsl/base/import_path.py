"""The folders where this process finds the user's modules, so that workers can use the same."""

from __future__ import annotations

import os
import site
import sys
import sysconfig
from collections.abc import Iterable
from pathlib import Path


def import_path() -> tuple[str, ...]:
    """The absolute folders of `sys.path` in order, without those of Python and of installed packages.

    Python puts the script's folder first; with `-m` or without a script, the working directory.
    """
    installed = [*map(Path, installed_folders())]
    found = (os.path.abspath(place) for place in sys.path if not place.endswith(".zip"))
    own = (place for place in found if not any(map(Path(os.path.realpath(place)).is_relative_to, installed)))
    return tuple(dict.fromkeys(own))


def extend_import_path(folders: Iterable[str]) -> None:
    """Puts folders first on this process's `sys.path`."""
    first = [*folders]
    sys.path[:] = [*first, *(place for place in sys.path if place not in first)]


def process_code(module: str, call: str) -> str:
    """The Python code of a new process that makes a call of a module, with the import path of this process.

    >>> process_code("math", "sqrt(2)").endswith("; from math import sqrt; sqrt(2)")
    True
    """
    path = [os.path.abspath(place) for place in sys.path]
    return f"import sys; sys.path[:] = {path!r}; from {module} import {call.partition('(')[0]}; {call}"


def installed_folders() -> set[str]:
    """The folders of Python's modules and of installed packages in this environment."""
    paths = sysconfig.get_paths()
    own = [paths[name] for name in ("stdlib", "platstdlib", "purelib", "platlib", "scripts")]
    return {os.path.realpath(place) for place in (*own, *site.getsitepackages(), site.getusersitepackages())}
