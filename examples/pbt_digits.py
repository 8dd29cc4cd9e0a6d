"""Tunes a neural network's learning rate during training with population based training, on a local Ray.

    python examples/pbt_digits.py

Eight networks learn scikit-learn's digits, two at a time. Every four epochs, each of the worst two copies the weights
of one of the best two and perturbs its learning rate and regularisation. The result is a good network and its schedule
of hyperparameters. At the end, one network is trained with that schedule alone.
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
    """Trains one epoch per iteration; a checkpoint is the pickled network."""

    def setup(self, config, x_train, y_train, x_test, y_test):
        self.config, self.train, self.test = config, (x_train, y_train), (x_test, y_test)
        self.network = MLPClassifier(hidden_layer_sizes=(32,), batch_size=64, random_state=0)

    def step(self):
        self.network.set_params(learning_rate_init=self.config["lr"], alpha=self.config["l2"])
        if hasattr(self.network, "_optimizer"):
            # The optimiser comes from the donor's checkpoint, with the donor's learning rate.
            self.network._optimizer.learning_rate_init = self.config["lr"]
        warnings.simplefilter("ignore")  # about batches larger than the remaining data
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
    print(f"best held-out accuracy {best.metrics['accuracy']:.4f}, with the schedule")
    for epoch, config in schedule:
        print(f"  from epoch {epoch:2}: lr={config['lr']:.2g}, l2={config['l2']:.2g}")
    print(results.why(best.number))

    alone = (
        space(**schedule[0][1])
        .trainable(Network)
        .data(x_train=x_train, y_train=y_train, x_test=x_test, y_test=y_test)
        .maximize("accuracy")
        .scheduler(pbt_replay(schedule))
        .stop(training_iteration=results.trained_iterations(best.number))  # including its donors' iterations
        .seed(0)
        .named("pbt_digits_replay")
    )
    print(f"one network with that schedule: {alone.run().best.metrics['accuracy']:.4f}")
