"""Tunes XGBoost with ASHA: each boosting round is one iteration. Needs `pip install 'tunedsl[xgboost,sklearn]'`."""

import xgboost
from sklearn.datasets import load_breast_cancer
from sklearn.model_selection import train_test_split

from tunedsl import asha, auto, loguniform, randint, space, uniform
from tunedsl.integrations.xgboost import ReportCallback


def train(config, x, x_test, y, y_test):
    callback = ReportCallback({"loss": "test-logloss"})
    rows, held_out = xgboost.DMatrix(x, y), xgboost.DMatrix(x_test, y_test)
    xgboost.train(
        {**config, "objective": "binary:logistic", "nthread": 1}, rows, 81 - callback.rounds,
        evals=[(held_out, "test")], xgb_model=callback.model, callbacks=[callback], verbose_eval=False,
    )  # fmt: skip


parts = train_test_split(*load_breast_cancer(return_X_y=True), test_size=0.3, random_state=0)
experiment = (
    space(eta=loguniform(1e-2, 0.5), max_depth=randint(2, 8), subsample=uniform(0.5, 1), alpha=loguniform(1e-4, 10))
    .trainable(train).data(**dict(zip(("x", "x_test", "y", "y_test"), parts, strict=True)))
    .minimize("loss").searcher(auto()).scheduler(asha(max_t=81, grace_period=3)).samples(40).seed(0)
)  # fmt: skip

if __name__ == "__main__":
    best = experiment.run("local").best
    print(f"log loss {best.metrics['loss']:.4f} with {best.config}")
