"""`TunedSearchCV` beside the searches of scikit-learn and Optuna, on five bundled data sets.

    python -m tests.benchmarks.sklearn_search [SEEDS]

Each search may evaluate as many configurations. The figures are medians over the seeds: the score of the refitted best
estimator on rows that no search has seen, and the seconds of the search.
"""

import sys
import time
import warnings

import numpy as np
import scipy.stats
from sklearn.datasets import load_breast_cancer, load_diabetes, load_digits, load_iris, load_wine
from sklearn.ensemble import GradientBoostingClassifier
from sklearn.experimental import enable_halving_search_cv  # noqa: F401  # makes the search importable
from sklearn.linear_model import SGDRegressor
from sklearn.model_selection import HalvingRandomSearchCV, RandomizedSearchCV, train_test_split
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import SVC

from tests.benchmarks.measure import show
from tunedsl import asha, loguniform, tpe
from tunedsl.integrations.sklearn import TunedSearchCV

CANDIDATES, FOLDS = 30, 5
SVM = {"svc__C": (1e-2, 1e3), "svc__gamma": (1e-5, 1e1)}
LINEAR = {"sgdregressor__alpha": (1e-7, 1e1), "sgdregressor__eta0": (1e-5, 1e0)}
TREES = {"learning_rate": (1e-3, 1e0), "min_samples_leaf": (1e-3, 2e-1)}


def svm():
    return make_pipeline(StandardScaler(), SVC())


def cases():
    return {
        "iris, SVM": (load_iris, svm(), SVM),
        "wine, SVM": (load_wine, svm(), SVM),
        "breast cancer, boosting": (
            load_breast_cancer,
            GradientBoostingClassifier(n_estimators=30, random_state=0),
            TREES,
        ),
        "digits, SVM": (load_digits, svm(), SVM),
        "diabetes, SGD": (load_diabetes, make_pipeline(StandardScaler(), SGDRegressor(random_state=0)), LINEAR),
    }


def searches(estimator, bounds, seed):
    ours = {name: loguniform(*pair) for name, pair in bounds.items()}
    theirs = {name: scipy.stats.loguniform(*pair) for name, pair in bounds.items()}
    common = {"cv": FOLDS, "random_state": seed}
    yield "tunedsl, tpe", TunedSearchCV(estimator, ours, searcher=tpe(), n_trials=CANDIDATES, **common)
    stopped = {"searcher": tpe(), "scheduler": asha(max_t=FOLDS, reduction_factor=2)}
    yield "tunedsl, tpe, asha", TunedSearchCV(estimator, ours, **stopped, n_trials=CANDIDATES, **common)
    yield "RandomizedSearchCV", RandomizedSearchCV(estimator, theirs, n_iter=CANDIDATES, **common)
    yield "HalvingRandomSearchCV", HalvingRandomSearchCV(estimator, theirs, n_candidates=CANDIDATES, **common)
    try:
        import optuna
        from optuna_integration import OptunaSearchCV
    except ImportError:
        return
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    domains = {name: optuna.distributions.FloatDistribution(*pair, log=True) for name, pair in bounds.items()}
    yield "OptunaSearchCV", OptunaSearchCV(estimator, domains, n_trials=CANDIDATES, **common)


def main(seeds: int) -> None:
    warnings.simplefilter("ignore")
    for case, (load, estimator, bounds) in cases().items():
        rows, targets = load(return_X_y=True)
        found: dict[str, list[tuple[float, float]]] = {}
        for seed in range(seeds):
            train_rows, test_rows, train_targets, test_targets = train_test_split(rows, targets, random_state=seed)
            for name, search in searches(estimator, bounds, seed):
                began = time.perf_counter()
                search.fit(train_rows, train_targets)
                took = time.perf_counter() - began
                found.setdefault(name, []).append((search.score(test_rows, test_targets), took))
        for name, pairs in found.items():
            score, took = np.median(np.array(pairs), axis=0)
            show(f"{case}: {name}", f"score {score:.4f}   {took:6.2f} s")


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 5)
