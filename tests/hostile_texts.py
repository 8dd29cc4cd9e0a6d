"""Runs whose every text is one that another person chose: names, metrics, values, errors, output, notes, requests."""

from __future__ import annotations

import itertools
from pathlib import Path
from typing import Any

import msgspec

from tests.hostile import TEXT
from tests.journals import journal, reported
from tests.plans import make_plan
from tests.served import stored
from tunedsl.base import codec
from tunedsl.journal import FORMAT, Header, MemoryWriter
from tunedsl.kernel import CapacityChanged, Ended, Failed, Proposed, Started, StopRequested, UserTrialAdded
from tunedsl.kernel.events import FIRST_USER_TRIAL
from tunedsl.plan import Plan
from tunedsl.plan.output import Output
from tunedsl.results import Results
from tunedsl.spaces import Space, choice, uniform
from tunedsl.web.notes import FILE

TEXTS = {
    "script": "</script><script>alert(1)</script><svg onload=alert(1)>",
    "link": "javascript:alert(1)",
    "escapes": f"\x1b[2J\x1b]0;title\x07{TEXT}",
    "template": "%{x} ${alert(1)} {{alert(1)}} &lt;img src=x onerror=alert(1)&gt;",
    "long": "x" * 1_000_000,
    "direction": "\u202e\u2066<b onmouseover=alert(1)>gnp.exe\u2069 \u200f",
}


def hostile_texts(store: Path, name: str) -> Path:
    """A run in a store, all of whose texts are `TEXTS[name]`; its trials 0 to 5 reported, 0 failed, 1 was stopped."""
    text = TEXTS[name]
    space = Space.of({text: uniform(0, 1), "kind": choice([text, f"{text} 2"])})
    plan = make_plan(trials=6, space=space, name=text)
    events: list[Any] = [CapacityChanged(0.0, 8)]
    for number in range(6):
        config = {text: number / 10, "kind": text if number % 2 else f"{text} 2"}
        data = ({text: text}, {text: text}) if number == 2 else ()
        events += [
            Proposed(0.0, number, config, f"{number:05d}", text=text),
            Started(0.0, number, 0, f"{text} {number}"),
            reported(number, [2.0 - number / 10, 1.0 - number / 10], data=data),
        ]
    events += [reported(number, [2.0, 3.0], text, 3) for number in range(2, 6)]
    events += [Failed(9.0, 0, "crash", text, text), StopRequested(9.0, 1, text), Ended(9.0, 2, 4)]
    events += [UserTrialAdded(9.0, FIRST_USER_TRIAL, {text: 0.3, "kind": text}, "added-00000", text=text)]
    folder = stored(store, name, Results(journal(plan, events)))
    _write_output(folder, plan, text)
    note = {"text": text[:20_000], "star": True, "tags": [text[:40]]}
    (folder / FILE).write_bytes(msgspec.json.encode({"run": note, "trials": {"0": note}}))
    return folder


def _write_output(folder: Path, plan: Plan, text: str) -> None:
    """The output of trials 0 and 1, which the header names."""
    writer = MemoryWriter()
    writer.header(Header(FORMAT, codec.encode(plan), plan.digest, {"output": codec.encode(Output("out", "err"))}))
    file = folder / "journal.jsonl"
    file.write_bytes(b"".join([writer.lines[0], *file.read_bytes().splitlines(keepends=True)[1:]]))
    for trial, name in itertools.product(("00000", "00001"), ("out", "err")):
        (folder / "trials" / trial).mkdir(parents=True, exist_ok=True)
        (folder / "trials" / trial / name).write_text(f"{text}\n{TEXT}\n{'y' * 1_000_000}\n{text}\n", "utf-8")
