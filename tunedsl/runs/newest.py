"""Finds the newest run of an experiment in its store."""

from __future__ import annotations

from pathlib import Path

from tunedsl.base.diagnostics import reason
from tunedsl.base.errors import JournalError, TunedslError
from tunedsl.journal import Address, Journal, Location, file_system, is_address
from tunedsl.plan.definition import Definition
from tunedsl.runs.amendments import matched
from tunedsl.runs.compiling import compile_plan


def newest(definition: Definition, folder: Path) -> Location:
    """The newest run that certainly belongs to an experiment.

    Args:
        folder: the local store; ignored when the experiment's store is an address.

    Raises:
        CompileError: when the experiment is wrong.
        JournalError: when there is no such run; it names one that may belong to the experiment.
    """
    store = definition.clauses.store
    if store is not None and is_address(store):
        folders: list[Location] = [*_folders_at(Address(store))]
    else:
        files = folder.glob("*/journal.jsonl")
        folders = [file.parent for file in sorted(files, key=lambda file: file.stat().st_mtime, reverse=True)]
    plan = compile_plan(definition, "inline") if folders else None
    perhaps = hint = ""
    for place in folders:
        unknown = matched(definition, Journal(place), plan)
        if unknown == ():
            return place
        if unknown and not perhaps:
            perhaps = f"The run {place} may belong to this experiment, but {', '.join(unknown)} cannot be compared."
            hint = f"to resume it, experiment.resume({str(place)!r})"
    hint = hint or ("to resume a run from before a change, pass its path and amend=True" if folders else "")
    raise JournalError(store or folder, perhaps or "The folder has no run of this experiment.", hint=hint)


def _folders_at(store: Address) -> list[Address]:
    """The runs at an address, newest first by the time in their names."""
    try:
        files, root = file_system(store)
        files.invalidate_cache()
        names = [item["name"].rstrip("/").rpartition("/")[2] for item in files.ls(root, detail=True)]
    except FileNotFoundError:
        return []
    except TunedslError:
        raise
    except Exception as error:
        raise JournalError(store, f"The store cannot be listed: {type(error).__name__}: {reason(error)}.") from error
    return [store / name for name in sorted(names, key=lambda name: name.split("-")[-3:], reverse=True)]
