"""Checkpoints on disk: a folder written beside its place and renamed, so that it is whole or absent.

A file that is as it was in the checkpoint before is not stored twice: both folders link to it, and
the file system counts who still needs it.
"""

from __future__ import annotations

import filecmp
import os
import shutil
from collections.abc import Callable
from pathlib import Path

from tunedsl.base.errors import ReportError


def copied(source: str | os.PathLike[str]) -> Callable[[Path], None]:
    """Writes a checkpoint that is a copy of the user's folder.

    Raises:
        ReportError: when there is no such folder.
    """
    if not Path(source).is_dir():
        raise ReportError(f"checkpoint={os.fspath(source)!r} is not a folder")

    def fill(folder: Path) -> None:
        shutil.copytree(source, folder, dirs_exist_ok=True)

    return fill


def write(folder: Path, fill: Callable[[Path], None], before: Path | None) -> None:
    """Writes the checkpoint `folder`, which `fill` fills; `before` is the one that it follows.

    Raises:
        OSError: when the disk does not take it; nothing stands at `folder` then.
    """
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


def discard(root: Path, folders: tuple[str, ...]) -> None:
    """Removes checkpoints by their folders, which lie under `root`; what is gone already is no error."""
    for folder in folders:
        shutil.rmtree(root / folder, ignore_errors=True)


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
