"""`TunedSearchCV`: scikit-learn's contract for searches, and what a scheduler and a journal add to it."""

import os
import signal

import numpy as np
import pytest
import scipy.stats
from sklearn.base import BaseEstimator, ClassifierMixin, clone, is_classifier, is_regressor
from sklearn.cluster import KMeans
from sklearn.datasets import load_diabetes, load_digits, load_iris, make_classification
from sklearn.ensemble import GradientBoostingClassifier, HistGradientBoostingClassifier, RandomForestClassifier
from sklearn.exceptions import FitFailedWarning, NotFittedError
from sklearn.linear_model import LogisticRegression, Ridge, SGDClassifier
from sklearn.metrics import accuracy_score, make_scorer
from sklearn.model_selection import (
    GroupKFold,
    KFold,
    LeaveOneGroupOut,
    RandomizedSearchCV,
    ShuffleSplit,
    cross_val_score,
)
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import MinMaxScaler, StandardScaler
from sklearn.svm import SVC
from sklearn.utils.estimator_checks import check_estimator

from tunedsl import CompileError, Interrupted, asha, choice, grid, hyperband, loguniform, pbt, ref, space, tpe, uniform
from tunedsl.integrations.sklearn import TunedSearchCV
from tunedsl.integrations.sklearn.parameters import parameters_of

C = {"C": loguniform(1e-2, 1e2)}

pytestmark = [  # scikit-learn's own warnings about data that its checks and these tests make unfit
    pytest.mark.filterwarnings("ignore::sklearn.exceptions.FitFailedWarning"),
    pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning"),
    pytest.mark.filterwarnings("ignore:(One or more of the .* scores are non-finite|Scoring failed):UserWarning"),
    pytest.mark.filterwarnings("ignore:invalid value encountered in cast:RuntimeWarning"),
]


@pytest.fixture(scope="module")
def iris():
    features, labels = load_iris(return_X_y=True)
    return StandardScaler().fit_transform(features), labels


def linear(**options) -> LogisticRegression:
    return LogisticRegression(**{"max_iter": 500, **options})


def search(estimator=None, params=None, **options) -> TunedSearchCV:
    defaults = {"n_trials": 4, "cv": 3, "random_state": 0}
    return TunedSearchCV(
        linear() if estimator is None else estimator, C if params is None else params, **defaults | options
    )


class Fragile(ClassifierMixin, BaseEstimator):
    """A classifier that cannot be fitted with some parameters."""

    def __init__(self, level=0):
        self.level = level

    def fit(self, X, y):
        if self.level == 2:
            raise OverflowError("the level is too high")
        self.classes_ = np.unique(y)
        return self

    def predict(self, X):
        return np.full(len(X), self.classes_[self.level])


# The contract of scikit-learn


@pytest.mark.slow
@pytest.mark.parametrize("error_score", ["raise", np.nan])
def test_it_passes_the_checks_of_estimators(error_score):
    check_estimator(TunedSearchCV(LogisticRegression(), C, n_trials=2, cv=2, error_score=error_score), on_skip=None)


def failed_checks(estimator) -> set[str]:
    return {
        each["check_name"]
        for each in check_estimator(estimator, on_skip=None, on_fail=None)
        if each["status"] == "failed"
    }


@pytest.mark.slow
def test_with_a_regressor_it_fails_no_check_that_the_search_of_scikit_learn_passes():
    theirs = RandomizedSearchCV(Ridge(), {"alpha": scipy.stats.loguniform(0.1, 10)}, n_iter=2, cv=2)
    ours = TunedSearchCV(Ridge(), {"alpha": scipy.stats.loguniform(0.1, 10)}, n_trials=2, cv=2)
    assert failed_checks(ours) <= failed_checks(theirs)


def test_arguments_of_other_searches_have_hints():
    with pytest.raises(TypeError, match="did you mean 'n_trials'"):
        TunedSearchCV(SVC(), {}, n_iter=3)
    with pytest.raises(TypeError, match="did you mean 'space'"):
        TunedSearchCV(SVC(), param_distributions={})
    with pytest.raises(TypeError, match=r"the call is TunedSearchCV\(estimator"):
        TunedSearchCV(SVC())
    kept = np.int64(3)
    assert TunedSearchCV(SVC(), {}, n_trials=kept).n_trials is kept


