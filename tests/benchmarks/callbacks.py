"""The time that a framework's callback adds to an epoch, beside an epoch of 50 ms.

    python -m tests.benchmarks.callbacks

Each callback is called as the framework calls it, within a trial, with five metrics.
"""

import tempfile
import time
from types import SimpleNamespace

from tests.benchmarks.measure import show
from tunedsl import space, uniform

CALLS, EPOCH = 2_000, 0.050
METRICS = {f"metric_{at}": [0.5] for at in range(5)}


def lightgbm_call():
    from tunedsl.integrations.lightgbm import ReportCallback

    rows = [("valid", name, values[-1], False) for name, values in METRICS.items()]
    callback, env = ReportCallback(), SimpleNamespace(evaluation_result_list=rows, model=None)
    return lambda at: callback(env)


def xgboost_call():
    from tunedsl.integrations.xgboost import ReportCallback

    callback = ReportCallback()
    return lambda at: callback.after_iteration(None, at, {"valid": METRICS})


def catboost_call():
    from tunedsl.integrations.catboost import ReportCallback

    callback = ReportCallback(checkpoint=False)
    return lambda at: callback.after_iteration(SimpleNamespace(iteration=at + 1, metrics={"valid": METRICS}))


def keras_call():
    from tunedsl.integrations.keras import ReportCallback

    callback = ReportCallback()
    return lambda at: callback.on_epoch_end(at, {name: values[-1] for name, values in METRICS.items()})


def lightning_call():
    import torch

    from tunedsl.integrations.lightning import ReportCallback

    found = {name: torch.tensor(values[-1]) for name, values in METRICS.items()}
    trainer = SimpleNamespace(is_global_zero=True, sanity_checking=False, callback_metrics=found)
    callback = ReportCallback()
    return lambda at: callback.on_validation_end(trainer, None)


def transformers_call():
    from tunedsl.integrations.transformers import ReportCallback

    callback, state = ReportCallback(checkpoint=False), SimpleNamespace(is_world_process_zero=True)
    return lambda at: callback.on_evaluate(None, state, None, {name: values[-1] for name, values in METRICS.items()})


def main() -> None:
    frameworks = ("lightgbm", "xgboost", "catboost", "keras", "lightning", "transformers")
    for name in frameworks:

        def train(config, name=name):
            call = globals()[f"{name}_call"]()
            began = time.perf_counter()
            for at in range(CALLS):
                call(at)
            took = (time.perf_counter() - began) / CALLS
            show(f"{name}: one call", f"{took * 1e6:6.1f} us, {100 * took / EPOCH:.3f} % of an epoch of 50 ms")

        with tempfile.TemporaryDirectory() as folder:
            results = space(x=uniform(0, 1)).trainable(train).samples(1).store(folder).run("inline", quiet=True)
            for error in results.errors:
                show(f"{name}: not measured", error.message)


if __name__ == "__main__":
    main()
