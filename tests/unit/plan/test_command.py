"""The spec of a program: how it is written, split, filled in, and stored."""

from __future__ import annotations

import math
import subprocess
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tunedsl import ArgumentError, command, grid, metrics, space
from tunedsl.base import codec
from tunedsl.metrics import jsonl, key_values, pattern, tensorboard_events
from tunedsl.plan import Command, Plan
from tunedsl.plan.templates import as_argument, fill, shell_script

COMMANDS = [
    command("python train.py --lr {lr} --epochs {epochs}"),
    command(["./train", "{lr}", "two words", ""], metrics=jsonl("{folder}/m.jsonl"), iteration="epoch"),
    command("echo {lr} | cat", shell=True, grace=1),
    command("train", env={"LR": "{lr}"}, env_prefix="HP_", cwd="{folder}", config="yaml"),
    command("train", metrics=[key_values("stderr"), pattern(r"(?P<loss>\d+)"), tensorboard_events("{folder}/logs")]),
]


@pytest.mark.parametrize("one", COMMANDS, ids=repr)
def test_the_text_of_a_command_writes_it_again(one: Command) -> None:
    assert eval(repr(one), {**vars(metrics), "command": command}) == one


@pytest.mark.parametrize("one", COMMANDS, ids=repr)
def test_a_command_is_data(one: Command) -> None:
    assert codec.from_json(codec.to_json(one)) == one
    written = space(lr=grid([0.1])).trainable(one).clauses.trainable
    assert written == one and codec.digest(one) == one.digest


def test_a_string_is_split_as_a_shell_does_before_placeholders_are_filled() -> None:
    assert command("a 'b {x} c' d\\ e").arguments == ("a", "b {x} c", "d e")


@pytest.mark.parametrize("wrong", ["", "   ", "'", [], [""], [1], 5, ["a", "b\0"], "a {", "a {}", "a {x!r}", "a }"])
def test_a_malformed_command_is_refused_where_it_is_written(wrong: Any) -> None:
    with pytest.raises(ArgumentError) as found:
        command(wrong)
    assert found.value.diagnostic.place is not None and found.value.diagnostic.place.file == __file__


@pytest.mark.parametrize(
    "keywords",
    [
        {"metrics": "loss"},
        {"metrics": []},
        {"env": {"A=B": "1"}},
        {"env": {"A": 1}},
        {"grace": 0},
        {"config": "toml"},
        {"cwd": ""},
        {"iteration": 3},
        {"shell": "yes"},
    ],
    ids=repr,
)
def test_a_wrong_argument_is_refused(keywords: dict[str, Any]) -> None:
    with pytest.raises(ArgumentError):
        command("train", **keywords)


@pytest.mark.parametrize("wrong", ["(", "loss", "", None])
def test_a_pattern_needs_named_groups(wrong: Any) -> None:
    with pytest.raises(ArgumentError):
        pattern(wrong)


@pytest.mark.parametrize(
    ("item", "text"),
    [
        (1e-05, "1e-05"),
        (3, "3"),
        (True, "true"),
        (None, "null"),
        ("a b", "a b"),
        ([1, "x"], '[1, "x"]'),
        ((1, 2), "[1, 2]"),
        ({"a": 1}, '{"a": 1}'),
        (math.inf, "inf"),
        (Path, "pathlib:Path"),
    ],
)
def test_values_are_written_as_data(item: Any, text: str) -> None:
    assert as_argument(item) == text


@pytest.mark.parametrize("text", ["a | cat", "a > out", "a 2>&1", "a && b", "a ; b", "a &", "a <in", "a 2>>err"])
def test_an_operator_of_a_shell_needs_a_shell_or_quotes(text: str) -> None:
    with pytest.raises(ArgumentError, match="add shell=True"):
        command(text)
    assert command(text, shell=True).arguments == (text,)


def test_other_words_with_these_characters_are_arguments() -> None:
    plain = ("a", "|", "http://x?a=1&b=2", "x > y", "<html>", "2>&1")
    assert command("a '|' http://x?a=1&b=2 'x > y' '<html>' \"2>&1\"").arguments == plain
    assert command(["a", "|"]).arguments == ("a", "|")


def test_nested_names_formats_and_braces() -> None:
    config = {"model": {"tree": {"depth": 3}}, "lr": 0.12345, "a.b": {"c": 1}}
    assert fill("{model.tree.depth} {lr:.2f} {{x}} {a.b.c}", {}, config) == "3 0.12 {x} 1"
    assert fill("--model={model:name}", {}, config) == "--model=tree"
    assert fill("--c={model.svm.c}", {}, config) is None


def test_a_parameter_comes_before_a_built_in_name() -> None:
    assert fill("{seed} {trial}", {"seed": 1, "trial": "00001"}, {"seed": 7}) == "7 00001"


SCRIPTS = ["echo {x}", "echo a{x}b", 'echo "{x}"', "echo '{x}'", "echo \\' {x}", "echo $(echo {x})", "cat <<E\n{x}\nE"]


@given(st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0")))
def test_no_value_becomes_part_of_a_script(text: str) -> None:
    for script in SCRIPTS:
        written, variables = shell_script(script, {}, {"x": text})
        assert written == shell_script(script, {}, {"x": ""})[0]
        assert variables == {"TUNEDSL_VALUE_1": text}


@pytest.mark.parametrize("script", ["printf %s {x}", 'printf %s "{x}"', "printf %s '{x}'"])
@pytest.mark.parametrize("text", ["; rm -rf x", "$(touch x)", "`touch x`", "a'b\"c", "two\nlines", "*", "", "-n"])
def test_a_shell_receives_values_as_they_are(script: str, text: str, tmp_path: Path) -> None:
    written, variables = shell_script(script, {}, {"x": text})
    done = subprocess.run(["/bin/sh", "-c", written], env=variables, cwd=tmp_path, capture_output=True, check=True)
    assert done.stdout.decode() == text
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("one", "name"),
    [
        (command("python3.11 -u src/train.py {lr}"), "train"),
        (command("./train {lr}"), "train"),
        (command("sh -c 'exit 1'"), "sh"),
        (command("{program} --x"), "command"),
    ],
)
def test_a_command_is_named_by_its_script(one: Command, name: str) -> None:
    assert one.name == name


def test_equal_commands_make_equal_plans_and_others_do_not() -> None:
    def digest(line: str) -> str:
        experiment = space(lr=grid([0.1])).trainable(command(line)).minimize("loss").seed(0)
        plan = experiment.compile("inline")
        assert Plan.from_json(plan.to_json()) == plan
        return plan.digest

    assert digest("echo loss={lr}") == digest("echo  loss={lr}") != digest("echo loss={lr} 1")