def test_results_have_the_keys_and_shapes_of_a_randomized_search(iris):
    theirs = RandomizedSearchCV(
        linear(), {"C": scipy.stats.loguniform(0.1, 10)}, n_iter=4, cv=3, return_train_score=True
    )
    ours = search(return_train_score=True).fit(*iris)
    expected = theirs.fit(*iris).cv_results_
    assert set(ours.cv_results_) == {*expected, "trial", "status", "folds"}
    for key, column in expected.items():
        assert len(ours.cv_results_[key]) == len(column)
        assert type(ours.cv_results_[key]) is type(column)
    assert ours.n_splits_ == 3 and ours.multimetric_ is False and ours.refit_time_ > 0


def test_scores_equal_those_of_cross_validation(iris):
    found = search(scoring="f1_macro").fit(*iris)
    for at, params in enumerate(found.cv_results_["params"]):
        expected = cross_val_score(linear(**params), *iris, cv=3, scoring="f1_macro")
        assert [found.cv_results_[f"split{fold}_test_score"][at] for fold in range(3)] == pytest.approx(list(expected))
        assert found.cv_results_["mean_test_score"][at] == pytest.approx(expected.mean())
    assert found.best_score_ == found.cv_results_["mean_test_score"].max()
    assert found.best_params_ == found.cv_results_["params"][found.best_index_]
    assert found.score(*iris) == pytest.approx(found.scorer_(found.best_estimator_, *iris))


def test_the_best_estimator_is_fitted_to_all_rows_and_predicts(iris):
    found = search().fit(*iris)
    alone = linear(**found.best_params_).fit(*iris)
    assert (found.predict(iris[0]) == alone.predict(iris[0])).all()
    assert found.predict_proba(iris[0]) == pytest.approx(alone.predict_proba(iris[0]))
    assert found.decision_function(iris[0]) == pytest.approx(alone.decision_function(iris[0]))
    assert list(found.classes_) == [0, 1, 2] and found.n_features_in_ == 4
    assert not hasattr(found, "transform") and is_classifier(found) and is_regressor(search(Ridge(), {}))


def test_without_refit_it_finds_parameters_but_does_not_predict(iris):
    found = search(refit=False).fit(*iris)
    assert found.best_params_ and not hasattr(found, "best_estimator_")
    with pytest.raises(AttributeError):
        found.predict(iris[0])
    with pytest.raises(NotFittedError):
        search().predict(iris[0])


def test_several_metrics_maximize_the_one_that_refit_names(iris):
    found = search(scoring=["accuracy", "neg_log_loss"], refit="neg_log_loss", n_trials=6).fit(*iris)
    assert found.multimetric_ and set(found.scorer_) == {"accuracy", "neg_log_loss"}
    assert found.best_score_ == found.cv_results_["mean_test_neg_log_loss"].max()
    assert found.score(*iris) == pytest.approx(found.scorer_["neg_log_loss"](found.best_estimator_, *iris))
    with pytest.raises(ValueError, match="refit must be set to a scorer key"):
        search(scoring=["accuracy", "f1_macro"]).fit(*iris)
    unfitted = search(scoring=["accuracy", "f1_macro"], refit=False).fit(*iris)
    assert not hasattr(unfitted, "best_params_") and "mean_test_f1_macro" in unfitted.cv_results_


def both(estimator, X, y):
    found = estimator.predict(X)
    return {"right": accuracy_score(y, found), "wrong": 1 - accuracy_score(y, found)}


def test_a_scorer_may_be_a_function_of_several_metrics(iris):
    found = search(scoring=both, refit="right").fit(*iris)
    assert found.multimetric_ and found.best_score_ == found.cv_results_["mean_test_right"].max()
    assert found.score(*iris) == pytest.approx(both(found.best_estimator_, *iris)["right"])
    assert search(scoring=make_scorer(accuracy_score)).fit(*iris).best_score_ > 0.8


