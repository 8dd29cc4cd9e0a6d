"""The callbacks of training frameworks: real trainings under ASHA, pauses, populations, retries and resumes.

Each framework is tested where it is installed.
"""

from __future__ import annotations

import importlib
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import attrs
import numpy as np
import pytest
from sklearn.datasets import load_breast_cancer, load_digits
from sklearn.model_selection import train_test_split

from tunedsl import asha, hyperband, loguniform, pbt, report, space, trial
from tunedsl.integrations.reporting import select
from tunedsl.kernel import CopyCheckpoint
from tunedsl.worker.session import Session

ITERATIONS = 9
_SPLIT = train_test_split(*load_breast_cancer(return_X_y=True), random_state=0)
ROWS = dict(zip(("x", "x_test", "y", "y_test"), _SPLIT, strict=True))


def boost_with_lightgbm(config, x, y, x_test, y_test):
    import lightgbm

    from tunedsl.integrations.lightgbm import ReportCallback

    callback = ReportCallback({"loss": "valid_0-binary_logloss"})
    model = lightgbm.LGBMClassifier(
        n_estimators=ITERATIONS - callback.rounds, learning_rate=config["lr"], num_leaves=7, verbosity=-1, n_jobs=1
    )
    model.fit(x, y, eval_set=[(x_test, y_test)], init_model=callback.model, callbacks=[callback])


def boost_with_xgboost(config, x, y, x_test, y_test):
    import xgboost

    from tunedsl.integrations.xgboost import ReportCallback

    callback = ReportCallback({"loss": "test-logloss"})
    xgboost.train(
        {"eta": config["lr"], "objective": "binary:logistic", "max_depth": 3, "nthread": 1},
        xgboost.DMatrix(x, y),
        ITERATIONS - callback.rounds,
        evals=[(xgboost.DMatrix(x_test, y_test), "test")],
        xgb_model=callback.model,
        callbacks=[callback],
        verbose_eval=False,
    )


def boost_with_catboost(config, x, y, x_test, y_test):
    import catboost

    from tunedsl.integrations.catboost import ReportCallback

    callback = ReportCallback({"loss": "validation-Logloss"})
    model = catboost.CatBoostClassifier(
        iterations=ITERATIONS, learning_rate=config["lr"], depth=3, thread_count=1, verbose=False, **callback.snapshot
    )
    model.fit(x, y, eval_set=(x_test, y_test), callbacks=[callback])


def train_keras(config, x, y, x_test, y_test):
    import keras

    from tunedsl.integrations.keras import ReportCallback

    keras.utils.set_random_seed(0)
    scale = x.mean(axis=0)
    model = keras.Sequential([keras.Input((30,)), keras.layers.Dense(8, "relu"), keras.layers.Dense(1, "sigmoid")])
    model.compile(keras.optimizers.Adam(config["lr"]), "binary_crossentropy")
    model.fit(
        x / scale,
        y,
        validation_data=(x_test / scale, y_test),
        epochs=ITERATIONS,
        shuffle=False,
        verbose=0,
        callbacks=[ReportCallback({"loss": "val_loss"})],
    )


def train_lightning(config, x, y, x_test, y_test):
    import lightning.pytorch as lightning
    import torch
    from torch.utils.data import DataLoader, TensorDataset

    from tunedsl.integrations.lightning import ReportCallback

    class Network(lightning.LightningModule):
        def __init__(self):
            super().__init__()
            torch.manual_seed(0)
            self.layers = torch.nn.Sequential(torch.nn.Linear(30, 8), torch.nn.ReLU(), torch.nn.Linear(8, 2))

        def training_step(self, batch):
            return torch.nn.functional.cross_entropy(self.layers(batch[0]), batch[1])

        def validation_step(self, batch):
            self.log("val_loss", torch.nn.functional.cross_entropy(self.layers(batch[0]), batch[1]))

        def configure_optimizers(self):
            return torch.optim.Adam(self.parameters(), config["lr"])

    def rows(features, labels):
        scaled = torch.tensor(features / x.mean(axis=0), dtype=torch.float32)
        return DataLoader(TensorDataset(scaled, torch.tensor(labels)), batch_size=64)

    callback = ReportCallback({"loss": "val_loss"})
    trainer = lightning.Trainer(
        max_epochs=ITERATIONS, accelerator="cpu", callbacks=[callback], logger=False, enable_checkpointing=False,
        enable_model_summary=False, default_root_dir=trial().path,
    )  # fmt: skip
    trainer.fit(Network(), rows(x, y), rows(x_test, y_test), ckpt_path=callback.ckpt_path)


