"""MLflow: one run a trial in an MLflow experiment, through MLflow's own client."""

from __future__ import annotations

from tunedsl.base.arguments import as_text, check_arguments, has_password
from tunedsl.base.codec import value
from tunedsl.base.errors import ArgumentError
from tunedsl.base.references import call_repr
from tunedsl.base.requirements import PackageRequirement
from tunedsl.sinks.registry import SinkKind, register


@value
class MLflow:
    """MLflow, and where."""

    tracking_uri: str | None = None
    experiment: str | None = None

    def __repr__(self) -> str:
        return call_repr("mlflow", self)


@check_arguments
def mlflow(tracking_uri: str | None = None, experiment: str | None = None) -> MLflow:
    """Tracks each trial as a run in MLflow: parameters, metrics by iteration, how it ended.

    Runs bear the tags `tunedsl.run` (the folder's name), `tunedsl.trial`, `tunedsl.status` and, for a failed trial,
    `tunedsl.error`. Where a scheduler changes a configuration on the way, its numbers are metrics too, as
    `config/lr` and so on; the parameters stay those it began with, as MLflow's are written once. A resumed run goes
    on in the runs that are there. Characters that MLflow takes in no name become `_`.

    Needs the extra `mlflow`.

    Args:
        tracking_uri: the store, such as `sqlite:///mlflow.db`; without it MLflow's own default.
        experiment: its name in MLflow; the experiment's own without it.

    Raises:
        ArgumentError: for what is no text, or an address with a password: the journal has the address.

    >>> mlflow("sqlite:///mlflow.db")
    mlflow(tracking_uri='sqlite:///mlflow.db')
    """
    for name, item in (("tracking_uri", tracking_uri), ("experiment", experiment)):
        if item is not None:
            as_text(f"mlflow.{name}", item)
    if tracking_uri is not None and has_password(tracking_uri):
        hint = "set MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD, or the whole MLFLOW_TRACKING_URI"
        raise ArgumentError("E003", "mlflow.tracking_uri", "The address in mlflow(...) contains a password.", hint)
    return MLflow(tracking_uri, experiment)


register(
    MLflow,
    SinkKind("mlflow", "tunedsl.export.mlflow:MLflowWriter", PackageRequirement("mlflow", "mlflow", "2.10"), "mlflow"),
)
