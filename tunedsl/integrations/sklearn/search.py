"""`TunedSearchCV`: a search of scikit-learn whose candidates are the trials of an experiment.

`evaluation` evaluates a candidate; `parameters` converts the space.
"""

from __future__ import annotations

import builtins
import contextlib
import numbers
import tempfile
import time
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from joblib import effective_n_jobs
from sklearn.base import clone, is_classifier
from sklearn.model_selection import check_cv
from sklearn.model_selection._search import BaseSearchCV
from sklearn.model_selection._validation import _insert_error_scores, _warn_or_raise_about_fit_failures
from sklearn.utils import check_random_state, indexable
from sklearn.utils.validation import _check_method_params

from tunedsl.base.arguments import check_names
from tunedsl.base.errors import JournalError
from tunedsl.experiment import Experiment
from tunedsl.integrations.sklearn.evaluation import (
    FOLDS,
    OBJECTIVE,
    CrossValidation,
    Growth,
    Iterations,
    evaluate_folds,
)
from tunedsl.integrations.sklearn.parameters import parameters_of
from tunedsl.results import Results, TrialResult
from tunedsl.runs.newest import newest
from tunedsl.runs.resume_command import resumed_by

_MAX_SEED = 2**31


class TunedSearchCV(BaseSearchCV):  # type: ignore[misc]  # scikit-learn has no type hints
    """Search for the best parameters of an estimator by cross-validation, with any searcher and scheduler.

    It has the interface of `RandomizedSearchCV`: `fit`, `predict`, `score`, `cv_results_`, `best_estimator_`,
    `best_params_`, `best_score_`, `best_index_`, several metrics, groups and metadata routing. Each candidate is a
    trial that reports its mean score after each fold, so that a scheduler can stop it after some of the folds. With
    `iterations`, trials train the estimators of all folds step by step and report after each step.

    Args:
        estimator: the estimator, or a pipeline whose parameters are written `step__parameter`.
        space: `space(...)`; or a dict from parameter to domain, distribution of scipy, list of options or constant; or
            a list of such dicts. Nested spaces are nested names: `space(clf={"C": ...})` sets `clf__C`.
        searcher: such as `tpe()`; by default random search.
        scheduler: such as `asha(max_t=5)` for 5 folds; by default no trial is stopped.
        n_trials: how many candidates, at least 1; with `grid` parameters, how many repeats of the grid.
        scoring, n_jobs, refit, cv, verbose, error_score, return_train_score: as for `RandomizedSearchCV`; `n_jobs` is
            the number of concurrent trials.
        random_state: makes the candidates and their order of decisions repeatable.
        iterations: the maximum number of iterations of a trial, at least 1. It needs an estimator with `partial_fit`,
            or with `warm_start` and `n_estimators`, which grows to its full value in equal steps.
        timeout: seconds after which the search ends with the candidates it has.
        engine: `"inline"`, `"local"` or `"ray"`; by default `inline` for one job, else `local`.
        store: the folder that keeps the run, its journal and its checkpoints. Without it they are temporary.
        resume: whether `fit` continues an interrupted run of the same search on the same data in `store`, and returns
            at once after a finished one.

    Attributes:
        cv_results_: as for `RandomizedSearchCV`, with `trial`, `status` and `folds`, the number of folds evaluated. A
            candidate that was stopped before its last fold has NaN scores and ranks last.
        results_: the `Results` of the run, if it has a `store`.
        n_iterations_: with `iterations`, the number of iterations of the best candidate and of the refit.

    Raises:
        ValueError: from `fit`, for an invalid space or estimator, or if all fits failed.
        CompileError: from `fit`, if searcher, scheduler and space do not fit together.

    Example:
        >>> from sklearn.datasets import load_iris
        >>> from sklearn.linear_model import LogisticRegression
        >>> from tunedsl import asha, loguniform
        >>> search = TunedSearchCV(
        ...     LogisticRegression(max_iter=1000), {"C": loguniform(1e-2, 1e1)}, scheduler=asha(max_t=5), n_trials=6
        ... )
        >>> bool(search.fit(*load_iris(return_X_y=True)).best_score_ > 0.9)
        True
    """

    @check_names
    def __init__(
        self,
        estimator: Any,
        space: Any,
        *,
        searcher: Any = None,
        scheduler: Any = None,
        n_trials: int = 20,
        cv: Any = None,
        scoring: Any = None,
        refit: Any = True,
        n_jobs: int | None = None,
        random_state: Any = None,
        iterations: int | None = None,
        timeout: float | None = None,
        engine: Any = None,
        store: Any = None,
        resume: bool = False,
        verbose: int = 0,
        error_score: Any = np.nan,
        return_train_score: bool = False,
    ) -> None:
        super().__init__(
            estimator=estimator,
            scoring=scoring,
            n_jobs=n_jobs,
            refit=refit,
            cv=cv,
            verbose=verbose,
            error_score=error_score,
            return_train_score=return_train_score,
        )
        self.space = space
        self.searcher = searcher
        self.scheduler = scheduler
        self.n_trials = n_trials
        self.random_state = random_state
        self.iterations = iterations
        self.timeout = timeout
        self.engine = engine
        self.store = store
        self.resume = resume

    def fit(self, X: Any, y: Any = None, **params: Any) -> TunedSearchCV:
        """Evaluate the candidates, and fit the best one to all rows.

        Args:
            X: rows, of shape (n_samples, n_features) or as the estimator takes them.
            y: targets, of shape (n_samples,) or (n_samples, n_outputs); None for estimators without targets.
            params: keywords of the estimator's `fit`, `groups` of the splitter, and others by metadata routing.

        Returns:
            The search itself.
        """
        self._check_arguments()
        scorers, refit_metric = self._get_scorers()
        X, y = indexable(X, y)
        params = _check_method_params(X, params=params)
        routed = self._get_routed_params_for_fit(params)
        splits = self._splits(X, y, routed.splitter.split)
        experiment, parameters = parameters_of(self.space)
        task = CrossValidation(
            clone(self.estimator), parameters, splits, scorers, self._metric(scorers), self.iterations,
            routed.estimator.fit, routed.scorer.score, self.return_train_score, self.error_score, self.verbose,
        )  # fmt: skip
        if self.iterations is not None:
            Growth.of(self.estimator, self.iterations, y)
        with self._folder() as folder:
            results = self._run(self._configured(experiment, task, folder).data(X=X, y=y, task=task), folder)
            trials = [trial for trial in results.trials if trial.iterations]
            _raise_first_error(results, trials)
            self._read(task, trials, refit_metric)
        if self.store is not None:
            self.results_ = results
        if self.refit:
            self._refit(task, X, y, routed.estimator.fit)
        self.scorer_ = getattr(scorers, "_scorers", scorers)
        return self

    def _check_arguments(self) -> None:
        for name, value in (("n_trials", self.n_trials), ("iterations", self.iterations)):
            if value is not None and not (isinstance(value, numbers.Integral) and value >= 1):
                raise ValueError(f"{name} must be a whole number of at least 1, not {value!r}")
        if self.resume and self.store is None:
            raise ValueError("resume=True needs the folder of the earlier run: store=...")
        self._validate_params()

    def _splits(self, X: Any, y: Any, split_params: Any) -> list[tuple[Any, Any]]:
        splitter = check_cv(self.cv, y, classifier=is_classifier(self.estimator))
        self.n_splits_ = splitter.get_n_splits(X, y, **split_params)
        splits = list(splitter.split(X, y, **split_params))
        if len(splits) != self.n_splits_:
            raise ValueError(
                "cv.split and cv.get_n_splits return inconsistent results. "
                f"Expected {self.n_splits_} splits, got {len(splits)}"
            )
        if not splits:
            raise ValueError("No fits were performed. Was the CV iterator empty?")
        return splits

    def _metric(self, scorers: Any) -> str | None:
        """The name of the score to maximize, among several."""
        if isinstance(self.refit, str):
            return self.refit
        return next(iter(getattr(scorers, "_scorers", ())), None)

    @contextlib.contextmanager
    def _folder(self) -> Iterator[str]:
        """The folder of the run; removed at the end unless the user named one."""
        if self.store is not None:
            yield str(self.store)
            return
        with tempfile.TemporaryDirectory(prefix="tunedsl-") as folder:
            yield folder

    def _configured(self, experiment: Experiment, task: CrossValidation, folder: str) -> Experiment:
        """The experiment with a clause for each argument of the search."""
        jobs = effective_n_jobs(self.n_jobs)
        experiment = (
            experiment.trainable(evaluate_folds if task.iterations is None else Iterations)
            .maximize(OBJECTIVE)
            .samples(int(self.n_trials))
            .parallel(jobs)
            .store(folder)
            .named("search")
        )
        if task.iterations is not None:
            experiment = experiment.stop(training_iteration=task.iterations)
        if self.searcher is not None:
            experiment = experiment.searcher(self.searcher)
        if self.scheduler is not None:
            experiment = experiment.scheduler(self.scheduler)
        if self.timeout is not None:
            experiment = experiment.budget(seconds=self.timeout)
        elif self.random_state is not None:
            experiment = experiment.order("logical")
        if self.random_state is not None:
            experiment = experiment.seed(int(check_random_state(self.random_state).randint(_MAX_SEED)))
        return experiment.fail_fast() if self.error_score == "raise" else experiment

    def _run(self, experiment: Experiment, folder: str) -> Results:
        engine = self.engine or ("inline" if experiment.clauses.parallel == 1 else "local")
        quiet = self.verbose == 0
        again = "search.fit(X, y)" if self.store is None else "search.set_params(resume=True).fit(X, y)"
        with resumed_by(again):
            if self.resume:
                with contextlib.suppress(JournalError):  # there is no earlier run
                    return experiment.resume(str(newest(experiment, Path(folder))), engine, quiet=quiet)
            return experiment.run(engine, quiet=quiet)

    def _read(self, task: CrossValidation, trials: list[TrialResult], refit_metric: str) -> None:
        """Set `cv_results_` and the attributes of the best candidate."""
        reports = [[dict(fold) for rows in trial.curve[FOLDS] for fold in rows] for trial in trials]
        folds = [found if task.iterations is None else found[-self.n_splits_ :] for found in reports]
        evaluated = [fold for found in folds for fold in found]
        _warn_or_raise_about_fit_failures(evaluated, self.error_score)
        if callable(self.scoring):
            _insert_error_scores(evaluated, self.error_score)
        first = next(fold["test_scores"] for fold in evaluated if fold["fit_error"] is None)
        self.multimetric_ = isinstance(first, dict)
        if callable(self.scoring) and self.multimetric_:
            self._check_refit_for_multimetric(first)
            refit_metric = self.refit
        missing = _missing_fold(evaluated[0])
        rows = [fold for found in folds for fold in [*found, *[missing] * (self.n_splits_ - len(found))]]
        more = {
            "trial": [trial.id for trial in trials],
            "status": [trial.status for trial in trials],
            "folds": [len(found) for found in folds],
        }
        with warnings.catch_warnings():
            if any(len(found) < self.n_splits_ for found in folds):  # missing folds need no warning
                warnings.filterwarnings("ignore", "One or more of the .* scores are non-finite")
            self.cv_results_ = self._format_results(
                [task.parameters.of(trial.config) for trial in trials], self.n_splits_, rows, more
            )
        if self.refit or not self.multimetric_:
            self.best_index_ = self._select_best_index(self.refit, refit_metric, self.cv_results_)
            if not callable(self.refit):
                self.best_score_ = self.cv_results_[f"mean_test_{refit_metric}"][self.best_index_]
            self.best_params_ = self.cv_results_["params"][self.best_index_]
            if self.iterations is not None:
                self.n_iterations_ = trials[self.best_index_].iterations

    def _refit(self, task: CrossValidation, X: Any, y: Any, fit_params: Any) -> None:
        """Fit the best candidate to all rows."""
        began = time.time()
        best = clone(task.estimator).set_params(**clone(self.best_params_, safe=False))
        growth = None if task.iterations is None else Growth.of(best, task.iterations, y)
        if growth is not None:
            for iteration in range(1, self.n_iterations_ + 1):
                growth.advance(best, iteration, X, y, fit_params)
        elif y is None:
            best.fit(X, **fit_params)
        else:
            best.fit(X, y, **fit_params)
        self.best_estimator_, self.refit_time_ = best, time.time() - began
        if hasattr(best, "feature_names_in_"):
            self.feature_names_in_ = best.feature_names_in_


def _missing_fold(like: dict[str, Any]) -> dict[str, Any]:
    """The results of a fold that a stopped candidate did not reach."""
    nan = float("nan")
    scores = like["test_scores"]
    blank = dict.fromkeys(scores, nan) if isinstance(scores, dict) else nan
    return {name: blank if name.endswith("_scores") else None if name == "fit_error" else nan for name in like}


def _raise_first_error(results: Results, trials: list[TrialResult]) -> None:
    """Raise the error of the first trial, with its own type if that is a built-in one."""
    failed = [trial.error for trial in results.trials if trial.error is not None]
    if failed:
        name, _, text = failed[0].message.partition(": ")
        found = getattr(builtins, name, None)
        is_known = isinstance(found, type) and issubclass(found, Exception)
        kind: Any = found if is_known else ValueError
        raise kind(text if is_known else failed[0].message) from RuntimeError(str(failed[0]))
    if not trials:
        raise ValueError("the search ended before any fold was evaluated; allow more time by timeout=...")
