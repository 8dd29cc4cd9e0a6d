"""Reads and writes small whole files, in a local folder or at an address.

What the files mean is the caller's part. Except where
names are listed, errors of a storage's library are turned into `OSError`.
"""

from __future__ import annotations

import contextlib
import os
import secrets
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

from tunedsl.base.errors import StorageError
from tunedsl.journal.location import Location, file_system

ATOMIC_PROTOCOLS: Final = frozenset({"s3", "s3a", "gs", "gcs", "abfs", "az", "adl", "oss", "oci", "memory"})
"""Protocols that write an object atomically; for others a file is written under another name and renamed."""
CREATES: Final = ATOMIC_PROTOCOLS - {"memory"}
"""Protocols whose file systems take `mode="create"` as a condition of the write; others open a file exclusively."""


def list_names(folder: Location) -> list[str]:
    """The names in a folder; an empty list when there is no such folder."""
    try:
        if isinstance(folder, Path):
            return os.listdir(folder)
        files, path = file_system(folder)
        files.invalidate_cache()
        return [item["name"].rstrip("/").rpartition("/")[2] for item in files.ls(path, detail=True)]
    except (FileNotFoundError, NotADirectoryError):
        return []


def read_file(place: Location, limit: int) -> bytes | None:
    """The first `limit` bytes of a file, or None when it does not exist."""
    with as_os_error():
        try:
            if isinstance(place, Path):
                with place.open("rb") as file:
                    return file.read(limit)
            files, path = file_system(place)
            return bytes(files.cat_file(path))[:limit]
        except (FileNotFoundError, NotADirectoryError):
            return None


def write_object(place: Location, content: bytes) -> None:
    """Write or replace a file atomically; a local one is on disk afterwards."""
    if isinstance(place, Path):
        part = _local_part(place, content)
        try:
            part.replace(place)
        except OSError:
            part.unlink(missing_ok=True)
            raise
        return
    files, path = file_system(place)
    if place.protocol in ATOMIC_PROTOCOLS:
        files.pipe_file(path, content)
        return
    part_path = f"{path}.part"
    try:
        files.pipe_file(part_path, content)
    except FileNotFoundError:
        files.makedirs(path.rpartition("/")[0], exist_ok=True)
        files.pipe_file(part_path, content)
    files.mv(part_path, path)


def create_object(place: Location, content: bytes) -> None:
    """Create a file, as one operation that fails if it exists.

    After any error the file may exist, with this content or with that of another writer: read it.
    """
    with as_os_error():
        if isinstance(place, Path):
            part = _local_part(place, content)
            try:
                os.link(part, place)
            finally:
                part.unlink(missing_ok=True)
            return
        files, path = file_system(place)
        if place.protocol in CREATES:
            files.pipe_file(path, content, mode="create")
            return
        if place.protocol not in ATOMIC_PROTOCOLS:
            files.makedirs(path.rpartition("/")[0], exist_ok=True)
        with files.open(path, "wxb" if place.protocol in ("sftp", "ssh") else "xb") as file:  # paramiko needs the "w"
            file.write(content)


def remove_object(place: Location) -> None:
    """Remove a file; a missing one is not an error."""
    with as_os_error(), contextlib.suppress(FileNotFoundError):
        if isinstance(place, Path):
            place.unlink()
            return
        files, path = file_system(place)
        files.rm_file(path)


def age_of(place: Location) -> float:
    """Seconds since a file was written, by the storage's clock."""
    probe = _sibling(place, f"{place.name}.{secrets.token_hex(4)}.now")
    with as_os_error():
        written = _modified(place)
        try:
            write_object(probe, b"")
            now = _modified(probe)
        except Exception:
            now = time.time()  # without write access, use this machine's clock
        finally:
            with contextlib.suppress(Exception):
                remove_object(probe)
        return now - written


def _modified(place: Location) -> float:
    if isinstance(place, Path):
        return place.stat().st_mtime
    files, path = file_system(place)
    files.invalidate_cache()
    return float(files.modified(path).timestamp())


def _local_part(place: Path, content: bytes) -> Path:
    """A new file next to `place` with its content, on disk."""
    place.parent.mkdir(parents=True, exist_ok=True)
    part = place.with_name(f"{place.name}.{os.getpid()}-{secrets.token_hex(4)}.part")
    try:
        with part.open("xb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
    except OSError:
        part.unlink(missing_ok=True)
        raise
    return part


def _sibling(place: Location, name: str) -> Location:
    parent: Any = place.parent
    found: Location = parent / name
    return found


@contextlib.contextmanager
def as_os_error() -> Iterator[None]:
    """Turns an error of a storage's library into an `OSError`."""
    try:
        yield
    except (OSError, StorageError):
        raise
    except Exception as error:
        raise OSError(f"{type(error).__name__}: {error}") from error
