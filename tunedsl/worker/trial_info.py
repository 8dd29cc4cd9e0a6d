"""What the code of a trial can read about the trial."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import attrs

from tunedsl.base.types import Config, Json
from tunedsl.journal import trial_folder


@attrs.frozen
class TrialInfo:
    """What a trial knows about itself.

    Attributes:
        id: its name: unique in the experiment, and valid as a folder name on all systems.
        number: the number of its proposal, from 0.
        config: its parameters.
        seed: its own 32-bit seed; `random`, NumPy and torch, where loaded, are seeded with it already.
        resources: its resources: `cpu`, `gpu`, `memory` in bytes, and custom resources by name.
        attempt: the number of the attempt, from 0; it grows with each failure.
        iteration: the iteration of `checkpoint`; 0 without one.
        checkpoint: the folder to start from; None for a trial that starts from the beginning.
    """

    id: str
    number: int
    config: Config
    seed: int
    resources: Mapping[str, float]
    attempt: int
    iteration: int
    checkpoint: Path | None
    _root: str = attrs.field(repr=False)
    _params: Json = attrs.field(repr=False)

    @property
    def path(self) -> Path:
        """The trial's own folder, created at first access; `params.json` in it has the configuration."""
        return trial_folder(self._root, self.id, self._params, create_new=self.attempt > 0)
