"""Runs BOHB: its model proposes configurations, and its variant of HyperBand pauses and promotes trials."""

from time import sleep

from hyperband_example import Sigmoid

from tunedsl import choice, hyperband, space, uniform
from tunedsl.searchers import bohb


class SlowSigmoid(Sigmoid):
    def step(self):
        sleep(0.1)
        return super().step()


experiment = (
    space(width=uniform(0, 20), height=uniform(-100, 100), activation=choice(["relu", "tanh"]))
    .trainable(SlowSigmoid)
    .maximize("episode_reward_mean")
    .searcher(bohb())
    .scheduler(hyperband(max_t=10, reduction_factor=2, bohb=True))
    .parallel(4)
    .samples(32)
)

if __name__ == "__main__":
    print("Best hyperparameters found were:", experiment.run().best.config)
