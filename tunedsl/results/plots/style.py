"""The common style of all plots: colours, titles, notes on omitted data, escaped text, axes and their bounds.

The only module that makes plotly's figures; it is imported when the first picture is drawn.
"""

from __future__ import annotations

import math
import textwrap
from collections.abc import Sequence
from html import unescape
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from numpy.typing import NDArray

from tunedsl.base.errors import NoResult
from tunedsl.base.printable import shortened

if TYPE_CHECKING:
    import plotly.graph_objects as go

Floats = NDArray[np.float64]

COLOURS: Final = {
    "completed": "#0072B2",
    "stopped": "#E69F00",
    "failed": "#D55E00",
    "paused": "#CC79A7",
    "running": "#009E73",
    "interrupted": "#7F7F7F",
    "pending": "#B0B0B0",
    "cancelled": "#56B4E9",
}
"""Colours by status and by outcome of a span; distinguishable with colour blindness (Okabe and Ito)."""
BEST: Final = "#111111"
FAINT: Final = "#C8CCD2"
SCALE: Final = "Viridis"
DARK: Final = ((0.0, "#0B1D51"), (0.3, "#2A6F97"), (0.65, "#8DBFC4"), (1.0, "#C9D5D1"))
"""For lines on white: what is best is dark."""
WIDE: Final = 100
"""Characters in a line below the title; a notebook cell may be narrow."""
LONGEST: Final = 48
"""Characters of a name in a picture."""
BAR: Final = {"thickness": 14, "outlinewidth": 0}
"""How keys to colours look."""
SPAN: Final = 30
"""By what ratio values differ, nearly all of them, for a logarithmic axis where most are small."""
MANY: Final = 1_000
"""And where not."""
SHORT: Final = 10
"""An axis of whole numbers up to here has a tick at each; of more the library's steps are whole."""
UNITS: Final = ((172800.0, 86400.0, "days"), (7200.0, 3600.0, "hours"), (120.0, 60.0, "minutes"))


def plotly() -> Any:
    """The plotly figures module; raises `NoResult` if plotly is not installed."""
    try:
        import plotly.graph_objects as go
    except ImportError:
        raise NoResult("Plots need plotly, which is not installed.\n  help: pip install 'tunedsl[plots]'") from None
    return go


def short(item: object, longest: int = LONGEST) -> str:
    """A user's text as one line of limited length, without escaping."""
    return shortened(" ".join(str(item).split()), longest)


def text(item: object, longest: int = LONGEST) -> str:
    """A user's text, escaped for plotly: no tags, no templates, one line of limited length.

    >>> text("<b>a</b> %{x}")
    '&lt;b&gt;a&lt;/b&gt; &#37;{x}'
    """
    return short(item, longest).replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;").replace("%", "&#37;")


def label(name: str, longest: int) -> str:
    """A parameter's name beside others: of a nested one that is too long, its end.

    >>> label("optimizer/schedule/learning_rate", 20), label("optimizer/lr", 20)
    ('…/learning_rate', 'optimizer/lr')
    """
    parts = name.split("/")
    ends = [name, *("/".join(["…", *parts[first:]]) for first in range(1, len(parts)))]
    return text(next((end for end in ends if len(end) <= longest), ends[-1]), longest)


def figure(title: str, notes: Sequence[str] = (), height: int = 460) -> go.Figure:
    """An empty figure.

    Args:
        title: safe text.
        notes: safe texts that stand below it: what is drawn, what is left out.
    """
    lines = textwrap.wrap(" · ".join(filter(None, notes)), WIDE)
    top = _top(len(lines))
    made = plotly().Figure()
    made.update_layout(
        template="plotly_white",
        title={
            "text": title,
            "subtitle": {"text": "<br>".join(lines), "font": {"size": 13, "color": "#555"}},
            "x": 0.01,
            "xanchor": "left",
            "y": 1 - 22 / (height + top),
            "yanchor": "top",
            "font": {"size": 18},
        },
        height=height + top,
        margin={"t": top + 16, "l": 70, "r": 24, "b": 60},
        hovermode="closest",
        hoverlabel={"align": "left"},
        font={"family": "system-ui, -apple-system, 'Segoe UI', Helvetica, Arial, sans-serif", "size": 13},
        legend={"orientation": "v", "x": 1.01, "y": 1, "itemsizing": "constant"},
    )
    return made


