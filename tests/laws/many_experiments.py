"""Whole experiments at random, on the simulated cluster with faults: any scheduler, searcher, width, order and policy.

Each event is checked against every law of `tunedsl.testing`. A few hundred run with the tests; many more by

    python -m tunedsl.testing --count 10000 --jobs 0
"""

from __future__ import annotations

import sys

from tunedsl.testing.__main__ import main

if __name__ == "__main__":
    sys.exit(main())
