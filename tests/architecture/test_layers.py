"""The rooms and who may import whom. A failure names the file, the line and the import that broke it."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

PACKAGE = Path(__file__).resolve().parents[2] / "tunedsl"

ROWS = {
    "base": 1,
    "spaces": 2,
    "searchers": 3,
    "schedulers": 3,
    "stopping": 3,
    "sinks": 3,
    "plan": 4,
    "experiment": 4,
    "compiler": 5,
    "kernel": 5,
    "journal": 6,
    "worker": 7,
    "export": 8,
    "results": 9,
    "views": 9,
    "backends": 10,
    "driver": 11,
    "runs": 12,
    "__init__": 13,
    "cli": 14,
    "integrations": 14,
    "testing": 14,
    "docs": 15,
    "__main__": 15,
}

VERBS = {
    "experiment": {"check", "compile", "explain", "preview", "dry_run", "run", "resume", "rerun"},
    "plan": {"run"},
    "results": {"rerun"},
}
"""The methods that hand a value to the rooms below; their imports are inside them."""

ONLY_IN = {"ray": "backends/ray/", "pandas": "results/"}

BANNED_IN_KERNEL = {
    "ray", "pandas", "os", "io", "pathlib", "socket", "time", "datetime", "uuid", "random", "secrets", "subprocess",
    "threading", "shutil", "tempfile",
}  # fmt: skip


def files() -> list[Path]:
    return sorted(PACKAGE.rglob("*.py"))


def imports(file: Path) -> Iterator[tuple[int, str, str | None]]:
    """Line, imported module, and the enclosing function's name where there is one."""

    def walk(node: ast.AST, function: str | None) -> Iterator[tuple[int, str, str | None]]:
        for child in ast.iter_child_nodes(node):
            inside = function
            if isinstance(child, (ast.FunctionDef, ast.AsyncFunctionDef)):
                inside = function or child.name
            if isinstance(child, ast.If) and ast.unparse(child.test) == "TYPE_CHECKING":
                continue  # no import at run time
            if isinstance(child, ast.Import):
                yield from ((child.lineno, alias.name, function) for alias in child.names)
            elif isinstance(child, ast.ImportFrom):
                yield child.lineno, child.module or "", function
                if child.module == "tunedsl":
                    yield from ((child.lineno, f"tunedsl.{alias.name}", function) for alias in child.names)
            yield from walk(child, inside)

    yield from walk(ast.parse(file.read_text()), None)


def room(file: Path) -> str:
    return file.relative_to(PACKAGE).parts[0].removesuffix(".py")


def test_every_room_has_a_row() -> None:
    assert {room(file) for file in files()} <= set(ROWS)


def test_rooms_import_only_from_the_rows_above() -> None:
    broken = []
    for file in files():
        own = room(file)
        for line, module, function in imports(file):
            parts = module.split(".")
            if parts[0] != "tunedsl" or len(parts) < 2 or parts[1] == own or parts[1] not in ROWS:
                continue
            if function in VERBS.get(own, ()):
                continue
            if ROWS[parts[1]] >= ROWS[own] and not (
                own in ("plan", "experiment") and parts[1] in ("plan", "experiment")
            ):
                broken.append(f"{file.relative_to(PACKAGE)}:{line}: {own} may not import {module}")
    assert not broken, "\n".join(broken)


@pytest.mark.parametrize("library", sorted(ONLY_IN))
def test_heavy_libraries_stay_in_their_room_and_are_imported_lazily(library: str) -> None:
    broken = []
    for file in files():
        place = file.relative_to(PACKAGE).as_posix()
        for line, module, function in imports(file):
            if module.split(".")[0] != library:
                continue
            if not place.startswith(ONLY_IN[library]) or (library == "pandas" and function is None):
                broken.append(f"{place}:{line}: import {module}")
    assert not broken, "\n".join(broken)


def test_the_kernel_reaches_nothing_but_values() -> None:
    broken = [
        f"{file.relative_to(PACKAGE)}:{line}: import {module}"
        for name in ("kernel", "schedulers", "spaces", "stopping")
        for file in sorted((PACKAGE / name).rglob("*.py"))
        for line, module, _ in imports(file)
        if module.split(".")[0] in BANNED_IN_KERNEL
    ]
    assert not broken, "\n".join(broken)


def test_importing_the_package_loads_neither_ray_nor_pandas() -> None:
    code = "import sys, tunedsl; print([m for m in ('ray', 'pandas', 'rich', 'click', 'scipy') if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_checking_an_experiment_loads_no_ray() -> None:
    code = "import sys\nfrom tunedsl import space, uniform\nspace(x=uniform(0, 1)).check()\nprint('ray' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"


def test_every_module_says_what_belongs_there() -> None:
    silent = [str(file.relative_to(PACKAGE)) for file in files() if not ast.get_docstring(ast.parse(file.read_text()))]
    assert not silent, silent
