"""Tunes LightGBM with ASHA: each boosting round is one iteration. Needs `pip install 'tunedsl[lightgbm,sklearn]'`."""

import lightgbm
from sklearn.datasets import load_breast_cancer
from sklearn.model_selection import train_test_split

from tunedsl import asha, auto, loguniform, qrandint, randint, ref, space, uniform
from tunedsl.integrations.lightgbm import ReportCallback


def train(config, x, x_test, y, y_test):
    callback = ReportCallback({"loss": "valid_0-binary_logloss"})
    model = lightgbm.LGBMClassifier(**config, n_estimators=81 - callback.rounds, verbosity=-1, n_jobs=1)
    model.fit(x, y, eval_X=x_test, eval_y=y_test, init_model=callback.model, callbacks=[callback])


parts = train_test_split(*load_breast_cancer(return_X_y=True), test_size=0.3, random_state=0)
experiment = (
    space(max_depth=randint(2, 8), num_leaves=qrandint(4, 64, 4), min_child_samples=randint(5, 40))
    .space(learning_rate=loguniform(1e-2, 0.5), reg_lambda=loguniform(1e-4, 10), colsample_bytree=uniform(0.4, 1))
    .where(ref("num_leaves") <= 2 ** ref("max_depth"))  # no more leaves than a tree of this depth has
    .trainable(train).data(**dict(zip(("x", "x_test", "y", "y_test"), parts, strict=True)))
    .minimize("loss").searcher(auto()).scheduler(asha(max_t=81, grace_period=3)).samples(40).seed(0)
)  # fmt: skip

if __name__ == "__main__":
    best = experiment.run("local").best
    print(f"log loss {best.metrics['loss']:.4f} with {best.config}")
