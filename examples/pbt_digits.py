"""Tunes a neural network's learning rate while it trains, by population based training, on a local Ray.

    python examples/pbt_digits.py

Eight networks learn scikit-learn's digits, two at a time, by turns. Every four epochs the worst two go on from the
weights of one of the best two, with a learning rate and a regularisation near theirs. What comes out is a good
network, and the schedule that made it; at the end one network is trained by that schedule alone.
"""

import pickle
import warnings

from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split
from sklearn.neural_network import MLPClassifier

from tunedsl import Trainable, loguniform, pbt, space
from tunedsl.schedulers import pbt_replay

EPOCHS = 24

images, labels = load_digits(return_X_y=True)
x_train, x_test, y_train, y_test = train_test_split(
    images / 16, labels, test_size=0.25, random_state=0, stratify=labels
)


class Network(Trainable):
    """One epoch an iteration; a checkpoint is the network as it stands."""

    def setup(self, config, x_train, y_train, x_test, y_test):
        self.config, self.train, self.test = config, (x_train, y_train), (x_test, y_test)
        self.network = MLPClassifier(hidden_layer_sizes=(32,), batch_size=64, random_state=0)

    def step(self):
        self.network.set_params(learning_rate_init=self.config["lr"], alpha=self.config["l2"])
        if hasattr(self.network, "_optimizer"):
            # The optimiser is part of the checkpoint, and came with the donor's learning rate.
            self.network._optimizer.learning_rate_init = self.config["lr"]
        warnings.simplefilter("ignore")  # partial_fit warns of batches larger than the data that is left
        self.network.partial_fit(*self.train, classes=range(10))
        return {"accuracy": self.network.score(*self.test), "loss": self.network.loss_}

    def save(self, folder):
        (folder / "network.pkl").write_bytes(pickle.dumps(self.network))

    def load(self, folder):
        self.network = pickle.loads((folder / "network.pkl").read_bytes())


population = (
    space(lr=loguniform(1e-4, 1e-1), l2=loguniform(1e-6, 1e-1))
    .trainable(Network)
    .data(x_train=x_train, y_train=y_train, x_test=x_test, y_test=y_test)
    .maximize("accuracy")
    .scheduler(pbt(perturbation_interval=4, quantile_fraction=0.25))
    .stop(training_iteration=EPOCHS)
    .checkpoint(keep=1)
    .samples(8)
    .parallel(2)
    .order("logical")
    .seed(6)
    .named("pbt_digits")
)


if __name__ == "__main__":
    results = population.run()
    best = results.best
    schedule = results.pbt_policy(best.number)
    print(f"best held-out accuracy {best.metrics['accuracy']:.4f}, by the schedule")
    for epoch, config in schedule:
        print(f"  from epoch {epoch:2}: lr={config['lr']:.2g}, l2={config['l2']:.2g}")
    print(results.why(best.number))

    alone = (
        space(**schedule[0][1])
        .trainable(Network)
        .data(x_train=x_train, y_train=y_train, x_test=x_test, y_test=y_test)
        .maximize("accuracy")
        .scheduler(pbt_replay(schedule))
        .stop(training_iteration=results.trained_iterations(best.number))  # those of its donors count too
        .seed(0)
        .named("pbt_digits_replay")
    )
    print(f"one network by that schedule: {alone.run().best.metrics['accuracy']:.4f}")
