"""The public names: each is exported once, listed by `dir()`, has a docstring and is on a page of the reference."""

from __future__ import annotations

import contextlib
import importlib
import inspect
import pkgutil
import re
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

import tunedsl

REFERENCE = Path(__file__).resolve().parents[2] / "tunedsl" / "docs" / "reference"
FACES = ("tunedsl", "tunedsl.errors", "tunedsl.policy")
"""Modules that export names of other packages again, so that users need one import."""
PACKAGES = (
    *FACES, "tunedsl.integrations", "tunedsl.schedulers", "tunedsl.searchers", "tunedsl.sinks", "tunedsl.spaces",
    "tunedsl.stopping", "tunedsl.testing",
)  # fmt: skip
CAUGHT = {"DamagedRecord", "EngineLost", "Killed", "NoteChanged", "RetryCancelled", "TrialStopped"}
"""Exceptions that the package itself catches."""
DIRECTIVE = re.compile(r"^\.\. auto(module|function|class|exception|data|attribute):: (\S+)$", re.MULTILINE)


def load(package: str) -> ModuleType:
    return importlib.import_module(package)


def resolve(path: str) -> Any:
    """The object at a dotted path; a name that a package exports comes before its module of that name."""
    package, *names = path.split(".")
    found: Any = importlib.import_module(package)
    for name in names:
        package = f"{package}.{name}"
        found = getattr(found, name) if hasattr(found, name) else importlib.import_module(package)
    return found


def directives() -> list[tuple[str, str]]:
    """Kind and path of everything that a page of the reference names."""
    return [found for page in REFERENCE.glob("*.md") for found in DIRECTIVE.findall(page.read_text(encoding="utf-8"))]


def exists(path: str) -> bool:
    """Whether a dotted path leads to an object; that of a library that is not installed is taken to."""
    try:
        resolve(path)
    except AttributeError:
        return False
    except ModuleNotFoundError as error:
        return not str(error.name).startswith("tunedsl")
    return True


def documented() -> set[int]:
    """Identities of all objects on the pages of the reference."""
    found = []
    for kind, path in directives():
        try:
            item = resolve(path)
        except (AttributeError, ModuleNotFoundError):
            continue  # test_the_reference_names_what_exists fails for it, unless a library is not installed
        if kind == "module":
            found.append(item)
            names = getattr(item, "__all__", None) or [name for name in vars(item) if not name.startswith("_")]
            found += [getattr(item, name) for name in names]
        else:
            found.append(item)
    return {id(item) for item in found}


def makers(module: ModuleType) -> dict[str, Any]:
    """By the name of a spec's class, the public function that returns its values."""
    functions = [item for item in (getattr(module, name) for name in module.__all__) if inspect.isfunction(item)]
    return {str(each.__annotations__.get("return")): each for each in functions}


def test_each_exception_that_reaches_users_has_a_public_import() -> None:
    public = {id(getattr(load(package), name)) for package in PACKAGES for name in load(package).__all__}
    found: list[Any] = []
    for module in pkgutil.walk_packages(tunedsl.__path__, "tunedsl."):
        with contextlib.suppress(ImportError):  # of a library that is not installed
            if "__main__" not in module.name:
                found += vars(importlib.import_module(module.name)).values()
    raised = {each for each in found if inspect.isclass(each) and issubclass(each, BaseException)}
    own = {each for each in raised if each.__module__.startswith("tunedsl.")}
    assert {each.__name__ for each in own if id(each) not in public} == CAUGHT


@pytest.mark.parametrize("package", PACKAGES)
def test_names_are_listed_once_and_in_dir(package: str) -> None:
    module = load(package)
    assert len(set(module.__all__)) == len(module.__all__)
    assert set(module.__all__) <= set(dir(module))
    assert not [name for name in module.__all__ if name.startswith("_")]


def test_an_object_is_exported_by_one_package() -> None:
    exported: dict[int, list[str]] = {}
    for package in set(PACKAGES) - set(FACES):
        for name in load(package).__all__:
            exported.setdefault(id(getattr(load(package), name)), []).append(f"{package}.{name}")
    assert not [paths for paths in exported.values() if len(paths) > 1]


@pytest.mark.parametrize("package", PACKAGES)
def test_each_name_has_a_docstring(package: str) -> None:
    module = load(package)
    items = {name: getattr(module, name) for name in module.__all__}
    code = {name: item for name, item in items.items() if inspect.isclass(item) or inspect.isfunction(item)}
    assert not [name for name, item in code.items() if not inspect.getdoc(item)]


def test_the_reference_names_what_exists() -> None:
    assert not [path for _, path in directives() if not exists(path)]


@pytest.mark.parametrize("package", PACKAGES)
def test_each_name_is_in_the_reference(package: str) -> None:
    module, pages = load(package), documented()
    missing = []
    for name in module.__all__:
        item = getattr(module, name)
        maker = makers(module).get(name)  # a spec is documented by the function that users call
        if not {id(item), id(maker)} & pages:
            missing.append(name)
    assert not missing, f"name these on a page of docs/reference: {missing}"
