"""Mistakes in files: each names its line and what to write; no text runs code or fails in another way."""

from __future__ import annotations

import contextlib
import json
import re
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from tunedsl import ArgumentError, CompileError, experiment_from_config
from tunedsl.base.diagnostics import Diagnostic
from tunedsl.configs.toml_files import read_toml
from tunedsl.configs.yaml_files import read_json, read_yaml


@pytest.fixture(autouse=True, scope="module")
def same_path() -> Iterator[None]:
    path = list(sys.path)
    yield
    sys.path[:] = path


def mistakes(folder: Path, text: str, suffix: str = ".yaml") -> list[Diagnostic]:
    file = folder / f"sweep{suffix}"
    file.write_text(text, encoding="utf-8")
    with pytest.raises(CompileError) as caught:
        experiment_from_config(file)
    found = list(caught.value.diagnostics)
    assert all(each.place is not None and each.place.file == str(file) for each in found)
    return found


@pytest.mark.parametrize(("text", "line", "message", "hint"), [
    ("space:\n  lr: logunifrom(1e-4, 1)", 2, "cannot call logunifrom", "did you mean 'loguniform'?"),
    ("space:\n  lr: interval(0, 1)", 2, "cannot call interval", "write uniform(0, 1)"),
    ("space:\n  lr: uniform(0, 1", 2, "'(' was never closed", ""),
    ("space:\n  lr: {uniform: {lo: 0, high: 1}}", 2, "no argument 'lo'", "did you mean 'low'?"),
    ("space:\n  opt: choice(sgd, adam)", 2, "not sgd", 'write text in quotes: "sgd"'),
    ("space:\n  lr: uniform(0, 1)\n  mom: lr * 2", 3, "names the parameter lr", 'write ref("lr") * 2'),
    ("space:\n  a:\n    b: {values: [1, 2]}", 3, "as in another tool", "write choice([1, 2])"),
    ("space:\n  a: {min: 0, max: 1}", 2, "as in another tool", "write randint(0, 2)"),
    ("space:\n  a: {min: 0.0, max: 1}", 2, "as in another tool", "write uniform(0.0, 1)"),
    ("space:\n  a: {value: 3}", 2, "as in another tool", "write 3"),
    ("space:\n  a: {distribution: log_uniform_values, min: 1e-4, max: 1}", 2, "tool", "write loguniform(0.0001, 1)"),
    ("space:\n  a: {distribution: log_uniform, min: -2, max: 0}", 2, "tool", "write loguniform(0.135, 1)"),
    ("space:\n  a: {distribution: q_uniform, min: 0, max: 1, q: 0.1}", 2, "tool", "write quniform(0, 1, 0.1)"),
    ("space:\n  a: {distribution: normal, mu: 1, sigma: 2}", 2, "tool", "write randn(1, 2)"),
    ("space:\n  a: {type: float, low: 1e-4, high: 1.0, log: true}", 2, "tool", "write loguniform(0.0001, 1.0)"),
    ("space:\n  a: {type: categorical, choices: [x, y]}", 2, "tool", "write choice(['x', 'y'])"),
    ("space:\n  a: {_type: loguniform, _value: [0.1, 1]}", 2, "tool", "write loguniform(0.1, 1)"),
    ("space: [1]", 1, "must be a mapping of parameters", "write space:"),
    ("metric: {name: acc, goal: maximize}", 1, "no clause 'metric'", "write maximize: acc"),
    ("method: bayes", 1, "no clause 'method'", "write searcher: tpe"),
    ("parameters: {}", 1, "no clause 'parameters'", "write space:"),
    ("program: train.py", 1, "no clause 'program'", "write command: python train.py --lr {lr}"),
    ("run_cap: 3", 1, "no clause 'run_cap'", "write samples: 100"),
    ("early_terminate: {type: hyperband}", 1, "no clause", "write scheduler: asha(max_t=81)"),
    ("direction: minimize", 1, "no clause", "write minimize: loss"),
    ("n_trials: 3", 1, "no clause", "write samples: 100"),
    ("sampler: tpe", 1, "no clause", "write searcher: tpe"),
    ("hydra: {}", 1, "no clause", "remove it"),
    ("engine: ray", 1, "no clause", "the options of `tunedsl run`"),
    ("sample: 3", 1, "no clause", "did you mean 'samples'?"),
    ("budget:\n  seconds: 3\n  tirals: 3", 3, "no argument 'tirals'", "did you mean 'trials'?"),
    ("budget:\n  trials: 3\n  seconds: -1", 3, "budget.seconds must be", ""),
    ("samples: many", 1, "samples.n must be a number", ""),
    ("samples: '3'", 1, "samples.n must be a number", "without quotes: 3"),
    ("samples:", 1, "has no value", "write samples: 100"),
    ("fail_fast: yes", 1, "must be True or False, not 'yes'", ""),
    ("searcher: tpee", 1, "cannot call tpee", "did you mean 'tpe'?"),
    ("searcher:\n  tpe:\n    n_startup_trialss: 3", 3, "no argument 'n_startup_trialss'", "did you mean"),
    ("searcher: {tpe: {}, asha: {}}", 1, "one name with its arguments", ""),
    ("searcher: asha", 1, "must be a searcher", ""),
    ("scheduler: {asha: {max_t: x}}", 1, "asha.max_t must be a number", ""),
    ("stop: loss < 0.1", 1, "not loss", 'metric("loss")'),
    ("stop:\n- iteration(3)\n- {loss: x}", 3, "stop.loss must be a number", ""),
    ("until: best() < 0.1 and total('x') > 3", 1, "until must be", "write &, | and ~"),
    ("until: 0.1 < best() < 0.5", 1, "until must be", "in parentheses"),
    ("where: lr < 1", 1, "not lr", 'ref("lr")'),
    ("trainable: train.py:fit", 1, "MODULE:FUNCTION", "write trainable: train:fit"),
    ("trainable: scratch_missing:fit", 1, "cannot be found", "put scratch_missing.py next to the file"),
    ("trainable: json:dumbs", 1, "no 'dumbs'", "did you mean 'dumps'?"),
    ("trainable: {a: 1}", 1, "trainable must be", "write trainable"),
    ("trainable: json:dumps\ncommand: echo", 2, "already set", "remove trainable or command"),
    ('command: ["${env}", python, "${program}"]', 1, "command must be", "--lr {lr}"),
    ("command:\n  program: echo\n  metric: jsonl", 3, "no argument 'metric'", "did you mean 'metrics'?"),
    ("command: {program: echo, metrics: jsonll}", 1, "cannot call jsonll", "did you mean 'jsonl'?"),
    ("minimize: loss\nmaximize: loss", 2, "is already set", ""),
    ("a: b: c", 1, "not valid YAML", "in quotes: a: 'b: c'"),
    ("seed: 1\nspace:\n\tlr: 1", 3, "not valid YAML", "indent by spaces"),
    ("seed: [1", 1, "not valid YAML", ""),
    ("seed: 1\nseed: 2", 2, "The key seed is already set", "remove one of the two"),
    ("space:\n  1: 2", 2, "must be text, not '1'", "in quotes"),
    ("seed: 1\n--- \nseed: 2", 2, "not valid YAML", ""),
    ("seed: !!python/object/apply:os.system ['touch x']", 1, "is not allowed", ""),
    ("seed: !!int x", 1, "'x' cannot be read", ""),
    ("seed: &a [*a]", 1, "contains itself", ""),
    ("seed: \x07", 1, "not valid YAML", ""),
    ("- seed", 1, "must be a mapping", ""),
    ("", 1, "must be a mapping", "write space:"),
])  # fmt: skip
def test_a_mistake_names_its_line(text: str, line: int, message: str, hint: str, tmp_path: Path) -> None:
    (found,) = mistakes(tmp_path, text)
    assert found.place is not None and found.place.line == line, found
    assert message in found.message and hint in found.hint, found


