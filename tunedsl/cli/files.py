"""Finds the experiment that `FILE.py:NAME`, `-m MODULE:NAME` or a file such as `sweep.yaml` names.

A module that is imported is never `__main__`.
"""

from __future__ import annotations

import contextlib
import importlib.util
import os
import shlex
import sys
import traceback
from collections.abc import Iterator, Sequence
from importlib.machinery import SourceFileLoader
from pathlib import Path
from types import CodeType, ModuleType
from typing import Final

import attrs
import click
import cloudpickle

from tunedsl.base.diagnostics import with_help
from tunedsl.base.errors import ArgumentError, CompileError, TunedslError
from tunedsl.base.names import did_you_mean
from tunedsl.cli.overrides import apply_overrides
from tunedsl.configs import SUFFIXES, experiment_from_config
from tunedsl.experiment import Experiment
from tunedsl.journal import Address, Journal
from tunedsl.plan.contents import functions_of
from tunedsl.runs.amendments import matched
from tunedsl.runs.runs import importing

_ONLY: Final = "experiment"
"""The name of the experiment of a file that describes one as data."""
_PACKAGE: Final = f"{Path(__file__).resolve().parent.parent}{os.sep}"


@attrs.frozen
class Target:
    """The argument of a command: a file or a module, as for `python` and `python -m`, and an experiment in it.

    Attributes:
        source: the path of a file in Python, YAML, TOML or JSON; or a module's dotted name.
        name: the name of the experiment; empty for the only one.
        is_module: whether `source` is a module.
    """

    source: str
    name: str = ""
    is_module: bool = False

    @staticmethod
    def of(text: str, is_module: bool = False) -> Target:
        """Parse the target that a user writes; the colon of a drive is not a separator."""
        source, colon, name = text.rpartition(":")
        return Target(source, name, is_module) if colon and name.isidentifier() else Target(text, "", is_module)

    @property
    def is_config(self) -> bool:
        """Whether the file describes an experiment as data."""
        return not self.is_module and Path(self.source).suffix.lower() in SUFFIXES

    def experiments(self) -> dict[str, Experiment]:
        """The experiments in the file or module, by name; raises the errors of `import_file`."""
        if self.is_config:
            return {_ONLY: read_config(Path(self.source))}
        return experiments_in(self.load())

    def load(self) -> ModuleType:
        """Import the file or module, but never as `__main__`; raises the errors of `import_file`."""
        return import_named(self.source, Path.cwd()) if self.is_module else import_file(Path(self.source))

    def words(self) -> list[str]:
        """The options that pass this target to `tunedsl resume`."""
        source = self.source if self.is_module else str(Path(self.source).absolute())
        return ["-m" if self.is_module else "--file", f"{source}:{self.name}" if self.name else source]


def experiment_at(target: Target, sets: Sequence[str] = ()) -> Experiment:
    """The experiment that a target names, or the only one in the file.

    Args:
        sets: values of `--set`.

    Raises:
        click.UsageError: when there is no such file or experiment, or the file has several.
    """
    found = target.experiments()
    if target.name:
        if target.name not in found:
            hint = did_you_mean(target.name, found)
            raise click.UsageError(with_help(f"The file {target.source} has no experiment {target.name!r}.", hint))
        return _overridden(found[target.name], sets)
    different = {id(experiment): experiment for experiment in found.values()}
    if len(different) == 1:
        return _overridden(next(iter(found.values())), sets)
    names = ", ".join(found) or "none"
    raise click.UsageError(
        f"The file {target.source} must hold one experiment, not {names}.\n  help: write {target.source}:NAME"
    )


def experiment_of(
    journal: Journal, target: Target | None, changed: bool = False, sets: Sequence[str] = (), option: str = "--file"
) -> Experiment | None:
    """The experiment of a journal, from `target` or from the script that ran it.

    Args:
        changed: whether to accept the script's only experiment if its plan has changed. An experiment that `target`
            names is always accepted.
        sets: values of `--set`, which change the experiment of the script.
        option: the option of the command that takes a target.

    Returns:
        None without a target, if the script does not exist or has no such experiment at module level.

    Raises:
        click.UsageError: when there is no such file or experiment, or the file has several.
    """
    given = target
    if target is None:
        written, part_of = (journal.header.provenance.get(name) for name in ("script", "module"))
        if not isinstance(written, str) or not written or not Path(written).is_file():
            return None
        script = Path(written)
        if _script_of(script, journal):
            raise click.UsageError(
                f"The run {journal.folder} names {script}, which is next to it and may have come with it.\n"
                f"  help: to run that file, pass {option} {shlex.quote(written)}"
            )
        folder = _package_folder(script, part_of)
        target = Target(written)
        known = target.experiments() if folder is None else experiments_in(import_named(str(part_of), folder))
    else:
        known = target.experiments()
    for found, experiment in known.items():
        if target.name in ("", found) and _has_plan(_overridden(experiment, sets), journal):
            return _overridden(experiment, sets)
    return experiment_at(target, sets) if given is not None or changed or sets else None


def _package_folder(script: Path, module: object) -> Path | None:
    """The folder from which a script is imported by its dotted name; None if it is not in a package."""
    parts = module.split(".") if isinstance(module, str) else []
    if len(parts) < 2 or not _is_name(str(module)):
        return None
    for tail in (Path(*parts).with_suffix(".py"), Path(*parts, "__init__.py")):
        if script.parts[-len(tail.parts) :] == tail.parts:
            return script.parents[len(tail.parts) - 1]
    return None


