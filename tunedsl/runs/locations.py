"""The folders and addresses of a run: its local folder, its journal and its checkpoints."""

from __future__ import annotations

import contextlib
import secrets
import time
from collections.abc import Iterator
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


def run_name(name: str, at_address: bool) -> str:
    """A name for a new run; longer at an address, where nothing reserves names."""
    return f"{name}-{time.strftime('%Y%m%d-%H%M%S')}-{secrets.token_hex(4 if at_address else 2)}"


def create_run_folder(definition: Definition, name: str) -> Path:
    """Create the local folder of a new run of an experiment."""
    return create_unique_folder(local_store(definition), name, is_address(definition.clauses.store))


def create_unique_folder(store: Path, name: str, at_address: bool = False) -> Path:
    """Create the folder of a new run in the store, with a name that no other run has."""
    create_folder(store, store)
    while True:
        root = store / run_name(name, at_address)
        with _storage_errors(store), contextlib.suppress(FileExistsError):
            root.mkdir()
            return root


def create_folder(folder: Path, store: Path) -> None:
    """Create a folder, unless it exists; raise `StorageError` if that fails."""
    with _storage_errors(store):
        folder.mkdir(parents=True, exist_ok=True)


@contextlib.contextmanager
def _storage_errors(store: Path) -> Iterator[None]:
    """Turn errors of the file system into `StorageError`."""
    try:
        yield
    except OSError as error:
        text = f"The experiment's folder cannot be created in store({str(store)!r}): {reason(error)}."
        raise StorageError(text) from error
