"""Locations of experiments: a local folder, or an fsspec address such as `s3://bucket/tuning/run-1`.

No address, plan or journal contains endpoints or credentials: they come from fsspec's own configuration
(`~/.config/fsspec/conf.json`, or variables such as `FSSPEC_S3_ENDPOINT_URL`) on each machine.
"""

from __future__ import annotations

import contextlib
import os
from pathlib import Path
from typing import Any, Final

from tunedsl.base.diagnostics import reason, with_help
from tunedsl.base.errors import StorageError

EXTRAS: Final = {"s3": "s3", "s3a": "s3", "sftp": "sftp", "ssh": "sftp"}
"""Protocol to the extra of this package that it needs."""


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
        """The address without its last part."""
        return Address(self.rstrip("/").rpartition("/")[0])

    @property
    def name(self) -> str:
        """The last part."""
        return self.rstrip("/").rpartition("/")[2]

    @property
    def protocol(self) -> str:
        """The protocol, such as `s3`."""
        return self.partition("://")[0]


Location = Path | Address


def is_address(place: object) -> bool:
    """Whether a location is an fsspec address, such as `s3://bucket/results`, and not a local path."""
    return isinstance(place, str) and "://" in place


def location_of(source: str | os.PathLike[str]) -> Location:
    """The absolute location for a user's path or address."""
    text = os.fspath(source)
    return Address(text.rstrip("/")) if is_address(text) else Path(text).absolute()


def file_system(address: str) -> tuple[Any, str]:
    """The fsspec file system of an address, and the path in it.

    Raises:
        StorageError: when the protocol is unknown, or its library is not installed.
    """
    import fsspec  # only needed for addresses

    try:
        files, root = fsspec.core.url_to_fs(address)
    except (ImportError, ValueError) as error:
        protocol = Address(address).protocol
        hint = f"pip install 'tunedsl[{EXTRAS[protocol]}]'" if protocol in EXTRAS else ""
        raise StorageError(with_help(f"{address} cannot be reached: {reason(error)}.", hint)) from error
    return files, root


def reconnect(address: str) -> None:
    """Drops the cached connections to an address's storage, so that the next access opens a new one."""
    import fsspec

    with contextlib.suppress(Exception):
        fsspec.get_filesystem_class(Address(address).protocol).clear_instance_cache()


def leads_inside(folder: Path, path: Path) -> bool:
    """Whether a path, without its links, is in a folder."""
    return Path(os.path.realpath(path)).is_relative_to(os.path.realpath(folder))


def is_inside(folder: Path, place: str) -> Path:
    """The path of `place` in a folder.

    Raises:
        StorageError: when it is outside the folder, by `..` or by a link.
    """
    path = folder / place
    if not path.resolve().is_relative_to(folder.resolve()):
        raise StorageError(f"The path {place!r:.200} is not inside {folder}.")
    return path
