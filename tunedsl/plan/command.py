"""The spec of a program as a trainable: its arguments, environment, metrics and checkpoints.

`plan.templates` fills in the placeholders, and `worker.program` runs it.
"""

from __future__ import annotations

import os
import re
import shlex
from collections.abc import Iterator, Mapping, Sequence
from pathlib import PurePath
from typing import Any, Final, Literal, get_args

from tunedsl.base import codec
from tunedsl.base.arguments import as_bool, as_choice, as_positive, as_text, check_arguments
from tunedsl.base.codec import value
from tunedsl.base.errors import ArgumentError, wrong_value
from tunedsl.base.references import source_repr
from tunedsl.plan.metric_sources import KeyValues, MetricSource, key_values, path_of
from tunedsl.plan.templates import placeholders

ConfigFormat = Literal["json", "yaml"]
STOP_SECONDS: Final = 3.0
"""Seconds between SIGTERM and SIGKILL, by default."""
_KEY_VALUES: Final = KeyValues()
_OPERATOR: Final = re.compile(r"\|&?|\|\||&&|&|;|[0-9]?(>>?|<)(&[0-9]|[^<>()]*)")
"""A word that a shell would not pass to the program: a pipe, a list, or a redirection."""


@value(repr=False)
class Command:
    """A program to tune without changes; `command(...)` makes one.

    Attributes:
        arguments: the program and its arguments, with placeholders; one shell script if `shell`.
        metrics: the sources of its metrics.
        shell: whether a shell runs the script.
        env: environment variables with placeholders.
        env_prefix: prefix of the variables with all parameters; None for no such variables.
        cwd: the working directory, with placeholders; None for that of the run.
        iteration: the metric that counts iterations; None if every row of metrics is a report.
        config: the format of the file `{config}`.
        grace: seconds between SIGTERM and SIGKILL.
    """

    arguments: tuple[str, ...]
    metrics: tuple[MetricSource, ...] = (_KEY_VALUES,)
    shell: bool = False
    env: tuple[tuple[str, str], ...] = ()
    env_prefix: str | None = None
    cwd: str | None = None
    iteration: str | None = None
    config: ConfigFormat = "json"
    grace: float = STOP_SECONDS

    @property
    def name(self) -> str:
        """The name of the program: of its first file with a suffix, else of the program itself."""
        words = self.arguments[0].split() if self.shell else self.arguments
        plain = [PurePath(word) for word in words if not (word.startswith("-") or "{" in word or "}" in word)]
        scripts = [path.stem for path in plain[1:] if path.suffix and not path.suffix[1:2].isdigit()]
        return next(iter([*scripts, *(path.stem for path in plain[:1])]), "") or "command"

    @property
    def reference(self) -> str:
        """The command line as written."""
        return self.arguments[0] if self.shell else _joined(self.arguments)

    @property
    def digest(self) -> str:
        """32 hex digits that are equal for equal commands only."""
        return codec.digest(self)

    def resolve(self) -> Command:
        """The command itself: it is data, and nothing has to be imported."""
        return self

    def current(self) -> Command:
        """The command itself: it refers to no code of this process."""
        return self

    def templates(self) -> Iterator[str]:
        """All texts that may have placeholders."""
        yield from self.arguments
        yield from (text for _, text in self.env)
        yield from (text for text in (self.cwd, *map(path_of, self.metrics)) if text is not None)

    def __repr__(self) -> str:
        line = self.reference
        first = line if self.shell or tuple(shlex.split(line)) == self.arguments else list(self.arguments)
        keywords: dict[str, Any] = {
            "metrics": self.metrics[0] if len(self.metrics) == 1 else list(self.metrics),
            "shell": self.shell,
            "env": dict(self.env),
            "env_prefix": self.env_prefix,
            "cwd": self.cwd,
            "iteration": self.iteration,
            "config": self.config,
            "grace": self.grace,
        }
        defaults = {"metrics": _KEY_VALUES, "shell": False, "env": {}, "config": "json", "grace": STOP_SECONDS}
        shown = (f"{name}={source_repr(item)}" for name, item in keywords.items() if item != defaults.get(name))
        return f"command({', '.join([source_repr(first), *shown])})"


