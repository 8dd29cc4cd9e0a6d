"""Models of scikit-learn on the data sets that come with it, as functions of their hyperparameters.

The loss is the error in cross-validation. Results are kept while the process runs, as comparisons ask for them again.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from tunedsl.spaces import Space, choice, lograndint, loguniform, quniform, randint, ref, uniform

Loss = Callable[[dict[str, Any]], float]


def problems() -> Iterator[tuple[str, Space, Loss]]:
    """The name, the space and the loss of each."""
    from sklearn import (
        datasets,
        ensemble,
        kernel_ridge,
        linear_model,
        metrics,
        model_selection,
        neighbors,
        preprocessing,
        svm,
        tree,
    )

    def folds(x: Any, y: Any) -> list[Any]:
        """Training and test data of each fold, scaled once: a pipeline would do so again for each configuration."""
        parts = model_selection.KFold(3, shuffle=True, random_state=0).split(x)
        scaled = ((preprocessing.StandardScaler().fit(x[train]), train, test) for train, test in parts)
        return [
            (scaler.transform(x[train]), y[train], scaler.transform(x[test]), y[test]) for scaler, train, test in scaled
        ]

    wine = folds(*datasets.load_wine(return_X_y=True))
    diabetes = folds(*datasets.load_diabetes(return_X_y=True))
    cancer = folds(*datasets.load_breast_cancer(return_X_y=True))
    remembered: dict[Any, float] = {}

    def error(model: Any, data: Any, name: str, config: Any) -> float:
        asked = (name, repr(config))
        if asked not in remembered:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                losses = []
                for x, y, unseen, truth in data:
                    model.fit(x, y)
                    if hasattr(model, "predict_proba"):
                        losses.append(metrics.log_loss(truth, model.predict_proba(unseen), labels=model.classes_))
                    elif hasattr(model, "classes_"):
                        losses.append(1 - metrics.accuracy_score(truth, model.predict(unseen)))
                    else:
                        losses.append(metrics.root_mean_squared_error(truth, model.predict(unseen)))
                remembered[asked] = float(np.mean(losses))
        return remembered[asked]

    kinds = Space.of(
        {
            "model": choice(
                {
                    "svm": Space.of(
                        {
                            "C": loguniform(1e-2, 1e2),
                            "kernel": choice(["rbf", "poly"]),
                            "gamma": loguniform(1e-5, 10),
                            "degree": randint(2, 5).when(ref("kernel") == "poly"),
                        }
                    ),
                    "knn": Space.of(
                        {
                            "n_neighbors": lograndint(1, 65),
                            "weights": choice(["uniform", "distance"]),
                            "p": quniform(1, 3, 0.25),
                        }
                    ),
                    "tree": Space.of({"max_depth": randint(1, 16), "min_samples_leaf": lograndint(1, 65)}),
                }
            )
        }
    )
    makes = {
        "svm": lambda **options: svm.SVR(**options, max_iter=5_000),
        "knn": neighbors.KNeighborsRegressor,
        "tree": lambda **options: tree.DecisionTreeRegressor(**options, random_state=0),
    }

    def kind_loss(config: Any) -> float:
        ((name, options),) = config["model"].items()
        return error(makes[name](**options), diabetes, "kinds", config)

    linear = Space.of(
        {
            "alpha": loguniform(1e-7, 1),
            "penalty": choice(["l2", "l1", "elasticnet"]),
            "l1_ratio": uniform(0, 1).when(ref("penalty") == "elasticnet"),
            "learning_rate": choice(["optimal", "constant", "invscaling", "adaptive"]),
            "eta0": loguniform(1e-5, 1).when(ref("learning_rate") != "optimal"),
            "power_t": uniform(0.1, 1).when(ref("learning_rate") == "invscaling"),
            "max_iter": lograndint(5, 101),
        }
    )

    def linear_loss(config: Any) -> float:
        return error(linear_model.SGDClassifier(loss="log_loss", random_state=0, **config), wine, "linear", config)

    trees = Space.of(
        {
            "n_estimators": randint(5, 21),
            "learning_rate": loguniform(1e-3, 1),
            "max_depth": randint(1, 9),
            "subsample": quniform(0.3, 1, 0.05),
            "max_features": quniform(0.1, 1, 0.1),
            "min_samples_leaf": lograndint(1, 51),
            "loss": choice(["squared_error", "absolute_error", "huber"]),
            "alpha": uniform(0.5, 0.99).when(ref("loss") == "huber"),
        }
    )

    def tree_loss(config: Any) -> float:
        return error(ensemble.GradientBoostingRegressor(random_state=0, **config), diabetes, "trees", config)

    vectors = Space.of(
        {
            "C": loguniform(1e-3, 1e3),
            "kernel": choice(["rbf", "poly", "sigmoid"]),
            "gamma": loguniform(1e-5, 10),
            "degree": randint(2, 6).when(ref("kernel") == "poly"),
            "coef0": uniform(-1, 1).when(ref("kernel") != "rbf"),
        }
    )

    def vector_loss(config: Any) -> float:
        return error(svm.SVC(max_iter=3_000, **config), cancer, "vectors", config)

    forest = Space.of(
        {
            "max_depth": randint(1, 16),
            "max_features": uniform(0.05, 1),
            "min_samples_leaf": lograndint(1, 65),
            "min_samples_split": randint(2, 21),
            "criterion": choice(["gini", "entropy"]),
        }
    )

    def forest_loss(config: Any) -> float:
        return error(
            ensemble.RandomForestClassifier(n_estimators=10, random_state=0, **config), cancer, "forest", config
        )

    ridge = Space.of(
        {
            "alpha": loguniform(1e-6, 1e2),
            "kernel": choice(["rbf", "laplacian", "polynomial"]),
            "gamma": loguniform(1e-6, 1),
            "coef0": uniform(0, 3).when(ref("kernel") == "polynomial"),
        }
    )

    def ridge_loss(config: Any) -> float:
        return error(kernel_ridge.KernelRidge(**config), diabetes, "ridge", config)

    yield "kinds", kinds, kind_loss
    yield "linear", linear, linear_loss
    yield "trees", trees, tree_loss
    yield "vectors", vectors, vector_loss
    yield "forest", forest, forest_loss
    yield "ridge", ridge, ridge_loss
