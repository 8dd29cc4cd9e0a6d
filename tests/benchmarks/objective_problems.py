"""Problems with outcome constraints, with failures and with several objectives.

Variants of `tpe` and `gp` were compared on those of `CONSTRAINED` and `FRONTS` while they were developed. Those of
`OTHER_CONSTRAINED` and `OTHER_FRONTS` were written later, and no variant was chosen on them.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Sequence
from typing import Any

import attrs
import numpy as np

from tunedsl.base.objective import total_violation
from tunedsl.spaces import Space, lograndint, loguniform, randint, uniform

Config = dict[str, Any]


@attrs.frozen
class Outcome:
    """The values to minimize, the violations of the constraints, and the kind of a failure."""

    values: tuple[float, ...]
    violations: tuple[float, ...] = ()
    failure: str = ""

    @property
    def feasible(self) -> bool:
        return not self.failure and total_violation(self.violations) == 0


Problem = tuple[Space, Callable[[Config], Outcome]]


# Constraints


def _box(bounds: Sequence[tuple[float, float]], f: Callable[..., tuple[float, tuple[float, ...]]]) -> Problem:
    names = [f"x{place}" for place in range(len(bounds))]

    def evaluate(config: Config) -> Outcome:
        value, violations = f(*(config[name] for name in names))
        return Outcome((value,), violations)

    return Space.of({name: uniform(low, high) for name, (low, high) in zip(names, bounds, strict=True)}), evaluate


def gardner(x: float, y: float) -> tuple[float, tuple[float, ...]]:
    """Gardner et al., Bayesian Optimization with Inequality Constraints, ICML 2014, the first simulation."""
    return math.cos(2 * x) * math.cos(y) + math.sin(x), (math.cos(x) * math.cos(y) - math.sin(x) * math.sin(y) - 0.5,)


def toy(x: float, y: float) -> tuple[float, tuple[float, ...]]:
    """Gramacy et al., Modeling an Augmented Lagrangian, Technometrics 58, 2016."""
    first = 1.5 - x - 2 * y - 0.5 * math.sin(2 * math.pi * (x * x - 2 * y))
    return x + y, (first, x * x + y * y - 1.5)


def branin(x: float, y: float) -> tuple[float, tuple[float, ...]]:
    """Branin's function on a disk."""
    b, c = 5.1 / (4 * math.pi**2), 5 / math.pi
    value = (y - b * x * x + c * x - 6) ** 2 + 10 * (1 - 1 / (8 * math.pi)) * math.cos(x) + 10
    return value, ((x - 2.5) ** 2 + (y - 7.5) ** 2 - 50,)


def spring(d: float, c: float, n: float) -> tuple[float, tuple[float, ...]]:
    """The tension spring of Coello Coello, Computers in Industry 41, 2000."""
    return (n + 2) * c * d * d, (
        1 - c**3 * n / (71785 * d**4),
        (4 * c * c - d * c) / (12566 * (c * d**3 - d**4)) + 1 / (5108 * d * d) - 1,
        1 - 140.45 * d / (c * c * n),
        (d + c) / 1.5 - 1,
    )


def vessel(shell: float, head: float, radius: float, length: float) -> tuple[float, tuple[float, ...]]:
    """The pressure vessel of Coello Coello, with continuous thickness."""
    cost = 0.6224 * shell * radius * length + 1.7781 * head * radius**2
    cost += 3.1661 * shell**2 * length + 19.84 * shell**2 * radius
    volume = math.pi * radius**2 * length + 4 / 3 * math.pi * radius**3
    return cost, (0.0193 * radius - shell, 0.00954 * radius - head, 1 - volume / 1_296_000)


def sphere(*x: float) -> tuple[float, tuple[float, ...]]:
    """A sphere whose optimum is where two of its constraints meet."""
    return sum((each - 0.3) ** 2 for each in x), (0.9 - x[0] - x[1], x[2] - 0.1)


def narrow(*x: float) -> tuple[float, tuple[float, ...]]:
    """Rastrigin's function in a ball of 0.05 % of the cube."""
    value = sum(each * each - math.cos(2 * math.pi * each) + 1 for each in x)
    return value, (math.dist(x, [1.2] * len(x)) - 1,)