def test_refit_may_choose_the_candidate(iris):
    found = search(refit=lambda results: int(results["mean_test_score"].argmin())).fit(*iris)
    assert found.best_index_ == found.cv_results_["mean_test_score"].argmin() and not hasattr(found, "best_score_")
    with pytest.raises(IndexError):
        search(refit=lambda results: 99).fit(*iris)
    with pytest.raises(TypeError):
        search(refit=lambda results: None).fit(*iris)


def test_groups_split_the_rows(iris):
    groups = np.arange(150) % 5
    found = search(cv=GroupKFold(3)).fit(*iris, groups=groups)
    assert found.n_splits_ == 3 and search(cv=LeaveOneGroupOut()).fit(*iris, groups=groups).n_splits_ == 5
    with pytest.raises(ValueError, match="groups"):
        search(cv=GroupKFold(3)).fit(*iris)


def test_sample_weights_are_split_with_the_rows(iris):
    weights = np.ones(150)
    weights[iris[1] == 2] = 0
    found = search().fit(*iris, sample_weight=weights)
    assert 2 not in found.predict(iris[0])


def test_metadata_is_routed(iris):
    import sklearn

    with sklearn.config_context(enable_metadata_routing=True):
        estimator = linear().set_fit_request(sample_weight=True).set_score_request(sample_weight=True)
        found = search(estimator, cv=GroupKFold(3))
        found.fit(*iris, sample_weight=np.ones(150), groups=np.arange(150) % 5)
        assert found.score(*iris, sample_weight=np.ones(150)) > 0.8


def test_pipelines_have_nested_names(iris):
    pipeline = Pipeline([("scale", StandardScaler()), ("clf", linear())])
    params = {"clf__C": loguniform(0.1, 10), "scale": [StandardScaler(), MinMaxScaler(), "passthrough"]}
    found = search(pipeline, params, n_trials=8).fit(*iris)
    assert set(found.best_params_) == {"clf__C", "scale"}
    assert {type(each).__name__ for each in found.cv_results_["param_scale"]} >= {"str"}
    nested = search(pipeline, space(clf={"C": loguniform(0.1, 10)}, scale__with_mean=choice([True, False]))).fit(*iris)
    assert set(nested.best_params_) == {"clf__C", "scale__with_mean"}
    assert nested.best_params_["clf__C"] == nested.best_estimator_.named_steps["clf"].C


def test_estimators_as_options_are_cloned(iris):
    options = [linear(C=1.0), SVC()]
    found = search(Pipeline([("clf", linear())]), {"clf": options}, n_trials=6).fit(*iris)
    assert type(found.best_estimator_.named_steps["clf"]) in (LogisticRegression, SVC)
    assert all(not hasattr(each, "classes_") for each in options)


def test_it_is_cloned_and_changed_like_any_estimator(iris):
    first = search(scheduler=asha(max_t=3))
    copied = clone(first)
    assert copied.scheduler == first.scheduler and copied.space == first.space and copied is not first
    copied.set_params(estimator__fit_intercept=False, n_trials=3)
    assert len(copied.fit(*iris).cv_results_["params"]) == 3 and copied.best_estimator_.fit_intercept is False
    assert cross_val_score(search(n_trials=2, cv=2), *iris, cv=2).shape == (2,)
    assert "TunedSearchCV" in repr(first) and make_pipeline(StandardScaler(), first).fit(*iris).score(*iris) > 0.8


def test_it_takes_frames_sparse_rows_lists_and_rows_without_targets(iris):
    import pandas as pd
    import scipy.sparse

    frame = pd.DataFrame(iris[0], columns=list("abcd"))
    assert list(search().fit(frame, pd.Series(iris[1])).feature_names_in_) == list("abcd")
    assert search().fit(scipy.sparse.csr_matrix(iris[0]), iris[1]).best_score_ > 0.8
    assert search().fit(iris[0].tolist(), iris[1].tolist()).best_score_ > 0.8
    found = search(KMeans(n_init=1, random_state=0), {"n_clusters": [2, 3, 4]}).fit(iris[0])
    assert found.best_params_["n_clusters"] == 4 and found.predict(iris[0]).shape == (150,)


