"""Searches the parameters of a pipeline as `RandomizedSearchCV` does, and stops bad candidates after some folds.

python examples/sklearn_search.py
"""

from sklearn.datasets import load_breast_cancer
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import StandardScaler

from tunedsl import asha, auto, loguniform, randint
from tunedsl.integrations.sklearn import TunedSearchCV

rows, labels = load_breast_cancer(return_X_y=True)
search = TunedSearchCV(
    Pipeline([("scale", StandardScaler()), ("boost", HistGradientBoostingClassifier(max_iter=50))]),
    {"boost__learning_rate": loguniform(1e-3, 1), "boost__max_leaf_nodes": randint(4, 64)},
    searcher=auto(),
    scheduler=asha(max_t=5),
    n_trials=20,
    random_state=0,
)

if __name__ == "__main__":
    search.fit(rows, labels)
    print(f"best accuracy {search.best_score_:.3f} with {search.best_params_}")
    print(f"folds fitted  {search.cv_results_['folds'].sum()} of {5 * len(search.cv_results_['folds'])}")
