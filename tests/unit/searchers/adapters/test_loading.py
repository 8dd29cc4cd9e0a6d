"""Adapters are loaded when first used, also by data that contains their specs."""

import subprocess
import sys

import pytest

import tunedsl.searchers
from tunedsl.base import codec
from tunedsl.searchers import adapters, optuna


def run(code, *arguments):
    command = [sys.executable, "-c", code, *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()


@pytest.mark.slow
def test_importing_the_package_loads_no_adapter():
    assert run("import sys, tunedsl; print([m for m in sys.modules if 'tunedsl.searchers.adapters' in m])") == "[]"


@pytest.mark.slow
def test_a_spec_is_read_where_no_adapter_is_loaded():
    code = "import sys; from tunedsl.base import codec; import tunedsl; print(codec.from_json(sys.argv[1]))"
    assert run(code, codec.to_json(optuna())) == "optuna(sampler='tpe')"


def test_the_package_of_searchers_has_all_adapters():
    for name in adapters.__all__:
        assert name in tunedsl.searchers.__all__
        assert getattr(tunedsl.searchers, name) is getattr(adapters, name)


@pytest.mark.parametrize("name", [name for name in adapters.__all__ if name[0].isupper()])
def test_data_names_each_adapter_without_loading_it(name):
    data = codec.encode(getattr(adapters, name)())
    assert codec.unknown_tags(data) == []
    assert codec.decode(data) == getattr(adapters, name)()


def test_what_is_no_searcher_is_no_attribute():
    with pytest.raises(AttributeError, match="has no attribute 'no_such'"):
        _ = tunedsl.searchers.no_such
