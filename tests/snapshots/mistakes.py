"""One experiment with many mistakes. Its line numbers are part of a snapshot."""

import math
import threading

from tunedsl import asha, choice, elapsed, grid, loguniform, metric, quniform, randn, ref, space, uniform

LOCK = threading.Lock()


def build():
    lock = LOCK

    def train(config, rows):
        with lock:
            return {"loss": config["reversed"] + len(rows)}

    return (
        space(
            reversed=uniform(1, 0),
            empty=choice([]),
            zero=loguniform(0, 1),
            coarse=quniform(0, 1, 5),
            endless=uniform(0, math.inf),
            flat=randn(0, 0),
            gone=ref("revesed") * 2,
            one=ref("two"),
            two=ref("one"),
            never=uniform(0, 1).when(ref("which") == "c"),
            which=choice(["a", "b"]),
            crossed=grid([]),
        )
        .trainable(train)
        .data(row=[1, 2, 3])
        .minimize("loss")
        .scheduler(asha(max_t=1, grace_period=2, reduction_factor=1))
        .stop(metric("loss") <= math.inf)
        .stop(elapsed(60))
        .budget(seconds=60)
        .resources(cpu=4096, gpu=64)
        .order("logical")
        .checkpoint(every=2, keep=1)
        .named("my/experiment")
    )
