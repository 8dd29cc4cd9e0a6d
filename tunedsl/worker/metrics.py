"""Checks and converts the values of a report: numbers become metrics, everything else becomes data."""

from __future__ import annotations

import datetime as dates
import math
import numbers
import sys
from collections.abc import Collection, Mapping, Sequence
from decimal import Decimal
from enum import Enum
from typing import Any, Final

import msgspec
import numpy as np

from tunedsl.base import codec
from tunedsl.base.diagnostics import reason
from tunedsl.base.errors import CodecError, ReportError
from tunedsl.base.names import is_number
from tunedsl.base.references import find_loaded
from tunedsl.base.standard_types import scalar
from tunedsl.base.types import AUTOMATIC_METRICS, Json
from tunedsl.kernel.events import Number

MAX_REPORT_BYTES: Final = 2**26
"""Bytes of data in one report; larger data belongs into files."""
MAX_INT: Final = 2**63
"""Integers of at least this size are stored as floats."""
_RESERVED_METRICS: Final = frozenset(AUTOMATIC_METRICS)
NUMBERS: Final = frozenset({float, int, bool})
"""Types of numbers that are stored unchanged."""
_TEXT: Final = {str}
_TIMES: Final = "mM"
"""NumPy's kinds of dates and durations."""

Metrics = tuple[tuple[str, ...], list[Any], dict[str, Json]]


def split_metrics(metrics: Mapping[str, Any], objectives: Sequence[str] = ()) -> Metrics:
    """Return the names and values of the numbers, and the other values as data.

    Args:
        objectives: names whose values must be numbers.

    Raises:
        ReportError: for a name that is not a string or is reserved, a value that cannot be stored, and an objective
            that is not a number.
    """
    plain = NUMBERS.issuperset(map(type, metrics.values())) and _TEXT.issuperset(map(type, metrics))
    if plain and _RESERVED_METRICS.isdisjoint(metrics):
        return tuple(metrics), list(metrics.values()), {}
    keys: list[str] = []
    values: list[Any] = []
    data: dict[str, Json] = {}
    for key, value in metrics.items():
        name = _name(key)
        number = _number(name, value)
        if name in objectives and (number is None or _is_missing(value)):
            raise ReportError(f"The objective {name!r} {_describe(name, value)}")
        if number is not None:
            keys.append(name)
            values.append(number)
            continue
        try:
            data[name] = codec.encode(_as_data(value))
        except CodecError as error:
            raise ReportError(f"The metric {name!r} cannot be stored: {reason(error)}.") from None
        except RecursionError:
            raise ReportError(
                f"The metric {name!r} cannot be stored: it is nested too deeply, or holds itself."
            ) from None
        except Exception as error:  # the user's object may raise anything
            raise ReportError(
                f"The metric {name!r} cannot be stored: {type(error).__name__}: {reason(error)}."
            ) from error
    return tuple(keys), values, data


def _name(name: Any) -> str:
    if not isinstance(name, str):
        raise ReportError(f"The name of a metric must be a string, not {name!r} ({type(name).__name__}).")
    if name in _RESERVED_METRICS:
        raise ReportError(
            f"The metric {name!r} is counted automatically and cannot be reported.\n  help: choose another name"
        )
    return str.__str__(name)


def _number(name: str, value: Any) -> float | int | None:
    """Return a number, or an array or tensor of one element, as a Python number; NaN for a missing value."""
    if _is_missing(value):
        return math.nan
    if isinstance(value, (str, bytes)) or _dtype_kind(value) in _TIMES:
        return None
    if hasattr(value, "item"):
        count = value.numel() if hasattr(value, "numel") else getattr(value, "size", 1)
        value = value.item() if count == 1 else None
    value = scalar(value)
    if isinstance(value, (bool, int, float)):
        return value
    if isinstance(value, (numbers.Real, Decimal)) or (
        hasattr(value, "__float__") and getattr(value, "shape", ()) == ()
    ):
        try:
            return float(value)
        except OverflowError:
            raise ReportError(f"The metric {name!r} is {_TOO_LARGE}") from None
        except (TypeError, ValueError):  # a signalling NaN, or a quantity with a unit
            return math.nan if isinstance(value, Decimal) else None
    return None


_TOO_LARGE: Final = "a number larger than any float.\n  help: report its logarithm, or the number as text"