def network() -> Problem:
    """A network that learns better the larger it is, until its training runs out of memory."""
    space = Space.of({
        "width": lograndint(16, 4096), "depth": randint(1, 24), "batch": lograndint(8, 1024),
        "lr": loguniform(1e-5, 1.0), "dropout": uniform(0.0, 0.7),
    })  # fmt: skip

    def evaluate(config: Config) -> Outcome:
        memory = config["depth"] * config["width"] * (config["width"] * 12 + config["batch"] * 8)
        if memory > 2e8:
            return Outcome((math.nan,), failure="oom")
        size = math.log10(config["width"] ** 2 * config["depth"])
        best = -3.0 - 0.3 * (size - 5) + 0.4 * math.log10(config["batch"] / 64)
        loss = 2.5 - 0.25 * size + 0.2 * (math.log10(config["lr"]) - best) ** 2 + (config["dropout"] - 0.2) ** 2
        return Outcome((loss,))

    return space, evaluate


CONSTRAINED: dict[str, Problem] = {
    "gardner": _box([(0, 6), (0, 6)], gardner),
    "toy": _box([(0, 1), (0, 1)], toy),
    "branin": _box([(-5, 10), (0, 15)], branin),
    "spring": _box([(0.05, 2), (0.25, 1.3), (2, 15)], spring),
    "vessel": _box([(0.0625, 6), (0.0625, 6), (10, 200), (10, 240)], vessel),
    "sphere 5": _box([(-1, 1)] * 5, sphere),
    "narrow 4": _box([(-5, 5)] * 4, narrow),
    "network": network(),
}


def truss(first: float, second: float) -> tuple[float, tuple[float, ...]]:
    """The truss of three bars of Ray and Saini, Engineering Optimization 33, 2001."""
    root = math.sqrt(2)
    both = root * first**2 + 2 * first * second
    return 100 * (2 * root * first + second), (
        2 * (root * first + second) / both - 2,
        2 * second / both - 2,
        2 / (first + root * second) - 2,
    )


def beam(h: float, length: float, t: float, b: float) -> tuple[float, tuple[float, ...]]:
    """The welded beam of Coello Coello, Computers in Industry 41, 2000; stresses in thousands of psi."""
    radius = math.sqrt(length**2 / 4 + ((h + t) / 2) ** 2)
    first = 6000 / (math.sqrt(2) * h * length)
    polar = 2 * math.sqrt(2) * h * length * (length**2 / 12 + ((h + t) / 2) ** 2)
    second = 6000 * (14 + length / 2) * radius / polar
    shear = math.sqrt(first**2 + first * second * length / radius + second**2)
    load = 4.013 * 30e6 * t * b**3 / 6 / 196 * (1 - t / 28 * math.sqrt(30e6 / (4 * 12e6)))
    return 1.10471 * h * h * length + 0.04811 * t * b * (14 + length), (
        shear / 1e3 - 13.6,
        504_000 / (b * t * t) / 1e3 - 30,
        h - b,
        4 * 6000 * 14**3 / (30e6 * t**3 * b) - 0.25,
        (6000 - load) / 1e3,
    )


def g24(x: float, y: float) -> tuple[float, tuple[float, ...]]:
    """Problem G24 of Liang et al., Problem Definitions for CEC 2006, whose feasible region has two parts."""
    return -x - y, (
        -2 * x**4 + 8 * x**3 - 8 * x**2 + y - 2,
        -4 * x**4 + 32 * x**3 - 88 * x**2 + 96 * x + y - 36,
    )


def ackley(*x: float) -> tuple[float, tuple[float, ...]]:
    """Ackley's function under the two constraints of Eriksson and Poloczek, AISTATS 2021."""
    mean, waves = sum(each * each for each in x) / len(x), sum(math.cos(2 * math.pi * each) for each in x) / len(x)
    return 20 + math.e - 20 * math.exp(-0.2 * math.sqrt(mean)) - math.exp(waves), (sum(x), math.hypot(*x) - 5)


def townsend(x: float, y: float) -> tuple[float, tuple[float, ...]]:
    """Townsend's function inside a curve; Chebfun, Constrained Optimization in Chebfun, 2014."""
    angle = math.atan2(x, y)
    cosines = (2, -0.5, -0.25, -0.125)
    radius = sum(weight * math.cos(times * angle) for times, weight in enumerate(cosines, 1)) ** 2
    radius += (2 * math.sin(angle)) ** 2
    return -(math.cos((x - 0.1) * y) ** 2) - x * math.sin(3 * x + y), (x * x + y * y - radius,)


