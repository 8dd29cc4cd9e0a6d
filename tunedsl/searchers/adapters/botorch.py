"""A Gaussian process of BoTorch over the unit cube, categories one-hot, running trials as pending points.

It maximises the noisy log expected improvement of one objective, or of the dominated volume of several. A parameter
that does not exist has its middle value.
Source: Balandat et al., BoTorch: A Framework for Efficient Monte-Carlo Bayesian Optimization, NeurIPS 2020; Ament et
al., Unexpected Improvements to Expected Improvement for Bayesian Optimization, NeurIPS 2023.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Any

import numpy as np

from tunedsl.base import keys
from tunedsl.base.arguments import as_int, check_arguments
from tunedsl.base.codec import value
from tunedsl.searchers.adapters.dimensions import Dimension, Point, dimensions
from tunedsl.searchers.adapters.libraries import (
    MAX_SEED,
    Library,
    LibraryContext,
    LibrarySpec,
    Options,
    PackageRequirement,
    register_library,
)
from tunedsl.searchers.adapters.points import Losses, PointModel, start_points
from tunedsl.searchers.contract import UNLIMITED, Supports
from tunedsl.spaces.unit_interval import Floats


@value(tag="BoTorchGp", repr=False)
class BoTorch(LibrarySpec):
    """The spec of `botorch`."""

    n_initial: int = 8
    num_restarts: int = 4
    raw_samples: int = 64
    mc_samples: int = 64
    options: Options = ()


@check_arguments
def botorch(n_initial: int = 8, num_restarts: int = 4, raw_samples: int = 64, mc_samples: int = 64) -> BoTorch:
    """Bayesian optimisation with BoTorch, for one objective or several.

    Args:
        n_initial: number of points of a Sobol sequence before the model is used, at least 1.
        num_restarts: number of restarts when the acquisition function is maximised, at least 1.
        raw_samples: number of points from which the restarts are chosen, at least 1.
        mc_samples: number of samples that estimate the acquisition function, at least 1.

    Raises:
        ArgumentError: for a value that is not a whole number of at least 1.

    Example:
        >>> botorch(n_initial=16)
        botorch(n_initial=16, num_restarts=4, raw_samples=64, mc_samples=64)
    """
    return BoTorch(
        as_int("botorch.n_initial", n_initial, 1),
        as_int("botorch.num_restarts", num_restarts, 1),
        as_int("botorch.raw_samples", raw_samples, 1),
        as_int("botorch.mc_samples", mc_samples, 1),
    )


class _BoTorchProcess(PointModel):
    """Observations and running trials as points of the cube; each suggestion fits the model again."""

    def __init__(self, spec: BoTorch, dims: Sequence[Dimension], context: LibraryContext) -> None:
        from scipy.stats import qmc

        self._spec = spec
        self._dims = dims
        self._width = sum(map(_column_count, dims))
        self._key = context.key
        self._sobol = qmc.Sobol(self._width, seed=keys.generator(keys.key(context.key, "initial")))
        self._initial = 0
        self._observations: list[tuple[Floats, Losses]] = []
        self._pending: dict[int, Floats] = {}

    def suggest(self, handle: int) -> Point:
        if self._initial < self._spec.n_initial or len(self._observations) < 2:
            self._initial += 1
            return self._to_point(self._sobol.random(1)[0])
        return self._to_point(self._maximize_acquisition(keys.key(self._key, "acquisition", handle) % MAX_SEED))

    def settle(self, handle: int, point: Point) -> None:
        self._pending[handle] = np.concatenate(
            [_to_columns(dim, raw) for dim, raw in zip(self._dims, point, strict=True)]
        )

    def observe(self, handle: int, point: Point, losses: Losses | None) -> None:
        assert losses is not None  # failures have the worst losses
        self._observations.append((self._pending.pop(handle), losses))

    def _to_point(self, found: Floats) -> Point:
        raws, start = [], 0
        for dim in self._dims:
            part = found[start : start + _column_count(dim)]
            start += len(part)
            if dim.kind != "choice":
                raws.append(float(part[0]))
            else:
                raws.append(int(np.argmax(part)) if len(part) > 1 else int(part[0] >= 0.5))
        return raws

    def _maximize_acquisition(self, seed: int) -> Floats:
        import torch
        from botorch.fit import fit_gpytorch_mll
        from botorch.models import SingleTaskGP
        from botorch.models.transforms import Standardize
        from botorch.optim import optimize_acqf
        from gpytorch.mlls import ExactMarginalLogLikelihood

        points = torch.from_numpy(np.array([point for point, _ in self._observations]))
        gains = -torch.tensor([losses for _, losses in self._observations], dtype=torch.double)
        model = SingleTaskGP(points, gains, outcome_transform=Standardize(gains.shape[1]))
        fit_gpytorch_mll(ExactMarginalLogLikelihood(model.likelihood, model))
        bounds = torch.tensor([[0.0] * self._width, [1.0] * self._width], dtype=torch.double)
        found, _ = optimize_acqf(
            self._acquisition(model, points, gains, seed),
            bounds,
            q=1,
            num_restarts=self._spec.num_restarts,
            raw_samples=self._spec.raw_samples,
            options={"seed": seed},
        )
        return found[0].detach().numpy()  # type: ignore[no-any-return]

    def _acquisition(self, model: Any, points: Any, gains: Any, seed: int) -> Any:
        import torch
        from botorch.acquisition import qLogNoisyExpectedImprovement
        from botorch.acquisition.multi_objective import qLogNoisyExpectedHypervolumeImprovement
        from botorch.sampling import SobolQMCNormalSampler
        from botorch.utils.multi_objective.hypervolume import infer_reference_point

        pending = torch.from_numpy(np.array(list(self._pending.values()))) if self._pending else None
        sampler = SobolQMCNormalSampler(torch.Size([self._spec.mc_samples]), seed=seed)
        shared = {"X_baseline": points, "X_pending": pending, "prune_baseline": True, "sampler": sampler}
        if gains.shape[1] == 1:
            return qLogNoisyExpectedImprovement(model, **shared)
        worst = infer_reference_point(gains)
        return qLogNoisyExpectedHypervolumeImprovement(model, ref_point=worst, **shared)


def _column_count(dim: Dimension) -> int:
    return dim.size if dim.kind == "choice" and dim.size > 2 else 1


def _to_columns(dim: Dimension, raw: Any) -> Floats:
    """The columns of one raw value; the middle for a parameter that does not exist."""
    columns = _column_count(dim)
    if raw is None:
        return np.full(columns, 1 / columns if columns > 1 else 0.5)
    if columns == 1:
        return np.array([float(raw)])
    row = np.zeros(columns)
    row[raw] = 1.0
    return row


register_library(
    BoTorch,
    Library(
        name="botorch",
        packages=(
            PackageRequirement("torch", "torch"),
            PackageRequirement("botorch", "botorch", "0.18"),
            PackageRequirement("scipy", "scipy"),
        ),
        install="pip install 'tunedsl[botorch]'",
        supports=Supports.whole_space(UNLIMITED),
        start=start_points(_BoTorchProcess, partial(dimensions, unit=True)),
        is_isolated=True,
        noisy="throughout",
    ),
)
