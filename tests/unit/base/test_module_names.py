"""The name of the running script in data, and how that name resolves."""

from __future__ import annotations

import sys
from types import ModuleType

import pytest

from tunedsl.base.codec import UnresolvedObject, module_name, reference_to, value
from tunedsl.base.references import find_loaded, import_reference


@pytest.fixture
def script(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    main = ModuleType("__main__")
    main.__file__ = "/somewhere/digits.py"
    main.__spec__ = None
    monkeypatch.setitem(sys.modules, "__main__", main)
    return main


def test_the_running_script_goes_by_its_files_name(script: ModuleType) -> None:
    assert module_name("__main__") == "digits"
    assert module_name("math") == "math"


def test_a_module_run_by_m_goes_by_its_import_name(script: ModuleType) -> None:
    script.__spec__ = type("Spec", (), {"name": "package.digits"})()
    assert module_name("__main__") == "package.digits"


def test_an_interactive_session_keeps_its_name(script: ModuleType) -> None:
    del script.__file__
    assert module_name("__main__") == "__main__"


def test_functions_and_values_of_a_script_are_named_by_it_and_found_in_it(script: ModuleType) -> None:
    exec("class Spec:\n    size: int\ndef train(config): ...", script.__dict__)
    assert reference_to(script.train) == "digits:train"
    assert import_reference("digits:train") is script.train
    script.Spec = value(script.Spec)
    assert reference_to(script.Spec) == "digits:Spec"


def test_loaded_imports_nothing() -> None:
    assert find_loaded("math:floor") is sys.modules["math"].floor
    assert find_loaded("antigravity:fly") == UnresolvedObject("antigravity:fly")
    assert "antigravity" not in sys.modules
    assert find_loaded("math:no_such_name") == UnresolvedObject("math:no_such_name")
