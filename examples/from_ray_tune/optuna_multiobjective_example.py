"""Optimizes two objectives, and prints the trials on the Pareto front."""

from time import sleep

from tunedsl import choice, report, space, uniform
from tunedsl.searchers import optuna


def easy_objective(config):
    for step in range(config["steps"]):
        loss = 1 / (0.1 + config["width"] * step / 100) + config["height"] * 0.1
        report(iterations=step, loss=loss, gain=loss * config["width"])
        sleep(0.1)


experiment = (
    space(steps=100, width=uniform(0, 20), height=uniform(-100, 100), activation=choice(["relu", "tanh"]))
    .trainable(easy_objective)
    .minimize("loss")
    .maximize("gain")
    .searcher(optuna())
    .parallel(4)
    .samples(100)
)

if __name__ == "__main__":
    results = experiment.run()
    print("Best hyperparameters for loss found were:", results.best_trial("loss", "min").config)
    print("Best hyperparameters for gain found were:", results.best_trial("gain", "max").config)
    print("Pareto front:", [trial.id for trial in results.pareto])
