"""Searches a parameter that exists for one activation only with Optuna: a condition replaces the function."""

from time import sleep

from tunedsl import asha, choice, ref, report, space, uniform
from tunedsl.searchers import optuna


def easy_objective(config):
    for step in range(config["steps"]):
        height = config["height"] * config.get("mult", 1)
        report(iterations=step, mean_loss=1 / (0.1 + config["width"] * step / 100) + height * 0.1)
        sleep(0.1)


experiment = (
    space(steps=100, width=uniform(0, 20), height=uniform(-100, 100), activation=choice(["relu", "tanh"]))
    .space(mult=uniform(1, 2).when(ref("activation") == "relu"))
    .trainable(easy_objective)
    .minimize("mean_loss")
    .searcher(optuna())
    .scheduler(asha(max_t=100))
    .parallel(4)
    .samples(100)
)

if __name__ == "__main__":
    print("Best hyperparameters found were:", experiment.run().best.config)
