"""The files that `tunedsl init` writes: training code for each framework, and an experiment in Python or YAML."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import attrs


@attrs.frozen
class Starter:
    """Training code to begin with: a function `train(config)` that reports `loss` nine times.

    Attributes:
        packages: what it needs, as arguments of `pip install`.
        imports: of other packages.
        names: what it needs of `tunedsl` itself.
        code: the function, and what it uses.
    """

    packages: str
    imports: str
    names: tuple[str, ...]
    code: str


_DATA: Final = """\
    features, labels = load_breast_cancer(return_X_y=True)  # replace it by your data
    x, x_test, y, y_test = train_test_split(scale(features).astype("float32"), labels, random_state=0)
"""
_SKLEARN: Final = """\
from sklearn.datasets import load_breast_cancer
from sklearn.model_selection import train_test_split
from sklearn.preprocessing import scale
"""

STARTERS: Final = {
    "plain": Starter("tunedsl", "", ("report",), '''\
def train(config):
    weight = 0.0  # replace it by your model
    for _ in range(9):
        weight -= config["lr"] * 2 * (weight - 3)
        report(loss=(weight - 3) ** 2)  # after each epoch, so that the scheduler can stop the trial
'''),
    "class": Starter("tunedsl", "import json\n", ("Trainable",), '''\
class train(Trainable):
    """A training with checkpoints, for schedulers that pause trials and for retries."""

    def setup(self, config):
        self.lr, self.weight = config["lr"], 0.0  # replace it by your model

    def step(self):
        self.weight -= self.lr * 2 * (self.weight - 3)
        return {"loss": (self.weight - 3) ** 2}

    def save(self, folder):
        (folder / "state.json").write_text(json.dumps(self.weight))

    def load(self, folder):
        self.weight = json.loads((folder / "state.json").read_text())
'''),
    "sklearn": Starter("'tunedsl[sklearn]'", _SKLEARN.replace(
        "from sklearn.model", "from sklearn.linear_model import SGDClassifier\nfrom sklearn.metrics import log_loss\n"
        "from sklearn.model",
    ), ("report",), f'''\
def train(config):
{_DATA}    model = SGDClassifier("log_loss", learning_rate="constant", eta0=config["lr"], random_state=0)
    for _ in range(9):
        model.partial_fit(x, y, classes=[0, 1])
        report(loss=log_loss(y_test, model.predict_proba(x_test)))
'''),
    "lightgbm": Starter("'tunedsl[lightgbm]' scikit-learn", f'''\
import lightgbm
{_SKLEARN}
from tunedsl.integrations.lightgbm import ReportCallback
''', (), f'''\
def train(config):
{_DATA}    callback = ReportCallback({{"loss": "valid_0-binary_logloss"}})
    rounds = 9 - callback.rounds
    model = lightgbm.LGBMClassifier(n_estimators=rounds, learning_rate=config["lr"], verbosity=-1, n_jobs=1)
    model.fit(x, y, eval_X=x_test, eval_y=y_test, init_model=callback.model, callbacks=[callback])
'''),
    "xgboost": Starter("'tunedsl[xgboost]' scikit-learn", f'''\
import xgboost
{_SKLEARN}
from tunedsl.integrations.xgboost import ReportCallback
''', (), f'''\
def train(config):
{_DATA}    callback = ReportCallback({{"loss": "test-logloss"}})
    xgboost.train(
        {{"eta": config["lr"], "objective": "binary:logistic", "nthread": 1}},
        xgboost.DMatrix(x, y),
        9 - callback.rounds,
        evals=[(xgboost.DMatrix(x_test, y_test), "test")],
        xgb_model=callback.model,
        callbacks=[callback],
        verbose_eval=False,
    )
'''),
    "catboost": Starter("'tunedsl[catboost]' scikit-learn", f'''\
from catboost import CatBoostClassifier
{_SKLEARN}
from tunedsl.integrations.catboost import ReportCallback
''', (), f'''\
def train(config):
{_DATA}    callback = ReportCallback({{"loss": "validation-Logloss"}})
    options = {{"iterations": 9, "learning_rate": config["lr"], "thread_count": 1, "verbose": False}}
    CatBoostClassifier(**options, **callback.snapshot).fit(x, y, eval_set=(x_test, y_test), callbacks=[callback])
'''),
    "keras": Starter("'tunedsl[keras]' torch scikit-learn", f'''\
import os

os.environ.setdefault("KERAS_BACKEND", "torch")

import keras
{_SKLEARN}
from tunedsl.integrations.keras import ReportCallback
''', ("trial",), f'''\
def train(config):
{_DATA}    keras.utils.set_random_seed(trial().seed)
    layers = [keras.Input((30,)), keras.layers.Dense(8, "relu"), keras.layers.Dense(1, "sigmoid")]
    model = keras.Sequential(layers)
    model.compile(keras.optimizers.Adam(config["lr"]), "binary_crossentropy")
    callback = ReportCallback({{"loss": "val_loss"}})
    model.fit(x, y, validation_data=(x_test, y_test), epochs=9, verbose=0, callbacks=[callback])
'''),
    "lightning": Starter("'tunedsl[lightning]' scikit-learn", f'''\
import lightning.pytorch as pl
import torch
{_SKLEARN}from torch.utils.data import DataLoader, TensorDataset

from tunedsl.integrations.lightning import ReportCallback
''', (), f'''\
class Network(pl.LightningModule):
    def __init__(self, lr):
        super().__init__()
        self.lr, self.layers = lr, torch.nn.Sequential(torch.nn.Linear(30, 8), torch.nn.ReLU(), torch.nn.Linear(8, 2))

    def training_step(self, batch):
        return torch.nn.functional.cross_entropy(self.layers(batch[0]), batch[1])

    def validation_step(self, batch):
        self.log("val_loss", self.training_step(batch))

    def configure_optimizers(self):
        return torch.optim.Adam(self.parameters(), self.lr)


def rows(*arrays):
    return DataLoader(TensorDataset(*map(torch.tensor, arrays)), batch_size=64)


def train(config):
{_DATA}    callback = ReportCallback({{"loss": "val_loss"}})
    options = {{"logger": False, "enable_checkpointing": False, "enable_model_summary": False, "accelerator": "cpu"}}
    trainer = pl.Trainer(max_epochs=9, callbacks=[callback], **options)
    trainer.fit(Network(config["lr"]), rows(x, y), rows(x_test, y_test), ckpt_path=callback.ckpt_path)
'''),
    "transformers": Starter("'tunedsl[transformers]'", '''\
from pydoc_data.topics import topics

import torch
from transformers import GPT2Config, GPT2LMHeadModel, Trainer, TrainingArguments

from tunedsl.integrations.transformers import ReportCallback
''', ("trial",), '''\
text = torch.tensor(list(topics["if"].encode("ascii", "ignore")))  # replace it by your data
rows = [{"input_ids": part, "labels": part} for part in text.split(32)[:-1]]


def train(config):
    shape = GPT2Config(n_embd=16, n_layer=1, n_head=2, vocab_size=128, n_positions=32)
    options = TrainingArguments(
        str(trial().path / "trainer"), learning_rate=config["lr"], num_train_epochs=9, eval_strategy="epoch",
        save_strategy="no", save_total_limit=1, disable_tqdm=True, report_to="none", seed=trial().seed,
    )
    callback = ReportCallback({"loss": "eval_loss"})
    data = {"train_dataset": rows[5:], "eval_dataset": rows[:5]}
    trainer = Trainer(GPT2LMHeadModel(shape), options, callbacks=[callback], **data)
    trainer.train(resume_from_checkpoint=callback.checkpoint_path)
'''),
}  # fmt: skip
"""The training code by the name of `--framework`."""

_ENGINES: Final = "on Ray; --engine local needs no Ray, --engine inline no other process"
_PYTHON: Final = '''\
"""Tunes {what}.

    python -m pip install {packages}
    tunedsl check {file}    # all errors, before anything runs
    tunedsl run {file}      # {engines}
