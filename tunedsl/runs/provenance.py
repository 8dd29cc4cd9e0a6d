"""The provenance in a journal's header: versions, commit, platform, script, sinks. It has no effect on decisions."""

from __future__ import annotations

import contextlib
import platform
import subprocess
import sys
import time
from functools import lru_cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from types import ModuleType
from typing import Any, Final

import attrs

from tunedsl.base import codec
from tunedsl.journal import Header
from tunedsl.plan.definition import Definition
from tunedsl.plan.output import Output, output_of

PACKAGES: Final = ("tunedsl", "ray", "numpy", "attrs", "msgspec")


def stamp() -> str:
    """The local date and time."""
    return time.strftime("%Y-%m-%dT%H:%M:%S%z")


def provenance(definition: Definition) -> dict[str, Any]:
    """The provenance of a new run.

    `script` is the file that names the trainable; `module` is its dotted name when it is part of a package.
    """
    place = definition.places.get("trainable")
    script = Path(place.file).resolve() if place is not None else None
    known = script is not None and script.is_file()
    return {
        "at": stamp(),
        "python": platform.python_version(),
        "platform": platform.platform(),
        "packages": dict(_versions()),
        "git": _commit(),
        "script": str(script) if known else None,
        **_module(script if known else None),
    }


@attrs.frozen
class Outlets:
    """The sinks of a run and the files of its trials' output; not part of the plan."""

    sinks: tuple[Any, ...] = ()
    output: Output | None = None

    @staticmethod
    def of(definition: Definition) -> Outlets:
        """The outlets of an experiment."""
        return Outlets(definition.clauses.sinks, output_of(definition.clauses.log_to_file))

    @staticmethod
    def recorded(header: Header) -> Outlets:
        """The outlets in a journal's header."""
        written = header.provenance
        sinks, output = written.get("sinks"), written.get("output", codec.encode(Output()))
        return Outlets(() if sinks is None else codec.decode(sinks), codec.decode(output))

    def to_data(self) -> dict[str, Any]:
        """The outlets as data for a header."""
        return {"sinks": codec.encode(self.sinks), "output": codec.encode(self.output)}


def module_of(file: Path) -> ModuleType | None:
    """The loaded module of a file; the running script takes precedence."""
    for module in [sys.modules.get("__main__"), *sys.modules.values()]:
        loaded = getattr(module, "__file__", None)
        if isinstance(loaded, str) and Path(loaded).name == file.name and Path(loaded).resolve() == file:
            return module
    return None


def _module(script: Path | None) -> dict[str, str]:
    """The dotted name of a script in a package; empty for any other script."""
    module = None if script is None else module_of(script)
    name = "" if module is None else codec.module_name(module.__name__)
    return {"module": name} if "." in name else {}


@lru_cache
def _versions() -> dict[str, str]:
    """The versions of the installed `PACKAGES`; cached, since each lookup takes milliseconds."""
    found = {}
    for package in PACKAGES:
        with contextlib.suppress(PackageNotFoundError):
            found[package] = version(package)
    return found


def _commit() -> dict[str, Any] | None:
    """The commit of the working directory, and whether it has changes."""
    words = ["git", "status", "--porcelain=v2", "--branch"]
    try:
        status = subprocess.run(words, capture_output=True, text=True, check=True, timeout=5).stdout.splitlines()
    except (OSError, subprocess.SubprocessError):
        return None
    head = next((line.split()[-1] for line in status if line.startswith("# branch.oid ")), "(initial)")
    if head == "(initial)":
        return None
    return {"commit": head, "dirty": not all(line.startswith("#") for line in status)}
