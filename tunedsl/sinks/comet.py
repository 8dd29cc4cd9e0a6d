"""Comet, offline: one archive a trial, which `comet upload` sends when you want."""

from __future__ import annotations

from tunedsl.base.arguments import as_text, check_arguments
from tunedsl.base.codec import value
from tunedsl.base.references import call_repr
from tunedsl.base.requirements import PackageRequirement
from tunedsl.sinks.registry import SinkKind, register


@value
class Comet:
    """Comet, and where its archives belong there."""

    project: str | None = None
    workspace: str | None = None

    def __repr__(self) -> str:
        return call_repr("comet", self)


@check_arguments
def comet(project: str | None = None, workspace: str | None = None) -> Comet:
    """Writes each trial as an offline experiment of Comet into the folder `comet` of the experiment's folder.

    Nothing is sent anywhere; `comet upload FOLDER/comet/*.zip` does that. A trial's archive is there once it has ended.

    Needs the extra `comet`.

    Args:
        project: in Comet; the experiment's name without it.
        workspace: in Comet; the user's default without it.

    Raises:
        ArgumentError: for what is no text.

    >>> comet("digits")
    comet(project='digits')
    """
    for name, item in (("project", project), ("workspace", workspace)):
        if item is not None:
            as_text(f"comet.{name}", item)
    return Comet(project, workspace)


register(
    Comet,
    SinkKind("comet", "tunedsl.export.comet:CometWriter", PackageRequirement("comet_ml", "comet_ml", "3.47"), "comet"),
)
