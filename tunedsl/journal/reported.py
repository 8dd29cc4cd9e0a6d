"""Decodes the values that trials reported; which trial reported them is not known here."""

from __future__ import annotations

from typing import Any

import msgspec

from tunedsl.base import codec
from tunedsl.base.errors import CodecError
from tunedsl.base.references import find_loaded
from tunedsl.base.types import Json
from tunedsl.kernel.events import Reported, report_metrics


def reported_values(event: Reported, row: int = -1) -> dict[str, Any]:
    """The metrics and data of one row of a report, by name.

    Data is decoded to tuples, sets, dates and so on; objects of modules that are not loaded are `UnresolvedObject`.
    """
    numbers = report_metrics(event, row)
    return {**numbers, **reported_data(event.data[row])} if event.data else numbers


def reported_data(data: dict[str, Json]) -> dict[str, Any]:
    """The decoded data of one row of a report, by name."""
    return {name: _value(item) for name, item in data.items()}


def _value(item: Json) -> Any:
    if not isinstance(item, (dict, list)):
        return item
    try:
        return codec.decode(item, find_loaded)
    except CodecError:  # its class is not loaded: show it as text
        return msgspec.json.encode(item).decode()
