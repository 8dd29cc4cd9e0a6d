"""Where this process finds the user's modules, for workers that are to find the same."""

from __future__ import annotations

import os
import site
import sys
import sysconfig
from collections.abc import Iterable
from pathlib import Path


def import_path() -> tuple[str, ...]:
    """The folders of `sys.path` in their order, absolute, without those of Python and of installed packages.

    Python puts a script's folder first, or with `-m` and without a script the working directory.
    """
    installed = [*map(Path, installed_folders())]
    found = (os.path.abspath(place) for place in sys.path if not place.endswith(".zip"))
    own = (place for place in found if not any(map(Path(os.path.realpath(place)).is_relative_to, installed)))
    return tuple(dict.fromkeys(own))


def extend_import_path(folders: Iterable[str]) -> None:
    """Has this process look into folders first, as the process did that they come from."""
    first = [*folders]
    sys.path[:] = [*first, *(place for place in sys.path if place not in first)]


def installed_folders() -> set[str]:
    """Where Python's own modules and installed packages are: each environment has its own."""
    paths = sysconfig.get_paths()
    own = [paths[name] for name in ("stdlib", "platstdlib", "purelib", "platlib", "scripts")]
    return {os.path.realpath(place) for place in (*own, *site.getsitepackages(), site.getusersitepackages())}
