"""The adapters are loaded late, and all that was written with them is read all the same."""

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


def test_all_adapters_stand_in_the_room_of_searchers():
    for name in adapters.__all__:
        assert name in tunedsl.searchers.__all__
        assert getattr(tunedsl.searchers, name) is getattr(adapters, name)
        if isinstance(getattr(adapters, name), type):
            assert codec._modules_of_tags[name] == "tunedsl.searchers.adapters"


def test_what_is_no_searcher_is_no_attribute():
    with pytest.raises(AttributeError, match="has no attribute 'no_such'"):
        _ = tunedsl.searchers.no_such
