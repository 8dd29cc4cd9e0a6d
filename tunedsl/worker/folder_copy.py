"""Copies the folders that users report as checkpoints. It copies everything or raises, and never changes the source.

A read error is a `ReportError`, as the report is wrong; a write error is an `OSError`, as the storage has failed.
"""

from __future__ import annotations

import contextlib
import os
import stat
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Final

import attrs

from tunedsl.base.errors import ReportError

WriteFolder = Callable[[Path], object]

_BLOCK_BYTES: Final = 2**20
_READ_FLAGS: Final = os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0)
_SPECIAL: Final[tuple[tuple[Callable[[int], bool], str], ...]] = (
    (stat.S_ISSOCK, "a socket"),
    (stat.S_ISFIFO, "a named pipe"),
    (stat.S_ISCHR, "a device"),
    (stat.S_ISBLK, "a device"),
)
_HELP: Final = "  help: write the checkpoint into its own folder, such as trial().path / 'mine', and report that folder"


@attrs.frozen
class _Entry:
    """A file or folder to copy, and its path below the copy."""

    source: Path
    place: Path
    is_folder: bool


def copy_from(source: str | os.PathLike[str], run: Path, checkpoints: Path | None) -> WriteFolder:
    """Return a function that copies the user's folder into a checkpoint; links become copies of their targets.

    Args:
        source: the user's folder.
        run: the run's own folder.
        checkpoints: the local folder of the trial's checkpoints; None for remote storage.

    Raises:
        ReportError: at once, when the folder does not exist, contains the run or stored checkpoints, is one of them,
            or contains something that cannot be copied.
    """
    path, what = Path(source), f"checkpoint={os.fspath(source)!r}"
    if not os.fspath(source) or not os.path.lexists(path):
        raise ReportError(f"{what} does not exist.\n{_HELP}")
    if not path.is_dir():
        raise ReportError(f"{what} is not a folder.\n{_HELP}")
    if checkpoints is not None and _real(path).is_relative_to(_real(checkpoints)):
        raise ReportError(f"{what} is where the checkpoints of this trial are stored.\n{_HELP}")
    forbidden = [_real(folder) for folder in (run, checkpoints) if folder is not None]
    list(_entries(path, what, forbidden))
    return lambda folder: _copy(path, folder, what, forbidden)


def is_independent(folder: Path) -> bool:
    """Return whether a folder contains only its own files and folders, without symbolic or hard links."""
    for parent, folders, files in os.walk(folder):
        if any(os.path.islink(os.path.join(parent, name)) for name in folders):
            return False
        for name in files:
            found = os.lstat(os.path.join(parent, name))
            if not stat.S_ISREG(found.st_mode) or found.st_nlink > 1:
                return False
    return True


def copy_independent(source: Path, target: Path) -> None:
    """Copy what `save` of a class wrote into a checkpoint; links become copies of their targets.

    Raises:
        ReportError: for an entry that cannot be copied.
    """
    _copy(source, target, "the folder that save() filled", [_real(source.parent)])


def _copy(source: Path, target: Path, what: str, forbidden: Sequence[Path]) -> None:
    for entry in _entries(source, what, forbidden):
        if entry.is_folder:
            (target / entry.place).mkdir(exist_ok=True)
        else:
            _copy_file(entry, target / entry.place, what)


def _entries(root: Path, what: str, forbidden: Sequence[Path]) -> Iterator[_Entry]:
    """Yield the entries of a folder recursively, each folder before its content.

    Raises:
        ReportError: for an entry that cannot be copied.
    """
    real = _real(root)
    _check_outside(real, what, "", forbidden)
    yield from _below(root, Path(), (real,), what, forbidden)


def _below(
    folder: Path, place: Path, ancestors: tuple[Path, ...], what: str, forbidden: Sequence[Path]
) -> Iterator[_Entry]:
    try:
        names = sorted(os.listdir(folder))
    except OSError as error:
        raise _unreadable(what, place, error) from None
    for name in names:
        entry = _entry(folder / name, place / name, what)
        if not entry.is_folder:
            yield entry
            continue
        real = _real(entry.source)
        if real in ancestors:
            raise ReportError(f"{what}: {str(entry.place)!r} is a link to a folder that it is in.\n{_HELP}")
        if entry.source.is_symlink():
            _check_outside(real, what, f": {str(entry.place)!r} is a link to {str(real)!r}, which", forbidden)
        yield entry
        yield from _below(entry.source, entry.place, (*ancestors, real), what, forbidden)


def _entry(source: Path, place: Path, what: str) -> _Entry:
    try:
        mode = source.stat().st_mode
    except OSError as error:
        if source.is_symlink():
            to = os.readlink(source)
            raise ReportError(
                f"{what}: {str(place)!r} is a link to {to!r}, which cannot be followed.\n{_HELP}"
            ) from None
        raise _unreadable(what, place, error) from None
    kind = next((name for is_kind, name in _SPECIAL if is_kind(mode)), None)
    if kind is not None:
        raise ReportError(f"{what}: {str(place)!r} is {kind}, which cannot be copied.\n{_HELP}")
    if not stat.S_ISDIR(mode) and not os.access(source, os.R_OK):
        raise ReportError(f"{what}: {str(place)!r} cannot be read without permission.\n{_HELP}")
    return _Entry(source, place, stat.S_ISDIR(mode))


def _check_outside(real: Path, what: str, link: str, forbidden: Sequence[Path]) -> None:
    inside = next((folder for folder in forbidden if folder.is_relative_to(real)), None)
    if inside is not None:
        raise ReportError(f"{what}{link} contains {str(inside)!r}, where this run is stored.\n{_HELP}")


def _copy_file(entry: _Entry, target: Path, what: str) -> None:
    try:
        descriptor = os.open(entry.source, _READ_FLAGS)
    except OSError as error:
        raise _unreadable(what, entry.place, error) from None
    with os.fdopen(descriptor, "rb", buffering=0) as reader, target.open("xb") as writer:
        found = os.fstat(descriptor)
        if not stat.S_ISREG(found.st_mode):
            raise ReportError(f"{what}: {str(entry.place)!r} is no longer a file.")
        while True:
            try:
                block = reader.read(_BLOCK_BYTES)
            except OSError as error:
                raise _unreadable(what, entry.place, error) from None
            if not block:
                break
            writer.write(block)
    with contextlib.suppress(OSError):  # the file system has no times or modes
        os.utime(target, ns=(found.st_atime_ns, found.st_mtime_ns))
        target.chmod(stat.S_IMODE(found.st_mode) & 0o777 | 0o600)


def _unreadable(what: str, place: Path, error: OSError) -> ReportError:
    return ReportError(f"{what}: {str(place)!r} cannot be read: {error.strerror or error}\n{_HELP}")


def _real(path: Path) -> Path:
    return Path(os.path.realpath(path))
