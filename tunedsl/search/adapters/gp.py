"""A Gaussian process of BoTorch over the unit cube, categories one-hot, trials that are out as pending points.

Noisy log expected improvement of one objective, of the dominated volume for several. A parameter that does not exist
stands at its middle.
Source: Balandat et al., BoTorch: A Framework for Efficient Monte-Carlo Bayesian Optimization, NeurIPS 2020; Ament et
al., Unexpected Improvements to Expected Improvement for Bayesian Optimization, NeurIPS 2023.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from tunedsl.base import keys
from tunedsl.base.arguments import checked, whole
from tunedsl.base.codec import value
from tunedsl.search.adapters.dimensions import Dimension, Point, dimensions
from tunedsl.search.adapters.libraries import SEEDS, Library, Options, Package, Setting, enrol_library, spelled
from tunedsl.search.adapters.points import Losses, Points
from tunedsl.search.contract import ANY_NUMBER, Takes
from tunedsl.space.units import Floats


@value(repr=False)
class BoTorchGp:
    """The spec of `gp`."""

    n_initial: int = 8
    num_restarts: int = 4
    raw_samples: int = 64
    mc_samples: int = 64
    options: Options = ()

    def __repr__(self) -> str:
        named = {name: getattr(self, name) for name in ("n_initial", "num_restarts", "raw_samples", "mc_samples")}
        return spelled("gp", (), **named)


@checked
def gp(n_initial: int = 8, num_restarts: int = 4, raw_samples: int = 64, mc_samples: int = 64) -> BoTorchGp:
    """Bayesian optimisation with BoTorch, for one objective or several.

    Args:
        n_initial: how many points of a Sobol sequence are tried before the first is modelled.
        num_restarts: of the acquisition function's optimisation.
        raw_samples: from which the starts of that are chosen.
        mc_samples: by which the acquisition function is estimated.

    Raises:
        ArgumentError: for a value that is no whole number above 0.

    Example:
        >>> gp(n_initial=16)
        gp(n_initial=16, num_restarts=4, raw_samples=64, mc_samples=64)
    """
    return BoTorchGp(
        whole("gp.n_initial", n_initial, 1),
        whole("gp.num_restarts", num_restarts, 1),
        whole("gp.raw_samples", raw_samples, 1),
        whole("gp.mc_samples", mc_samples, 1),
    )


class _Process:
    """What was told and what is out, as points of the cube; the model is fitted anew at each ask."""

    def __init__(self, spec: BoTorchGp, dims: Sequence[Dimension], setting: Setting) -> None:
        from scipy.stats import qmc

        self._spec = spec
        self._dims = dims
        self._width = sum(map(_columns, dims))
        self._key = setting.key
        self._sobol = qmc.Sobol(self._width, seed=keys.generator(keys.key(setting.key, "initial")))
        self._initial = 0
        self._told: list[tuple[Floats, Losses]] = []
        self._out: dict[int, Floats] = {}

    def suggest(self, handle: int) -> Point:
        if self._initial < self._spec.n_initial or len(self._told) < 2:
            self._initial += 1
            return self._read(self._sobol.random(1)[0])
        return self._read(self._best(keys.key(self._key, "acquisition", handle) % SEEDS))

    def settle(self, handle: int, point: Point) -> None:
        self._out[handle] = np.concatenate([_written(dim, raw) for dim, raw in zip(self._dims, point, strict=True)])

    def observe(self, handle: int, point: Point, losses: Losses | None) -> None:
        assert losses is not None  # failures come as the worst
        self._told.append((self._out.pop(handle), losses))

    def _read(self, found: Floats) -> Point:
        raws, start = [], 0
        for dim in self._dims:
            part = found[start : start + _columns(dim)]
            start += len(part)
            if dim.kind != "choice":
                raws.append(float(part[0]))
            else:
                raws.append(int(np.argmax(part)) if len(part) > 1 else int(part[0] >= 0.5))
        return raws

    def _best(self, seed: int) -> Floats:
        import torch
        from botorch.fit import fit_gpytorch_mll
        from botorch.models import SingleTaskGP
        from botorch.models.transforms import Standardize
        from botorch.optim import optimize_acqf
        from gpytorch.mlls import ExactMarginalLogLikelihood

        points = torch.from_numpy(np.array([point for point, _ in self._told]))
        gains = -torch.tensor([losses for _, losses in self._told], dtype=torch.double)
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

        pending = torch.from_numpy(np.array(list(self._out.values()))) if self._out else None
        sampler = SobolQMCNormalSampler(torch.Size([self._spec.mc_samples]), seed=seed)
        shared = {"X_baseline": points, "X_pending": pending, "prune_baseline": True, "sampler": sampler}
        if gains.shape[1] == 1:
            return qLogNoisyExpectedImprovement(model, **shared)
        worst = infer_reference_point(gains)
        return qLogNoisyExpectedHypervolumeImprovement(model, ref_point=worst, **shared)


def _columns(dim: Dimension) -> int:
    return dim.size if dim.kind == "choice" and dim.size > 2 else 1


def _written(dim: Dimension, raw: Any) -> Floats:
    """The columns of one raw value; of a parameter that does not exist, the middle."""
    columns = _columns(dim)
    if raw is None:
        return np.full(columns, 1 / columns if columns > 1 else 0.5)
    if columns == 1:
        return np.array([float(raw)])
    row = np.zeros(columns)
    row[raw] = 1.0
    return row


def _start(spec: BoTorchGp, setting: Setting) -> Points:
    dims = dimensions(setting.layout, unit=True)
    return Points(setting, dims, lambda: _Process(spec, dims, setting))


enrol_library(
    BoTorchGp,
    Library(
        name="gp",
        packages=(Package("torch", "torch"), Package("botorch", "botorch", "0.18"), Package("scipy", "scipy")),
        install="pip install 'tunedsl[botorch]'",
        takes=Takes(
            conditions=True,
            log=True,
            quantised=True,
            integer=True,
            categorical=True,
            constraints=True,
            objectives=ANY_NUMBER,
            intermediate=False,
            pending=True,
        ),
        start=_start,
        accepts=lambda spec: (),
        fenced=True,
        noisy="throughout",
    ),
)