@check_arguments
def command(
    program: str | Sequence[str | os.PathLike[str]],
    *,
    metrics: MetricSource | Sequence[MetricSource] | None = None,
    env: Mapping[str, str] | None = None,
    env_prefix: str | None = None,
    cwd: str | os.PathLike[str] | None = None,
    iteration: str | None = None,
    config: ConfigFormat = "json",
    shell: bool = False,
    grace: float = STOP_SECONDS,
) -> Command:
    """A program to tune without changes, for `.trainable`.

    `{lr}` is the value of a parameter, `{model.depth}` of a nested one, `{lr:.3g}` a formatted one, `{model:name}` the
    chosen option of a `choice` between spaces, and `{{` a brace. An argument with a parameter that a configuration
    lacks is left out. `{config}` is a file with the configuration, `{folder}` the trial's folder, `{checkpoint}` the
    checkpoint folder, `{trial}` the trial's name, and `{seed}` its seed, unless parameters have these names.

    The variable `TUNEDSL_CHECKPOINT` names a folder with the checkpoint from which the program continues; it is empty
    for a new trial. Files that the program writes there are saved with its next report. When the program is stopped,
    all processes that it started are stopped too.

    Args:
        program: the program and its arguments: text, which is split as in a shell but not run by one, or a list.
        metrics: sources of metrics, of `tunedsl.metrics`; `key_values()`, `name=number` pairs of standard output, by
            default. Rows without an objective are joined to the next row that has all of them.
        env: environment variables; values may have placeholders.
        env_prefix: sets all parameters as variables, too: with `"HP_"`, `HP_LR` and `HP_MODEL_DEPTH`.
        cwd: the working directory, with placeholders; by default the one in which the run was started.
        iteration: the metric that counts iterations, such as `"epoch"`: it joins rows of several sources, and
            repeated rows are dropped.
        config: the format of the file `{config}`, `"json"` or `"yaml"`.
        shell: whether `/bin/sh` runs the text. Values reach it as variables and never become part of the script.
        grace: seconds between SIGTERM and SIGKILL when the program is stopped, above 0.

    Raises:
        ArgumentError: for an empty or malformed command, or an argument of the wrong type.

    >>> command("python train.py --lr {lr}", iteration="epoch")
    command('python train.py --lr {lr}', iteration='epoch')
    """
    sources = (key_values(),) if metrics is None else _sources(metrics)
    made = Command(
        arguments=_arguments(program, as_bool("command.shell", shell)),
        metrics=sources,
        shell=shell,
        env=tuple((_variable(name), _text("command.env", text)) for name, text in (env or {}).items()),
        env_prefix=None if env_prefix is None else _text("command.env_prefix", env_prefix),
        cwd=None if cwd is None else as_text("command.cwd", os.fspath(cwd) if isinstance(cwd, os.PathLike) else cwd),
        iteration=None if iteration is None else as_text("command.iteration", iteration),
        config=as_choice("command.config", config, get_args(ConfigFormat)),
        grace=as_positive("command.grace", grace),
    )
    for text in made.templates():
        placeholders(text)
    return made


def _arguments(program: str | Sequence[str | os.PathLike[str]], shell: bool) -> tuple[str, ...]:
    expected = "a command line, or a list of arguments"
    if isinstance(program, str):
        if shell:
            return (as_text("command.program", program),)
        try:
            words: Sequence[Any] = shlex.split(program)
        except ValueError as error:
            raise ArgumentError("E003", "command.program", f"{program!r} cannot be split: {error}.") from None
        _check_operators(program)
    elif isinstance(program, Sequence) and not shell:
        words = [os.fspath(word) if isinstance(word, os.PathLike) else word for word in program]
    else:
        hint = "with shell=True, write one string" if shell else ""
        raise wrong_value("command.program", program, expected, hint)
    if not words or not words[0]:
        raise wrong_value("command.program", program, expected)
    return tuple(_text("command.program", word) for word in words)


def _check_operators(program: str) -> None:
    """Raises `ArgumentError` for an operator of a shell outside quotes, which the program would get as an argument."""
    words = shlex.shlex(program, posix=False)
    words.whitespace_split, words.commenters = True, ""
    operator = next((word for word in words if _OPERATOR.fullmatch(word)), None)
    if operator is not None:
        message = f"{program!r} has the shell operator {operator}, but no shell runs it."
        hint = f"add shell=True, or write '{operator}' in quotes to pass it to the program"
        raise ArgumentError("E003", "command.program", message, hint)


def _sources(metrics: Any) -> tuple[MetricSource, ...]:
    sources = tuple(metrics) if isinstance(metrics, (list, tuple)) else (metrics,)
    for source in sources:
        if not isinstance(source, MetricSource):
            hint = "from tunedsl.metrics import key_values, jsonl, pattern, tensorboard_events"
            raise wrong_value("command.metrics", source, "a source of metrics, or a list of them", hint)
    if not sources:
        raise wrong_value("command.metrics", metrics, "at least one source of metrics")
    return sources


def _variable(name: Any) -> str:
    if not isinstance(name, str) or not name or "=" in name or "\0" in name:
        raise wrong_value("command.env", name, "a mapping from the names of environment variables")
    return name


def _text(subject: str, text: Any) -> str:
    if not isinstance(text, str) or "\0" in text:
        hint = f"write it in quotes: {str(text)!r}" if isinstance(text, (bool, int, float)) else ""
        raise wrong_value(subject, text, "text without NUL", hint)
    return str.__str__(text)


def _joined(arguments: Sequence[str]) -> str:
    """The arguments as a command line; braces of placeholders need no quotes."""
    return " ".join(
        word
        if shlex.quote(word.replace("{", "").replace("}", "")) == word.replace("{", "").replace("}", "")
        else shlex.quote(word)
        for word in arguments
    )