def _is_missing(value: Any) -> bool:
    """Return whether this is a missing value: a masked element of NumPy, or the NA of pandas."""
    if isinstance(value, np.ma.MaskedArray):
        return value.size == 1 and bool(np.ma.getmaskarray(value).all())
    pandas = sys.modules.get("pandas")
    return pandas is not None and value is pandas.NA


def _dtype_kind(value: Any) -> str:
    kind = getattr(getattr(value, "dtype", None), "kind", None)
    return kind if isinstance(kind, str) and kind else "-"


def _describe(name: str, value: Any) -> str:
    """Describe the invalid value of an objective, and what to report instead."""
    if _is_missing(value):
        return "was reported as a masked value, not as a number.\n  help: report float('nan') for a missing value"
    if value is None:
        return "was reported as None, not as a number.\n  help: report float('nan') for a missing value"
    if isinstance(value, str):
        hint = f"report({name}=float(...))" if is_number(value) else "report a number instead"
        return f"was reported as the text {value!r:.80}, not as a number.\n  help: {hint}"
    size = getattr(value, "size", None)
    if hasattr(value, "tolist") and isinstance(size, int):
        return (
            f"was reported as an array of {size:,} values, not as a number.\n  help: report one of them, or their mean"
        )
    return f"was reported as {value!r:.80} ({type(value).__name__}), not as a number.\n  help: report a number"


def _as_data(value: Any) -> Any:
    """Convert a value to types that the codec writes: arrays to lists, masked elements to NaN."""
    if _is_missing(value):
        return math.nan
    if isinstance(value, Mapping):
        return {_as_key(name): _as_data(part) for name, part in value.items()}
    if isinstance(value, (list, tuple)):
        parts = [_as_data(part) for part in value]
        return tuple(parts) if isinstance(value, tuple) else parts
    if isinstance(value, Enum):
        return _as_member(value)
    if isinstance(value, dates.datetime) and value != value:
        return None  # NaT of pandas
    if isinstance(value, np.generic):
        return scalar(value)
    if isinstance(value, np.ma.MaskedArray) and value.dtype.kind == "f":
        value = value.filled(math.nan)
    if _dtype_kind(value) in _TIMES and isinstance(value, np.ndarray):
        return value.astype(f"{value.dtype.kind}8[us]").tolist()
    return _as_data(value.tolist()) if hasattr(value, "tolist") else value


def _as_key(name: Any) -> Any:
    return str.__str__(name) if isinstance(name, str) else _as_data(name)


def _as_member(item: Enum) -> Any:
    """Return an enum member itself if its reference resolves to it, else its value; for text and numbers, the value."""
    plain = scalar(item)
    if plain is not item:
        return plain
    try:
        leads_back = find_loaded(codec.reference_to(item)) is item
    except CodecError:
        leads_back = False
    return item if leads_back else _as_data(item.value)


def to_journal_number(value: float | int) -> Number:
    """Return a metric's value as the journal stores it.

    Raises:
        ReportError: for an integer that is too large for a float.
    """
    if type(value) is float:
        return value if math.isfinite(value) else repr(value)
    if -MAX_INT < value < MAX_INT:
        return value
    try:
        return float(value)
    except OverflowError:
        raise ReportError(f"This is {_TOO_LARGE}") from None


def data_size(data: Mapping[str, Json]) -> int:
    """Return the bytes of a report's data as JSON.

    Raises:
        ReportError: for data that the journal cannot store, or too much of it.
    """
    size = sum(_size_of(name, part) for name, part in data.items())
    if size > MAX_REPORT_BYTES:
        hint = "write it to a file in trial().path"
        raise ReportError(
            f"The report has {size:,} bytes of data, more than the limit of {MAX_REPORT_BYTES:,}.\n  help: {hint}"
        )
    return size


def check_names(names: Collection[str]) -> None:
    """Raise `ReportError` for a name that the journal cannot store."""
    for name in names:
        _size_of(name)


def _size_of(name: str, item: Json = None) -> int:
    try:
        return len(msgspec.json.encode({name: item}))
    except (ValueError, RecursionError, msgspec.MsgspecError) as error:  # a lone surrogate; thousands of digits
        raise ReportError(f"The metric {name!r:.80} cannot be stored: {reason(error)}.") from None
