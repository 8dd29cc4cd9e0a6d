"""Each example of a diagnostic's code gives it, and the corrected one does not."""

from __future__ import annotations

import ast
import importlib.util
import sys
from pathlib import Path

import pytest

from tunedsl import ArgumentError, CompileError
from tunedsl.compiler.codes import CODES
from tunedsl.docs.generated import errors_page, read_examples

SHARED, EXAMPLES = read_examples()
ELSEWHERE = {"E006", "E038", "E039", "E048", "E049", "E067", "E069", "E074", "E091", "W080"}
"""Codes that need an earlier run, a missing package or a policy that takes little."""


def found_codes(code: str, name: str, folder: Path) -> set[str]:
    """The codes that the experiment at the end of a program has, or that writing it raises."""
    tree = ast.parse(f"{SHARED}\n{code}")
    last = tree.body[-1]
    assert isinstance(last, ast.Expr)
    tree.body[-1] = ast.Assign([ast.Name("experiment", ast.Store())], last.value)
    file = folder / f"{name}.py"
    file.write_text(ast.unparse(ast.fix_missing_locations(tree)))
    spec = importlib.util.spec_from_file_location(name, file)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    try:
        spec.loader.exec_module(module)
        return {diagnostic.code for diagnostic in module.experiment.check()}
    except ArgumentError as error:
        return {error.diagnostic.code}
    except CompileError as error:
        return {diagnostic.code for diagnostic in error.diagnostics}
    finally:
        del sys.modules[name]


@pytest.mark.parametrize("code", sorted(EXAMPLES))
def test_the_wrong_example_has_the_code(code: str, tmp_path: Path) -> None:
    assert code in found_codes(EXAMPLES[code].wrong, f"wrong_{code}", tmp_path)


@pytest.mark.parametrize("code", sorted(EXAMPLES))
def test_the_right_example_has_no_error_and_not_the_code(code: str, tmp_path: Path) -> None:
    found = found_codes(EXAMPLES[code].right, f"right_{code}", tmp_path)
    assert code not in found and not [each for each in found if each.startswith("E")]


def test_each_code_has_an_example_or_a_reason_for_none() -> None:
    assert set(EXAMPLES) | ELSEWHERE == set(CODES)


def test_each_code_is_on_the_page() -> None:
    page = errors_page()
    assert not [code for code in CODES if f"### {code}\n" not in page]
