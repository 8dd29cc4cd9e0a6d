"""Tunes a function with HyperBand; it saves each step, so that it can be paused and resumed at any step."""

import json
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np

from tunedsl import hyperband, report, space, trial, uniform


def train(config):
    found = trial().checkpoint
    start = json.loads((found / "step.json").read_text()) + 1 if found else 0
    for step in range(start, 100):
        with TemporaryDirectory() as folder:
            Path(folder, "step.json").write_text(json.dumps(step))
            reward = np.tanh(float(step)) * config["height"]
            report(episode_reward_mean=reward, checkpoint=folder)


experiment = (
    space(height=uniform(0, 100))
    .trainable(train)
    .maximize("episode_reward_mean")
    .scheduler(hyperband(max_t=100))
    .samples(20)
    .fail_fast()
    .named("hyperband_test")
)

if __name__ == "__main__":
    print("Best hyperparameters found were:", experiment.run().best.config)
