"""Experiments whose texts are kept. Their line numbers and sources are part of the snapshots."""

from tunedsl import Trainable, asha, choice, grid, metric, plateau, ref, report, space, uniform


def train(config):
    for step in range(1, 10):
        report(loss=(config["x"] - 0.3) ** 2 + config["pause"] / step)


class Net(Trainable):
    def setup(self, config):
        self.x = config["x"]

    def step(self):
        return {"loss": self.x}

    def save(self, folder):
        (folder / "x").write_text(str(self.x))

    def load(self, folder):
        self.x = float((folder / "x").read_text())


def halving():
    return (
        space(x=uniform(0, 1), pause=0.0)
        .trainable(train)
        .minimize("loss")
        .scheduler(asha(max_t=9, reduction_factor=3))
        .samples(12)
        .parallel(4)
        .order("logical")
        .seed(7)
    )


def everything():
    return (
        space(
            x=uniform(0, 1),
            pause=grid([0.0, 0.1]),
            model=choice({"svm": space(c=uniform(0, 1).when(ref("x") > 0.5)), "forest": space(trees=5)}),
        )
        .where(ref("x") + ref("pause") < 1)
        .trainable(train)
        .maximize("score")
        .stop((metric("score") > 0.9) & ~plateau("score", metric_threshold=0.5), score=0.99)
        .budget(seconds=600, failures=3)
        .resources(bundles=[{"cpu": 1, "memory": "1GiB"}, {"cpu": 2}], strategy="SPREAD")
        .samples(4)
        .timeout(30)
        .retry(1, lost=-1)
        .named("everything")
        .seed(3)
    )


def as_a_class():
    return space(x=uniform(0, 1)).trainable(Net).minimize("loss").checkpoint(every=2, at_end=True).parallel(2).seed(1)
