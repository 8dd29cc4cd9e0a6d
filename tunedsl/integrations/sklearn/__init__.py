"""For users of scikit-learn: `TunedSearchCV`, a search with the interface of `RandomizedSearchCV`."""

from tunedsl.integrations.sklearn.search import TunedSearchCV

__all__ = ["TunedSearchCV"]