def train_transformers(config, x, y, x_test, y_test):
    import torch
    from transformers import PretrainedConfig, PreTrainedModel, Trainer, TrainingArguments

    from tunedsl.integrations.transformers import ReportCallback

    class Network(PreTrainedModel):
        config_class = PretrainedConfig

        def __init__(self, settings):
            super().__init__(settings)
            torch.manual_seed(0)
            self.layers = torch.nn.Sequential(torch.nn.Linear(30, 8), torch.nn.ReLU(), torch.nn.Linear(8, 2))
            self.post_init()

        def forward(self, features, labels):
            logits = self.layers(features)
            return {"loss": torch.nn.functional.cross_entropy(logits, labels), "logits": logits}

    def rows(features, labels):
        scaled = torch.tensor(features / x.mean(axis=0), dtype=torch.float32)
        return [{"features": each, "labels": label} for each, label in zip(scaled, torch.tensor(labels), strict=True)]

    callback = ReportCallback({"loss": "eval_loss"})
    options = TrainingArguments(
        str(trial().path / "trainer"), eval_strategy="epoch", num_train_epochs=ITERATIONS, learning_rate=config["lr"],
        per_device_train_batch_size=64, save_total_limit=1, save_strategy="no", disable_tqdm=True, report_to="none",
        use_cpu=True,
    )  # fmt: skip
    trainer = Trainer(
        Network(PretrainedConfig()),
        options,
        train_dataset=rows(x, y),
        eval_dataset=rows(x_test, y_test),
        callbacks=[callback],
    )
    trainer.train(resume_from_checkpoint=callback.checkpoint_path)


@attrs.frozen
class Framework:
    """A framework under test.

    Attributes:
        package: what has to be installed.
        train: a real training of `ITERATIONS` reports.
        copies: whether a population's trial can load the checkpoint of another one.
    """

    package: str
    train: Callable[..., None]
    copies: bool = True


FRAMEWORKS = [
    Framework("lightgbm", boost_with_lightgbm),
    Framework("xgboost", boost_with_xgboost),
    Framework("catboost", boost_with_catboost, copies=False),
    Framework("keras", train_keras),
    Framework("lightning", train_lightning),
    Framework("transformers", train_transformers),
]


@pytest.fixture(params=FRAMEWORKS, ids=[each.package for each in FRAMEWORKS])
def framework(request, monkeypatch) -> Framework:
    monkeypatch.setenv("KERAS_BACKEND", "torch")
    pytest.importorskip(request.param.package, exc_type=ImportError)
    return request.param  # type: ignore[no-any-return]


def experiment(framework: Framework, tmp_path: Path):
    return (
        space(lr=loguniform(1e-3, 0.3))
        .trainable(framework.train)
        .data(**ROWS)
        .minimize("loss")
        .samples(4)
        .seed(0)
        .store(str(tmp_path))
    )


def curves(results) -> list[list[float]]:
    return [list(each.curve["loss"]) for each in results.trials]


@pytest.fixture
def quiet():
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


@pytest.mark.slow
def test_each_iteration_is_reported_and_asha_stops_trials(framework, tmp_path, quiet):
    stopping = experiment(framework, tmp_path).scheduler(asha(max_t=ITERATIONS, reduction_factor=3)).samples(6)
    results = stopping.run("inline", quiet=True)
    assert not results.errors
    statuses = {each.status for each in results.trials}
    assert statuses == {"completed", "stopped"}
    assert max(each.iterations for each in results.trials) == ITERATIONS
    assert all(np.isfinite(curve).all() for curve in curves(results))


