"""Checkpoints in storage: folders, written whole or not at all, on a local path or any fsspec address.

On a local path a folder is written beside its place and renamed, and a file that is as it was in the
checkpoint before is linked to it instead of stored twice: the file system counts who still needs it.
At an address a folder counts from the moment that its report is journaled, which is after the upload.
A checkpoint is never changed once it is written.
"""

from __future__ import annotations

import filecmp
import os
import shutil
import tempfile
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import attrs

from tunedsl.base.errors import ReportError, StorageError

Fill = Callable[[Path], None]


def is_address(place: str) -> bool:
    """Whether a store is an fsspec address, such as `s3://bucket/results`, and no local path."""
    return "://" in place


def copied(source: str | os.PathLike[str]) -> Fill:
    """Fills a checkpoint with a copy of the user's folder.

    Raises:
        ReportError: when there is no such folder.
    """
    if not Path(source).is_dir():
        raise ReportError(f"checkpoint={os.fspath(source)!r} is not a folder")

    def fill(folder: Path) -> None:
        shutil.copytree(source, folder, dirs_exist_ok=True)

    return fill


@attrs.frozen
class Storage:
    """Where an experiment's checkpoints are: `base` is a local folder or an fsspec address.

    A checkpoint's `place` is relative to it, with `/` between its parts.
    """

    base: str

    def where(self, place: str) -> str | Path:
        """The path or address of a checkpoint."""
        return f"{self.base}/{place}" if is_address(self.base) else Path(self.base) / place

    def write(self, place: str, fill: Fill, before: str | None = None) -> None:
        """Writes the checkpoint that `fill` fills; `before` is the one that it follows.

        Raises:
            StorageError: when the storage does not take it; nothing stands at `place` then.
        """
        try:
            if is_address(self.base):
                self._upload(place, fill)
            else:
                _write(Path(self.base) / place, fill, None if before is None else Path(self.base) / before)
        except OSError as error:
            raise StorageError(f"the checkpoint {place} cannot be written: {error}") from error

    def fetch(self, place: str) -> Path:
        """A local folder with the checkpoint: itself, or a copy that was downloaded.

        Raises:
            StorageError: when it is not there or cannot be read.
        """
        if not is_address(self.base):
            return Path(self.base) / place
        folder = Path(tempfile.mkdtemp(prefix="tunedsl-"))
        try:
            files, root = _file_system(f"{self.base}/{place}")
            files.get(f"{root}/", f"{folder}/", recursive=True)
        except OSError as error:
            raise StorageError(f"the checkpoint {place} cannot be read: {error}") from error
        return folder

    def discard(self, places: Iterable[str]) -> None:
        """Removes checkpoints; what is gone already is no error."""
        for place in places:
            if not is_address(self.base):
                shutil.rmtree(Path(self.base) / place, ignore_errors=True)
                continue
            files, root = _file_system(f"{self.base}/{place}")
            if files.exists(root):
                files.rm(root, recursive=True)

    def _upload(self, place: str, fill: Fill) -> None:
        files, root = _file_system(f"{self.base}/{place}")
        with tempfile.TemporaryDirectory(prefix="tunedsl-") as folder:
            fill(Path(folder))
            if files.exists(root):
                files.rm(root, recursive=True)
            files.makedirs(root, exist_ok=True)
            files.put(f"{folder}/", f"{root}/", recursive=True)


def _file_system(address: str) -> tuple[Any, str]:
    import fsspec  # only where the store is an address

    files, root = fsspec.core.url_to_fs(address)
    return files, root


def _write(folder: Path, fill: Fill, before: Path | None) -> None:
    part = folder.with_name(f"{folder.name}.part")
    shutil.rmtree(part, ignore_errors=True)
    part.mkdir(parents=True)
    try:
        fill(part)
        if before is not None and before.is_dir():
            _link_unchanged(part, before)
        shutil.rmtree(folder, ignore_errors=True)
        part.rename(folder)
    except BaseException:
        shutil.rmtree(part, ignore_errors=True)
        raise


def _link_unchanged(part: Path, before: Path) -> None:
    for file in part.rglob("*"):
        old = before / file.relative_to(part)
        if file.is_symlink() or not file.is_file() or not old.is_file() or old.is_symlink():
            continue
        if file.stat().st_size == old.stat().st_size and filecmp.cmp(file, old, shallow=False):
            linked = file.with_name(f"{file.name}.link")
            try:
                os.link(old, linked)
                linked.replace(file)
            except OSError:  # a file system without links, or the old one has just been removed: both are kept
                linked.unlink(missing_ok=True)
