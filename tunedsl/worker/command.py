"""Runs the program of a `command(...)` as a trial: its arguments, reports, checkpoints and end."""

from __future__ import annotations

import codecs
import contextlib
import json
import os
import re
import shutil
import signal
import sys
import tempfile
import time
from collections import deque
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any, Final

from tunedsl.base.errors import ProgramError
from tunedsl.base.machine import count_oom_kills
from tunedsl.plan.command import Command
from tunedsl.plan.metric_sources import path_of
from tunedsl.plan.templates import as_argument, as_plain, fill, placeholders, shell_script
from tunedsl.worker.checkpoints import CheckpointStorage
from tunedsl.worker.folder_copy import copy_from
from tunedsl.worker.program import Chunk, Program
from tunedsl.worker.program_metrics import CHECKPOINT, Lines, Row, Rows, StepRow, parse_line, reader_of
from tunedsl.worker.session import Session

POLL_SECONDS: Final = 0.05
"""Interval at which files of metrics are read and a halt is noticed."""
MAX_ERROR_LINES: Final = 20
MAX_ERROR_LINE: Final = 2_000
"""Lines of standard error, and characters of a line, in the error of a trial."""
_FOLDER: Final = "checkpoint-"
"""Prefix of the checkpoint folders in the trial's folder, one for each attempt."""
_OUT_OF_MEMORY: Final = re.compile(r"\b(MemoryError|OutOfMemoryError|CUDA out of memory|RESOURCE_EXHAUSTED)\b")


class CommandRun:
    """One attempt at a trial by a program.

    Args:
        session: the attempt.
    """

    def __init__(self, session: Session) -> None:
        self._session = session
        self._command: Command = session.shipment.trainable
        self._program: Program | None = None
        self._folder = _new_folder(session)
        self._seen = _content(self._folder)
        self._names_checkpoints = False
        self._rows = Rows(session.shipment.objectives, self._command.iteration)
        self._lines = {"stdout": Lines(), "stderr": Lines()}
        self._text = {name: codecs.getincrementaldecoder("utf-8")("replace") for name in self._lines}
        self._errors: deque[str] = deque(maxlen=MAX_ERROR_LINES)
        self._kills = count_oom_kills()

    def run(self) -> None:
        """Run the program to its end.

        Raises:
            ProgramError: when it cannot be started, or fails.
            TrialStopped: when the trial ends before the program does.
        """
        session, values = self._session, self._values()
        arguments, variables = self._arguments(values)
        cwd = os.path.join(session.shipment.cwd or os.curdir, self._filled(self._command.cwd or "", values))
        readers = [
            reader_of(source, Path(cwd, self._filled(path, values)))
            for source in self._command.metrics
            if (path := path_of(source)) is not None
        ]
        self._program = program = Program(
            arguments, {**os.environ, **self._environment(values), **variables}, cwd, self._command.grace
        )
        while program.is_running:
            session.check_running()
            with session.released():
                chunks = program.read(POLL_SECONDS)
            self._receive(chunks)
            for reader in readers:
                self._report_all(reader.read())
        self._receive(program.rest())
        for reader in readers:
            self._report_all(reader.read())
            self._report_all(reader.end())
        for name, lines in self._lines.items():
            self._receive_lines(name, lines.end())
        self._check_exit(program)
        if _content(self._folder) and not self._names_checkpoints:
            session.save(self._copy(self._folder))

    def stop(self) -> None:
        """End all processes of the program, and write their remaining output to the log."""
        program = self._program
        if program is not None:
            program.request_stop()
            deadline = program.stop_deadline()
            while program.is_running and time.monotonic() < deadline:
                with self._session.released():
                    chunks = program.read(POLL_SECONDS)
                for name, data in chunks:
                    self._log(name, data)
            program.close()
        shutil.rmtree(self._folder, ignore_errors=True)

    def _values(self) -> dict[str, Any]:
        info = self._session.info
        values = {"checkpoint": str(self._folder), "folder": str(info.path), "seed": info.seed, "trial": info.id}
        texts = [name for text in self._command.templates() for name in placeholders(text)]
        if "config" in texts and "config" not in info.config:
            values["config"] = str(_write_config(info.path, as_plain(info.config), self._command.config))
        return values

    def _filled(self, text: str, values: Mapping[str, Any]) -> str:
        return fill(text, values, self._session.info.config) or ""

    def _arguments(self, values: Mapping[str, Any]) -> tuple[list[str], dict[str, str]]:
        """The arguments of the process, and the variables that its shell needs."""
        config, texts = self._session.info.config, self._command.arguments
        if self._command.shell:
            script, variables = shell_script(texts[0], values, config)
            return ["/bin/sh", "-c", script], variables
        return [filled for text in texts if (filled := fill(text, values, config)) is not None], {}

    def _environment(self, values: Mapping[str, Any]) -> dict[str, str]:
        info = self._session.info
        prefix = self._command.env_prefix
        params = {} if prefix is None else dict(_variables(prefix, info.config))
        filled = {name: fill(text, values, info.config) for name, text in self._command.env}
        return {
            "PYTHONUNBUFFERED": "1",
            "TUNEDSL_CHECKPOINT": str(self._folder),
            "TUNEDSL_FOLDER": str(info.path),
            "TUNEDSL_ITERATION": str(info.iteration),
            "TUNEDSL_SEED": str(info.seed),
            "TUNEDSL_TRIAL": info.id,
            **params,
            **{name: text for name, text in filled.items() if text is not None},
        }

    def _receive(self, chunks: Iterable[Chunk]) -> None:
        for name, data in chunks:
            self._log(name, data)
            self._receive_lines(name, self._lines[name].feed(data))

    def _receive_lines(self, name: str, lines: Iterable[str]) -> None:
        sources = [source for source in self._command.metrics if getattr(source, "source", None) == name]
        for line in lines:
            if name == "stderr" and line.strip():
                self._errors.append(line[-MAX_ERROR_LINE:])
            for source in sources:
                self._report(None, parse_line(source, line))

    def _log(self, name: str, data: bytes) -> None:
        stream = sys.stdout if name == "stdout" else sys.stderr
        stream.write(self._text[name].decode(data))

    def _report_all(self, rows: Iterable[StepRow]) -> None:
        for step, row in rows:
            self._report(step, row)

    def _report(self, step: int | None, row: Row) -> None:
        complete = self._rows.add(row, step)
        if complete is None:
            return
        named = complete.pop(CHECKPOINT, None)
        self._names_checkpoints = self._names_checkpoints or isinstance(named, str)
        if not self._session.takes_step(self._rows.last):
            return
        if isinstance(named, str):
            save: Callable[[Path], None] | None = self._copy(self._folder / named, suspends=False)
        else:
            content = () if self._names_checkpoints else _content(self._folder)
            save = self._copy(self._folder) if content and content != self._seen else None
        self._session.report(complete, save=save)

    def _copy(self, source: Path, suspends: bool = True) -> Callable[[Path], None]:
        """Return a function that copies a folder, and that suspends the program meanwhile if it may write there."""

        def copy(target: Path) -> None:
            program, session = self._program, self._session
            assert program is not None  # a running program reports
            with program.frozen() if suspends else contextlib.nullcontext():
                self._seen = _content(self._folder)
                kept = CheckpointStorage(session.shipment.storage).local_checkpoints(session.assignment.name)
                copy_from(source, Path(session.shipment.root), kept)(target)

        return copy

    def _check_exit(self, program: Program) -> None:
        """Raise `ProgramError` unless the program succeeded."""
        code, name = program.exit_code, self._command.name
        if code == 0:
            return
        if code is None:
            raise ProgramError(f"The supervisor of {name} was killed.")
        killed = code in (-signal.SIGKILL, 128 + signal.SIGKILL) and count_oom_kills() > self._kills
        last = self._errors[-1] if self._errors else ""
        what = f"was ended by {_signal_name(-code)}" if code < 0 else f"exited with code {code}"
        raise ProgramError(
            f"{name} {what}{' for lack of memory' if killed else ''}{f': {last}' if last else ''}",
            "".join(f"{line}\n" for line in self._errors),
            killed or bool(_OUT_OF_MEMORY.search(last)),
        )


