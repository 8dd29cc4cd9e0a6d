"""`experiment_from_config`: an experiment from a YAML, TOML or JSON file, or from a mapping."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from tunedsl.base.arguments import check_arguments
from tunedsl.base.diagnostics import Diagnostic, SourceLocation, reason
from tunedsl.base.errors import ArgumentError, CompileError, wrong_value
from tunedsl.base.names import did_you_mean
from tunedsl.configs.clauses import ExperimentReader
from tunedsl.configs.entries import Entry, entry_of
from tunedsl.experiment import Experiment

SUFFIXES: Final = (".yaml", ".yml", ".toml", ".json")
"""The suffixes of experiment files."""


@check_arguments
def experiment_from_config(source: str | os.PathLike[str] | Mapping[str, Any]) -> Experiment:
    """An experiment that a file or a mapping describes.

    Each key is a clause. A domain, condition, searcher, scheduler or sink is text such as `"loguniform(1e-4, 1e-1)"`,
    or a name with its arguments, `{asha: {max_t: 81}}`. Nothing in the file is run. Only the functions that it names
    as `module:function` are imported, from `sys.path`; the file's folder is appended to it.

    Args:
        source: the path of a `.yaml`, `.toml` or `.json` file; or a mapping, such as a config of OmegaConf, which may
            also contain domains and functions themselves.

    Returns:
        The experiment that the same clauses make in Python. Its diagnostics name the lines of the file.

    Raises:
        ArgumentError: for a file that does not exist or has another suffix.
        CompileError: with all errors of the file, each with its line.

    >>> experiment_from_config({"space": {"lr": "uniform(0, 1)"}, "minimize": "loss", "samples": 8})
    space(lr=uniform(0.0, 1.0)).minimize('loss').samples(8)
    """
    if isinstance(source, Mapping):
        return _experiment(entry_of(source), None)
    if not isinstance(source, (str, os.PathLike)):
        raise wrong_value("experiment_from_config.source", source, "the path of a file, or a mapping")
    file = Path(os.fspath(source))
    root = _read(file)
    folder = str(file.resolve().parent)
    if folder not in sys.path:
        sys.path.append(folder)
    return _experiment(root, Path(folder))


def _experiment(root: Entry, folder: Path | None) -> Experiment:
    reader = ExperimentReader(folder)
    reader.read(root)
    if reader.problems:
        raise CompileError(reader.problems)
    return reader.experiment


def _read(file: Path) -> Entry:
    if file.suffix.lower() not in SUFFIXES:
        hint = did_you_mean(file.suffix, SUFFIXES)
        raise wrong_value("The suffix of an experiment file", file.name, f"one of {', '.join(SUFFIXES)}", hint, "file")
    try:
        text = file.read_text(encoding="utf-8-sig")
    except FileNotFoundError:
        raise ArgumentError("E003", "file", f"The file {file} does not exist.") from None
    except OSError as error:
        raise ArgumentError("E003", "file", f"The file {file} cannot be read: {reason(error)}.") from None
    except UnicodeDecodeError as error:
        line = error.object.count(b"\n", 0, error.start) + 1
        diagnostic = Diagnostic("E003", "file", "The file is not UTF-8.", "", SourceLocation(str(file), line))
        raise CompileError([diagnostic]) from None
    if file.suffix.lower() == ".toml":
        from tunedsl.configs.toml_files import read_toml

        return read_toml(text, str(file))
    from tunedsl.configs.yaml_files import read_json, read_yaml

    return read_json(text, str(file)) if file.suffix.lower() == ".json" else read_yaml(text, str(file))
