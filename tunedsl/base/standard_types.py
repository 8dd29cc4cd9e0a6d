"""Scalars of NumPy and Python's standard library as data; `codec` writes and reads other values."""

from __future__ import annotations

import base64
import datetime as dates
import uuid
from collections.abc import Callable
from decimal import Decimal
from fractions import Fraction
from pathlib import Path, PurePath
from typing import Any, Final

import numpy as np

from tunedsl.base.types import Json

_NOT_A_TIME: Final = "NaT"
"""The missing time of pandas, whose type is that of a time."""


def _moment_text(item: dates.datetime) -> str:
    return dates.datetime.isoformat(item) if item == item else _NOT_A_TIME


def _moment(body: str) -> dates.datetime | None:
    return None if body == _NOT_A_TIME else dates.datetime.fromisoformat(body)


def _ratio(numerator: str, denominator: str) -> Fraction:
    return Fraction(int(numerator), int(denominator))


_FORMS: Final[tuple[tuple[type | tuple[type, ...], str, Callable[[Any], Json], Callable[[Any], Any]], ...]] = (
    (dates.datetime, "$datetime", _moment_text, _moment),
    (dates.date, "$date", dates.date.isoformat, dates.date.fromisoformat),
    (dates.time, "$time", dates.time.isoformat, dates.time.fromisoformat),
    (
        dates.timedelta,
        "$timedelta",
        lambda item: [item.days, item.seconds, item.microseconds],
        lambda body: dates.timedelta(*body),
    ),
    (Decimal, "$decimal", str, Decimal),
    (Fraction, "$fraction", lambda item: [str(item.numerator), str(item.denominator)], lambda body: _ratio(*body)),
    (complex, "$complex", lambda item: str(complex(item)), complex),
    ((bytes, bytearray), "$bytes", lambda item: base64.b64encode(item).decode(), base64.b64decode),
    (PurePath, "$path", str, Path),
    (uuid.UUID, "$uuid", str, uuid.UUID),
    (range, "$range", lambda item: [item.start, item.stop, item.step], lambda body: range(*body)),
)
_READERS: Final = {form: read for _, form, _, read in _FORMS}


def write(item: Any) -> dict[str, Json] | None:
    """The form of a value of a standard type; None for a value of any other type.

    >>> write(Decimal("0.10"))
    {'$decimal': '0.10'}
    """
    for kinds, form, to_json, _ in _FORMS:
        if isinstance(item, kinds):
            return {form: to_json(item)}
    return None


def is_form(form: str) -> bool:
    """Whether `write` produces a form."""
    return form in _READERS


def read(form: str, body: Json) -> Any:
    """The value that `write` wrote; raises the error of the type's constructor for an invalid body."""
    return _READERS[form](body)


def scalar(item: Any) -> Any:
    """A scalar of NumPy, or of a subclass of `str`, `int` or `float`, as Python's own type; other values unchanged.

    >>> scalar(np.float32(0.5)), scalar(np.str_("loss")), scalar([1])
    (0.5, 'loss', [1])
    """
    if isinstance(item, np.generic):
        return _numpy_scalar(item)
    if isinstance(item, str):
        return str.__str__(item)
    if isinstance(item, bool):
        return item
    if isinstance(item, int):
        return int.__int__(item)
    return float.__float__(item) if isinstance(item, float) else item


def _numpy_scalar(item: np.generic) -> Any:
    match item:
        case np.floating():
            return float(item)  # the `item()` of a long double is a long double
        case np.complexfloating():
            return complex(item)
        case np.datetime64():
            return item.astype("datetime64[us]").item()  # the `item()` of nanoseconds is a whole number
        case np.timedelta64():
            return item.astype("timedelta64[us]").item()
        case np.str_():
            return str.__str__(item)
        case _:
            return item.item()
