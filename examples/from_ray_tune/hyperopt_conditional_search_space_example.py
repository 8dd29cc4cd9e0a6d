"""Searches a choice between spaces with HyperOpt; `config["activation"]` has the parameters of the chosen space."""

from time import sleep

from tunedsl import asha, choice, report, space, uniform
from tunedsl.searchers import hyperopt


def easy_objective(config):
    mult = config["activation"].get("relu", {}).get("mult", 1)
    for step in range(config["steps"]):
        report(iterations=step, mean_loss=1 / (0.1 + config["width"] * step / 100) + config["height"] * 0.1 * mult)
        sleep(0.1)


experiment = (
    space(steps=100, width=uniform(0, 20), height=uniform(-100, 100))
    .space(activation=choice({"relu": space(mult=uniform(1, 2)), "tanh": space()}))
    .trainable(easy_objective)
    .minimize("mean_loss")
    .searcher(hyperopt())
    .scheduler(asha(max_t=100))
    .parallel(4)
    .samples(100)
)

if __name__ == "__main__":
    print("Best hyperparameters found were:", experiment.run().best.config)