def _overridden(experiment: Experiment, sets: Sequence[str]) -> Experiment:
    try:
        return apply_overrides(experiment, sets)
    except ArgumentError as error:
        raise click.UsageError(str(attrs.evolve(error.diagnostic, place=None))) from None


def experiments_in(module: ModuleType) -> dict[str, Experiment]:
    """The experiments of a module, by name."""
    return {name: item for name, item in vars(module).items() if isinstance(item, Experiment)}


def read_config(file: Path) -> Experiment:
    """The experiment that a file describes as data, with its folder first on the path; workers get modules by value.

    Raises:
        click.UsageError: when there is no such file.
        click.exceptions.Exit: with code 2 after an error in a module that it names, whose traceback is printed.
    """
    file = file.absolute()
    if not file.is_file():
        raise click.UsageError(f"The file {file} does not exist.")
    _put_first(file.resolve().parent)
    with _executing("", file):
        experiment = experiment_from_config(file)
    for _, reference in functions_of(experiment.clauses):
        module = sys.modules.get(reference.reference.partition(":")[0])
        own = getattr(module, "__file__", None)
        if module is not None and own is not None and Path(own).resolve().is_relative_to(file.resolve().parent):
            cloudpickle.register_pickle_by_value(module)
    return experiment


class _UncachedLoader(SourceFileLoader):
    """Compiles a file each time, because cached byte code may be outdated after an edit within the same second."""

    def get_code(self, fullname: str) -> CodeType:
        return self.source_to_code(self.get_data(self.path), self.path)


def import_file(file: Path) -> ModuleType:
    """Import a file by its name, with its folder first on the path as for `python FILE`; workers receive it by value.

    Raises:
        click.UsageError: when there is no such file, or another module has its name.
        click.exceptions.Exit: with code 2 after an error in the file, whose traceback is printed.
    """
    file = file.resolve()
    if not file.is_file():
        hint = f"pass a module as -m {file.name}" if _is_name(file.name) and file.suffix != ".py" else ""
        raise click.UsageError(with_help(f"The file {file} does not exist.", hint))
    known = sys.modules.get(file.stem)
    if known is not None:
        if Path(getattr(known, "__file__", None) or "").resolve() == file:
            return known
        raise click.UsageError(
            f"The name {file.name} is that of a module that is already loaded.\n  help: rename the file"
        )
    spec = importlib.util.spec_from_file_location(file.stem, file, loader=_UncachedLoader(file.stem, str(file)))
    if file.suffix != ".py" or spec is None or spec.loader is None:
        raise click.UsageError(f"The file {file} is not a Python file.")
    module = importlib.util.module_from_spec(spec)
    sys.modules[file.stem] = module
    _put_first(file.parent)
    with _executing(file.stem, file):
        spec.loader.exec_module(module)
    cloudpickle.register_pickle_by_value(module)
    return module


def import_named(name: str, folder: Path) -> ModuleType:
    """Import a module by its dotted name, with `folder` first on the path as for `python -m NAME` there.

    For a package without experiments, import its `__main__`, which Python would run.

    Raises:
        click.UsageError: when there is no such module.
        click.exceptions.Exit: with code 2 after an error in the module, whose traceback is printed.
    """
    _put_first(folder.resolve())
    importlib.invalidate_caches()
    with _executing(name, name):
        try:
            spec = importlib.util.find_spec(name) if _is_name(name) else None
        except ModuleNotFoundError as error:
            if error.name is None or not f"{name}.".startswith(f"{error.name}."):
                raise
            spec = None
        except ValueError:  # a module that was not imported, such as __main__
            spec = None
        if spec is None:
            raise click.UsageError(f"The module {name} cannot be found from {folder}.\n  help: leave out -m for a file")
        module = importlib.import_module(name)
        main = f"{name}.__main__"
        if spec.submodule_search_locations and not experiments_in(module) and importlib.util.find_spec(main):
            module = importlib.import_module(main)
    cloudpickle.register_pickle_by_value(module)
    return module


def _is_name(text: str) -> bool:
    """Whether a text has the form of a module's name."""
    return all(part.isidentifier() for part in text.split("."))


def _put_first(folder: Path) -> None:
    if sys.path[:1] != [str(folder)]:
        sys.path.insert(0, str(folder))


@contextlib.contextmanager
def _executing(name: str, source: object) -> Iterator[None]:
    """Unload a module whose import fails in the body, and print the traceback of the user's own frames."""
    try:
        with importing(source):
            yield
    except click.UsageError:
        raise
    except BaseException as error:
        sys.modules.pop(name, None)
        if isinstance(error, TunedslError) or not isinstance(error, Exception):
            raise
        own = error.__traceback__
        while own is not None and _is_machinery(own.tb_frame.f_code.co_filename):
            own = own.tb_next
        click.echo("".join(traceback.format_exception(type(error), error, own)), err=True, nl=False)
        raise click.exceptions.Exit(2) from None


def _is_machinery(file: str) -> bool:
    return file.startswith(("<frozen", _PACKAGE)) or Path(file) == Path(importlib.__file__)


def _script_of(script: Path, journal: Journal) -> bool:
    """Whether a script is inside the store of a journal: a shared journal may come with its own script."""
    folder = journal.folder
    return not isinstance(folder, Address) and script.resolve().is_relative_to(folder.resolve().parent)


def _has_plan(experiment: Experiment, journal: Journal) -> bool:
    try:
        return matched(experiment, journal) is not None
    except CompileError:
        return False  # a fragment of other experiments