def _new_folder(session: Session) -> Path:
    """Create the checkpoint folder of an attempt with its first checkpoint; remove those of earlier attempts."""
    place, checkpoint = session.info.path, session.info.checkpoint
    for old in place.glob(f"{_FOLDER}*"):
        shutil.rmtree(old, ignore_errors=True)
    folder = Path(tempfile.mkdtemp(prefix=_FOLDER, dir=place))
    if checkpoint is not None:
        session.load(lambda source: _copy_tree(source, folder), checkpoint)
    return folder


def _copy_tree(source: Path, target: Path) -> None:
    shutil.copytree(source, target, dirs_exist_ok=True)


def _content(folder: Path) -> tuple[tuple[str, int, int, int], ...]:
    """The files in a folder, each with its size, time and inode."""
    found = []
    for parent, _, files in os.walk(folder):
        for name in files:
            path = os.path.join(parent, name)
            try:
                status = os.stat(path)
            except OSError:  # another process has removed it
                continue
            found.append((path, status.st_size, status.st_mtime_ns, status.st_ino))
    return tuple(sorted(found))


def _write_config(folder: Path, config: Any, form: str) -> Path:
    path = folder / f"config.{form}"
    if form == "yaml":
        import yaml  # type: ignore[import-untyped]

        path.write_text(yaml.safe_dump(config, sort_keys=False, allow_unicode=True))
    else:
        path.write_text(json.dumps(config, indent=2) + "\n")
    return path


def _variables(prefix: str, config: Mapping[str, Any]) -> Iterable[tuple[str, str]]:
    """The parameters as environment variables; nested ones are joined by `_`."""
    for name, item in config.items():
        variable = prefix + re.sub(r"\W", "_", name.upper())
        if isinstance(item, Mapping):
            yield from _variables(f"{variable}_", item)
        else:
            yield variable, as_argument(item)


def _signal_name(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:  # a signal without a name, such as a real-time signal
        return f"signal {number}"
