"""Tunes LightGBM on scikit-learn's breast cancer data with TPE and ASHA; each boosting round is one iteration.

    python -m pip install lightgbm scikit-learn && python examples/boosting.py

A constraint between two parameters limits `num_leaves` to the number of leaves of a tree of `max_depth`.
"""

import lightgbm
from sklearn.datasets import load_breast_cancer
from sklearn.model_selection import train_test_split

from tunedsl import asha, auto, loguniform, qrandint, randint, ref, space, uniform
from tunedsl.integrations.lightgbm import ReportCallback

ROUNDS = 81

features, labels = load_breast_cancer(return_X_y=True)
x_train, x_test, y_train, y_test = train_test_split(features, labels, test_size=0.3, random_state=0, stratify=labels)


def train(config, x_train, y_train, x_test, y_test):
    data = lightgbm.Dataset(x_train, y_train)
    held_out = lightgbm.Dataset(x_test, y_test, reference=data)
    callback = ReportCallback({"loss": "held_out-binary_logloss"})
    params = {**config, "objective": "binary", "metric": "binary_logloss", "verbosity": -1, "num_threads": 1}
    lightgbm.train(params, data, ROUNDS, [held_out], valid_names=["held_out"], callbacks=[callback])


experiment = (
    space(
        learning_rate=loguniform(1e-2, 0.5),
        max_depth=randint(2, 8),
        num_leaves=qrandint(4, 64, 4),
        min_data_in_leaf=randint(5, 40),
        lambda_l2=loguniform(1e-4, 10),
        feature_fraction=uniform(0.4, 1),
        bagging_fraction=uniform(0.5, 1),
        bagging_freq=1,
    )
    .where(ref("num_leaves") <= 2 ** ref("max_depth"))
    .trainable(train)
    .data(x_train=x_train, y_train=y_train, x_test=x_test, y_test=y_test)
    .minimize("loss")
    .searcher(auto())
    .scheduler(asha(max_t=ROUNDS, grace_period=3, reduction_factor=3))
    .samples(40)
    .seed(0)
    .named("boosting")
)


if __name__ == "__main__":
    results = experiment.run()
    print(f"held-out log loss {results.best.metrics['loss']:.4f} with {results.best.config}")
    print(f"results in        {results.path}")
