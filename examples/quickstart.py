"""Writes one objective, `a * x**2 + b`, in the four forms of a trainable: report, return, yield and class.

python examples/quickstart.py            on a local Ray
python examples/quickstart.py inline     in this process, which is easy to debug
"""

import sys

from tunedsl import Trainable, grid, report, space, uniform

STEPS = 5


def with_report(config):
    for x in range(STEPS):
        report(score=config["a"] * x**2 + config["b"])


def with_return(config):
    return {"score": config["a"] * (STEPS - 1) ** 2 + config["b"]}


def with_yield(config):
    for x in range(STEPS):
        yield {"score": config["a"] * x**2 + config["b"]}


class WithClass(Trainable):
    def setup(self, config):
        self.config, self.x = config, 0

    def step(self):
        if self.x == STEPS:
            return None
        score = self.config["a"] * self.x**2 + self.config["b"]
        self.x += 1
        return {"score": score}


search = space(a=uniform(0, 1), b=grid([1, 2, 3])).samples(4).seed(0).maximize("score")
experiments = [search.trainable(form) for form in (with_report, with_return, with_yield, WithClass)]


if __name__ == "__main__":
    engine = sys.argv[1] if len(sys.argv) > 1 else "ray"
    for experiment in experiments:
        results = experiment.run(engine=engine)
        print(f"{results.plan.name:12s} best {results.best.metrics['score']:.4f} with {results.best.config}")
