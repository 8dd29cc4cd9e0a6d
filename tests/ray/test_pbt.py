"""PBT on real Ray: each takeover continues from the donor's weights, bit for bit."""

import hashlib
import pickle
import warnings

import pytest
from sklearn.datasets import load_digits
from sklearn.neural_network import MLPClassifier

from tunedsl import Trainable, loguniform, pbt, replay, space
from tunedsl.kernel import CopyCheckpoint, Failed, Launch, Reported
from tunedsl.schedulers import pbt_replay

pytestmark = pytest.mark.usefixtures("cluster")

INTERVAL, LAST = 2, 10


class Digits(Trainable):
    """A small network; each report has the fingerprints of its weights before and after the epoch."""

    def setup(self, config, images, labels):
        self.lr, self.images, self.labels = config["lr"], images, labels
        self.network = MLPClassifier(hidden_layer_sizes=(16,), batch_size=100, random_state=0)

    def step(self):
        before = self.fingerprint()
        self.network.learning_rate_init = self.lr
        if before:
            self.network._optimizer.learning_rate_init = self.lr
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            self.network.partial_fit(self.images, self.labels, classes=range(10))
        accuracy = self.network.score(self.images, self.labels)
        return {"accuracy": accuracy, "before": before, "after": self.fingerprint(), "used_lr": self.lr}

    def fingerprint(self):
        if not hasattr(self.network, "coefs_"):
            return 0
        weights = b"".join(layer.tobytes() for layer in self.network.coefs_)
        return int.from_bytes(hashlib.blake2b(weights, digest_size=6).digest(), "little")

    def save(self, folder):
        (folder / "network.pkl").write_bytes(pickle.dumps(self.network))

    def load(self, folder):
        self.network = pickle.loads((folder / "network.pkl").read_bytes())


def digits(scheduler, store, last=LAST, **params):
    images, labels = load_digits(return_X_y=True)
    return (
        space(**params)
        .trainable(Digits)
        .data(images=images[:500] / 16, labels=labels[:500])
        .maximize("accuracy")
        .scheduler(scheduler)
        .stop(training_iteration=last)
        .checkpoint(keep=1)
        .seed(2)
        .store(store)
    )


def takeovers(results):
    """(trial, its iterations until then, donor, iterations of the donor's checkpoint)."""
    done, saved, found = {}, {}, []
    for line in results.journal.records():
        if isinstance(line.e, Reported):
            done[line.e.trial] = line.e.last
            if line.e.saved:
                saved[line.e.trial] = (line.e.trial, line.e.last)
        for command in line.c:
            if isinstance(command, CopyCheckpoint):
                source = saved[command.donor]
                found.append((command.trial, done[command.trial], *source))
                saved[command.trial] = source
    return found


@pytest.fixture(scope="module")
def populations(cluster, tmp_path_factory):
    """Asynchronous and synchronous PBT: four members share two slots."""
    found = {}
    for synch in (False, True):
        spec = pbt(perturbation_interval=INTERVAL, synch=synch, resample_probability=0.5)
        e = digits(spec, tmp_path_factory.mktemp("pbt"), lr=loguniform(1e-5, 1e-1)).samples(4).parallel(2)
        found[synch] = e.run(quiet=True)
    return found


@pytest.mark.slow
@pytest.mark.parametrize("synch", [False, True])
def test_each_takeover_goes_on_from_the_donors_weights(populations, synch):
    results = populations[synch]
    assert [trial.status for trial in results.trials] == ["completed"] * 4
    curves = [trial.curve.set_index("training_iteration") for trial in results.trials]
    found = takeovers(results)
    assert len(found) >= (3 if synch else 1)
    for trial, until, donor, at in found:
        assert curves[trial].loc[until + 1, "before"] == curves[donor].loc[at, "after"]
        assert curves[trial].loc[until + 1, "before"] != curves[trial].loc[until, "after"]
        assert not synch or curves[trial].loc[until, "accuracy"] <= curves[donor].loc[at, "accuracy"]
    going_on = {(trial, until) for trial, until, *_ in found}
    for trial, curve in enumerate(curves):
        for until in range(1, LAST):
            if (trial, until) not in going_on:
                assert curve.loc[until + 1, "before"] == curve.loc[until, "after"], "a pause loses nothing"
    assert not any(isinstance(event, Failed) for event in results.journal.events())
    assert replay(results.path).digest == results.journal.digest
    assert all(len([*trial.path.glob("checkpoints/*")]) <= 2 for trial in results.trials), "keep=1, and what is needed"


@pytest.mark.slow
def test_the_schedule_that_was_found_trains_the_same_weights_again(populations, tmp_path):
    results = populations[True]
    number = max(range(4), key=lambda trial: len(results.pbt_policy(trial)))
    policy = results.pbt_policy(number)
    assert len(policy) > 1 and policy[0][0] == 0 and all(at % INTERVAL == 0 for at, _ in policy)
    assert results.trained_iterations(number) == LAST, "synchronous members are all of one age"
    alone = digits(pbt_replay(policy), tmp_path, **policy[0][1]).run(quiet=True)
    first, second = results.trials[number].curve, alone.trials[0].curve
    assert first["after"].iloc[-1] == second["after"].iloc[-1]
    assert set(second["used_lr"]) == {config["lr"] for _, config in policy}
    launches = [command for line in alone.journal.records() for command in line.c if isinstance(command, Launch)]
    assert len(launches) == len(policy)
