"""Weights & Biases, offline: one run a trial in W&B's own files, which `wandb sync` sends when you want."""

from __future__ import annotations

from tunedsl.base.arguments import as_text, check_arguments
from tunedsl.base.codec import value
from tunedsl.base.references import call_repr
from tunedsl.base.requirements import PackageRequirement
from tunedsl.sinks.registry import SinkKind, register


@value
class Wandb:
    """Weights & Biases, and the project there."""

    project: str | None = None

    def __repr__(self) -> str:
        return call_repr("wandb", self)


@check_arguments
def wandb(project: str | None = None) -> Wandb:
    """Writes each trial as an offline run of Weights & Biases into the folder `wandb` of the experiment's folder.

    Nothing is sent anywhere; `wandb sync FOLDER/wandb/offline-run-*` does that. The runs are grouped by the run's
    folder and named as the trials.

    Needs the extra `wandb`.

    Args:
        project: in W&B; the experiment's name without it.

    Raises:
        ArgumentError: for what is no text.

    >>> wandb("digits")
    wandb(project='digits')
    """
    return Wandb(project if project is None else as_text("wandb.project", project))


register(
    Wandb, SinkKind("wandb", "tunedsl.export.wandb:WandbWriter", PackageRequirement("wandb", "wandb", "0.20"), "wandb")
)
