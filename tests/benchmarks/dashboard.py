"""The dashboard on 10,000 trials: first paint, the server's time for an update, what it costs the driver, its memory.

python -m tests.benchmarks.dashboard [paint] [updates] [driver] [memory]
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from tests.benchmarks.measure import show
from tests.pictured import experiment
from tests.served import client, serving, stored
from tunedsl import report, space, uniform

TRIALS = 10_000
UPDATES = 40
RECORDS = 20
"""Of one update."""
PAIRS = 12
"""Of drivers, one without and one with a page that watches it."""
RUNS = 100
OPENED = 8
"""Runs of which pages are opened, more than are kept in memory."""
MAX_MEMORY = 512
"""MiB that the dashboard may take."""


def first_paint(address: str, run: str) -> tuple[float, float]:
    """Seconds until a browser first paints, and until it shows what the run came to."""
    from playwright.sync_api import sync_playwright

    place = shutil.which("chromium") or shutil.which("google-chrome")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=place, args=["--no-sandbox"])
        page = browser.new_page()
        began = time.perf_counter()
        page.goto(f"{address}#/run/{run}/trials", wait_until="commit")
        page.wait_for_selector("table.trials tbody tr.active")
        whole = time.perf_counter() - began
        paint = page.evaluate("performance.getEntriesByName('first-contentful-paint')[0].startTime") / 1000
        browser.close()
    return paint, whole


def updates(store: Path) -> None:
    """Prints the time in which the server reads and answers an update."""
    lines = [line for line, _ in experiment(TRIALS).journal.raw()]
    folder = stored(store, "growing", experiment(20))
    until = len(lines) - UPDATES * RECORDS
    (folder / "journal.jsonl").write_bytes(b"".join(lines[:until]))
    page = client(store)
    version = page.get("/api/runs/growing/table").json()["version"]
    time.sleep(10)  # what took long to read is read again later
    taken = []
    for update in range(UPDATES):
        with open(folder / "journal.jsonl", "ab") as file:
            file.write(b"".join(lines[until + update * RECORDS :][:RECORDS]))
        while True:
            time.sleep(0.45)  # reads of a journal are at least this far apart
            began = time.perf_counter()
            page.get("/api/runs/growing")
            found = page.get("/api/runs/growing/table", params={"since": version}).json()
            if found["rows"]:
                break
        taken.append(time.perf_counter() - began)
        assert not found["whole"]
        version = found["version"]
    at = taken.index(max(taken)) + 1
    middle, upper, most = (sorted(1000 * each for each in taken)[place] for place in (UPDATES // 2, -UPDATES // 10, -1))
    show(
        f"update of {RECORDS} records: median; nine of ten; most",
        f"{middle:.1f} ms; {upper:.1f} ms; {most:.1f} ms (update {at} of {UPDATES})",
    )


def train(config: dict[str, Any]) -> None:
    for _ in range(20):
        report(loss=config["x"])


def drive(store: str) -> None:
    """Runs an experiment and prints the seconds that it took: of the processor in this process, and of the clock."""
    tuned = space(x=uniform(0, 1)).trainable(train).minimize("loss").seed(0).store(store)
    tuned.samples(100).run("inline", quiet=True)  # everything is imported
    cpu, wall = time.process_time(), time.perf_counter()
    tuned.samples(5_000).run("inline", quiet=True)
    print(json.dumps([time.process_time() - cpu, time.perf_counter() - wall]))


@contextlib.contextmanager
def dashboard(store: Path) -> Iterator[tuple[str, int]]:
    """A dashboard in a process of its own: its address, and the process."""
    words = [sys.executable, "-m", "tunedsl", "dashboard", str(store), "--port", "0"]
    process = subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
    try:
        assert process.stdout is not None
        yield process.stdout.readline().split()[-1], process.pid
    finally:
        process.terminate()
        process.wait()


def watch(address: str, ended: threading.Event) -> None:
    """Asks what the page of trials of each run in progress asks, as often as the page does."""
    import httpx

    versions: dict[str, int] = {}
    with httpx.Client(base_url=address, timeout=60) as page:
        while not ended.wait(0.5):
            for run in [each["run"] for each in page.get("api/runs").json()["runs"] if each["phase"] == "running"]:
                page.get(f"api/runs/{run}")
                since = {"since": versions[run]} if run in versions else {}
                versions[run] = page.get(f"api/runs/{run}/table", params=since).json()["version"]


def driver(store: Path) -> None:
    """Prints the ratio of what a driver takes while it is watched to what it takes alone, pair by pair."""
    store.mkdir()
    ended, taken = threading.Event(), {"alone": [], "watched": []}  # type: dict[str, list[list[float]]]
    with dashboard(store / "watched") as (address, _):
        page = threading.Thread(target=watch, args=(address, ended))
        page.start()
        for pair in range(PAIRS):
            for kind in ("alone", "watched") if pair % 2 else ("watched", "alone"):
                words = [sys.executable, "-m", "tests.benchmarks.dashboard", "drive", str(store / kind)]
                taken[kind].append(json.loads(subprocess.run(words, capture_output=True, check=True).stdout))
        ended.set()
        page.join()
    for place, what in enumerate(("processor time", "wall time")):
        alone, watched = ([each[place] for each in taken[kind]] for kind in ("alone", "watched"))
        ratios = sorted(one / two for one, two in zip(watched, alone, strict=True))
        error = statistics.stdev(ratios) / len(ratios) ** 0.5
        show(
            f"driver's {what}, watched / alone, {PAIRS} pairs",
            f"{statistics.fmean(ratios):.3f} +- {error:.3f}, median {statistics.median(ratios):.3f}, "
            f"{ratios[0]:.3f} to {ratios[-1]:.3f} ({statistics.median(alone):.2f} s alone)",
        )


def resident(process: int, what: str = "VmRSS") -> float:
    """MiB of memory of a process; `VmHWM` is the most that it had."""
    lines = Path(f"/proc/{process}/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith(what)) / 1024


def memory(store: Path) -> None:
    """Prints the memory of a dashboard that lists many large runs, of which pages are opened one after the other."""
    import httpx

    first = stored(store, "run-000", experiment(TRIALS)) / "journal.jsonl"
    for place in range(1, RUNS):
        (store / f"run-{place:03d}").mkdir()
        os.link(first, store / f"run-{place:03d}" / first.name)
    with dashboard(store) as (address, process), httpx.Client(base_url=address, timeout=120) as page:
        begun = resident(process)
        began = time.perf_counter()
        while True:
            runs = page.get("api/runs").json()["runs"]
            if len(runs) == RUNS and all(run["phase"] == "finished" for run in runs):
                break
            time.sleep(1)
        assert all(run["trials"] == TRIALS for run in runs)
        show(f"{RUNS} runs of {TRIALS:,} trials are listed", f"{time.perf_counter() - began:.0f} s")
        show("memory: started, all runs listed", f"{begun:.0f} MiB, {resident(process):.0f} MiB")
        for place in range(0, RUNS, RUNS // OPENED):
            name = f"run-{place:03d}"
            assert len(page.get(f"api/runs/{name}/table").json()["rows"]) == TRIALS
            for path in ("", "/outcome", "/figures/best", "/figures/curves", "/figures/parallel", "/trials/17/story"):
                page.get(f"api/runs/{name}{path}").raise_for_status()
        most = resident(process, "VmHWM")
        show(f"memory: {OPENED} runs opened, the most", f"{resident(process):.0f} MiB, {most:.0f} MiB")
        assert most < MAX_MEMORY, f"the dashboard took {most:.0f} MiB"


def paint(store: Path) -> None:
    """Prints the seconds until a browser shows the table of a large run."""
    folder = stored(store, "large", experiment(TRIALS))
    with serving(folder.parent) as address:
        first, whole = first_paint(address, "large")
        _, again = first_paint(address, "large")
    show(f"first paint; table of {TRIALS:,} trials, and again", f"{first:.2f} s; {whole:.2f} s, {again:.2f} s")


PARTS = {"paint": paint, "updates": updates, "driver": driver, "memory": memory}


def main() -> None:
    """Prints the figures of the parts that are named, or of all."""
    if sys.argv[1:2] == ["drive"]:
        drive(sys.argv[2])
        return
    for name in sys.argv[1:] or PARTS:
        with tempfile.TemporaryDirectory() as folder:
            PARTS[name](Path(folder) / "store")


if __name__ == "__main__":
    main()