def _top(lines: int) -> int:
    """The height of a title with the given number of note lines below it."""
    return 64 + 17 * lines


def untitled(made: go.Figure) -> tuple[str, str]:
    """Takes title and notes out of a figure, for a place that shows them by itself.

    Returns:
        The two as plain text.
    """
    title, notes = str(made.layout.title.text), str(made.layout.title.subtitle.text or "")
    less = _top(notes.count("<br>") + 1 if notes else 0) - 8
    made.update_layout(title=None, height=made.layout.height - less, margin_t=made.layout.margin.t - less)
    return unescape(title), unescape(notes.replace("<br>", " "))


def clock(seconds: float) -> tuple[float, str]:
    """What seconds are divided by for an axis that is so long, and its unit.

    >>> clock(90), clock(7200)
    ((1.0, 'seconds'), (3600.0, 'hours'))
    """
    return next(((by, unit) for least, by, unit in UNITS if seconds >= least), (1.0, "seconds"))


def whole(low: float, high: float) -> dict[str, Any]:
    """Ticks of an axis of whole numbers that lie between two: none is a fraction."""
    return {"tickformat": ",~r", **({"dtick": 1} if high - low <= SHORT else {})}


def iterations(most: int) -> dict[str, Any]:
    """An axis of a trial's iterations, up to the highest."""
    return {"title": {"text": "iteration (reports of the trial)"}, **whole(0, most)}


def are_whole(values: Floats) -> bool:
    """Whether all values that are finite are whole numbers."""
    found = values[np.isfinite(values)]
    return bool(len(found)) and bool((found == np.round(found)).all())


def log_step(decades: float) -> Any:
    """The ticks of a logarithmic axis: each digit, 1, 2 and 5, or powers of ten."""
    return "D1" if decades < 1 else "D2" if decades < 3 else 1


def is_log(values: Floats, sign: float = -1.0) -> bool:
    """Whether values are better seen by their logarithm: above 0, over powers of ten, and crowded at the lower end.

    Where larger is better, the better half spans a power by itself: of accuracies near 1 a few near 0 say nothing.

    Args:
        sign: of the objective, 1 where larger is better.
    """
    found = values[np.isfinite(values)]
    if not len(found) or found.min() <= 0:
        return False
    low, middle, high = np.quantile(found, [0.02, 0.5, 0.98])
    crowded = middle - low <= 0.3 * (high - low)
    return bool((high >= MANY * low or (high >= SPAN * low and crowded)) and (sign < 0 or high >= 10 * middle))


def robust_range(values: Floats, sign: float, log: bool = False, keep: Floats | None = None) -> list[float] | None:
    """The range of an axis that wild values on the worse side do not squeeze; None without any.

    Args:
        sign: of the objective, 1 where larger is better; the best values are always inside.
        keep: values that are inside in any case.

    Returns:
        The two ends, ascending, of a logarithmic axis as exponents.
    """
    found = values[np.isfinite(values)]
    if len(found) < 8:
        return None
    turned = sign * (np.log10(found) if log else found)
    quarter, high = np.quantile(turned, [0.25, 1.0])
    floor = quarter - 3 * (high - quarter)
    if keep is not None and len(keep):
        floor = min(floor, float((sign * (np.log10(keep) if log else keep)).min()))
    margin = 0.04 * (high - floor)
    if high == quarter or turned.min() >= floor - margin:
        return None
    return sorted((float(sign * (floor - margin)), float(sign * (high + margin))))