def reducer(*x: float) -> tuple[float, tuple[float, ...]]:
    """The speed reducer of Golinski, Mechanism and Machine Theory 8, 1973; the number of teeth is continuous."""
    b, m, z, l1, l2, d1, d2 = x
    weight = 0.7854 * b * m * m * (3.3333 * z * z + 14.9334 * z - 43.0934) - 1.508 * b * (d1 * d1 + d2 * d2)
    weight += 7.4777 * (d1**3 + d2**3) + 0.7854 * (l1 * d1 * d1 + l2 * d2 * d2)
    return weight, (
        27 / (b * m * m * z) - 1,
        397.5 / (b * m * m * z * z) - 1,
        1.93 * l1**3 / (m * z * d1**4) - 1,
        1.93 * l2**3 / (m * z * d2**4) - 1,
        math.sqrt((745 * l1 / (m * z)) ** 2 + 16.9e6) / (110 * d1**3) - 1,
        math.sqrt((745 * l2 / (m * z)) ** 2 + 157.5e6) / (85 * d2**3) - 1,
        m * z / 40 - 1,
        5 * m / b - 1,
        b / (12 * m) - 1,
        (1.5 * d1 + 1.9) / l1 - 1,
        (1.1 * d2 + 1.9) / l2 - 1,
    )


def g08(x: float, y: float) -> tuple[float, tuple[float, ...]]:
    """Problem G08 of Liang et al., Problem Definitions for CEC 2006."""
    value = math.sin(2 * math.pi * x) ** 3 * math.sin(2 * math.pi * y) / (max(x, 1e-9) ** 3 * max(x + y, 1e-9))
    return -value, (x * x - y + 1, 1 - x + (y - 4) ** 2)


def disk(x: float, y: float) -> tuple[float, tuple[float, ...]]:
    """Rosenbrock's function on a disk."""
    return (1 - x) ** 2 + 100 * (y - x * x) ** 2, (x * x + y * y - 1.5,)


OTHER_CONSTRAINED: dict[str, Problem] = {
    "truss": _box([(0.01, 1)] * 2, truss),
    "beam": _box([(0.125, 10), (0.1, 15), (0.1, 10), (0.1, 10)], beam),
    "g24": _box([(0, 3), (0, 4)], g24),
    "ackley 5": _box([(-5, 10)] * 5, ackley),
    "townsend": _box([(-2.25, 2.25), (-2.5, 1.75)], townsend),
    "reducer": _box([(2.6, 3.6), (0.7, 0.8), (17, 28), (7.3, 8.3), (7.3, 8.3), (2.9, 3.9), (5, 5.5)], reducer),
    "g08": _box([(0, 10), (0, 10)], g08),
    "disk": _box([(-1.5, 1.5), (-0.5, 2.5)], disk),
}


# Fronts


def zdt(number: int) -> Problem:
    """Zitzler, Deb and Thiele, Comparison of Multiobjective Evolutionary Algorithms, 2000; in 6 dimensions."""
    names = [f"x{place}" for place in range(6)]

    def evaluate(config: Config) -> Outcome:
        x = np.array([config[name] for name in names])
        first, rest = x[0], x[1:]
        if number == 4:
            rest = 10 * rest - 5
            g = 1 + 10 * len(rest) + float((rest**2 - 10 * np.cos(4 * np.pi * rest)).sum())
        elif number == 6:
            first = 1 - math.exp(-4 * first) * math.sin(6 * math.pi * first) ** 6
            g = 1 + 9 * float(rest.mean()) ** 0.25
        else:
            g = 1 + 9 * float(rest.mean())
        share = first / g
        h = 1 - (share**2 if number in (2, 6) else math.sqrt(share))
        h -= share * math.sin(10 * math.pi * first) if number == 3 else 0.0
        return Outcome((float(first), float(g * h)))

    return Space.of({name: uniform(0, 1) for name in names}), evaluate


def dtlz(number: int) -> Problem:
    """Deb et al., Scalable Test Problems for Multiobjective Optimization, 2005; 3 objectives, 6 dimensions."""
    names = [f"x{place}" for place in range(6)]

    def evaluate(config: Config) -> Outcome:
        x = np.array([config[name] for name in names])
        a, b, rest = float(x[0]), float(x[1]), x[2:] - 0.5
        g = float((rest**2).sum())
        if number == 1:
            g = 100 * (len(rest) + float((rest**2 - np.cos(20 * np.pi * rest)).sum()))
            return Outcome((a * b * (1 + g) / 2, a * (1 - b) * (1 + g) / 2, (1 - a) * (1 + g) / 2))
        a, b = a * math.pi / 2, b * math.pi / 2
        first, second = (1 + g) * math.cos(a) * math.cos(b), (1 + g) * math.cos(a) * math.sin(b)
        return Outcome((first, second, (1 + g) * math.sin(a)))

    return Space.of({name: uniform(0, 1) for name in names}), evaluate


