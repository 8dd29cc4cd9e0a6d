"""An experiment as a test: under logical order the journal is the same on every run and engine.

python -m pytest examples/replay_in_a_test.py      or      python examples/replay_in_a_test.py
"""

import tempfile

from tunedsl import asha, load, replay, report, space, uniform
from tunedsl.engine import Recorded, SimulatedEngine


def train(config):
    for step in range(1, 10):
        report(loss=(config["x"] - 0.3) ** 2 + 1 / step)


def experiment(store):
    return (
        space(x=uniform(0, 1))
        .trainable(train)
        .minimize("loss")
        .scheduler(asha(max_t=9, reduction_factor=3))
        .samples(12)
        .parallel(4)
        .order("logical")
        .seed(7)
        .store(store)
    )


def test_the_search_finds_the_minimum_and_can_be_proved():
    with tempfile.TemporaryDirectory() as store:
        results = experiment(store).run(engine="inline", quiet=True)
        assert abs(results.best.config["x"] - 0.3) < 0.1

        proof = replay(results.path)  # each decision of the run, made again and compared
        assert proof.digest == results.journal.digest

        again = experiment(store).run(engine="inline", quiet=True)
        assert again.journal.digest == results.journal.digest

        simulated = experiment(store).run(engine=SimulatedEngine(Recorded(results.path)), quiet=True)
        assert load(simulated.path).journal.digest == results.journal.digest


if __name__ == "__main__":
    test_the_search_finds_the_minimum_and_can_be_proved()
    print("two runs and one simulation of them gave one and the same journal")
