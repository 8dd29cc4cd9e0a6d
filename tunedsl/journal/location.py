"""Where experiments lie: a local folder, or an fsspec address such as `s3://bucket/tuning/run-1`.

Endpoints and credentials never stand in an address, a plan or a journal: they come from fsspec's own configuration
(`~/.config/fsspec/conf.json`, or variables such as `FSSPEC_S3_ENDPOINT_URL`) on each machine.
"""

from __future__ import annotations

import contextlib
import os
from pathlib import Path
from typing import Any, Final

from tunedsl.base.errors import StorageError

EXTRAS: Final = {"s3": "s3", "s3a": "s3", "sftp": "sftp", "ssh": "sftp"}
"""The extra of this package that an address's protocol needs."""

WHOLE: Final = frozenset({"s3", "s3a", "gs", "gcs", "abfs", "az", "adl", "oss", "oci", "memory"})
"""Protocols whose objects appear whole or not at all; elsewhere a file is renamed to its place."""


class Address(str):
    """An fsspec address, with the parts of a path.

    >>> Address("s3://bucket/run-1") / "trials", Address("s3://bucket/run-1").parent, Address("s3://bucket/run-1").name
    ('s3://bucket/run-1/trials', 's3://bucket', 'run-1')
    """

    __slots__ = ()

    def __truediv__(self, part: str) -> Address:
        return Address(f"{self.rstrip('/')}/{part}")

    @property
    def parent(self) -> Address:
        """What stands before the last part."""
        return Address(self.rstrip("/").rpartition("/")[0])

    @property
    def name(self) -> str:
        """The last part."""
        return self.rstrip("/").rpartition("/")[2]

    @property
    def protocol(self) -> str:
        """Such as `s3`."""
        return self.partition("://")[0]


Location = Path | Address


def is_address(place: object) -> bool:
    """Whether a place is an fsspec address, such as `s3://bucket/results`, and no local path."""
    return isinstance(place, str) and "://" in place


def location_of(source: str | os.PathLike[str]) -> Location:
    """The place that a user names, whatever becomes of the working directory."""
    text = os.fspath(source)
    return Address(text.rstrip("/")) if is_address(text) else Path(text).absolute()


def file_system(address: str) -> tuple[Any, str]:
    """The fsspec file system of an address, and the path in it.

    Raises:
        StorageError: when the protocol is unknown, or its library is not installed.
    """
    import fsspec  # only where something lies at an address

    try:
        files, root = fsspec.core.url_to_fs(address)
    except (ImportError, ValueError) as error:
        protocol = Address(address).protocol
        hint = f"; pip install 'tunedsl[{EXTRAS[protocol]}]'" if protocol in EXTRAS else ""
        raise StorageError(f"{address} cannot be reached: {error}{hint}") from error
    return files, root


def reconnect(address: str) -> None:
    """Forgets the connections to where an address is: the next access makes a new one."""
    import fsspec

    with contextlib.suppress(Exception):
        fsspec.get_filesystem_class(Address(address).protocol).clear_instance_cache()


def write_object(address: str, content: bytes) -> None:
    """Writes a file, whole or not at all; one that stands there is replaced."""
    files, path = file_system(address)
    if Address(address).protocol in WHOLE:
        files.pipe_file(path, content)
        return
    part = f"{path}.part"
    try:
        files.pipe_file(part, content)
    except FileNotFoundError:
        files.makedirs(path.rpartition("/")[0], exist_ok=True)
        files.pipe_file(part, content)
    files.mv(part, path)


def is_inside(folder: Path, place: str) -> Path:
    """The path of a place below a folder.

    Raises:
        StorageError: when it is elsewhere, by its own words or by links on the way.
    """
    path = folder / place
    if not path.resolve().is_relative_to(folder.resolve()):
        raise StorageError(f"{place!r:.200} does not lie below {folder}")
    return path
