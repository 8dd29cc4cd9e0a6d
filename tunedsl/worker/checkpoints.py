"""Stores checkpoints: folders that are written atomically, on a local path or at any fsspec address.

On a local path, a folder is written under a temporary name and renamed. A file that equals the one in the previous
checkpoint is stored as a hard link to it. At an address, a checkpoint becomes valid when its report is journaled, after
the upload. A written checkpoint never changes. When a run continues, checkpoints that the journal lacks are removed.
"""

from __future__ import annotations

import contextlib
import errno
import filecmp
import os
import re
import secrets
import shutil
import tempfile
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, Final

import attrs

from tunedsl.base.diagnostics import reason
from tunedsl.base.errors import StorageError
from tunedsl.journal import file_system, is_address, is_inside, reconnect
from tunedsl.worker.folder_copy import WriteFolder, copy_independent, is_independent

_OWN_FILES = re.compile(r"trials/[^/]+/checkpoints/[0-9]{8,}(\.[0-9]+-[0-9a-f]+\.part)?")
"""Folders that this module writes: checkpoints, and incomplete ones."""
FULL_BYTES: Final = 2**16
"""A file system with less free space than this is full."""
FETCHED_FOLDER: Final = "tunedsl-checkpoint-"
"""Prefix of the folders for downloaded checkpoints."""


@attrs.frozen
class CheckpointStorage:
    """The checkpoints of an experiment. `base` is a local folder or an fsspec address.

    The `place` of a checkpoint is its path relative to `base`, with `/` between its parts.
    """

    base: str

    def where(self, place: str) -> str | Path:
        """Return the path or address of a checkpoint.

        Raises:
            StorageError: when links lead out of the base.
        """
        return f"{self.base}/{place}" if is_address(self.base) else is_inside(Path(self.base), place)

    def local_checkpoints(self, name: str) -> Path | None:
        """Return the folder of the checkpoints of the trial with this name; None where the storage is remote."""
        return None if is_address(self.base) else Path(self.base) / "trials" / name / "checkpoints"

    def write(self, place: str, fill: WriteFolder, before: str | None = None) -> None:
        """Write the checkpoint that `fill` fills; `before` is the previous checkpoint.

        Raises:
            StorageError: when the write fails; `place` does not exist then.
        """
        base = Path(self.base)
        try:
            if is_address(self.base):
                self._upload(place, fill)
            else:
                _write(is_inside(base, place), fill, None if before is None else is_inside(base, before))
        except OSError as error:
            raise StorageError(f"The checkpoint {place} cannot be written: {reason(error)}.") from error

    def fetch(self, place: str) -> Path:
        """Return a local folder with the checkpoint: its own, or a downloaded copy, which `release` removes.

        Raises:
            StorageError: when the checkpoint does not exist or cannot be read.
        """
        if not is_address(self.base):
            local = is_inside(Path(self.base), place)
            if not local.is_dir():
                raise StorageError(f"The checkpoint {place} is not at {self.base}.") from FileNotFoundError(
                    errno.ENOENT, os.strerror(errno.ENOENT), str(local)
                )
            return local
        folder = Path(tempfile.mkdtemp(prefix=FETCHED_FOLDER))
        try:
            with self._at(place, "read") as (files, root):
                names = files.find(root)
                if not names:
                    raise StorageError(f"The checkpoint {place} is not at {self.base}.")
                paths = [folder / _below(root, name) for name in names]
                for path in paths:
                    path.parent.mkdir(parents=True, exist_ok=True)
                files.get(names, [str(path) for path in paths])
        except BaseException:
            shutil.rmtree(folder, ignore_errors=True)
            raise
        return folder

    def release(self, folder: Path) -> None:
        """Remove a copy that `fetch` downloaded."""
        if is_address(self.base) and folder.name.startswith(FETCHED_FOLDER):
            shutil.rmtree(folder, ignore_errors=True)

    def discard(self, places: Iterable[str]) -> list[str]:
        """Remove checkpoints; missing ones are ignored.

        Returns:
            The checkpoints that could not be removed.
        """
        remaining = []
        for place in places:
            try:
                if is_address(self.base):
                    with self._at(place, "removed") as (files, root), contextlib.suppress(FileNotFoundError):
                        files.rm(root, recursive=True)
                else:
                    shutil.rmtree(is_inside(Path(self.base), place))
            except FileNotFoundError:
                continue
            except (OSError, StorageError):
                remaining.append(place)
        return remaining

    def sweep(self, known: Iterable[str]) -> None:
        """Try to remove the checkpoints that are not `known`, and incomplete ones."""
        with contextlib.suppress(OSError, StorageError):
            self.discard(set(self.list_checkpoints()) - set(known))

    def list_checkpoints(self) -> Iterator[str]:
        """Yield all existing checkpoints, complete and incomplete."""
        if is_address(self.base):
            with self._at("trials", "listed") as (files, root):
                found = [f"trials/{name[len(root) :].lstrip('/')}" for name in files.find(root)]
        else:
            found = [
                f"trials/{folder.relative_to(Path(self.base) / 'trials').as_posix()}"
                for folder in (Path(self.base) / "trials").glob("*/checkpoints/*")
                if not folder.is_symlink()
            ]
        for name in found:
            match = _OWN_FILES.match("/".join(name.split("/")[:4]))
            if match is not None and match[0] == "/".join(name.split("/")[:4]):
                yield match[0]

    def _upload(self, place: str, fill: WriteFolder) -> None:
        with tempfile.TemporaryDirectory(prefix="tunedsl-") as scratch:
            folder = Path(scratch) / "filled"
            folder.mkdir()
            fill(folder)
            if not is_independent(folder):
                filled, folder = folder, Path(scratch) / "copied"
                folder.mkdir()
                copy_independent(filled, folder)
            paths = sorted(path for path in folder.rglob("*") if path.is_file())
            with self._at(place, "written") as (files, root):
                if files.exists(root):
                    files.rm(root, recursive=True)  # from an earlier attempt
                try:
                    names = [f"{root}/{path.relative_to(folder).as_posix()}" for path in paths]
                    for parent in sorted({name.rpartition("/")[0] for name in names}):
                        files.makedirs(parent, exist_ok=True)  # no effect on object stores
                    files.put([str(path) for path in paths], names)
                except BaseException:
                    with contextlib.suppress(Exception):
                        files.rm(root, recursive=True)
                    raise

    @contextlib.contextmanager
    def _at(self, place: str, verb: str) -> Iterator[tuple[Any, str]]:
        """Yield the file system at the base. Any error of its library becomes a `StorageError`."""
        address = f"{self.base}/{place}"
        try:
            files, root = file_system(address)
            files.invalidate_cache()
            yield files, root
        except (StorageError, FileNotFoundError):
            raise
        except Exception as error:
            reconnect(address)
            text = f"the checkpoint {place} cannot be {verb}: {type(error).__name__}: {error}"
            raise StorageError(text) from error