@pytest.mark.slow
def test_pauses_continue_from_the_frameworks_own_checkpoint(framework, tmp_path, quiet):
    plain = experiment(framework, tmp_path / "plain").run("inline", quiet=True)
    pausing = (
        experiment(framework, tmp_path / "paused")
        .scheduler(hyperband(max_t=ITERATIONS, reduction_factor=3))
        .run("inline", quiet=True)
    )
    assert not plain.errors and not pausing.errors
    longest = max(range(4), key=lambda at: pausing.trials[at].iterations)
    assert pausing.trials[longest].iterations == ITERATIONS and pausing.trials[longest].checkpoints
    assert curves(pausing)[longest] == pytest.approx(curves(plain)[longest], rel=1e-3)


@pytest.mark.slow
def test_a_crash_is_retried_from_the_newest_checkpoint(framework, tmp_path, quiet, monkeypatch):
    plain = experiment(framework, tmp_path / "plain").samples(1).run("inline", quiet=True)
    seen: list[int] = []
    receive = Session.report

    def crash_once(self: Session, *args: Any, **more: Any) -> None:
        seen.append(self._reports.iteration + 1)
        if len(seen) == 6:
            raise RuntimeError("lost power")
        receive(self, *args, **more)

    monkeypatch.setattr(Session, "report", crash_once)
    retried = (
        experiment(framework, tmp_path / "retried").samples(1).checkpoint(every=2).retry(1).run("inline", quiet=True)
    )
    assert not retried.errors
    assert seen == [1, 2, 3, 4, 5, 6, 5, 6, 7, 8, 9]
    assert curves(retried)[0] == pytest.approx(curves(plain)[0], rel=1e-3)


@pytest.mark.slow
def test_a_population_copies_checkpoints(framework, tmp_path, quiet):
    if not framework.copies:
        pytest.skip("the framework refuses a checkpoint of other parameters")
    population = pbt(hyperparam_mutations={"lr": loguniform(1e-3, 0.3)}, perturbation_interval=3)
    ending = experiment(framework, tmp_path).scheduler(population).stop(training_iteration=ITERATIONS)
    results = ending.run("inline", quiet=True)
    assert not results.errors
    assert [each.iterations for each in results.trials] == [ITERATIONS] * 4
    copied = [
        command for line in results.journal.records() for command in line.c if isinstance(command, CopyCheckpoint)
    ]
    assert copied


def test_metrics_are_selected_and_renamed():
    found = {"val_loss": 0.5, "loss": 0.25}
    assert select(found, None) == found
    assert select(found, ["val_loss"]) == {"val_loss": 0.5}
    assert select(found, {"a": "loss"}) == {"a": 0.25}
    with pytest.raises(Exception, match=r"The framework has no metric 'val_los'\.\n  help: did you mean 'val_loss'"):
        select(found, ["val_los"])
    assert select(found, "val_loss") == {"val_loss": 0.5}, "a text is one name"
    with pytest.raises(Exception, match="help: it has computed none; give it data"):
        select({}, ["val_loss"])


def test_a_function_may_write_the_checkpoint(tmp_path):
    digits = load_digits()
    written: list[Path] = []

    def train(config):
        start = int((trial().checkpoint / "at").read_text()) if trial().checkpoint else 0
        for at in range(start + 1, 8):

            def save(folder, at=at):
                written.append(folder)
                (folder / "at").write_text(str(at))

            report(loss=digits.data[at].mean() * config["lr"], checkpoint=save)

    results = (
        space(lr=1.0)
        .trainable(train)
        .minimize("loss")
        .checkpoint(every=3)
        .store(str(tmp_path))
        .run("inline", quiet=True)
    )
    assert list(results.trials[0].checkpoints) == [3, 6] and len(written) == 2


def test_callbacks_say_when_they_are_used_outside_of_a_trial():
    pytest.importorskip("lightgbm")
    module = importlib.import_module("tunedsl.integrations.lightgbm")
    with pytest.raises(Exception, match="outside"):
        _ = module.ReportCallback().rounds
