"""How all pictures look: colours, titles with what was left out, text made safe, axes and their bounds.

The only module that makes plotly's figures; it is imported when the first picture is drawn.
"""

from __future__ import annotations

import math
import textwrap
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from numpy.typing import NDArray

from tunedsl.base.errors import NoResult

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
"""By status, and of stretches on a worker; told apart also by those who see few colours (Okabe and Ito)."""
BEST: Final = "#111111"
FAINT: Final = "#C8CCD2"
SCALE: Final = "Viridis"
DARK: Final = ((0.0, "#0B1D51"), (0.3, "#2A6F97"), (0.65, "#8DBFC4"), (1.0, "#C9D5D1"))
"""For lines on white: what is best is dark."""
WIDE: Final = 100
"""Characters in a line below the title; a notebook cell may be narrow."""
LONGEST: Final = 48
"""Characters of a name in a picture."""
UNITS: Final = ((172800.0, 86400.0, "days"), (7200.0, 3600.0, "hours"), (120.0, 60.0, "minutes"))


def plotly() -> Any:
    """The library's figures; raises `NoResult` without it."""
    try:
        import plotly.graph_objects as go
    except ImportError:
        raise NoResult("pictures need plotly: pip install 'tunedsl[plots]'") from None
    return go


def short(item: object, longest: int = LONGEST) -> str:
    """Somebody's text on one line that has an end; for places that take text as it is."""
    plain = " ".join(str(item).split())
    return plain if len(plain) <= longest else plain[: longest - 1] + "…"


def text(item: object, longest: int = LONGEST) -> str:
    """Somebody's text as plotly shows it and nothing else: no tags, no templates, one line, not endless.

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
    top = 64 + 17 * len(lines)
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


def clock(seconds: float) -> tuple[float, str]:
    """What seconds are divided by for an axis that is so long, and its unit.

    >>> clock(90), clock(7200)
    ((1.0, 'seconds'), (3600.0, 'hours'))
    """
    return next(((by, unit) for least, by, unit in UNITS if seconds >= least), (1.0, "seconds"))


def is_log(values: Floats) -> bool:
    """Whether values are better seen by their logarithm: above 0, over more than two and a half powers of ten."""
    found = values[np.isfinite(values)]
    if not len(found) or found.min() <= 0:
        return False
    low, high = np.quantile(found, [0.02, 0.98])
    return bool(high / low > 300)


def bounds(values: Floats, sign: float, log: bool = False) -> tuple[list[float] | None, str]:
    """The range of an axis that a few wild values on the worse side do not squeeze; and what it leaves out.

    Args:
        sign: of the objective, 1 where larger is better.
    """
    found = values[np.isfinite(values)]
    if len(found) < 8:
        return None, ""
    turned = sign * (np.log10(found) if log else found)
    low, mid, high = np.quantile(turned, [0.05, 0.5, 1.0])
    floor = low - 1.5 * max(high - low, 2 * (mid - low))
    outside = int((turned < floor).sum())
    if not outside or high == low:
        return None, ""
    margin = 0.04 * (high - floor)
    ends = sorted((sign * (floor - margin), sign * (high + margin)))
    limit = sign * floor
    side = "above" if sign < 0 else "below"
    return ends, f"{outside:,} {side} {10**limit if log else limit:.4g} lie outside"


def y_axis(name: str, values: Floats, sign: float) -> tuple[dict[str, Any], str]:
    """The axis of a metric, logarithmic where that reads better, and what is left out of it."""
    log = is_log(values)
    ends, note = bounds(values, sign, log)
    axis: dict[str, Any] = {"title": {"text": f"{text(name)} (log)" if log else text(name)}}
    if log:
        axis |= {"type": "log", "exponentformat": "power", "dtick": _decades(values)}
    if ends is not None:
        axis["range"] = ends
    return axis, note


def _decades(values: Floats) -> Any:
    found = values[np.isfinite(values) & (values > 0)]
    return "D1" if math.log10(found.max() / found.min()) < 3 else 1


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
