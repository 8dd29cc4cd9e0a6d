"""Tunes a class whose learning curve is a sigmoid with HyperBand."""

import json

import numpy as np

from tunedsl import Trainable, hyperband, randint, space


class Sigmoid(Trainable):
    def setup(self, config):
        self.config, self.timestep = config, 0

    def step(self):
        self.timestep += 1
        return {"episode_reward_mean": np.tanh(self.timestep / self.config["width"]) * self.config["height"]}

    def save(self, folder):
        (folder / "state.json").write_text(json.dumps(self.timestep))

    def load(self, folder):
        self.timestep = json.loads((folder / "state.json").read_text())


experiment = (
    space(width=randint(10, 90), height=randint(0, 100))
    .trainable(Sigmoid)
    .maximize("episode_reward_mean")
    .scheduler(hyperband(max_t=200))
    .samples(200)
    .fail_fast()
    .named("hyperband_test")
)

if __name__ == "__main__":
    print("Best hyperparameters found were:", experiment.run().best.config)
