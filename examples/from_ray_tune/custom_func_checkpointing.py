"""Saves and restores checkpoints in a function."""

import json
from pathlib import Path
from tempfile import TemporaryDirectory
from time import sleep

from tunedsl import loguniform, randint, report, space, trial


def train(config):
    found = trial().checkpoint
    start = json.loads((found / "step.json").read_text()) + 1 if found else 0
    for step in range(start, 100):
        sleep(0.1)
        with TemporaryDirectory() as folder:
            Path(folder, "step.json").write_text(json.dumps(step))
            loss = 1 / (0.1 + config["width"] * step / 100) + config["height"] * 0.1
            report(iterations=step, mean_loss=loss, checkpoint=folder)


experiment = (
    space(width=randint(10, 100), height=loguniform(10, 100))
    .trainable(train)
    .minimize("mean_loss")
    .stop(training_iteration=10)
    .samples(5)
)

if __name__ == "__main__":
    best = experiment.run().best
    print("Best hyperparameters:", best.config)
    print("Best checkpoint:", best.checkpoint)
