"""Searches two parameters at random and a third on a grid, with 50 trials for each value."""

from time import sleep

from tunedsl import grid, report, space, uniform


def easy_objective(config):
    for step in range(config["steps"]):
        sleep(0.1)
        report(iterations=step, mean_loss=1 / (0.1 + config["width"] * step / 100) + config["height"] * 0.1)


experiment = (
    space(steps=100, width=uniform(0, 20), height=uniform(-100, 100), activation=grid(["relu", "tanh"]))
    .trainable(easy_objective)
    .minimize("mean_loss")
    .samples(50)
)

if __name__ == "__main__":
    print("Best hyperparameters found were:", experiment.run().best.config)
