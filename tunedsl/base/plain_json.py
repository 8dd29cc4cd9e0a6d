"""Any value as plain JSON for people and other programs; `codec` has the form that can be read back."""

from __future__ import annotations

import datetime as dates
import numbers
from collections.abc import Mapping, Set
from decimal import Decimal
from enum import Enum
from typing import Any

import msgspec

from tunedsl.base.codec import UnresolvedObject
from tunedsl.base.standard_types import scalar
from tunedsl.base.types import Json


def plain_json(item: Any) -> Json:
    """A value as JSON types only; NaN and the infinities stay floats.

    Tuples and sets become lists. Keys of other types, and values without a JSON type, become text.

    >>> plain_json({0: 0.5, "shape": (3, 4), "at": dates.date(2024, 1, 2)})
    {'0': 0.5, 'shape': [3, 4], 'at': '2024-01-02'}
    """
    item = scalar(item)
    if item is None or isinstance(item, (bool, int, float, str)):
        return item
    if isinstance(item, Mapping):
        return {name if type(name) is str else _name(name): plain_json(part) for name, part in item.items()}
    if isinstance(item, (list, tuple, range)):
        return [plain_json(part) for part in item]
    if isinstance(item, Set):
        return sorted(map(plain_json, item), key=repr)
    if isinstance(item, Enum):
        return f"{type(item).__qualname__}.{item.name}"
    if isinstance(item, (dates.date, dates.time)):
        return item.isoformat() if item == item else None  # the NaT of pandas
    if isinstance(item, (Decimal, numbers.Rational)):
        return _number(item)
    if isinstance(item, (bytes, bytearray)):
        return item.decode("utf-8", "backslashreplace")
    if isinstance(item, UnresolvedObject):
        return item.reference.partition(":")[2]
    qualname = getattr(item, "__qualname__", None)
    return qualname if isinstance(qualname, str) else str(item)


def json_text(item: Any) -> str:
    """A value as indented JSON; numbers that are not finite are null.

    >>> print(json_text({"shape": (3, float("nan"))}))
    {
      "shape": [
        3,
        null
      ]
    }
    """
    return msgspec.json.format(msgspec.json.encode(plain_json(item))).decode()


def _name(item: Any) -> str:
    found = plain_json(item)
    return found if isinstance(found, str) else str(found)


def _number(item: Any) -> float | str:
    try:
        return float(item)
    except (OverflowError, ValueError):
        return str(item)