@pytest.mark.parametrize(("suffix", "text", "line", "message"), [
    (".json", '{\n "seed": 1,\n}', 3, "not valid JSON"),
    (".json", '{\n\t"seed": 1,\n\t"samples": "x"\n}', 3, "must be a number"),
    (".json", '{"seed": 1,\n "seed": 2}', 2, "already set"),
    (".json", '{"seed":\n NaN}', 2, "NaN is not part of JSON"),
    (".toml", "seed = 1\nseed = 2", 2, "not valid TOML"),
    (".toml", "seed = 1\nsamples = many", 2, "not valid TOML"),
    (".toml", "a = [1,", 1, "not valid TOML"),
    (".toml", "seed = 1\n[budget]\ntrials = 1\nseconds = -1", 4, "budget.seconds"),
    (".toml", "seed = 1\n\n[space.a]\n# c\nb.c = 'uniform(0'", 5, "never closed"),
    (".toml", "stop = [\n 'iteration(1)',\n 'iteration(0)']", 1, "iteration"),
])  # fmt: skip
def test_the_other_languages_have_lines_too(suffix: str, text: str, line: int, message: str, tmp_path: Path) -> None:
    (found,) = mistakes(tmp_path, text, suffix)
    assert found.place is not None and found.place.line == line and message in found.message


