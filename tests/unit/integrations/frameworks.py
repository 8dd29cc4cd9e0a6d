"""A real training of seconds with each framework's callback, on data that scikit-learn bundles."""

from __future__ import annotations

from collections.abc import Callable

import attrs
from sklearn.datasets import load_breast_cancer
from sklearn.model_selection import train_test_split

from tunedsl import trial

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
    model.fit(x, y, eval_X=x_test, eval_y=y_test, init_model=callback.model, callbacks=[callback])


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
        is_light: whether a process loads it in a second.
    """

    package: str
    train: Callable[..., None]
    copies: bool = True
    is_light: bool = True


FRAMEWORKS = [
    Framework("lightgbm", boost_with_lightgbm),
    Framework("xgboost", boost_with_xgboost),
    Framework("catboost", boost_with_catboost, copies=False),
    Framework("keras", train_keras, is_light=False),
    Framework("lightning", train_lightning, is_light=False),
    Framework("transformers", train_transformers, is_light=False),
]