def test_a_precomputed_kernel_is_split_both_ways(iris):
    kernel = iris[0] @ iris[0].T
    assert search(SVC(kernel="precomputed")).fit(kernel, iris[1]).best_score_ > 0.8


def test_the_splitter_may_be_any_iterable(iris):
    pairs = list(KFold(3, shuffle=True, random_state=0).split(iris[0]))
    assert search(cv=iter(pairs)).fit(*iris).n_splits_ == 3
    assert search(cv=ShuffleSplit(1, random_state=0)).fit(*iris).n_splits_ == 1
    with pytest.raises(ValueError, match="No fits were performed"):
        search(cv=[]).fit(*iris)


# Failing fits


def test_failed_fits_score_nan_with_a_warning(iris):
    with (
        pytest.warns(FitFailedWarning, match="3 fits failed out of a total of 9"),
        pytest.warns(UserWarning, match="non-finite"),
    ):
        found = TunedSearchCV(Fragile(), {"level": grid([0, 1, 2])}, n_trials=1, cv=3).fit(*iris)
    assert np.isnan(found.cv_results_["mean_test_score"]).tolist() == [False, False, True]
    assert found.cv_results_["rank_test_score"][2] == 3
    with pytest.warns(FitFailedWarning):
        zero = TunedSearchCV(Fragile(), {"level": grid([0, 2])}, n_trials=1, cv=3, error_score=0.0).fit(*iris)
    assert zero.cv_results_["mean_test_score"][1] == 0.0


def test_all_fits_failing_is_an_error(iris):
    with pytest.raises(ValueError, match=r"(?s)All the 6 fits failed.*the level is too high"):
        search(Fragile(level=2), {"level": [2]}, n_trials=2).fit(*iris)


def test_an_error_is_raised_as_its_own_type(iris):
    with pytest.raises(OverflowError, match="the level is too high"):
        search(Fragile(), {"level": [2]}, error_score="raise").fit(*iris)
    with pytest.raises(ValueError, match="Invalid parameter 'levle'"):
        search(Fragile(), {"levle": [1]}).fit(*iris)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"n_trials": 0}, "n_trials must be a whole number of at least 1, not 0"),
        ({"iterations": 2.5}, "iterations must be a whole number of at least 1, not 2.5"),
        ({"resume": True}, "resume=True needs the folder of the earlier run"),
        ({"params": {"C": []}}, "must have at least one option"),
        ({"params": "C"}, "space must be"),
        ({"estimator": SVC(), "iterations": 3}, "SVC has neither"),
        ({"scoring": "nonsense"}, "scoring"),
    ],
)
def test_wrong_arguments_say_what_is_wrong(iris, options, message):
    with pytest.raises(ValueError, match=message):
        search(**options).fit(*iris)


def test_a_policy_that_does_not_fit_is_the_compilers_error(iris):
    with pytest.raises(CompileError, match="E046"):
        search(scheduler=pbt(hyperparam_mutations={"C": loguniform(0.1, 10)}, perturbation_interval=1)).fit(*iris)


# Spaces


def test_distributions_of_scipy_become_domains():
    experiment, found = parameters_of(
        {
            "a": scipy.stats.uniform(1, 2),
            "b": scipy.stats.loguniform(0.1, 10),
            "c": scipy.stats.randint(1, 5),
            "d": scipy.stats.norm(3, 2),
            "e": scipy.stats.expon(scale=2),
            "f": scipy.stats.poisson(4),
            "g": [1, None, "x"],
            "h": 7,
        }
    )
    assert repr(experiment).startswith(
        "space(a=uniform(1.0, 3.0), b=loguniform(0.1, 10.0), c=randint(1, 5), d=randn(3.0, 2.0), e=uniform(0.0, 1.0)"
    )
    median = found.of({"e": 0.5, "f": 0.5, "g": None, "h": 7})
    assert median == {"e": pytest.approx(2 * np.log(2)), "f": 4, "g": None, "h": 7} and isinstance(median["f"], int)


class Coin:
    def rvs(self, random_state=None):
        return bool(np.random.RandomState(random_state).randint(2))


