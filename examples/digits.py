"""Tunes a small neural network on scikit-learn's digits with `auto()` and ASHA, on a local Ray.

    python examples/digits.py

Each iteration of a trial is one epoch of `partial_fit`. It reports the accuracy on held-out digits, and ASHA stops the
trials with the lowest accuracy early. The data is sent to the workers once.
"""

import warnings

from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split
from sklearn.neural_network import MLPClassifier

from tunedsl import asha, auto, choice, loguniform, qrandint, report, space

EPOCHS = 27

images, labels = load_digits(return_X_y=True)
x_train, x_test, y_train, y_test = train_test_split(
    images / 16, labels, test_size=0.25, random_state=0, stratify=labels
)


def train(config, x_train, y_train, x_test, y_test):
    warnings.simplefilter("ignore")  # about batches larger than the remaining data
    network = MLPClassifier(
        hidden_layer_sizes=(config["width"],),
        activation=config["activation"],
        alpha=config["l2"],
        learning_rate_init=config["lr"],
        batch_size=config["batch"],
    )
    for _ in range(EPOCHS):
        network.partial_fit(x_train, y_train, classes=range(10))
        report(accuracy=network.score(x_test, y_test), loss=network.loss_)


experiment = (
    space(
        lr=loguniform(1e-4, 1e-1),
        l2=loguniform(1e-6, 1e-1),
        width=qrandint(16, 128, 16),
        batch=choice([32, 64, 128]),
        activation=choice(["relu", "tanh"]),
    )
    .trainable(train)
    .data(x_train=x_train, y_train=y_train, x_test=x_test, y_test=y_test)
    .maximize("accuracy")
    .searcher(auto())
    .scheduler(asha(max_t=EPOCHS, grace_period=1, reduction_factor=3))
    .samples(32)
    .seed(0)
    .named("digits")
)


if __name__ == "__main__":
    results = experiment.run()
    best = results.best
    print(f"best held-out accuracy {best.metrics['accuracy']:.4f} after {best.metrics['training_iteration']} epochs")
    print(f"configuration          {best.config}")
    print(f"results                {results.path}")