def forest() -> Problem:
    """The error and the size of a forest on breast cancer data."""
    from sklearn.datasets import load_breast_cancer
    from sklearn.ensemble import RandomForestClassifier
    from sklearn.model_selection import train_test_split

    x, y = load_breast_cancer(return_X_y=True)
    parts = train_test_split(x, y, random_state=0)
    space = Space.of({
        "n_estimators": lograndint(2, 40), "max_depth": randint(1, 12), "min_samples_leaf": lograndint(1, 40),
        "max_features": uniform(0.05, 1.0), "max_samples": uniform(0.1, 1.0),
    })  # fmt: skip

    def evaluate(config: Config) -> Outcome:
        model = RandomForestClassifier(**config, random_state=0).fit(parts[0], parts[2])
        nodes = sum(tree.tree_.node_count for tree in model.estimators_)
        return Outcome((1 - float(model.score(parts[1], parts[3])), math.log10(nodes)))

    return space, evaluate


FRONTS: dict[str, tuple[Callable[[], Problem], tuple[float, ...]]] = {
    "zdt1": (lambda: zdt(1), (1.1, 8.0)),
    "zdt2": (lambda: zdt(2), (1.1, 8.0)),
    "zdt3": (lambda: zdt(3), (1.1, 8.0)),
    "zdt4": (lambda: zdt(4), (1.1, 150.0)),
    "zdt6": (lambda: zdt(6), (1.1, 10.0)),
    "dtlz1": (lambda: dtlz(1), (400.0, 400.0, 400.0)),
    "dtlz2": (lambda: dtlz(2), (2.0, 2.0, 2.0)),
    "forest": (forest, (0.4, 4.0)),
}
"""Problems, each with its reference point."""


def _fronts(bounds: Sequence[tuple[float, float]], f: Callable[[Sequence[float]], tuple[float, ...]]) -> Problem:
    names = [f"x{place}" for place in range(len(bounds))]

    def evaluate(config: Config) -> Outcome:
        return Outcome(f([config[name] for name in names]))

    return Space.of({name: uniform(low, high) for name, (low, high) in zip(names, bounds, strict=True)}), evaluate


def kursawe(x: Sequence[float]) -> tuple[float, ...]:
    """Kursawe, A Variant of Evolution Strategies for Vector Optimization, PPSN 1990; a front in parts."""
    first = sum(-10 * math.exp(-0.2 * math.hypot(a, b)) for a, b in itertools.pairwise(x))
    return first, sum(abs(each) ** 0.8 + 5 * math.sin(each**3) for each in x)


def fonseca(x: Sequence[float]) -> tuple[float, ...]:
    """Fonseca and Fleming, An Overview of Evolutionary Algorithms in Multiobjective Optimization, 1995."""
    middle = 1 / math.sqrt(len(x))
    return tuple(1 - math.exp(-sum((each + side * middle) ** 2 for each in x)) for side in (-1, 1))


def viennet(x: Sequence[float]) -> tuple[float, ...]:
    """Viennet, Fonteix and Marc, Multicriteria Optimization Using a Genetic Algorithm, 1996."""
    squares = x[0] ** 2 + x[1] ** 2
    second = (3 * x[0] - 2 * x[1] + 4) ** 2 / 8 + (x[0] - x[1] + 1) ** 2 / 27 + 15
    return 0.5 * squares + math.sin(squares), second, 1 / (squares + 1) - 1.1 * math.exp(-squares)


def bars(x: Sequence[float]) -> tuple[float, ...]:
    """The truss of four bars: volume and displacement; Cheng and Li, Structural Optimization 14, 1997."""
    root = math.sqrt(2)
    volume = 200 * (2 * x[0] + root * x[1] + math.sqrt(x[2]) + x[3])
    return volume, 0.01 * (2 / x[0] + 2 * root / x[1] - 2 * root / x[2] + 2 / x[3])


OTHER_FRONTS: dict[str, tuple[Callable[[], Problem], tuple[float, ...]]] = {
    "kursawe": (lambda: _fronts([(-5, 5)] * 3, kursawe), (0.0, 30.0)),
    "fonseca": (lambda: _fronts([(-4, 4)] * 4, fonseca), (1.0, 1.0)),
    "viennet": (lambda: _fronts([(-3, 3)] * 2, viennet), (10.0, 62.0, 0.2)),
    "bars": (lambda: _fronts([(1, 3), (math.sqrt(2), 3), (math.sqrt(2), 3), (1, 3)], bars), (3000.0, 0.05)),
}
