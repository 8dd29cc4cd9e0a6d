"""Which run of a store is an experiment's: the newest one that was surely begun by the same."""

from __future__ import annotations

from pathlib import Path

from tunedsl.base.errors import JournalError, TunedslError
from tunedsl.journal import Address, Journal, Location, file_system, is_address
from tunedsl.plan.definition import Definition
from tunedsl.runs.amendments import matched
from tunedsl.runs.compiling import compile_plan


def newest(definition: Definition, folder: Path) -> Location:
    """The newest run of an experiment; one that only may be its own is named, and not taken.

    Args:
        folder: where its runs are, unless the experiment's store is an address.

    Raises:
        CompileError: when the experiment is wrong.
        JournalError: when there is none.
    """
    store = definition.clauses.store
    if store is not None and is_address(store):
        folders: list[Location] = [*_folders_at(Address(store))]
    else:
        files = folder.glob("*/journal.jsonl")
        folders = [file.parent for file in sorted(files, key=lambda file: file.stat().st_mtime, reverse=True)]
    plan = compile_plan(definition, "inline") if folders else None
    perhaps = ""
    for place in folders:
        unknown = matched(definition, Journal(place), plan)
        if unknown == ():
            return place
        if unknown and not perhaps:
            perhaps = f"; {place} may be one, but it cannot be told whether {', '.join(unknown)} holds the same: "
            perhaps += f"experiment.resume({str(place)!r}) goes on with it"
    hint = "; one of the experiment as it was before it was changed is resumed by its path, with amend=True"
    raise JournalError(store or folder, f"holds no run of this experiment{perhaps or (hint if folders else '')}")


def _folders_at(store: Address) -> list[Address]:
    """The runs at an address, by the time in their names, the newest first."""
    try:
        files, root = file_system(store)
        files.invalidate_cache()
        names = [item["name"].rstrip("/").rpartition("/")[2] for item in files.ls(root, detail=True)]
    except FileNotFoundError:
        return []
    except TunedslError:
        raise
    except Exception as error:
        raise JournalError(store, f"cannot be listed: {type(error).__name__}: {error}") from error
    return [store / name for name in sorted(names, key=lambda name: name.split("-")[-3:], reverse=True)]
