"""A run of another person, whose journal has hostile texts wherever a journal can have a text."""

from __future__ import annotations

import re
import zlib
from pathlib import Path

import msgspec

from tunedsl import choice, load, report, space, uniform
from tunedsl.base import codec
from tunedsl.journal import Journal

MARK = "HOSTILE"
TEXT = "=HYPERLINK(1)|<img src=x onerror=alert(1)>[red]\x1b[2J\x1b]0;title\x07\x9b2J\u202e\r../../etc/passwd"
"""A formula, HTML, rich's markup, terminal escapes of 7 and 8 bits, a change of direction, and a path."""
CONTROLS = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]")


def train(config):
    report(**{"loss": config["x"], f"{MARK} metric": 1.0, "text": f"{MARK} text"})
    if config["x"] > 0.5:
        raise ValueError(f"{MARK} error")


def hostile(item):
    """The same data with hostile texts."""
    if isinstance(item, str):
        inside_json = item.startswith('"')
        return item.replace(MARK, msgspec.json.encode(TEXT)[1:-1].decode() if inside_json else TEXT)
    if isinstance(item, list):
        return [hostile(each) for each in item]
    if isinstance(item, dict):
        return {hostile(name): hostile(each) for name, each in item.items()}
    return item


def hostile_run(store: Path, folder: Path) -> Path:
    """Writes the journal by hand with valid checksums; returns its folder."""
    made = space(x=uniform(0, 1), kind=choice([f"{MARK} a", f"{MARK} b"])).trainable(train).minimize("loss")
    results = made.named(MARK).samples(6).seed(1).store(store).run(engine="inline", quiet=True)
    lines = []
    for raw, _ in Journal(results.path).raw():
        data = hostile({name: item for name, item in msgspec.json.decode(raw).items() if name != "k"})
        if "h" in data:
            data["h"]["digest"] = codec.decode(data["h"]["plan"]).digest
            data["h"]["provenance"]["script"] = f"/tmp/{TEXT}.py"
        if data.get("m", {}).get("closed"):
            data["m"]["closed"] = f"failed: {TEXT}"
        body = msgspec.json.encode(data)[:-1]
        lines.append(b'%b,"k":"%08x"}\n' % (body, zlib.crc32(body)))
    (folder / "journal.jsonl").write_bytes(b"".join(lines))
    loaded = load(folder)
    assert loaded.errors and TEXT in loaded.best.config["kind"]
    return folder
