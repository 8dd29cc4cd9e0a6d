"""The schedule that trained a trial's weights, across takeovers; weights in the tests record their training."""

import itertools
from pathlib import Path

import pytest

from tunedsl import Trainable, pbt, space, uniform
from tunedsl.base.errors import NoResult
from tunedsl.schedulers import pbt_replay


class Tape(Trainable):
    """Its weights are the list of rates that trained them."""

    def setup(self, config):
        self.rate, self.tape = config["rate"], []

    def step(self):
        self.tape.append(self.rate)
        return {"score": sum(self.tape), "trained": len(self.tape)}

    def save(self, folder):
        Path(folder, "tape").write_text(repr(self.tape))

    def load(self, folder):
        self.tape = eval(Path(folder, "tape").read_text())


def taped(scheduler, store, last, **params):
    e = space(**params).trainable(Tape).maximize("score").scheduler(scheduler).stop(training_iteration=last)
    return e.checkpoint(at_end=True, keep=1).seed(3).store(store)


def tape(trial):
    return eval((trial.checkpoint / "tape").read_text())


@pytest.mark.slow
@pytest.mark.parametrize("synch", [False, True])
@pytest.mark.parametrize("width", [1, 2, 4])
def test_the_schedule_is_what_trained_the_weights_and_trains_them_again(tmp_path, synch, width):
    scheduler = pbt(perturbation_interval=2, synch=synch)
    e = taped(scheduler, tmp_path, 9, rate=uniform(0, 1)).samples(6).parallel(width).order("logical")
    results = e.run(engine="inline", quiet=True)
    assert sum(len(results.pbt_policy(trial)) - 1 for trial in range(6)) > 2
    for trial in results.trials:
        policy, total = results.pbt_policy(trial.id), results.trained_iterations(trial.number)
        changes = [*policy, (total, None)]
        expected = [config["rate"] for (at, config), (to, _) in itertools.pairwise(changes) for _ in range(at, to)]
        assert tape(trial) == expected and total == trial.metrics["trained"]
    longest = max(range(6), key=lambda trial: len(results.pbt_policy(trial)))
    policy, total = results.pbt_policy(longest), results.trained_iterations(longest)
    alone = taped(pbt_replay(policy), tmp_path, total, **policy[0][1]).run(engine="inline", quiet=True)
    assert tape(alone.trials[0]) == tape(results.trials[longest])
    with pytest.raises(NoResult, match="do not include 'nobody'"):
        results.pbt_policy("nobody")