def test_objects_that_only_draw_are_drawn_by_seed(iris):
    found = search(params={"fit_intercept": Coin()}, n_trials=8).fit(*iris)
    assert {params["fit_intercept"] for params in found.cv_results_["params"]} == {True, False}


def test_a_list_of_spaces_takes_one_for_each_trial(iris):
    params = [
        {"kernel": ["linear"], "C": loguniform(0.1, 10)},
        {"kernel": ["rbf"], "gamma": scipy.stats.expon(scale=0.1)},
    ]
    found = search(SVC(), params, n_trials=12).fit(*iris)
    kinds = {tuple(sorted(each)) for each in found.cv_results_["params"]}
    assert kinds == {("C", "kernel"), ("gamma", "kernel")}
    assert found.cv_results_["param_gamma"].mask.any() and not found.cv_results_["param_gamma"].mask.all()


def test_constraints_and_computed_parameters_work(iris):
    params = space(C=loguniform(0.1, 10), tol=ref("C") * 1e-4).where(ref("C") > 1)
    found = search(params=params).fit(*iris)
    assert all(each["C"] > 1 and each["tol"] == each["C"] * 1e-4 for each in found.cv_results_["params"])


# Schedulers, searchers, iterations


def test_bad_candidates_are_stopped_after_some_folds(iris):
    found = search(
        params={"C": loguniform(1e-6, 1e2)}, scheduler=asha(max_t=6, reduction_factor=2), n_trials=12, cv=6
    ).fit(*iris)
    folds, means = found.cv_results_["folds"], found.cv_results_["mean_test_score"]
    stopped = found.cv_results_["status"] == "stopped"
    assert stopped.any() and (folds[~stopped] == 6).all() and (folds[stopped] < 6).all()
    assert np.isnan(means[stopped]).all() and np.isfinite(means[~stopped]).all()
    assert found.best_score_ == np.nanmax(means) and found.cv_results_["rank_test_score"][found.best_index_] == 1


def test_a_searcher_learns_from_the_scores(iris):
    found = search(searcher=tpe(n_startup_trials=5), n_trials=12).fit(*iris)
    again = search(searcher=tpe(n_startup_trials=5), n_trials=12).fit(*iris)
    other = search(searcher=tpe(n_startup_trials=5), n_trials=12, random_state=1).fit(*iris)
    assert found.cv_results_["params"] == again.cv_results_["params"] != other.cv_results_["params"]


def test_partial_fit_trains_iteration_by_iteration(iris):
    found = search(
        SGDClassifier(random_state=0), {"alpha": loguniform(1e-6, 1)}, iterations=9, scheduler=asha(max_t=9), n_trials=9
    ).fit(*iris)
    assert 1 <= found.n_iterations_ <= 9
    assert (found.cv_results_["folds"] == 3).all() and np.isfinite(found.cv_results_["mean_test_score"]).all()
    alone = SGDClassifier(random_state=0, **found.best_params_)
    for _ in range(found.n_iterations_):
        alone.partial_fit(*iris, classes=[0, 1, 2])
    assert (alone.coef_ == found.best_estimator_.coef_).all()


@pytest.mark.parametrize(
    ("estimator", "size"),
    [
        (RandomForestClassifier(n_estimators=12, random_state=0), "n_estimators"),
        (GradientBoostingClassifier(n_estimators=12, random_state=0), "n_estimators"),
        (HistGradientBoostingClassifier(max_iter=12, random_state=0), "max_iter"),
    ],
)
def test_warm_start_grows_to_the_full_estimator(iris, estimator, size):
    found = search(estimator, {"max_depth": [2]}, iterations=4, n_trials=1).fit(*iris)
    whole = cross_val_score(clone(estimator).set_params(max_depth=2), *iris, cv=3)
    assert found.n_iterations_ == 4 and getattr(found.best_estimator_, size) == 12
    assert found.best_score_ == pytest.approx(whole.mean(), abs=0.03)


def test_a_pipeline_grows_by_its_last_step(iris):
    pipeline = Pipeline(
        [("scale", StandardScaler()), ("forest", RandomForestClassifier(n_estimators=8, random_state=0))]
    )
    found = search(pipeline, {"forest__max_depth": [2]}, iterations=2, n_trials=1).fit(*iris)
    assert len(found.best_estimator_.named_steps["forest"].estimators_) == 8