def y_axis(
    name: str,
    values: Floats,
    sign: float,
    fitted: Floats | None = None,
    what: str = "",
    keep: Floats | None = None,
) -> tuple[dict[str, Any], str]:
    """The axis of a metric, logarithmic where that reads better, and what lies outside of it.

    Args:
        fitted: values that it is fitted to, where those are not all of them.
        what: what values are counted as.
        keep: values that are inside in any case.
    """
    fitted = values if fitted is None else fitted
    found = values[np.isfinite(values)]
    log = is_log(fitted, sign) or is_log(values, sign)
    ends = robust_range(fitted, sign, log, keep)
    if log and ends is not None and not _spans_ten(found[(found >= 10 ** ends[0]) & (found <= 10 ** ends[1])]):
        log, ends = False, robust_range(fitted, sign, False, keep)  # the powers of ten were all outside
    axis: dict[str, Any] = {"title": {"text": f"{text(name)} (log)" if log else text(name)}}
    low, high = (float(found.min()), float(found.max())) if len(found) else (0.0, 1.0)
    if ends is not None:
        axis["range"] = ends
        low, high = (10 ** ends[0], 10 ** ends[1]) if log else ends
    if log:
        axis |= {"type": "log", "exponentformat": "power", "dtick": log_step(math.log10(high / low))}
    elif are_whole(values):
        axis |= whole(low, high)
    return axis, _outside(found, low, high, sign, what) if ends is not None else ""


def _spans_ten(values: Floats) -> bool:
    return bool(len(values)) and bool(values.max() >= 10 * values.min())


def _outside(values: Floats, low: float, high: float, sign: float, what: str) -> str:
    """Says how many values lie beyond the worse end of an axis."""
    limit, side = (high, "above") if sign < 0 else (low, "below")
    count = int((sign * values < sign * limit).sum())
    return f"{count:,}{f' {what}' if what else ''} {side} {limit:.4g} lie{'s' if count == 1 else ''} outside the axis"


def colour_range(values: Floats, sign: float) -> tuple[float, float]:
    """The values that colours span: the worst tenth has the colour of its end, so that the others can be told apart."""
    found = values[np.isfinite(values)]
    if not len(found):
        return 0.0, 1.0
    low, high = (float(each) for each in np.quantile(found, [0.0, 0.9] if sign < 0 else [0.1, 1.0]))
    return low, high if high > low else low + 1.0


def colour_bar(title: str, values: Floats, low: float, high: float, log: bool = False) -> dict[str, Any]:
    """The key to colours of values between two; it marks an end that includes the values beyond it.

    Args:
        title: safe text.
        values: as they are coloured, of a logarithmic scale their exponents.
    """
    at = np.linspace(low, high, 6)
    texts = [f"{10**each if log else each:.3g}" for each in at]
    found = values[np.isfinite(values)]
    if len(found) and found.min() < low:
        texts[0] = f"≤ {texts[0]}"
    if len(found) and found.max() > high:
        texts[-1] = f"≥ {texts[-1]}"
    side = {"text": f"{title} (log)" if log else title, "side": "right"}
    return {**BAR, "title": side, "tickvals": at.tolist(), "ticktext": texts}


def sample(count: int, most: int, keep: NDArray[np.intp] | None = None) -> NDArray[np.intp]:
    """At most `most` places of `count`, evenly spread and ascending, and all of `keep` beside them."""
    if count <= most:
        return np.arange(count)
    even = np.linspace(0, count - 1, most).round().astype(np.intp)
    return np.unique(even if keep is None else np.concatenate([even, keep]))


def drawn(shown: int, count: int, what: str) -> str:
    """Says that not everything is drawn, where that is so."""
    return f"{shown:,} of {count:,} {what} drawn" if shown < count else f"{count:,} {what}"


def ticks(low: float, high: float) -> list[float]:
    """Three to seven round numbers from low to high.

    >>> ticks(0.007, 0.98)
    [0.2, 0.4, 0.6, 0.8]
    """
    if not high > low:
        return [low]
    power = 10.0 ** math.floor(math.log10((high - low) / 3))
    step = next(power * by for by in (5, 2, 1) if (high - low) / (power * by) >= 3)
    return [round(at * step, 12) for at in range(math.ceil(low / step), math.floor(high / step) + 1)]
