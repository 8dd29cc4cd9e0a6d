"""Random experiments end to end on the simulated cluster; `python -m tunedsl.testing` runs more of them.

Below them what such hunts have found, each as small as it could be made.
"""

import pytest

from tunedsl.testing.hunt import ALL
from tunedsl.testing.schedulers import holds_in_experiments

BATCHES = 20
SEEDS = 18
"""In each batch."""


@pytest.mark.slow
@pytest.mark.parametrize("batch", range(BATCHES))
def test_every_law_holds_whatever_happens(batch):
    holds_in_experiments(ALL, batch * SEEDS, (batch + 1) * SEEDS)
