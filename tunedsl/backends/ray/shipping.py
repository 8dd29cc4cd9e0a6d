"""Sends this package and the experiment's own modules to the workers of a cluster that lacks them."""

from __future__ import annotations

import contextlib
import logging
import sys
import tempfile
from pathlib import Path
from types import ModuleType
from typing import Any, Final

import ray

from tunedsl.base.diagnostics import with_help
from tunedsl.base.errors import ResourceError, TunedslError
from tunedsl.base.import_path import import_path

_PACKAGE: Final = __name__.partition(".")[0]


def own_modules() -> list[Path]:
    """This package, and the top-level modules and packages that were loaded from the user's own folders."""
    own = [Path(folder).resolve() for folder in import_path()]
    found = {_PACKAGE: Path(str(sys.modules[_PACKAGE].__file__)).parent}
    for name, module in list(sys.modules.items()):
        if "." not in name and name != "__main__":
            place = _place(module)
            if place is not None and place.resolve().parent in own:
                found.setdefault(name, place)
    return list(found.values())


def _place(module: ModuleType) -> Path | None:
    """The folder of a package, or the file of a module; None if it cannot be sent."""
    file = getattr(module, "__file__", None)
    if file is None or not file.endswith(".py"):
        return None
    path = Path(file)
    return path.parent if path.name == "__init__.py" else path


def shipped_environment() -> dict[str, Any]:
    """Upload the modules once; return the `runtime_env` of actors that get them.

    Raises:
        ResourceError: when the cluster does not accept them.
    """
    from ray._private.runtime_env.py_modules import upload_py_modules_if_needed  # it is private in Ray

    before: dict[str, Any] = {}
    with contextlib.suppress(Exception):  # the job may have none
        before = dict(ray.get_runtime_context().runtime_env)
    environment = {"py_modules": [*before.get("py_modules", ()), *map(str, own_modules())]}
    try:
        with tempfile.TemporaryDirectory(prefix="tunedsl-ship-") as scratch:
            logger = logging.getLogger(__name__)
            return dict(upload_py_modules_if_needed(environment, True, scratch, logger))
    except Exception as error:
        raise ResourceError(f"The modules cannot be sent to the cluster: {error}") from error


def missing_module_error(text: str) -> TunedslError | None:
    """The error of workers that cannot import a module, from Ray's message; None for another message."""
    for line in text.splitlines():
        _, found, name = line.partition("No module named ")
        if found:
            module = name.strip().strip("'\".")
            hint = "run(ship=True) sends tunedsl and your own modules to the workers; or install it on every node"
            return TunedslError(with_help(f"The workers cannot start: they have no module {module!r}.", hint))
    return None
