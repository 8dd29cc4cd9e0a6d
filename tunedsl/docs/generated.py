"""The parts of pages that are made from the package's own tables: error codes, the life cycle, amendable fields.

`conf.py` puts them in the place of `<!-- generated: NAME -->`. Prose is in the pages.
"""

from __future__ import annotations

import html
import math
import tomllib
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Final

import attrs

from tunedsl.compiler.codes import CODES
from tunedsl.driver.live_amendments import LIVE_FIELDS
from tunedsl.kernel.transitions import MOVES, PHASES, TRANSITIONS, Phase
from tunedsl.plan.amending import AMENDABLE, AmendableField

EXAMPLES: Final = Path(__file__).parent / "error_examples.toml"


@attrs.frozen
class ErrorExample:
    """Code that gives a diagnostic, code that does not, and an optional remark."""

    wrong: str
    right: str
    remark: str = ""


def read_examples() -> tuple[str, dict[str, ErrorExample]]:
    """The code that all examples share, and an example for each code that has one."""
    data = tomllib.loads(EXAMPLES.read_text(encoding="utf-8"))
    return data.pop("shared"), {code: ErrorExample(**fields) for code, fields in data.items()}


def errors_page() -> str:
    """All codes of diagnostics in Markdown, each with its sentence and its examples."""
    shared, examples = read_examples()
    parts = ["The examples share this code:", "", "```python", shared.strip(), "```", ""]
    for title, letter in (("Errors", "E"), ("Warnings", "W")):
        parts += [f"## {title}", ""]
        for code in sorted(code for code in CODES if code.startswith(letter)):
            parts += [f"### {code}", "", f"{CODES[code][0].upper()}{CODES[code][1:]}.", ""]
            example = examples.get(code)
            if example is None:
                continue
            if example.remark:
                parts += [example.remark.strip(), ""]
            for heading, text in (("Wrong", example.wrong), ("Right", example.right)):
                parts += [f"{heading}:", "", "```python", text.strip(), "```", ""]
    return "\n".join(parts)


_POSITIONS: Final[Mapping[Phase, tuple[int, int]]] = {
    "PENDING": (110, 90),
    "RUNNING": (400, 90),
    "PAUSED": (690, 90),
    "TERMINATED": (530, 280),
    "ERRORED": (230, 280),
}
_WIDTH, _HEIGHT, _HALF, _RISE = 800, 360, 62, 20
_STYLE: Final = "font:13px sans-serif;fill:currentColor;text-anchor:middle"


def life_cycle_table() -> str:
    """The transition table in Markdown: a row for each phase, a column for each move."""
    head = "| phase | " + " | ".join(f"`{move}`" for move in MOVES) + " |"
    rows = [
        f"| `{phase}` | " + " | ".join(TRANSITIONS.get((phase, move), "").lower() or "-" for move in MOVES) + " |"
        for phase in PHASES
    ]
    return "\n".join([head, "| --- " * (len(MOVES) + 1) + "|", *rows])


def life_cycle_diagram() -> str:
    """The transition table as an SVG drawing: a box for each phase, an arrow for each pair of phases."""
    labels: dict[tuple[Phase, Phase], list[str]] = {}
    for (phase, move), following in TRANSITIONS.items():
        labels.setdefault((phase, following), []).append(move)
    drawn = [
        f'<svg viewBox="0 0 {_WIDTH} {_HEIGHT}" role="img" aria-label="Life cycle of a trial" '
        'style="max-width:100%" xmlns="http://www.w3.org/2000/svg">',
        '<defs><marker id="head" viewBox="0 0 8 8" refX="7" refY="4" markerWidth="8" markerHeight="8" '
        'orient="auto"><path d="M0,0 L8,4 L0,8 z" fill="currentColor"/></marker></defs>',
    ]
    drawn += [_arrow(start, end, ", ".join(moves)) for (start, end), moves in labels.items()]
    drawn += [_box(phase) for phase in PHASES]
    return "\n".join([*drawn, "</svg>"])


def _box(phase: Phase) -> str:
    x, y = _POSITIONS[phase]
    return (
        f'<rect x="{x - _HALF}" y="{y - _RISE}" width="{2 * _HALF}" height="{2 * _RISE}" rx="6" '
        'fill="none" stroke="currentColor" stroke-width="1.5"/>'
        f'<text x="{x}" y="{y + 5}" style="{_STYLE};font-weight:bold">{html.escape(phase)}</text>'
    )


def _arrow(start: Phase, end: Phase, label: str) -> str:
    x, y = _POSITIONS[start]
    if start == end:
        path = f"M{x - 24},{y - _RISE} C{x - 40},{y - 60} {x + 40},{y - 60} {x + 24},{y - _RISE}"
        return _line(path, x, y - 56, label)
    to_x, to_y = _POSITIONS[end]
    length = math.hypot(to_x - x, to_y - y)
    side_x, side_y = -(to_y - y) / length * 11, (to_x - x) / length * 11  # arrows of opposite directions lie apart
    begin, finish = _edge(x, y, to_x, to_y), _edge(to_x, to_y, x, y)
    path = f"M{begin[0] + side_x:.0f},{begin[1] + side_y:.0f} L{finish[0] + side_x:.0f},{finish[1] + side_y:.0f}"
    return _line(path, x + (to_x - x) * 0.45 + side_x * 1.6, y + (to_y - y) * 0.45 + side_y * 1.6 + 4, label)


def _edge(x: float, y: float, to_x: float, to_y: float) -> tuple[float, float]:
    """The point where the line between two boxes' centres leaves the first box."""
    scale = 1 / max(abs(to_x - x) / (_HALF + 2), abs(to_y - y) / (_RISE + 2))
    return x + (to_x - x) * scale, y + (to_y - y) * scale


def _line(path: str, x: float, y: float, label: str) -> str:
    return (
        f'<path d="{path}" fill="none" stroke="currentColor" marker-end="url(#head)"/>'
        f'<text x="{x:.0f}" y="{y:.0f}" style="{_STYLE}">{html.escape(label)}</text>'
    )


def amendable_table() -> str:
    """What an amendment of each field of a plan means, in Markdown."""
    rows = [
        "| part of the plan | can change | in progress | effect, or what to do instead |",
        "| --- | --- | --- | --- |",
    ]
    for name, ruling in AMENDABLE.items():
        if isinstance(ruling, AmendableField):
            rows.append(f"| `{name}` | yes | {'yes' if name in LIVE_FIELDS else 'no'} | {ruling.effect} |")
        else:
            instead = ruling.instead.format(path="PATH")
            rows.append(f"| `{name}` | no | no | {ruling.why}: {instead} |")
    return "\n".join(rows)


PARTS: Final[Mapping[str, Callable[[], str]]] = {
    "errors": errors_page,
    "amendable": amendable_table,
    "life_cycle_table": life_cycle_table,
    "life_cycle_diagram": lambda: f"<div>\n{life_cycle_diagram()}\n</div>",
}


def fill_in(text: str) -> str:
    """A page's text with its generated parts in the place of their comments."""
    for name, make in PARTS.items():
        comment = f"<!-- generated: {name} -->"
        if comment in text:
            text = text.replace(comment, make())
    return text
