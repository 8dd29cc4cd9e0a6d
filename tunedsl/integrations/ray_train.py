"""For users of Ray Train: a trainer of Ray Train as a trial, over several processes or nodes."""

from __future__ import annotations

from typing import Any

from tunedsl.backends.ray.train import failure_of_trainer, run_trainer
from tunedsl.base.errors import ReportError
from tunedsl.integrations.reporting import Metrics, report_selected
from tunedsl.worker.current import current_session
from tunedsl.worker.messages import TrialStopped
from tunedsl.worker.ranks import fail_attempt


def fit(trainer: Any, metrics: Metrics = None) -> Any:
    """Fit a trainer of Ray Train as the current trial; return its `Result`.

    Each `ray.train.report(...)` of its workers is a report of the trial, with the metrics of rank 0 and the checkpoint.
    `ray.train.get_checkpoint()` is the checkpoint that the trial starts from. If the trial is stopped or paused, the
    trainer and its workers end. If a worker fails, the attempt fails: with its exception, or as `lost` if it died.

    The trainer's workers take the resources of its `ScalingConfig`. The trial only waits for them, so give it none by
    `.resources(cpu=0)`: trials with CPUs of their own could wait forever for the workers of each other.

    Args:
        trainer: such as `TorchTrainer`, created in the trainable.
        metrics: a dict from the reported name to the trainer's, a list of names, or None for all.

    Raises:
        ReportError: outside a trial, in a trial that has CPUs or GPUs of its own, or for a metric that rank 0 does not
            report.
        Exception: that of `trainer.fit()`, unless a worker failed.

    Example:
        >>> def train(config):  # doctest: +SKIP
        ...     trainer = TorchTrainer(loop, train_loop_config=config, scaling_config=ScalingConfig(num_workers=2))
        ...     fit(trainer, ["loss"])
        >>> experiment = space(lr=0.1).trainable(train).resources(cpu=0).parallel(4)  # doctest: +SKIP
    """
    session = current_session("fit()")
    held = {name: amount for name, amount in session.info.resources.items() if name in ("cpu", "gpu") and amount}
    if held:
        raise ReportError(
            "A trial that fits a trainer of Ray Train has resources of its own, which its workers cannot use:"
            f" {', '.join(f'{name}={amount:g}' for name, amount in held.items())}.\n"
            "  help: .resources(cpu=0), and set those of the workers in ScalingConfig(resources_per_worker=...)"
        )
    try:
        return run_trainer(trainer, session, lambda found, save: report_selected(found, metrics, save))
    except TrialStopped:
        raise
    except Exception as error:
        failure = failure_of_trainer(error)
        if failure is None:
            raise
        fail_attempt(session, failure)
        raise TrialStopped from error
