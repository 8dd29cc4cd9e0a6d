"""ASHA over recorded curves, simulated on 64 workers: tunedsl beside Syne Tune in the same run.

    python -m tests.benchmarks.syne FOLDER      (needs syne-tune in the environment)

Prints the wall time of each simulation, and the epochs spent until a trial reaches the top 1 % of final losses.
"""

from __future__ import annotations

import logging
import statistics
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np

from tests.benchmarks.measure import show
from tests.benchmarks.taskset import WORKERS, experiment, losses_in_order
from tunedsl import asha
from tunedsl.backends import SimulatedEngine

SEEDS = 7
Curves = np.ndarray[Any, Any]


def with_ours(valid: Curves, order: Curves, seed: int, target: float) -> tuple[float, int]:
    def curve(config: dict[str, Any], epoch: int) -> float:
        return float(valid[config["row"], epoch - 1])

    epochs = valid.shape[1]
    e = experiment(order, seed, asha(max_t=epochs, reduction_factor=3), epochs)
    with tempfile.TemporaryDirectory() as store:
        began = time.perf_counter()
        results = e.store(store).run(engine=SimulatedEngine(curve), quiet=True)
        taken = time.perf_counter() - began
        losses = losses_in_order(results.journal)
    return taken, first_below(losses, target)


def with_syne(valid: Curves, order: Curves, seed: int, target: float) -> tuple[float, int]:
    import pandas as pd
    from syne_tune import StoppingCriterion, Tuner
    from syne_tune.backend.simulator_backend.simulator_callback import SimulatorCallback
    from syne_tune.blackbox_repository.blackbox_tabular import BlackboxTabular
    from syne_tune.blackbox_repository.simulated_tabular_backend import UserBlackboxBackend
    from syne_tune.config_space import randint
    from syne_tune.optimizer.schedulers.asha import AsynchronousSuccessiveHalving

    trials, epochs = valid.shape
    space = {"row": randint(0, trials - 1), "same": randint(0, 1)}  # its table needs two parameters
    table = np.stack([valid, np.tile(np.arange(1, epochs + 1), (trials, 1))], axis=-1)[:, None]
    blackbox = BlackboxTabular(
        hyperparameters=pd.DataFrame({"row": np.tile(np.arange(trials), 2), "same": np.repeat([0, 1], trials)}),
        configuration_space=space,
        fidelity_space={"epoch": randint(1, epochs)},
        objectives_evaluations=np.concatenate([table, table]),
        objectives_names=["loss", "elapsed"],
    )
    losses: list[float] = []

    class Listen(SimulatorCallback):
        def on_trial_result(self, trial: Any, status: str, result: dict[str, Any], decision: str) -> None:
            losses.append(float(result["loss"]))
            super().on_trial_result(trial, status, result, decision)

    scheduler = AsynchronousSuccessiveHalving(
        {**space, "epochs": epochs},
        metric="loss",
        time_attr="epoch",
        max_t=epochs,
        reduction_factor=3,
        random_seed=seed,
        searcher_kwargs={"points_to_evaluate": [{"row": int(row), "same": 0} for row in order]},
    )
    tuner = Tuner(
        trial_backend=UserBlackboxBackend(blackbox, elapsed_time_attr="elapsed", max_resource_attr="epochs"),
        scheduler=scheduler,
        stop_criterion=StoppingCriterion(max_num_trials_started=trials),
        n_workers=WORKERS,
        sleep_time=0,
        callbacks=[Listen()],
        save_tuner=False,
        print_update_interval=1e9,
    )
    began = time.perf_counter()
    tuner.run()
    return time.perf_counter() - began, first_below(losses, target)


def first_below(losses: list[float], target: float) -> int:
    """Epochs spent until a loss reaches the target; all epochs if no loss does."""
    return next((index for index, loss in enumerate(losses, 1) if loss <= target), len(losses))


def main(folder: str) -> None:
    logging.disable(logging.CRITICAL)
    for file in sorted(Path(folder).glob("*.npz")):
        valid = np.nan_to_num(np.load(file)["valid"].astype(float), nan=1e3, posinf=1e3)
        target = float(np.quantile(valid[:, -1], 0.01))
        print(f"{file.stem}: {valid.shape[0]} configurations, {valid.shape[1]} epochs, target {target:.5f}")
        ours, theirs = [], []
        for seed in range(SEEDS):
            order = np.random.RandomState(seed).permutation(len(valid))
            ours.append(with_ours(valid, order, seed, target))
            theirs.append(with_syne(valid, order, seed, target))
        mine, peer = (statistics.median(taken for taken, _ in runs) for runs in (ours, theirs))
        show("  tunedsl", f"{mine:.2f} s, {statistics.median(spent for _, spent in ours):,.0f} epochs to the top 1 %")
        spent = statistics.median(spent for _, spent in theirs)
        show("  Syne Tune", f"{peer:.2f} s, {spent:,.0f} epochs to the top 1 %")
        show("  ratio of wall times", f"{peer / mine:.1f} x")


if __name__ == "__main__":
    main(*sys.argv[1:])
