"""Evaluates one configuration by cross-validation, as the trainable of a search.

`evaluate_folds` reports after each fold. `Iterations` trains the estimators of all folds together, one iteration at a
time, and reports after each. The search itself is in `search`.
"""

from __future__ import annotations

import math
import pickle
import time
import traceback
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import attrs
import numpy as np
from sklearn.base import clone, is_classifier
from sklearn.model_selection._validation import _fit_and_score, _score
from sklearn.utils.metaestimators import _safe_split
from sklearn.utils.validation import _check_method_params, _num_samples

from tunedsl.base.types import Config
from tunedsl.integrations.sklearn.parameters import Parameters
from tunedsl.worker import Trainable, report

OBJECTIVE: Final = "score"
"""The metric that the search maximizes: the mean test score of the folds so far."""
FOLDS: Final = "folds"
"""The key of the fold results in a report, in the format of scikit-learn's `_fit_and_score`."""
_CHECKPOINT: Final = "estimators.pickle"


@attrs.frozen
class CrossValidation:
    """The settings that workers need, besides the data, to evaluate a configuration.

    Attributes:
        estimator: the unfitted estimator.
        parameters: converts a configuration to the estimator's parameters.
        splits: the indices of each fold's training and test rows.
        scorer: one scorer, several, or a function, as scikit-learn passes it around.
        metric: the name of the score to maximize, among several.
        iterations: the maximum number of iterations of a trial; None if folds are the iterations.
        fit_params, score_params: keywords of `fit` and of the scorer.
        return_train_score, error_score, verbose: as for `RandomizedSearchCV`.
    """

    estimator: Any
    parameters: Parameters
    splits: list[tuple[Any, Any]]
    scorer: Any
    metric: str | None
    iterations: int | None
    fit_params: dict[str, Any]
    score_params: dict[str, Any]
    return_train_score: bool
    error_score: Any
    verbose: int

    def value(self, fold: Mapping[str, Any]) -> float:
        """The score of a fold that the search maximizes."""
        scores = fold["test_scores"]
        return float(scores[self.metric or next(iter(scores))] if isinstance(scores, Mapping) else scores)

    def metrics(self, folds: list[dict[str, Any]], new: list[dict[str, Any]]) -> dict[str, Any]:
        """The report after some folds."""
        return {OBJECTIVE: math.fsum(map(self.value, folds)) / len(folds), FOLDS: new}

    def fit_fold(self, config: Config, X: Any, y: Any, fold: int) -> dict[str, Any]:
        """Fit a new estimator to a fold's training rows, and score it."""
        train, test = self.splits[fold]
        found = _fit_and_score(
            clone(self.estimator), X, y, scorer=self.scorer, train=train, test=test,
            parameters=self.parameters.of(config), fit_params=self.fit_params, score_params=self.score_params,
            return_train_score=self.return_train_score, return_n_test_samples=True, return_times=True,
            error_score=self.error_score, verbose=self.verbose, split_progress=(fold, len(self.splits)),
        )  # fmt: skip
        return dict(found)

    def failed_scores(self) -> Any:
        """The scores of a fold whose fit failed."""
        names = getattr(self.scorer, "_scorers", None)
        return self.error_score if names is None else dict.fromkeys(names, self.error_score)


def evaluate_folds(config: Config, X: Any, y: Any, task: CrossValidation) -> None:
    """Evaluate a configuration fold by fold, and report after each."""
    folds = []
    for fold in range(len(task.splits)):
        folds.append(task.fit_fold(config, X, y, fold))
        report(task.metrics(folds, folds[-1:]))


