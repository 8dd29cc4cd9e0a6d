"""TensorBoard's event files: one run a trial, with its scalars and its hyperparameters.

Of tensorboardX only the formats are used. Its own writer has a thread for each file, and here are many trials.
"""

from __future__ import annotations

from tunedsl.base.arguments import check_arguments
from tunedsl.base.codec import value
from tunedsl.base.requirements import PackageRequirement
from tunedsl.sinks.registry import SinkKind, register


@value
class TensorBoard:
    """TensorBoard's event files."""

    def __repr__(self) -> str:
        return "tensorboard()"


@check_arguments
def tensorboard() -> TensorBoard:
    """Writes event files into each trial's folder: `tensorboard --logdir FOLDER` shows them.

    Each trial is a run of its own: what it reports under `SCALARS` by iteration, its flat configuration with its last
    metrics under `HPARAMS`. Where a scheduler changes a configuration on the way, its numbers are scalars too, as
    `config/lr` and so on, and `HPARAMS` has the last one.

    Needs the extra `tensorboard`.

    >>> tensorboard()
    tensorboard()
    """
    return TensorBoard()


register(
    TensorBoard,
    SinkKind(
        "tensorboard",
        "tunedsl.export.tensorboard:TensorBoardWriter",
        PackageRequirement("tensorboardX", "tensorboardX", "2.6"),
        "tensorboard",
    ),
)
