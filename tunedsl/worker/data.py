"""Gives each trial its own views and copies of the objects of `.data(...)`, and leaves out what no trial reads."""

from __future__ import annotations

import io
import pickle
import sys
import types
from collections.abc import Mapping
from functools import lru_cache
from typing import Any, Final

import attrs
import numpy as np

_SCALARS: Final = (type(None), bool, int, float, complex, str, bytes)
_CODE: Final = (type, types.FunctionType, types.BuiltinFunctionType, types.ModuleType)
"""Types of objects that trials share unchanged."""
_ARROW: Final = ("Table", "RecordBatch", "ChunkedArray", "Array")
_ARROW_DATA: Final = {("pyarrow.lib", name) for name in _ARROW}
_IMMUTABLE_DATA: Final = {*_ARROW_DATA, ("ray.data.dataset", "Dataset")}
"""Modules and names of types of data that nobody can change; not imported, since few experiments use them."""
_MIN_UNUSED_BYTES: Final = 2**12
"""Bytes outside of a slice from which it is worth a copy."""


class DataViews:
    """Makes views and copies of shared objects, so that trials do not affect each other.

    NumPy arrays become read-only views, pandas frames become copies, and all trials share Arrow tables and data sets of
    Ray, which cannot be changed; also inside other objects. Other objects are copied if they can be pickled. All trials
    share the rest, such as locks and open connections.

    Args:
        shared: the objects by keyword.
    """

    def __init__(self, shared: Mapping[str, Any]) -> None:
        self._shared = shared
        self._packed: dict[str, _Packed | None] = {}

    def fresh(self) -> dict[str, Any]:
        """Return the objects for a new trial."""
        return {name: self._view(name, item) for name, item in self._shared.items()}

    def _view(self, name: str, item: Any) -> Any:
        if type(item) in _SCALARS:
            return item
        if name not in self._packed:
            self._packed[name] = _pack(item)
        packed = self._packed[name]
        return item if packed is None else packed.unpack()


@attrs.frozen
class _Packed:
    """An object from which copies are made.

    Attributes:
        content: its pickle.
        parts: the arrays, frames and code in it, outside of the pickle.
        buffers: memory to which the pickle refers.
    """

    content: bytes
    parts: list[Any]
    buffers: list[pickle.PickleBuffer]

    def unpack(self) -> Any:
        unpickler = _Unpickler(io.BytesIO(self.content), buffers=[part.raw().toreadonly() for part in self.buffers])
        unpickler.parts = self.parts
        return unpickler.load()


def _pack(item: Any) -> _Packed | None:
    """Pack an object; return None if it cannot be pickled."""
    content, buffers = io.BytesIO(), list[pickle.PickleBuffer]()
    pickler = _Pickler(content, protocol=5, buffer_callback=buffers.append)
    pickler.parts = []
    try:
        pickler.dump(item)
        packed = _Packed(content.getvalue(), pickler.parts, buffers)
        packed.unpack()
    except Exception:  # the user's object may raise anything
        return None
    return packed


class _Pickler(pickle.Pickler):
    parts: list[Any]

    def persistent_id(self, item: Any) -> int | None:
        if not (isinstance(item, _CODE) or _is_array(item) or _is_frame(item) or _is_immutable(type(item))):  # type: ignore[arg-type]
            return None
        self.parts.append(item)
        return len(self.parts) - 1


class _Unpickler(pickle.Unpickler):
    parts: list[Any]

    def persistent_load(self, place: Any) -> Any:
        item = self.parts[place]
        if _is_array(item):
            view = item.view()
            view.flags.writeable = False
            return view
        return item.copy() if _is_frame(item) else item


@lru_cache(maxsize=1024)
def _is_immutable(kind: Any) -> bool:
    """Whether this is the type of Arrow tables or arrays, or of data sets of Ray."""
    return any((base.__module__, base.__name__) in _IMMUTABLE_DATA for base in kind.__mro__)


@lru_cache(maxsize=1024)
def _is_arrow(kind: Any) -> bool:
    return any((base.__module__, base.__name__) in _ARROW_DATA for base in kind.__mro__)


def without_unused_rows(item: Any) -> Any:
    """A sliced Arrow table or array without the rows outside of the slice, which it keeps in memory.

    Any other object is returned unchanged.
    """
    if not _is_arrow(type(item)) or item.get_total_buffer_size() - item.nbytes < _MIN_UNUSED_BYTES:  # type: ignore[arg-type]
        return item
    arrow = sys.modules["pyarrow"]
    kind = next(name for name in _ARROW if isinstance(item, getattr(arrow, name)))
    if kind == "RecordBatch":
        table = arrow.Table.from_batches([item])
    else:
        table = item if kind == "Table" else arrow.table({"": item})
    stream = arrow.BufferOutputStream()
    with arrow.ipc.new_stream(stream, table.schema) as writer:
        writer.write_table(table)
    table = arrow.ipc.open_stream(stream.getvalue()).read_all()
    if kind == "RecordBatch":
        return arrow.RecordBatch.from_arrays([each.combine_chunks() for each in table.columns], schema=table.schema)
    if kind == "Table":
        return table
    return table.column(0) if kind == "ChunkedArray" else table.column(0).combine_chunks()


def _is_array(item: Any) -> bool:
    return type(item) in (np.ndarray, np.memmap) and not item.dtype.hasobject


def _is_frame(item: Any) -> bool:
    pandas = sys.modules.get("pandas")
    return pandas is not None and isinstance(item, (pandas.DataFrame, pandas.Series))
