"""Shows what an experiment will do before it runs: checks, the plan as text, configurations, a forecast.

    python examples/dry_run.py

Nothing here trains a model or starts Ray.
"""

import math

from tunedsl import asha, choice, loguniform, ref, report, space, uniform


def train(config):
    for epoch in range(81):
        report(loss=math.exp(-epoch * config["lr"]) + config.get("momentum", 0.5) / 10)


experiment = (
    space(
        optimizer=choice(["sgd", "adam"]),
        lr=loguniform(1e-4, 1e-1),
        momentum=uniform(0, 1).when(ref("optimizer") == "sgd"),
    )
    .trainable(train)
    .minimize("loss")
    .scheduler(asha(max_t=81, reduction_factor=3))
    .samples(64)
    .parallel(8)
    .seed(0)
)


def expected_loss(config, epoch):
    return math.exp(-epoch * config["lr"]) + config.get("momentum", 0.5) / 10


def expected_seconds(config, epoch):
    return 2.0 if config["optimizer"] == "sgd" else 3.0


if __name__ == "__main__":
    for diagnostic in experiment.check():
        print(diagnostic)
    print(experiment.explain())
    print()
    for config in experiment.preview(3):
        print(config)
    print()
    print(experiment.dry_run(curve=expected_loss, cost=expected_seconds))

    print("\nAn experiment with mistakes; check() reports all of them:")
    broken = (
        space(lr=loguniform(0, 1e-1), momentum=uniform(0, 1).when(ref("optimiser") == "sgd"))
        .trainable(train)
        .minimize("los")
        .scheduler(asha(max_t=3, grace_period=9))
        .seed(0)
    )
    for diagnostic in broken.check():
        print(diagnostic)
