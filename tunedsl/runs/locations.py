"""The folders and addresses of a run: its local folder, its journal and its checkpoints."""

from __future__ import annotations

import contextlib
import secrets
import time
from pathlib import Path
from typing import Final

from tunedsl.base.diagnostics import reason
from tunedsl.base.errors import JournalError, StorageError
from tunedsl.journal import Address, Journal, Location, is_address
from tunedsl.plan.definition import Definition

STORE: Final = "tunedsl-results"
"""The default store, in the working directory."""


def local_store(definition: Definition) -> Path:
    """The folder of the experiment's local files; a store at an address has only journal and checkpoints."""
    store = definition.clauses.store
    return Path(STORE if store is None or is_address(store) else store).absolute()


def journal_location(definition: Definition, root: Path) -> Location:
    """The location of a run's journal and checkpoints: its folder, or the same name at the store's address."""
    store = definition.clauses.store
    return root if store is None or not is_address(store) else Address(store) / root.name


def local_folder(home: Location) -> Path:
    """The local folder of a run; it is created for a run at an address that began on another machine."""
    if not isinstance(home, Address):
        return home
    root = Path(STORE).absolute() / home.name
    root.mkdir(parents=True, exist_ok=True)
    return root


def checkpoint_storage(journal: Journal, store: str | None) -> str | None:
    """The location of checkpoints that are not next to the journal; only the experiment's own store is trusted.

    Raises:
        JournalError: when the experiment has another store.
    """
    storage = journal.header.provenance.get("storage")
    if storage is None or storage == journal.folder:
        return None
    if (
        not isinstance(storage, str)
        or store is None
        or not storage.startswith(f"{store.rstrip('/')}/")
        or ".." in storage
    ):
        text = f"The journal names {storage!r:.200} as the location of its checkpoints, which is not in the store."
        raise JournalError(journal.path, text, hint="call experiment.resume(...) on the experiment with this store")
    return storage


def new_name(name: str, at_address: bool = False) -> str:
    """A name for a new run. At an address nothing reserves it, so that it is longer there."""
    return f"{name}-{time.strftime('%Y%m%d-%H%M%S')}-{secrets.token_hex(4 if at_address else 2)}"


def new_folder(store: Path, name: str, at_address: bool = False) -> Path:
    """Create the folder of a new run in the store, with a name that no other run has."""
    while True:
        root = store / new_name(name, at_address)
        with contextlib.suppress(FileExistsError):
            return created_folder(root, exist_ok=False)


def new_run_folder(definition: Definition, name: str) -> Path:
    """Create the local folder of a new run of an experiment."""
    store = definition.clauses.store
    return new_folder(local_store(definition), name, store is not None and is_address(store))


def created_folder(root: Path, exist_ok: bool = True) -> Path:
    """Create a folder.

    Raises:
        FileExistsError: when it exists, without `exist_ok`.
        StorageError: when it cannot be created.
    """
    try:
        root.mkdir(parents=True, exist_ok=exist_ok)
    except OSError as error:
        if not exist_ok and root.is_dir():
            raise FileExistsError(str(root)) from error
        raise StorageError(
            f"The experiment's folder cannot be created in store({str(root.parent)!r}): {reason(error)}."
        ) from error
    return root
