"""From `FILE.py:NAME` to an experiment: the file is imported under its own name, never as `__main__`."""

from __future__ import annotations

import importlib.util
import sys
import traceback
from collections.abc import Sequence
from importlib.machinery import SourceFileLoader
from pathlib import Path
from types import CodeType, ModuleType

import attrs
import click
import cloudpickle

from tunedsl.base.errors import ArgumentError, CompileError, TunedslError
from tunedsl.base.names import did_you_mean
from tunedsl.cli.overrides import apply_overrides
from tunedsl.experiment import Experiment
from tunedsl.journal import Address, Journal
from tunedsl.runs.amendments import matched
from tunedsl.runs.runs import importing


def experiment_at(target: str, sets: Sequence[str] = ()) -> Experiment:
    """The experiment that `FILE.py:NAME` names; without `:NAME`, the only one in the file.

    Args:
        target: the file and the name.
        sets: overrides as text.

    Raises:
        click.UsageError: when there is no such file or experiment, or which one is open.
    """
    file, name = _split_target(target)
    found = experiments_in(import_file(file))
    if name:
        if name not in found:
            raise click.UsageError(f"{file} has no experiment {name!r}; {did_you_mean(name, found)}".removesuffix("; "))
        return _overridden(found[name], sets)
    different = {id(experiment): experiment for experiment in found.values()}
    if len(different) == 1:
        return _overridden(next(iter(found.values())), sets)
    names = ", ".join(found) or "none"
    raise click.UsageError(f"{file} should hold one experiment, found {names}: say which one, {file}:NAME")


def experiment_of(
    journal: Journal, target: str | None, changed: bool = False, sets: Sequence[str] = (), option: str = "--file"
) -> Experiment | None:
    """The experiment whose plan a journal is of, from `target` or from the script that ran it.

    Args:
        changed: whether the script's only experiment is taken for it though its plan is another now; the one that
            `target` names is in any case.
        sets: overrides as text, of the experiment as it is in the script.
        option: how the command that asks is given a target.

    Returns:
        None when no target was given, and the script is gone or holds it in no module-level name.

    Raises:
        click.UsageError: when there is no such file or experiment, or which one is open.
    """
    header = journal.header
    script = target or header.provenance.get("script")
    if not isinstance(script, str) or not script or (target is None and not _split_target(script)[0].is_file()):
        return None
    if target is None and _script_of(Path(script), journal):
        raise click.UsageError(
            f"{journal.folder} names {script}, which lies beside it and may have come with it: "
            f"to run that, give it by {option} {script}"
        )
    file, name = _split_target(script)
    for found, experiment in experiments_in(import_file(file)).items():
        if name in ("", found) and _has_plan(_overridden(experiment, sets), journal):
            return _overridden(experiment, sets)
    return experiment_at(script, sets) if target is not None or changed or sets else None


def _overridden(experiment: Experiment, sets: Sequence[str]) -> Experiment:
    try:
        return apply_overrides(experiment, sets)
    except ArgumentError as error:
        raise click.UsageError(str(attrs.evolve(error.diagnostic, place=None))) from None


def experiments_in(module: ModuleType) -> dict[str, Experiment]:
    """The experiments that a module holds, by name."""
    return {name: item for name, item in vars(module).items() if isinstance(item, Experiment)}


class _UncachedLoader(SourceFileLoader):
    """Compiles a file's text each time: kept byte code is taken for that of an edit within the same second."""

    def get_code(self, fullname: str) -> CodeType:
        return self.source_to_code(self.get_data(self.path), self.path)


def import_file(file: Path) -> ModuleType:
    """Imports a file by its name, as a script's folder would let it be imported; workers get it by value.

    Raises:
        click.UsageError: when there is no such file, or another module has its name.
        click.exceptions.Exit: with code 2 after an error in the file, whose traceback is printed.
    """
    file = file.resolve()
    if not file.is_file():
        raise click.UsageError(f"there is no file {file}")
    known = sys.modules.get(file.stem)
    if known is not None:
        if Path(getattr(known, "__file__", None) or "").resolve() == file:
            return known
        raise click.UsageError(f"{file.name} has the name of a module that is loaded already: rename it")
    spec = importlib.util.spec_from_file_location(file.stem, file, loader=_UncachedLoader(file.stem, str(file)))
    if file.suffix != ".py" or spec is None or spec.loader is None:
        raise click.UsageError(f"{file} is no Python file")
    module = importlib.util.module_from_spec(spec)
    sys.modules[file.stem] = module
    sys.path.insert(0, str(file.parent))
    try:
        with importing(file):
            spec.loader.exec_module(module)
    except TunedslError:
        del sys.modules[file.stem]
        raise
    except Exception as error:
        del sys.modules[file.stem]
        own = error.__traceback__.tb_next if error.__traceback__ else None
        while own is not None and own.tb_frame.f_code.co_filename.startswith("<frozen"):
            own = own.tb_next
        click.echo("".join(traceback.format_exception(type(error), error, own)), err=True, nl=False)
        raise click.exceptions.Exit(2) from None
    cloudpickle.register_pickle_by_value(module)
    return module


def _split_target(target: str) -> tuple[Path, str]:
    """File and name; a drive's colon is no separator."""
    file, colon, name = target.rpartition(":")
    return (Path(file), name) if colon and name.isidentifier() else (Path(target), "")


def _script_of(script: Path, journal: Journal) -> bool:
    """Whether a script lies in the store of a journal: who hands on a journal may hand on what it names."""
    folder = journal.folder
    return not isinstance(folder, Address) and script.resolve().is_relative_to(folder.resolve().parent)


def _has_plan(experiment: Experiment, journal: Journal) -> bool:
    try:
        return matched(experiment, journal) is not None
    except CompileError:
        return False  # a fragment that other experiments are made of