@pytest.mark.slow
@pytest.mark.parametrize(
    "scheduler",
    [hyperband(max_t=9), pbt(hyperparam_mutations={"alpha": loguniform(1e-6, 1)}, perturbation_interval=2)],
)
def test_trials_are_paused_and_copied_by_their_checkpoints(iris, scheduler):
    found = search(
        SGDClassifier(random_state=0), {"alpha": loguniform(1e-6, 1)}, iterations=9, scheduler=scheduler, n_trials=6
    ).fit(*iris)
    assert found.best_score_ > 0.7


def test_a_failing_iteration_ends_its_candidate(iris):
    class Breaks(SGDClassifier):
        def partial_fit(self, X, y, classes=None, sample_weight=None):
            if self.alpha > 0.1:
                raise OverflowError("alpha is too large")
            return super().partial_fit(X, y, classes)

    with pytest.warns(FitFailedWarning), pytest.warns(UserWarning, match="non-finite"):
        found = TunedSearchCV(Breaks(), {"alpha": grid([1e-4, 1.0])}, n_trials=1, cv=3, iterations=3).fit(*iris)
    assert np.isnan(found.cv_results_["mean_test_score"]).tolist() == [False, True]


def test_a_timeout_ends_the_search_with_what_it_has(iris):
    found = search(n_trials=100_000, timeout=1.0, random_state=None).fit(*iris)
    assert 1 <= len(found.cv_results_["params"]) < 100_000


# The run


def test_without_a_store_nothing_is_left(iris, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    found = search().fit(*iris)
    assert list(tmp_path.iterdir()) == [] and not hasattr(found, "results_")


class Interrupts(ClassifierMixin, BaseEstimator):
    """A classifier whose seventh fit is interrupted by Ctrl+C; the environment has the count, which is not its code."""

    def __init__(self, level=0.0):
        self.level = level

    def fit(self, X, y):
        os.environ["FITS"] = str(int(os.environ["FITS"]) + 1)
        if os.environ["FITS"] == "7":
            signal.raise_signal(signal.SIGINT)
        self.classes_ = np.unique(y)
        return self

    def predict(self, X):
        return self.classes_[(X[:, 0] > self.level).astype(int)]


def test_an_interrupted_search_resumes_to_the_same_results(iris, tmp_path, monkeypatch):
    options = {"estimator": Interrupts(), "params": {"level": uniform(-1, 1)}, "n_trials": 5}
    monkeypatch.setenv("FITS", "100")
    whole = search(**options).fit(*iris)
    monkeypatch.setenv("FITS", "0")
    with pytest.raises(Interrupted):
        search(**options, store=tmp_path).fit(*iris)
    resumed = search(**options, store=tmp_path, resume=True).fit(*iris)
    assert resumed.cv_results_["params"] == whole.cv_results_["params"]
    assert (resumed.cv_results_["mean_test_score"] == whole.cv_results_["mean_test_score"]).all()
    before = int(os.environ["FITS"])
    assert before == 5 * 3 + 1  # no fold was fitted twice; the last fit is the refit
    again = search(**options, store=tmp_path, resume=True).fit(*iris)
    assert int(os.environ["FITS"]) == before + 1  # the refit
    assert again.results_.best.metrics["score"] == again.best_score_
    assert len(list(tmp_path.glob("*/journal.jsonl"))) == 1


def test_it_finds_good_parameters_of_a_real_model():
    digits = load_digits(return_X_y=True)
    found = search(
        SVC(),
        {"C": loguniform(1e-2, 1e3), "gamma": loguniform(1e-6, 1e-1)},
        n_trials=10,
        searcher=tpe(n_startup_trials=5),
    ).fit(*digits)
    assert found.best_score_ > 0.95
    rows, target = load_diabetes(return_X_y=True)
    assert search(Ridge(), {"alpha": loguniform(1e-4, 10)}).fit(rows, target).best_score_ > 0.4
    made = make_classification(200, n_informative=4, random_state=0)
    assert search().fit(*made).best_score_ > 0.6
