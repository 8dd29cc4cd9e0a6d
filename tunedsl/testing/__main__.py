"""Fuzzing from the command line: `python -m tunedsl.testing --count 10000`."""

from __future__ import annotations

import argparse
import importlib
import sys
from typing import Any

from tunedsl.base.errors import TunedslError
from tunedsl.testing.final_invariants import FINAL_INVARIANTS
from tunedsl.testing.fuzz import ALL, FuzzTarget, cores, from_seed, fuzz
from tunedsl.testing.invariants import INVARIANTS
from tunedsl.testing.scenarios import SCHEDULERS, SEARCHERS
from tunedsl.testing.simulation.asked import ASKED_INVARIANTS
from tunedsl.testing.simulation.cluster import DRIVER_INVARIANTS

EPILOG = """\
overnight, on all cores:      python -m tunedsl.testing --minutes 480 --jobs 0
repeat one seed:               python -m tunedsl.testing --seed 1234
ask and tell:                  python -m tunedsl.testing --count 1000 --kind asked
a scheduler of your own:      python -m tunedsl.testing --count 500 --scheduler "policies:Halving(3)"
"""


def main(arguments: list[str] | None = None) -> int:
    """Run the fuzzer; 0 if every invariant held, else 1."""
    parser = argparse.ArgumentParser(
        prog="python -m tunedsl.testing",
        description="Run random experiments on a simulated cluster with faults; check every invariant.",
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "--seed", type=int, default=0, help="seed of the first experiment; it increases by one per experiment"
    )
    parser.add_argument("--count", type=int, help="number of experiments; default 1, or no limit with --minutes")
    parser.add_argument("--minutes", type=float, help="time limit in minutes")
    parser.add_argument("--jobs", type=int, default=1, help="number of processes; 0 for one per core")
    parser.add_argument("--scheduler", metavar="MODULE:SPEC", help="test only this scheduler, such as mine:Halving(3)")
    parser.add_argument("--searcher", metavar="MODULE:SPEC", help="test only this searcher")
    parser.add_argument(
        "--kind", choices=("workers", "asked"), default="workers", help="who runs the trials: workers, or ask and tell"
    )
    parser.add_argument("--invariants", action="store_true", help="list the invariants, and exit")
    given = parser.parse_args(arguments)
    if given.invariants:
        for name, text in laws().items():
            print(f"{name}: {text}")
        return 0
    number = given.count if given.count is not None or given.minutes is not None else 1
    seconds = None if given.minutes is None else 60 * given.minutes
    target = _target_of(given.scheduler, given.searcher, given.kind == "asked")
    if number == 1:
        print(repr(target.scenario(given.seed)))
    tally = fuzz(from_seed(given.seed, number), target, given.jobs or cores(), seconds, print)
    print(tally)
    return 1 if tally.findings else 0


def laws() -> dict[str, str]:
    """The text of each invariant, by its name."""
    listed = {law.__name__: (law.__doc__ or "").strip() for law in (*INVARIANTS, *FINAL_INVARIANTS)}
    return {**listed, **DRIVER_INVARIANTS, **ASKED_INVARIANTS}


def _target_of(scheduler: str | None, searcher: str | None, asked: bool) -> FuzzTarget:
    if scheduler is None and searcher is None and not asked:
        return ALL
    named = (("scheduler", scheduler), ("searcher", searcher), ("kind", "asked" if asked else None))
    words = "".join(f" --{option} {text!r}" for option, text in named if text is not None)
    return FuzzTarget(
        SCHEDULERS if scheduler is None else (_evaluated(scheduler),),
        SEARCHERS if searcher is None else (_evaluated(searcher),),
        words=words,
        asked=asked,
    )


def _evaluated(text: str) -> Any:
    """The value of `module:expression`, which the caller of this command has typed."""
    module, found, expression = text.partition(":")
    expected = "expected MODULE:SPEC, such as tunedsl.schedulers:asha(max_t=9)"
    if not found:
        raise SystemExit(f"{text!r}: {expected}")
    sys.path.insert(0, "")
    namespace: dict[str, Any] = {}
    try:
        imported = importlib.import_module(module)
        namespace.update({name: getattr(imported, name) for name in dir(imported)})
        return eval(expression, namespace)
    except (ImportError, NameError, SyntaxError, TunedslError) as error:
        raise SystemExit(f"{text!r}: {type(error).__name__}: {error}; {expected}") from error


if __name__ == "__main__":
    sys.exit(main())
