"""The hunt from the terminal: `python -m tunedsl.testing --count 10000`."""

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
from tunedsl.testing.simulation.cluster import DRIVER_INVARIANTS

EPILOG = """\
overnight, on all cores:      python -m tunedsl.testing --minutes 480 --jobs 0
one seed again:               python -m tunedsl.testing --seed 1234
a scheduler of your own:      python -m tunedsl.testing --count 500 --scheduler "policies:Halving(3)"
"""


def main(arguments: list[str] | None = None) -> int:
    """Runs what the arguments say; 0 where every law held, 1 where one broke."""
    parser = argparse.ArgumentParser(
        prog="python -m tunedsl.testing",
        description="Made-up experiments on a simulated cluster with faults, each event held to every law.",
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--seed", type=int, default=0, help="of the first experiment; each next one has one more")
    parser.add_argument("--count", type=int, help="how many experiments; 1, or with --minutes no limit")
    parser.add_argument("--minutes", type=float, help="how long at the most")
    parser.add_argument("--jobs", type=int, default=1, help="processes; 0 for one a core")
    parser.add_argument("--scheduler", metavar="MODULE:SPEC", help="this scheduler only, such as mine:Halving(3)")
    parser.add_argument("--searcher", metavar="MODULE:SPEC", help="this searcher only")
    parser.add_argument("--laws", action="store_true", help="say what is checked, and end")
    given = parser.parse_args(arguments)
    if given.laws:
        for name, text in laws().items():
            print(f"{name}: {text}")
        return 0
    number = given.count if given.count is not None or given.minutes is not None else 1
    seconds = None if given.minutes is None else 60 * given.minutes
    quarry = _quarry(given.scheduler, given.searcher)
    if number == 1:
        print(repr(quarry.scenario(given.seed)))
    tally = fuzz(from_seed(given.seed, number), quarry, given.jobs or cores(), seconds, print)
    print(tally)
    return 1 if tally.findings else 0


def laws() -> dict[str, str]:
    """What is checked: by the name under which it is reported, what it says."""
    listed = {law.__name__: (law.__doc__ or "").strip() for law in (*INVARIANTS, *FINAL_INVARIANTS)}
    return {**listed, **DRIVER_INVARIANTS}


def _quarry(scheduler: str | None, searcher: str | None) -> FuzzTarget:
    if scheduler is None and searcher is None:
        return ALL
    named = (("scheduler", scheduler), ("searcher", searcher))
    words = "".join(f" --{option} {text!r}" for option, text in named if text is not None)
    return FuzzTarget(
        SCHEDULERS if scheduler is None else (_evaluated(scheduler),),
        SEARCHERS if searcher is None else (_evaluated(searcher),),
        words=words,
    )


def _evaluated(text: str) -> Any:
    """What `module:expression` stands for; both were typed by who runs this."""
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
