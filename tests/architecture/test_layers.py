"""The layers and their imports. A failure names the file, the line and the import that broke a rule."""

from __future__ import annotations

import ast
import subprocess
import sys

import pytest

from tests.import_graph import MODULES, PACKAGE, cycles, graph, imports_of, package_of, source_files

LAYERS = (
    {"base"},
    {"spaces"},
    {"searchers", "schedulers", "stopping", "sinks"},
    {"plan"},
    {"compiler", "kernel"},
    {"journal"},
    {"worker"},
    {"export"},
    {"results", "views"},
    {"backends"},
    {"driver"},
    {"runs"},
    {"errors", "experiment", "metrics", "policy", "web"},
    {"configs"},
    {"cli", "integrations", "testing"},
    {"dashboard"},
    {"__init__"},
    {"__main__"},
)
"""From the lowest up. A package imports from layers below its own, and itself; never from a neighbour."""

LEVEL = {package: level for level, packages in enumerate(LAYERS) for package in packages}

ONLY_IN = {"ray": ("backends/ray/",), "pandas": ("results/", "integrations/")}

BANNED_IN_PURE_PACKAGES = {
    "ray", "pandas", "os", "io", "pathlib", "socket", "time", "datetime", "uuid", "random", "secrets", "subprocess",
    "threading", "shutil", "tempfile",
}  # fmt: skip


def test_every_package_has_a_layer() -> None:
    assert {package_of(file) for file in source_files()} <= set(LEVEL)


def test_imports_point_down() -> None:
    upward = [
        f"{each}: {own} may not import {each.package}"
        for file in source_files()
        for own in [package_of(file)]
        for each in imports_of(file)
        if each.module in MODULES and each.package != own and LEVEL[each.package] >= LEVEL[own]
    ]
    assert not upward, "\n".join(upward)


def test_no_modules_import_each_other() -> None:
    found = cycles(graph())
    assert not found, "\n".join(" <-> ".join(group) for group in found)


@pytest.mark.parametrize("library", sorted(ONLY_IN))
def test_a_heavy_library_is_imported_by_one_package_only(library: str) -> None:
    elsewhere = [
        str(each)
        for file in source_files()
        for each in imports_of(file)
        if each.module.split(".")[0] == library and not each.file.as_posix().startswith(ONLY_IN[library])
    ]
    assert not elsewhere, "\n".join(elsewhere)


def test_pandas_is_imported_inside_functions() -> None:
    eager = [
        str(each)
        for file in source_files()
        for each in imports_of(file)
        if each.module.split(".")[0] == "pandas" and each.function is None and not each.for_types
    ]
    assert not eager, "\n".join(eager)


@pytest.mark.parametrize("package", ["kernel", "schedulers", "spaces", "stopping"])
def test_pure_packages_import_neither_input_output_nor_clocks(package: str) -> None:
    impure = [
        str(each)
        for file in sorted((PACKAGE / package).rglob("*.py"))
        for each in imports_of(file)
        if each.module.split(".")[0] in BANNED_IN_PURE_PACKAGES
    ]
    assert not impure, "\n".join(impure)


def printed_by(code: str) -> str:
    """What a fresh interpreter prints."""
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.strip()


def test_importing_tunedsl_loads_no_heavy_library() -> None:
    heavy = ("ray", "pandas", "rich", "click", "scipy")
    assert printed_by(f"import sys, tunedsl; print([name for name in {heavy} if name in sys.modules])") == "[]"


def test_checking_an_experiment_loads_no_ray() -> None:
    code = "import sys\nfrom tunedsl import space, uniform\nspace(x=uniform(0, 1)).check()\nprint('ray' in sys.modules)"
    assert printed_by(code) == "False"


def test_every_module_says_what_belongs_there() -> None:
    silent = [str(file) for file in source_files() if not ast.get_docstring(ast.parse(file.read_text()))]
    assert not silent, silent
