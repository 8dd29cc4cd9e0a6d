"""A driver for tests to kill: begins the experiment of `tests.experiments`, or goes on with it."""

from __future__ import annotations

import sys
from pathlib import Path

from tests.experiments import searching
from tunedsl.experiment import Experiment


def victim(store: str | Path) -> Experiment:
    """Twenty-four trials whose steps take a random while each."""
    return searching(store, pause=0.12).samples(24)


def main(store: str, engine: str, address: str | None = None) -> None:
    experiment = victim(store)
    begun = [folder for folder in Path(store).glob("*/journal.jsonl") if folder.read_bytes().endswith(b"\n")]
    verb = experiment.resume if begun else experiment.run
    print(verb(engine=engine, address=address, quiet=True).journal.digest)


if __name__ == "__main__":
    main(*sys.argv[1:])
