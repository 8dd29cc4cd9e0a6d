"""Ships the plan's code and data to worker processes: writes them once to memory that all processes read."""

from __future__ import annotations

import io
import mmap
import os
import pickle
import struct
import tempfile
import types
from collections import ChainMap
from collections.abc import Iterator
from typing import Any, BinaryIO, Final

import cloudpickle

from tunedsl.base.diagnostics import reason
from tunedsl.base.errors import TunedslError
from tunedsl.worker import Shipment
from tunedsl.worker.data import without_unused_rows

_COUNT: Final = struct.Struct("!Q")
_ALIGNMENT: Final = 64
_NO_FILE: Final = "<dynamic-code>"
"""What cloudpickle writes instead of a file name."""


def write_shipment(shipment: Shipment) -> BinaryIO:
    """Write a shipment to memory without a name, which the system frees with the last process that uses it.

    Large arrays are written without pickling, so that workers share them instead of copying them.

    Raises:
        TunedslError: when an object of `.data(...)` cannot be sent.
    """
    buffers: list[pickle.PickleBuffer] = []
    try:
        pickled = _pickled(shipment, buffers)
    except Exception as error:
        name = next((name for name, item in shipment.data.items() if not _can_be_pickled(item)), None)
        what = "The experiment" if name is None else f"The object of .data({name}=...)"
        raise TunedslError(
            f"{what} cannot be sent to worker processes: {type(error).__name__}: {reason(error)}.\n"
            f'  help: create it inside the trainable, or run("inline")'
        ) from error
    parts = [memoryview(pickled), *(buffer.raw() for buffer in buffers)]
    file = _memory_file()
    file.write(_COUNT.pack(len(parts)) + b"".join(_COUNT.pack(len(part)) for part in parts))
    for part in parts:
        file.seek(-file.tell() % _ALIGNMENT, os.SEEK_CUR)
        file.write(part)
    file.flush()
    return file


def read_shipment(descriptor: int) -> Shipment:
    """Read a shipment. Its arrays are views of the shared memory, which cannot be written."""
    content = memoryview(mmap.mmap(descriptor, 0, access=mmap.ACCESS_READ))
    pickled, *buffers = _parts(content)
    shipment: Shipment = pickle.loads(pickled, buffers=buffers)
    return shipment


def _parts(content: memoryview) -> Iterator[memoryview]:
    (count,) = _COUNT.unpack_from(content)
    at = _COUNT.size * (count + 1)
    for number in range(count):
        (length,) = _COUNT.unpack_from(content, _COUNT.size * (number + 1))
        at += -at % _ALIGNMENT
        yield content[at : at + length]
        at += length


def _memory_file() -> BinaryIO:
    if hasattr(os, "memfd_create"):
        return os.fdopen(os.memfd_create("tunedsl-shipment"), "w+b")
    return tempfile.TemporaryFile()


def _reduced_code(code: types.CodeType) -> tuple[Any, ...]:
    rebuild, parts = cloudpickle.Pickler.dispatch_table[types.CodeType](code)
    return rebuild, tuple(code.co_filename if part == _NO_FILE else part for part in parts)


class _Pickler(cloudpickle.Pickler):  # type: ignore[misc]  # it has no types
    """Keeps the file names of code, which newer versions of cloudpickle leave out, and of Arrow data the slice only."""

    dispatch_table: Any = ChainMap({types.CodeType: _reduced_code}, cloudpickle.Pickler.dispatch_table)

    def __init__(self, file: BinaryIO, buffers: list[pickle.PickleBuffer]) -> None:
        super().__init__(file, protocol=5, buffer_callback=buffers.append)

    def reducer_override(self, item: Any) -> Any:
        needed = without_unused_rows(item)
        return super().reducer_override(item) if needed is item else needed.__reduce_ex__(5)


def _pickled(item: object, buffers: list[pickle.PickleBuffer]) -> bytes:
    file = io.BytesIO()
    _Pickler(file, buffers).dump(item)
    return file.getvalue()


def _can_be_pickled(item: object) -> bool:
    try:
        _pickled(item, [])
    except Exception:
        return False
    return True
