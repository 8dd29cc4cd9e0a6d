"""Stops the worst trials at 5, 20 and 80 iterations with ASHA."""

from time import sleep

from tunedsl import asha, report, space, uniform


def easy_objective(config):
    for step in range(100):
        sleep(0.1)
        report(iterations=step, mean_loss=1 / (0.1 + config["width"] * step / 100) + config["height"] * 0.1)


experiment = (
    space(width=uniform(10, 100), height=uniform(0, 100))
    .trainable(easy_objective)
    .minimize("mean_loss")
    .scheduler(asha(grace_period=5, max_t=100))
    .samples(20)
    .resources(cpu=1)
    .named("asynchyperband_test")
)

if __name__ == "__main__":
    print("Best hyperparameters found:", experiment.run().best.config)
