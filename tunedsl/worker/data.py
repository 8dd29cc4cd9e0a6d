"""The objects of `.data(...)` as each trial gets them: what one trial changes in place reaches no other trial."""

from __future__ import annotations

import io
import pickle
import sys
import types
from collections.abc import Mapping
from typing import Any, Final

import attrs
import numpy as np

_IMMUTABLE: Final = (type(None), bool, int, float, complex, str, bytes)
_CODE: Final = (type, types.FunctionType, types.BuiltinFunctionType, types.ModuleType)
"""Types of objects that trials share as they are."""


class DataViews:
    """Views and copies of shared objects, new ones for each trial.

    NumPy arrays are views that cannot be written to, and pandas frames are copies, also inside other objects. All else
    is copied, where it can be pickled. What cannot, such as a lock or an open connection, is shared.

    Args:
        shared: the objects by keyword.
    """

    def __init__(self, shared: Mapping[str, Any]) -> None:
        self._shared = shared
        self._packed: dict[str, _Packed | None] = {}

    def fresh(self) -> dict[str, Any]:
        """The objects for one more trial."""
        return {name: self._view(name, item) for name, item in self._shared.items()}

    def _view(self, name: str, item: Any) -> Any:
        if type(item) in _IMMUTABLE:
            return item
        if name not in self._packed:
            self._packed[name] = _pack(item)
        packed = self._packed[name]
        return item if packed is None else packed.unpack()


@attrs.frozen
class _Packed:
    """An object that copies are made of.

    Attributes:
        content: its pickle.
        parts: what stands in it as it is: arrays, frames and code.
        buffers: memory that its pickle refers to.
    """

    content: bytes
    parts: list[Any]
    buffers: list[pickle.PickleBuffer]

    def unpack(self) -> Any:
        unpickler = _Unpickler(io.BytesIO(self.content), buffers=[part.raw().toreadonly() for part in self.buffers])
        unpickler.parts = self.parts
        return unpickler.load()


def _pack(item: Any) -> _Packed | None:
    """The object packed; None for one that cannot be pickled."""
    content, buffers = io.BytesIO(), list[pickle.PickleBuffer]()
    pickler = _Pickler(content, protocol=5, buffer_callback=buffers.append)
    pickler.parts = []
    try:
        pickler.dump(item)
        packed = _Packed(content.getvalue(), pickler.parts, buffers)
        packed.unpack()
    except Exception:  # it is the user's object, and may raise anything
        return None
    return packed


class _Pickler(pickle.Pickler):
    parts: list[Any]

    def persistent_id(self, item: Any) -> int | None:
        if not (isinstance(item, _CODE) or _is_array(item) or _is_frame(item)):
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


def _is_array(item: Any) -> bool:
    return type(item) in (np.ndarray, np.memmap) and not item.dtype.hasobject


def _is_frame(item: Any) -> bool:
    pandas = sys.modules.get("pandas")
    return pandas is not None and isinstance(item, (pandas.DataFrame, pandas.Series))
