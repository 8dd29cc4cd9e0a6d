"""The architecture page names files and layers that exist."""

from __future__ import annotations

import re
from pathlib import Path

from tests.architecture import test_layers
from tunedsl.docs.generated import life_cycle_diagram, life_cycle_table
from tunedsl.kernel.transitions import MOVES, PHASES

ROOT = Path(__file__).resolve().parents[2]
PAGE = (ROOT / "tunedsl" / "ARCHITECTURE.md").read_text()
LAYERS = {name: level + 1 for name, level in test_layers.LEVEL.items() if (ROOT / "tunedsl" / name).exists()} | {
    name: level + 1 for name, level in test_layers.LEVEL.items() if (ROOT / "tunedsl" / f"{name}.py").exists()
}


def test_each_file_on_the_page_exists() -> None:
    named = set(re.findall(r"`((?:[a-z_]+/)+[a-z_]*(?:\.[a-z]+)?|[a-z_]+\.py)`", PAGE))
    assert len(named) > 60
    missing = [
        name
        for name in sorted(named)
        if not ((ROOT / "tunedsl" / name).exists() or (ROOT / name).exists() or list(ROOT.glob(f"tunedsl/*/{name}")))
    ]
    assert not missing


def test_the_table_of_layers_is_the_one_that_is_checked() -> None:
    on_page = {}
    for layer, packages in re.findall(r"^\| (\d+) \| (`[^|]*`) \|", PAGE, re.MULTILINE):
        for package in re.findall(r"`([^`]+)`", packages):
            on_page[package.removesuffix("/").removesuffix(".py")] = int(layer)
    assert on_page == {name: layer for name, layer in LAYERS.items() if name != "__main__"}


def test_the_life_cycle_is_drawn_from_the_table() -> None:
    diagram, table = life_cycle_diagram(), life_cycle_table()
    assert all(f">{phase}<" in diagram for phase in PHASES)
    assert all(move in diagram and f"`{move}`" in table for move in MOVES)
