"""Combines Optuna's TPE with ASHA, with four concurrent trials."""

from time import sleep

from tunedsl import asha, choice, report, space, uniform
from tunedsl.searchers import optuna


def easy_objective(config):
    for step in range(config["steps"]):
        report(iterations=step, mean_loss=1 / (0.1 + config["width"] * step / 100) + config["height"] * 0.1)
        sleep(0.1)


experiment = (
    space(steps=100, width=uniform(0, 20), height=uniform(-100, 100), activation=choice(["relu", "tanh"]))
    .trainable(easy_objective)
    .minimize("mean_loss")
    .searcher(optuna())
    .scheduler(asha(max_t=100))
    .parallel(4)
    .samples(100)
)

if __name__ == "__main__":
    print("Best hyperparameters found were:", experiment.run().best.config)
