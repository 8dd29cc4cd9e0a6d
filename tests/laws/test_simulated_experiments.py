"""Random experiments end to end on the simulated engine; `many_experiments` runs more of them."""

import pytest

from tests.laws.many_experiments import one

BATCHES = 15


@pytest.mark.slow
@pytest.mark.parametrize("batch", range(BATCHES))
def test_all_trials_end_and_the_journal_proves_itself(batch):
    for seed in range(batch * 20, batch * 20 + 20):
        one(seed)
