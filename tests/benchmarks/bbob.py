"""The noiseless functions of BBOB, with rotations and shifts by seed; the least value of each is 0.

Those with penalties outside the domain leave them out. Source: Hansen, Finck, Ros and Auger, Real-Parameter Black-Box
Optimization Benchmarking 2009: Noiseless Functions Definitions, INRIA RR-6829.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from tunedsl.base import keys

Vector = np.ndarray[Any, Any]


class Instance:
    """The optimum and the rotations of one instance."""

    def __init__(self, dims: int, seed: int) -> None:
        draw = keys.generator(keys.key(seed, "bbob", dims))
        self.dims = dims
        self.optimum = draw.uniform(-4, 4, dims)
        self.signs = np.where(draw.random(dims) < 0.5, -1.0, 1.0)
        self.turn, self.turn_again = (np.linalg.qr(draw.standard_normal((dims, dims)))[0] for _ in range(2))
        self.at = np.linspace(0, 1, dims) if dims > 1 else np.zeros(1)
        self.draw = draw

    def stretched(self, z: Vector, alpha: float) -> Vector:
        return z * alpha ** (0.5 * self.at)

    def asymmetric(self, z: Vector, beta: float) -> Vector:
        return np.where(z > 0, np.maximum(z, 0) ** (1 + beta * self.at * np.sqrt(np.maximum(z, 0))), z)


def oscillated(z: Vector) -> Vector:
    known = np.log(np.where(z == 0, 1.0, np.abs(z)))
    a, b = np.where(z > 0, 10.0, 5.5), np.where(z > 0, 7.9, 3.1)
    moved: Vector = np.sign(z) * np.exp(known + 0.049 * (np.sin(a * known) + np.sin(b * known)))
    return moved


def _sphere(i: Instance, x: Vector) -> float:
    return float(((x - i.optimum) ** 2).sum())


def _ellipsoid(i: Instance, x: Vector) -> float:
    return float((10 ** (6 * i.at) * oscillated(x - i.optimum) ** 2).sum())


def _rastrigin(i: Instance, x: Vector) -> float:
    z = i.stretched(i.asymmetric(oscillated(x - i.optimum), 0.2), 10)
    return float(10 * (i.dims - np.cos(2 * np.pi * z).sum()) + z @ z)


def _linear_slope(i: Instance, x: Vector) -> float:
    slope = i.signs * 10**i.at
    return float((5 * np.abs(slope) - slope * x).sum())


def _attractive_sector(i: Instance, x: Vector) -> float:
    z = i.turn_again @ i.stretched(i.turn @ (x - i.optimum), 10)
    weight = np.where(z * i.optimum > 0, 100.0, 1.0)
    return float(oscillated(np.array([((weight * z) ** 2).sum()]))[0] ** 0.9)


def _step_ellipsoid(i: Instance, x: Vector) -> float:
    z = i.stretched(i.turn @ (x - i.optimum), 10)
    stepped = np.where(np.abs(z) > 0.5, np.floor(0.5 + z), np.floor(0.5 + 10 * z) / 10)
    return float(0.1 * max(abs(z[0]) / 1e4, (10 ** (2 * i.at) * (i.turn_again @ stepped) ** 2).sum()))


def _valley(z: Vector) -> float:
    return float((100 * (z[:-1] ** 2 - z[1:]) ** 2 + (z[:-1] - 1) ** 2).sum())


def _rosenbrock(i: Instance, x: Vector) -> float:
    return _valley(max(1.0, np.sqrt(i.dims) / 8) * (x - 0.75 * i.optimum) + 1)


def _rotated_rosenbrock(i: Instance, x: Vector) -> float:
    return _valley(max(1.0, np.sqrt(i.dims) / 8) * (i.turn @ (x - 0.5 * i.optimum)) + 1)


def _rotated_ellipsoid(i: Instance, x: Vector) -> float:
    return float((10 ** (6 * i.at) * oscillated(i.turn @ (x - i.optimum)) ** 2).sum())


def _discus(i: Instance, x: Vector) -> float:
    z = oscillated(i.turn @ (x - i.optimum))
    return float(1e6 * z[0] ** 2 + (z[1:] ** 2).sum())


def _bent_cigar(i: Instance, x: Vector) -> float:
    z = i.turn @ i.asymmetric(i.turn @ (x - i.optimum), 0.5)
    return float(z[0] ** 2 + 1e6 * (z[1:] ** 2).sum())


def _sharp_ridge(i: Instance, x: Vector) -> float:
    z = i.turn_again @ i.stretched(i.turn @ (x - i.optimum), 10)
    return float(z[0] ** 2 + 100 * np.sqrt((z[1:] ** 2).sum()))


def _different_powers(i: Instance, x: Vector) -> float:
    return float(np.sqrt((np.abs(i.turn @ (x - i.optimum)) ** (2 + 4 * i.at)).sum()))


def _rotated_rastrigin(i: Instance, x: Vector) -> float:
    z = i.asymmetric(oscillated(i.turn @ (x - i.optimum)), 0.2)
    z = i.turn @ i.stretched(i.turn_again @ z, 10)
    return float(10 * (i.dims - np.cos(2 * np.pi * z).sum()) + z @ z)


def _weierstrass(i: Instance, x: Vector) -> float:
    z = i.turn @ i.stretched(i.turn_again @ oscillated(i.turn @ (x - i.optimum)), 0.01)
    k = np.arange(12)
    waves = (0.5**k * np.cos(2 * np.pi * 3**k * (z[:, None] + 0.5))).sum() / i.dims
    return float(10 * (waves - (0.5**k * np.cos(np.pi * 3**k)).sum()) ** 3)


def _schaffers(condition: float) -> Callable[[Instance, Vector], float]:
    def function(i: Instance, x: Vector) -> float:
        z = i.stretched(i.turn_again @ i.asymmetric(i.turn @ (x - i.optimum), 0.5), condition)
        s = np.sqrt(z[:-1] ** 2 + z[1:] ** 2)
        return float((np.sqrt(s) + np.sqrt(s) * np.sin(50 * s**0.2) ** 2).mean() ** 2)

    return function


def _griewank_rosenbrock(i: Instance, x: Vector) -> float:
    z = max(1.0, np.sqrt(i.dims) / 8) * (i.turn @ (x - 0.5 * i.optimum)) + 1
    s = 100 * (z[:-1] ** 2 - z[1:]) ** 2 + (z[:-1] - 1) ** 2
    return float(10 * (s / 4000 - np.cos(s)).mean() + 10)


def _schwefel(i: Instance, x: Vector) -> float:
    optimum = 4.2096874633 / 2 * i.signs
    y = 2 * i.signs * x
    z = np.append(y[:1], y[1:] + 0.25 * (y[:-1] - 2 * np.abs(optimum[:-1])))
    z = 100 * (i.stretched(z - 2 * np.abs(optimum), 10) + 2 * np.abs(optimum))
    inside = z.clip(-500, 500)
    least = -(inside * np.sin(np.sqrt(np.abs(inside)))).mean() / 100 + 4.189828872724339
    return float(least + 100 * ((z - inside) ** 2).sum() / 1e4)


def _gallagher(peaks: int) -> Callable[[Instance, Vector], float]:
    def function(i: Instance, x: Vector) -> float:
        draw = keys.generator(keys.key(int(1e6 * abs(i.optimum[0])), "peaks", peaks))
        centres = draw.uniform(-4.9, 4.9, (peaks, i.dims))
        centres[0] = i.optimum
        heights = np.append([10.0], np.linspace(1.1, 9.1, peaks - 1))
        conditions = np.append([1e3], 1e3 ** (2 * draw.permutation(peaks - 1) / (peaks - 2)))
        order = draw.permuted(np.tile(i.at, (peaks, 1)), axis=1)
        scales = conditions[:, None] ** (order / 2) / conditions[:, None] ** 0.25
        away = (scales * ((x - centres) @ i.turn.T) ** 2).sum(axis=1)
        return float(oscillated(np.array([10 - (heights * np.exp(-away / (2 * i.dims))).max()]))[0] ** 2)

    return function


def _katsuura(i: Instance, x: Vector) -> float:
    z = i.turn_again @ i.stretched(i.turn @ (x - i.optimum), 100)
    powers = 2.0 ** np.arange(1, 33)
    parts = (np.abs(powers * z[:, None] - np.rint(powers * z[:, None])) / powers).sum(axis=1)
    product = np.prod(1 + np.arange(1, i.dims + 1) * parts) ** (10 / i.dims**1.2)
    return float(10 / i.dims**2 * (product - 1))


def _lunacek(i: Instance, x: Vector) -> float:
    s = 1 - 1 / (2 * np.sqrt(i.dims + 20) - 8.2)
    other = -np.sqrt((2.5**2 - 1) / s)
    y = 2 * i.signs * x
    z = i.turn_again @ i.stretched(i.turn @ (y - 2.5), 100)
    bowls = min(((y - 2.5) ** 2).sum(), i.dims + s * ((y - other) ** 2).sum())
    return float(bowls + 10 * (i.dims - np.cos(2 * np.pi * z).sum()))


FUNCTIONS: dict[str, Callable[[Instance, Vector], float]] = {
    "sphere": _sphere,
    "ellipsoid": _ellipsoid,
    "rastrigin": _rastrigin,
    "linear slope": _linear_slope,
    "attractive sector": _attractive_sector,
    "step ellipsoid": _step_ellipsoid,
    "rosenbrock": _rosenbrock,
    "rotated rosenbrock": _rotated_rosenbrock,
    "rotated ellipsoid": _rotated_ellipsoid,
    "discus": _discus,
    "bent cigar": _bent_cigar,
    "sharp ridge": _sharp_ridge,
    "different powers": _different_powers,
    "rotated rastrigin": _rotated_rastrigin,
    "weierstrass": _weierstrass,
    "schaffers": _schaffers(10),
    "ill-conditioned schaffers": _schaffers(1000),
    "griewank-rosenbrock": _griewank_rosenbrock,
    "schwefel": _schwefel,
    "gallagher 101": _gallagher(101),
    "gallagher 21": _gallagher(21),
    "katsuura": _katsuura,
    "lunacek": _lunacek,
}
