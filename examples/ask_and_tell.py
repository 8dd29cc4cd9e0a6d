"""Evaluates trials in a loop of your own: no trainable, stopped by ASHA, continued by its path.

python examples/ask_and_tell.py [FOLDER]
"""

import sys
from concurrent.futures import ThreadPoolExecutor

from tunedsl import asha, loguniform, space

experiment = space(lr=loguniform(1e-4, 1e-1)).minimize("loss").scheduler(asha(max_t=9)).samples(30).parallel(4).seed(0)


def measure(trial):
    """Replace this by your own evaluation: a machine, a queue, a person."""
    step = 1
    while trial.report(loss=abs(trial.config["lr"] - 0.01) + 1 / step):
        step += 1


if __name__ == "__main__":
    folder = sys.argv[1] if len(sys.argv) > 1 else None
    with experiment.open(folder) as study, ThreadPoolExecutor(4) as pool:
        for trial in study:
            pool.submit(measure, trial)
    print(study.results.stats.said)
    print(study.results.best.config)
