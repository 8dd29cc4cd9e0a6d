"""Packages that load late: nothing is loaded before its first use, and every name resolves."""

from __future__ import annotations

import ast
import importlib
import inspect
import pickle
import subprocess
import sys

import pytest

import tunedsl
import tunedsl.schedulers
import tunedsl.searchers
from tunedsl.base import codec
from tunedsl.base.lazy_imports import _lazy_modules, load

PACKAGES = [tunedsl, tunedsl.schedulers, tunedsl.searchers]
ROOMS = ("tunedsl.schedulers.", "tunedsl.searchers.")
ALWAYS = {"tunedsl.schedulers.contract", "tunedsl.searchers.contract", "tunedsl.searchers.description"}


def run(code: str, *arguments: str) -> str:
    command = [sys.executable, "-c", code, *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()


def test_importing_the_package_loads_no_searcher_and_no_scheduler():
    code = f"import sys, tunedsl; print(*sorted(m for m in sys.modules if m.startswith({ROOMS!r})))"
    assert set(run(code).split()) == ALWAYS


def test_a_module_that_is_imported_by_itself_does_not_take_the_name_of_its_function():
    code = """
import tunedsl.searchers.tpe, tunedsl.schedulers.asha_promote
from tunedsl.searchers import tpe
print(tpe(gamma=0.5), tunedsl.searchers.tpe(), tunedsl.schedulers.asha_promote(max_t=9))
"""
    assert run(code) == "tpe(gamma=0.5) tpe() asha_promote(max_t=9)"


def test_data_is_read_where_nothing_was_named():
    spec = tunedsl.schedulers.pb2(hyperparam_bounds={"lr": [0.1, 1]})
    code = """
import json, sys, tunedsl
from tunedsl.base import codec
print(codec.unknown_tags(json.loads(sys.argv[1])), codec.from_json(sys.argv[1]))
"""
    assert run(code, codec.to_json(spec)) == f"[] {spec!r}"


@pytest.mark.parametrize("room", ["tunedsl.schedulers", "tunedsl.searchers"])
def test_of_every_value_in_a_room_the_codec_knows_the_module(room):
    load(room)
    for tag, kind in codec._value_classes.items():
        if kind.__module__.startswith(f"{room}.") and kind.__module__ not in ALWAYS:
            importlib.import_module(codec._modules_of_tags[tag])
            assert kind.__module__.startswith(codec._modules_of_tags[tag]), tag


@pytest.mark.parametrize("package", PACKAGES, ids=lambda package: package.__name__)
class TestPackage:
    def test_its_late_names_are_those_that_editors_see(self, package):
        seen = {
            alias.name: node.module
            for block in ast.parse(inspect.getsource(package)).body
            if isinstance(block, ast.If) and ast.unparse(block.test) == "TYPE_CHECKING"
            for node in block.body
            if isinstance(node, ast.ImportFrom)
            for alias in node.names
        }
        assert seen == _lazy_modules[package.__name__]
        assert set(seen) <= set(package.__all__) <= set(dir(package))

    def test_each_name_is_found(self, package):
        for name in package.__all__:
            found = getattr(package, name)
            assert found.__name__.split(".")[-1] == name
            assert found is not sys.modules.get(f"{package.__name__}.{name}")  # the function of that name instead

    def test_what_is_not_there_is_no_attribute(self, package):
        with pytest.raises(AttributeError, match=f"module '{package.__name__}' has no attribute 'no_such'"):
            _ = package.no_such

    def test_goes_by_its_name_into_other_processes(self, package):
        assert pickle.loads(pickle.dumps(package)) is package


def test_all_names_come_with_a_star():
    assert run("from tunedsl import *; print(tpe(), hyperband(max_t=9), space.__name__)") == (
        "tpe() hyperband(max_t=9) space"
    )
