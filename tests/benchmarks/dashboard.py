"""The dashboard on 10,000 trials: first paint, the server's time for an update, and what it costs the driver.

python -m tests.benchmarks.dashboard
"""

from __future__ import annotations

import shutil
import statistics
import tempfile
import threading
import time
from pathlib import Path
from typing import Any

from tests.pictured import experiment
from tests.served import client, serving, stored
from tunedsl import report, space, uniform

TRIALS = 10_000
UPDATES = 40
RECORDS = 20
"""Of one update."""


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


def updates(store: Path) -> tuple[float, float]:
    """The median and the largest time in which the server reads and answers an update, in seconds."""
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
    return statistics.median(taken), max(taken)


def train(config: dict[str, Any]) -> None:
    for _ in range(20):
        report(loss=config["x"])


def driver(store: Path, watched: bool) -> float:
    """Seconds of a run with and without a page that watches it."""
    tuned = space(x=uniform(0, 1)).trainable(train).minimize("loss").samples(3_000).seed(0).store(str(store))
    ended, page = threading.Event(), None
    if watched:
        from tunedsl.runs.beside import open_dashboard

        store.mkdir(parents=True, exist_ok=True)
        address = open_dashboard(store / "run", store, quiet=True).partition("#")[0]

        def watch() -> None:
            import httpx

            while not ended.is_set():
                runs = httpx.get(f"{address}api/runs", timeout=60).json()["runs"]
                for each in runs:
                    httpx.get(f"{address}api/runs/{each['run']}", timeout=60)
                ended.wait(0.5)

        page = threading.Thread(target=watch)
        page.start()
        time.sleep(5)  # it has started
    began = time.perf_counter()
    tuned.run("inline", quiet=True)
    taken = time.perf_counter() - began
    ended.set()
    if page is not None:
        page.join()
    return taken


def main() -> None:
    """Prints the figures."""
    with tempfile.TemporaryDirectory() as name:
        store = Path(name)
        folder = stored(store / "large", "large", experiment(TRIALS))
        with serving(folder.parent) as address:
            paint, whole = first_paint(address, "large")
            _, again = first_paint(address, "large")
        print(f"first paint {paint:.2f} s; table of {TRIALS:,} trials {whole:.2f} s, then {again:.2f} s")
        median, largest = updates(store / "growing")
        print(f"update of {RECORDS} records: median {median * 1000:.1f} ms, largest {largest * 1000:.1f} ms")
        alone = [driver(store / f"alone-{turn}", False) for turn in range(3)]
        watched = [driver(store / f"watched-{turn}", True) for turn in range(3)]
        print(f"driver alone {min(alone):.2f} s, watched {min(watched):.2f} s")


if __name__ == "__main__":
    main()
