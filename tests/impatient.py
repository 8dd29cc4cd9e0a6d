"""Impatient exits: a script is signalled two or three times within 20 ms, at a random moment of its life.

`python -m tests.impatient 500` makes that many exits and prints what was not one clean line; `python -m tests.impatient
500 360` makes the last 140 of them.
"""

from __future__ import annotations

import random
import re
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path
from typing import Final

SCRIPT: Final = """
import sys

print("starting", flush=True)
from tunedsl import asha, load, report, space, uniform
from tunedsl.base.interrupts import Interrupts
from tunedsl.experiment import Experiment

install = Interrupts.install


def noted(self):
    install(self)
    print("handled", flush=True)


def train(config):
    for step in range(1, 10):
        report(loss=config["x"] / step)


def experiment(store):
    return space(x=uniform(0, 1)).trainable(train).minimize("loss").scheduler(asha(max_t=9)).samples(400).store(store)


if __name__ == "__main__":
    Interrupts.install = noted
    verb, engine, store, path = sys.argv[1:]
    made = experiment(store)
    print("calling", flush=True)
    if verb == "run":
        made.run(engine=engine, quiet=True)
    elif verb == "resume":
        made.resume(path, engine=engine, quiet=True)
    else:
        with made.open(path, quiet=True) as study:
            for trial in study:
                study.tell(trial, loss=trial.config["x"])
    print("finished", flush=True)
"""
SECONDS: Final = {"inline": 0.8, "local": 1.6}
"""How long after its call a script is signalled, at most."""
NAMES: Final = (signal.SIGINT, signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


def leave(seed: int, folder: Path, verb: str, engine: str) -> str:
    """One exit; returns what is wrong with it, or nothing."""
    draws = random.Random(seed)
    script = folder / "script.py"
    script.write_text(SCRIPT)
    store, path = folder / f"{seed}", folder / f"{seed}" / "run"
    if verb == "resume":
        path = _begun(script, folder / f"{seed}", engine)
    command = [sys.executable, str(script), verb, engine, str(store), str(path)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert process.stdout is not None
    while process.stdout.readline() not in ("calling\n", ""):
        pass
    time.sleep(draws.random() ** 2 * SECONDS[engine])
    name = draws.choice(NAMES)
    for _ in range(draws.choice([2, 3])):
        process.send_signal(name)
        time.sleep(draws.random() * 0.01)
    output, said = process.communicate(timeout=120)
    return wrong(process.returncode, int(name), output, said, [*store.glob("*")])


def _begun(script: Path, store: Path, engine: str) -> Path:
    """A run that was interrupted once."""
    command = [sys.executable, str(script), "run", engine, str(store), "-"]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    while not any(file.stat().st_size > 5000 for file in store.glob("*/journal.jsonl")) and process.poll() is None:
        time.sleep(0.01)
    process.send_signal(signal.SIGINT)
    process.wait()
    return next(store.iterdir())


def wrong(code: int, number: int, output: str, said: str, runs: list[Path]) -> str:
    """What is wrong with an exit, or nothing."""
    if "handled" not in output and "tunedsl/" not in said:
        return ""  # the signal came before the call
    if "finished" in output and code in (0, -number, 128 + number):
        return ""
    if "Traceback" in said or "Error" in said or "Exception" in said:
        return f"a traceback: {said}"
    if code != 128 + number:
        return f"exit code {code} after signal {number}: {said}"
    if said.count("The run was ") != 1:
        return f"not one line: {said!r}"
    how = re.search(r"  help: (?:tunedsl resume |experiment\.(?:open|resume)\('?)([^\n')]+)", said)
    if how is None and ("nothing was written" not in said or runs):
        return f"no way to continue, with the folders {runs}: {said!r}"
    return ""


def main(count: int, first: int = 0) -> None:
    kinds = [("run", "inline"), ("resume", "inline"), ("open", "inline"), ("run", "local")]
    found: Counter[str] = Counter()
    with tempfile.TemporaryDirectory() as name:
        for seed in range(first, count):
            verb, engine = kinds[seed % len(kinds)]
            text = leave(seed, Path(name), verb, engine)
            found[f"{verb} {engine}: {'wrong' if text else 'clean'}"] += 1
            if text:
                print(seed, verb, engine, text, flush=True)
    print(dict(found))


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