def test_all_mistakes_are_reported_together(tmp_path: Path) -> None:
    text = "space:\n  a: uniform(0\n  b: {choice: [1], x: 2}\nsample: 3\nbudget: {seconds: x}\nsinks: [csv, foo]\n"
    assert [each.place.line for each in mistakes(tmp_path, text) if each.place] == [2, 4, 5, 6]


def test_what_is_no_file_of_an_experiment(tmp_path: Path) -> None:
    (tmp_path / "x.yaml").write_bytes(b"seed: 1\nnamed: \xff")
    with pytest.raises(CompileError, match="not UTF-8") as caught:
        experiment_from_config(tmp_path / "x.yaml")
    assert str(caught.value.diagnostics[0].place).endswith("x.yaml:2")
    with pytest.raises(ArgumentError, match="does not exist"):
        experiment_from_config(tmp_path / "none.yaml")
    with pytest.raises(ArgumentError, match=r"\.yaml, \.yml, \.toml, \.json"):
        experiment_from_config(tmp_path / "none.ini")
    with pytest.raises(ArgumentError, match="the path of a file, or a mapping"):
        experiment_from_config(3)  # type: ignore[arg-type]


def test_an_error_in_the_users_module_is_theirs(tmp_path: Path) -> None:
    (tmp_path / "scratch_broken.py").write_text("import scratch_nothing\n")
    (tmp_path / "x.yaml").write_text("trainable: scratch_broken:train")
    with pytest.raises(ModuleNotFoundError, match="scratch_nothing"):
        experiment_from_config(tmp_path / "x.yaml")


def test_aliases_cannot_fill_the_memory(tmp_path: Path) -> None:
    text = "a: &a [1, 1, 1, 1, 1, 1, 1, 1, 1, 1]\n"
    for name, before in zip("bcdefgh", "abcdefg", strict=True):
        text += f"{name}: &{name} [{', '.join([f'*{before}'] * 10)}]\n"
    (found,) = mistakes(tmp_path, text)
    assert "more than 20,000 values" in found.message


# PyYAML writes text such as 1e5, which is a number in YAML 1.2 only, without quotes.
text = st.text(max_size=8).filter(lambda each: not re.fullmatch(r"[-+.\d]+([eE][-+]?\d+)?|0o[0-7]+", each))
scalars = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | text
data = st.dictionaries(
    text.filter(bool),
    st.recursive(scalars, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(text, inner, max_size=3)),
    max_size=4,
)


@given(data)
def test_yaml_and_json_are_read_as_written(content: dict[str, Any]) -> None:
    assert read_json(json.dumps(content, indent=1, ensure_ascii=False), "x").plain() == content
    assert read_yaml(yaml.safe_dump(content), "x").plain() == content


def test_types_are_those_of_yaml_1_2() -> None:
    text = "[1e-3, 1_000, 0x1f, 0o17, .5, -.inf, yes, no, on, 2024-01-01, 12:30, ~, true]"
    expected = [1e-3, 1000, 31, 15, 0.5, float("-inf"), "yes", "no", "on", "2024-01-01", "12:30", None, True]
    assert read_yaml(text, "x").plain() == expected


def test_merge_keys_add_defaults() -> None:
    text = "a: &a {x: 1, y: 2}\nb: {<<: *a, y: 3}\nc: {<<: [{x: 4}, *a]}\n"
    assert read_yaml(text, "x").plain() == {"a": {"x": 1, "y": 2}, "b": {"x": 1, "y": 3}, "c": {"x": 4, "y": 2}}


def test_toml_has_the_values_of_the_standard_library_and_lines() -> None:
    first = 'a = """\n[x]\nb = 1"""\nc.d = [\n  1, # e = 2\n  "]",\n]\n'
    text = first + '[t]\n  u = 1\n[t."v w"]\nx = {y = 1}\n\n[[z]]\nq = 1\n'
    found = read_toml(text, "f")
    assert found.plain() == tomllib.loads(text)

    def line(*path: str) -> int:
        entry = found
        for name in path:
            entry = entry.content[name]
        assert entry.place is not None
        return entry.place.line

    assert [line("a"), line("c", "d"), line("t"), line("t", "u"), line("t", "v w"), line("t", "v w", "x", "y")] == [
        1, 4, 8, 9, 10, 11,
    ]  # fmt: skip


@given(
    text=st.text(alphabet="abcxspace:{}[],-&*!'\"#|> \n\t=().0123", max_size=60),
    suffix=st.sampled_from([".yaml", ".toml", ".json"]),
)
def test_any_text_is_an_experiment_or_a_compile_error(
    text: str, suffix: str, tmp_path_factory: pytest.TempPathFactory
) -> None:
    file = tmp_path_factory.getbasetemp() / f"any{suffix}"
    file.write_text(text, encoding="utf-8")
    with contextlib.suppress(CompileError):
        experiment_from_config(file)
