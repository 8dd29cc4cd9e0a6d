"""Adapters are loaded when first used, also by data that contains their specs."""

import subprocess
import sys

import pytest

import tunedsl.searchers
from tunedsl.base import codec
from tunedsl.searchers import optuna


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


@pytest.mark.slow
def test_reading_a_spec_loads_its_adapter_only():
    code = (
        "import sys; from tunedsl.base import codec; import tunedsl; codec.from_json(sys.argv[1]);"
        "print([name for name in ('ax', 'optuna') if f'tunedsl.searchers.adapters.{name}' in sys.modules])"
    )
    assert run(code, codec.to_json(optuna())) == "['optuna']"


def test_what_is_no_searcher_is_no_attribute():
    with pytest.raises(AttributeError, match="has no attribute 'no_such'"):
        _ = tunedsl.searchers.no_such