class Iterations(Trainable):
    """One estimator for each fold, all trained iteration by iteration."""

    def setup(self, config: Config, X: Any, y: Any, task: CrossValidation) -> None:
        self.task, self.X, self.y = task, X, y
        self.config = task.parameters.of(config)
        self.estimators = [
            clone(task.estimator).set_params(**clone(self.config, safe=False)) for _ in task.splits
        ]  # fmt: skip
        self.growth = Growth.of(self.estimators[0], task.iterations or 1, y)
        self.iteration, self.seconds, self.has_failed = 0, [0.0] * len(task.splits), False

    def step(self) -> dict[str, Any] | None:
        if self.has_failed:
            return None
        self.iteration += 1
        folds = [self._advance(fold) for fold in range(len(self.estimators))]
        return self.task.metrics(folds, folds)

    def _advance(self, fold: int) -> dict[str, Any]:
        """Train a fold's estimator by one iteration, and score it."""
        task, estimator = self.task, self.estimators[fold]
        train, test = task.splits[fold]
        X_train, y_train = _safe_split(estimator, self.X, self.y, train)
        X_test, y_test = _safe_split(estimator, self.X, self.y, test, train)
        began = time.perf_counter()
        error = None
        try:
            fit_params = _check_method_params(self.X, task.fit_params, indices=train)
            self.growth.advance(estimator, self.iteration, X_train, y_train, fit_params)
        except Exception:
            if task.error_score == "raise":
                raise
            error, self.has_failed = traceback.format_exc(), True
        fitted = time.perf_counter()
        self.seconds[fold] += fitted - began
        scores = {"test_scores": self._score(estimator, X_test, y_test, test, error)}
        score_time = time.perf_counter() - fitted
        if task.return_train_score:
            scores["train_scores"] = self._score(estimator, X_train, y_train, train, error)
        return {
            "fit_error": error,
            **scores,
            "n_test_samples": _num_samples(X_test),
            "fit_time": self.seconds[fold],
            "score_time": score_time,
        }

    def _score(self, estimator: Any, X: Any, y: Any, rows: Any, error: str | None) -> Any:
        task = self.task
        if error is not None:
            return task.failed_scores()
        score_params = _check_method_params(self.X, task.score_params, indices=rows)
        return _score(estimator, X, y, task.scorer, score_params, task.error_score)

    def save(self, folder: str) -> None:
        state = (self.iteration, self.estimators, self.seconds)
        (Path(folder) / _CHECKPOINT).write_bytes(pickle.dumps(state, pickle.HIGHEST_PROTOCOL))

    def load(self, folder: str) -> None:
        self.iteration, self.estimators, self.seconds = pickle.loads((Path(folder) / _CHECKPOINT).read_bytes())
        for estimator in self.estimators:  # a trial of a population has other parameters than its donor
            estimator.set_params(**clone(self.config, safe=False))


@attrs.frozen
class Growth:
    """How an estimator is trained for one more iteration.

    Attributes:
        size: the parameter that `warm_start` increases, such as `n_estimators`; empty for `partial_fit`.
        full: its value after all iterations.
        iterations: the number of iterations.
        classes: the labels that `partial_fit` of a classifier needs.
    """

    size: str
    full: int
    iterations: int
    classes: Any

    @classmethod
    def of(cls, estimator: Any, iterations: int, y: Any) -> Growth:
        """Find out how an estimator is trained by iterations.

        Raises:
            ValueError: for an estimator that has neither `partial_fit` nor a `warm_start` that adds estimators.
        """
        classes = np.unique(y) if is_classifier(estimator) else None
        if hasattr(estimator, "partial_fit"):
            return cls("", 0, iterations, classes)
        params = estimator.get_params(deep=True)
        for name in sorted(params, key=len):
            prefix, is_switch = name.removesuffix("warm_start"), name.rpartition("__")[2] == "warm_start"
            sizes = ("n_estimators", "max_iter") if _is_histogram_boosting(estimator, prefix) else ("n_estimators",)
            for size in sizes if is_switch else ():
                if prefix + size in params:
                    return cls(prefix + size, int(params[prefix + size]), iterations, classes)
        raise ValueError(
            f"iterations={iterations} needs an estimator with partial_fit, or with warm_start and n_estimators, "
            f"but {type(estimator).__name__} has neither.\n"
            f"  help: leave out iterations=, so that trials are stopped after folds"
        )

    def advance(self, estimator: Any, iteration: int, X: Any, y: Any, fit_params: Mapping[str, Any]) -> None:
        """Train an estimator from one iteration to the next."""
        if not self.size:
            known = {} if self.classes is None else {"classes": self.classes}
            estimator.partial_fit(X, y, **known, **fit_params)
            return
        switch = f"{self.size.rpartition('__')[0]}__warm_start" if "__" in self.size else "warm_start"
        size = max(1, round(self.full * iteration / self.iterations))
        estimator.set_params(**{switch: True, self.size: size})
        estimator.fit(X, y, **fit_params)


def _is_histogram_boosting(estimator: Any, prefix: str) -> bool:
    """Whether `max_iter` of the estimator at a prefix counts trees, as in histogram boosting."""
    part = estimator.get_params(deep=True)[prefix.removesuffix("__")] if prefix else estimator
    return type(part).__name__.startswith("HistGradientBoosting")