def _below(root: str, name: str) -> str:
    """Return a listed name relative to its root.

    Raises:
        StorageError: for a name that leads out of the root; names in an object store can be any text.
    """
    part = name[len(root) :].lstrip("/")
    if not name.startswith(root) or any(
        step in ("", ".", "..") or "\\" in step or "\0" in step for step in part.split("/")
    ):
        raise StorageError(f"The path {name!r:.200} is not a file of a checkpoint.")
    return part


def _write(folder: Path, fill: WriteFolder, before: Path | None) -> None:
    part = _new_part(folder)
    try:
        fill(part)
        if not is_independent(part):
            part = _replace_links(folder, part)
        if before is not None and before.is_dir():
            _link_unchanged(folder, part, before)
        shutil.rmtree(folder, ignore_errors=True)
        part.rename(folder)
    except BaseException as error:
        full = isinstance(error, (shutil.Error, RuntimeError)) and shutil.disk_usage(part).free < FULL_BYTES
        shutil.rmtree(part, ignore_errors=True)
        if full:  # shutil and torch raise no specific error for a full disk
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(folder)) from error
        raise


def _new_part(folder: Path) -> Path:
    """Create a folder next to a checkpoint, with a name that `sweep` recognises."""
    part = folder.with_name(f"{folder.name}.{os.getpid()}-{secrets.token_hex(4)}.part")
    part.mkdir(parents=True)
    return part


def _replace_links(folder: Path, part: Path) -> Path:
    """Replace a folder by a copy without links."""
    copy = _new_part(folder)
    try:
        copy_independent(part, copy)
    except BaseException:
        shutil.rmtree(copy, ignore_errors=True)
        raise
    shutil.rmtree(part, ignore_errors=True)
    return copy


def _link_unchanged(folder: Path, part: Path, before: Path) -> None:
    """Link files to equal ones of the previous checkpoint, by way of a folder without names from users."""
    scratch = _new_part(folder)
    try:
        for file in part.rglob("*"):
            old = before / file.relative_to(part)
            if not file.is_file() or not old.is_file() or old.is_symlink():
                continue
            if file.stat().st_size == old.stat().st_size and filecmp.cmp(file, old, shallow=False):
                linked = scratch / "link"
                # without hard links, or when the old file was just removed, both files stay
                with contextlib.suppress(OSError):
                    os.link(old, linked)
                    linked.replace(file)
                linked.unlink(missing_ok=True)
    finally:
        shutil.rmtree(scratch, ignore_errors=True)
