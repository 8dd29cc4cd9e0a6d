"""Trains a population whose best learning rate first rises and then falls with the accuracy."""

import json

import numpy as np

from tunedsl import Trainable, pbt, space, trial, uniform

MIDPOINT, TOLERANCE, NOISE = 100, 3, 2


class TriangleWave(Trainable):
    """Accuracy grows fastest at the best rate: 0.001 at first, 0.01 at the midpoint, 0.001 at its double."""

    def setup(self, config):
        self.lr, self.accuracy, self.rng = config["lr"], 0.0, np.random.default_rng(trial().seed)

    def step(self):
        if self.accuracy > 2 * MIDPOINT:
            return None
        optimal_lr = min(0.01, max(0.001, 0.01 - 0.01 * abs(self.accuracy - MIDPOINT) / MIDPOINT))
        q_err = max(self.lr, optimal_lr) / min(self.lr, optimal_lr)
        if q_err < TOLERANCE:
            self.accuracy += self.rng.random() / q_err
        elif self.lr > optimal_lr:
            self.accuracy -= (q_err - TOLERANCE) * self.rng.random()
        self.accuracy = max(0.0, self.accuracy + NOISE * self.rng.normal())
        return {"mean_accuracy": self.accuracy, "cur_lr": self.lr, "optimal_lr": optimal_lr, "q_err": q_err}

    def save(self, folder):
        (folder / "state.json").write_text(json.dumps(self.accuracy))

    def load(self, folder):
        self.accuracy = json.loads((folder / "state.json").read_text())


experiment = (
    space(lr=0.0001, some_other_factor=1)
    .trainable(TriangleWave)
    .maximize("mean_accuracy")
    .scheduler(
        pbt(perturbation_interval=5, hyperparam_mutations={"lr": uniform(0.0001, 0.02), "some_other_factor": [1, 2]})
    )
    .checkpoint(every=5, keep=4, best="mean_accuracy")
    .stop(training_iteration=1000)
    .samples(8)
)

if __name__ == "__main__":
    print("Best hyperparameters found were:", experiment.run().best.config)