"""

{imports}
{code}experiment = (
    space(
{params}    )
    .trainable({trainable})
    .minimize("loss")  # or .maximize("accuracy"), for a metric that is reported
    .searcher(auto())  # or random_search(), tpe(), gp(), and others of tunedsl.searchers
    .scheduler(asha(max_t=9))  # stops bad trials early; max_t is the number of reports of a whole trial
    .samples(20)  # the number of trials
    .budget(seconds=600)  # the limit of the whole run
    .seed(0)
    # .parallel(4)  # at most 4 trials at the same time
    # .resources(cpu=2, gpu=0.5)  # of each trial
    # .retry(1)  # a failed trial runs again
    # .store("results")  # where runs are kept
)

if __name__ == "__main__":
    results = experiment.run()
    print(results.best)
'''
_YAML: Final = """\
# Tunes {what}.
#
#     python -m pip install {packages}
#     tunedsl check {file}    # all errors, before anything runs
#     tunedsl run {file}      # {engines}

{trainable}

space:
{params}
minimize: loss  # or maximize: accuracy, for a metric that is reported
searcher: auto  # or random_search, sobol, and others of tunedsl.searchers
scheduler: asha(max_t=9)  # stops bad trials early; max_t is the number of reports of a whole trial
samples: 20  # the number of trials
budget: {{seconds: 600}}  # the limit of the whole run
seed: 0
# parallel: 4  # at most 4 trials at the same time
# resources: {{cpu: 2, gpu: 0.5}}  # of each trial
# retry: 1  # a failed trial runs again
# store: results  # where runs are kept
"""
_DOMAIN: Final = "loguniform(1e-4, 1e-1)"
_OTHERS: Final = "or uniform(0, 1), randint(1, 9), choice(['a', 'b'])"


def python_file(file: str, starter: Starter | None, params: Sequence[str], command: str, reference: str) -> str:
    """An experiment in Python, with the training code of a starter, a program, or a function of another module."""
    names = ["asha", "auto", "loguniform", "space", *(starter.names if starter is not None else ())]
    names += ["command"] if command else []
    module, _, function = reference.partition(":")
    others = starter.imports if starter is not None else f"from {module} import {function}\n" if reference else ""
    own = f"from tunedsl import {', '.join(sorted(names, key=str.swapcase))}\n"
    return _PYTHON.format(
        what=_what(command, reference),
        packages="tunedsl" if starter is None else starter.packages,
        file=file,
        engines=_ENGINES,
        imports=_imports(others, own),
        code=f"\n{starter.code}\n\n" if starter is not None else "",
        params="".join(f"        {name}={_DOMAIN},  # {_OTHERS}\n" for name in params),
        trainable=f"command({command!r})" if command else function or "train",
    )


def yaml_file(file: str, starter: Starter | None, params: Sequence[str], command: str, reference: str) -> str:
    """An experiment in YAML, of a function or a program."""
    quoted = command.replace("'", "''")
    return _YAML.format(
        what=_what(command, reference),
        packages="tunedsl" if starter is None else starter.packages,
        file=file,
        engines=_ENGINES,
        params="".join(f"  {name}: {_DOMAIN}  # {_OTHERS}\n" for name in params),
        trainable=f"command: '{quoted}'" if command else f"trainable: {reference}  # MODULE:FUNCTION",
    )


def training_file(file: str, starter: Starter) -> str:
    """The module with the training code of an experiment in YAML."""
    own = f"from tunedsl import {', '.join(starter.names)}\n" if starter.names else ""
    return f'"""The training code that {file} tunes."""\n\n{_imports(starter.imports, own)}\n\n{starter.code}'


def _what(command: str, reference: str) -> str:
    return "a program" if command else f"{reference.partition(':')[2] or 'train'}, which reports its loss"


def _imports(others: str, own: str) -> str:
    """The imports of a file: of other packages, then of tunedsl."""
    foreign, mark, integrations = others.partition("from tunedsl.")
    foreign = f"{foreign.rstrip()}\n\n" if foreign.strip() else ""
    return f"{foreign}{own}{mark}{integrations}"
