"""Features of all adapters: options, missing libraries, states that can be continued."""

import logging

import pytest

from tunedsl import choice, randint, ref, sample_from, space, uniform
from tunedsl import searchers as faces
from tunedsl.base.errors import ArgumentError
from tunedsl.base.objective import Objective
from tunedsl.searchers import Observation, searcher_of
from tunedsl.searchers.adapters.libraries import PackageRequirement

OBJECTIVES = (Objective("loss", "min"),)

MISSPELT = [
    ("optuna", faces.optuna(n_startup_trial=3), "did you mean 'n_startup_trials'?"),
    ("hyperopt", faces.hyperopt(gama=0.3), "did you mean 'gamma'?"),
    ("cmaes", faces.cmaes(popsize=8), "did you mean 'population_size'?"),
    ("flaml", faces.cfo(low_cost_config={"x": 1}), "did you mean 'low_cost_partial_config'?"),
    ("skopt", faces.skopt(n_initial_point=3), "did you mean 'n_initial_points'?"),
    ("bayes_opt", faces.bayesopt(kapa=1.0), "did you mean 'kappa'?"),
    ("smac", faces.smac(n_config=3), "did you mean 'n_configs'?"),
    ("ax", faces.ax(initialisation_budget=3), "did you mean 'initialization_budget'?"),
    ("hebo", faces.hebo(rand_samples=3), "did you mean 'rand_sample'?"),
]


@pytest.mark.parametrize(("module", "spec", "hint"), MISSPELT, ids=[module for module, _, _ in MISSPELT])
def test_an_unknown_option_is_a_diagnostic_with_the_nearest_name(module, spec, hint):
    pytest.importorskip(module)
    (fault,) = searcher_of(spec).validate(spec)
    if fault.code == "E049":
        pytest.skip(str(fault))
    assert (fault.code, fault.subject) == ("E001", "searcher")
    assert hint in str(fault)


def test_options_that_the_experiment_gives_are_no_options():
    pytest.importorskip("optuna")
    spec = faces.optuna(seed=3)
    (fault,) = searcher_of(spec).validate(spec)
    assert "optuna has no option 'seed'" in str(fault)


def test_an_unknown_sampler_raises_where_it_is_written():
    with pytest.raises(ArgumentError, match="did you mean 'nsgaii'"):
        faces.optuna("nsga-ii")


def test_an_option_that_is_no_data_raises_where_it_is_written():
    with pytest.raises(ArgumentError, match=r"optuna\.gamma"):
        faces.optuna(gamma=object())


def test_a_missing_package_is_named_with_its_bounds():
    assert (
        PackageRequirement("no_such_module", "no-such", "1.2").unmet_reason() == "the package no-such is not installed"
    )
    assert "numpy" in PackageRequirement("numpy", "numpy", "999").unmet_reason()
    assert "numpy" in PackageRequirement("numpy", "numpy", below="1").unmet_reason()
    assert PackageRequirement("numpy", "numpy", "1.0").unmet_reason() == ""
    assert str(PackageRequirement("numpy", "numpy", "1.2", "2.4")) == "numpy>=1.2,<2.4"


@pytest.mark.parametrize(("spec", "instead"), [(faces.dragonfly(), "bayesopt()"), (faces.sigopt(), "ax()")])
def test_what_is_gone_compiles_to_one_diagnostic(spec, instead):
    experiment = space(x=uniform(0, 1)).trainable(_train).minimize("loss").searcher(spec)
    (fault,) = experiment.check()
    assert fault.code == "E038"
    assert instead in fault.hint


def _train(config):
    return {"loss": config["x"]}


def test_an_older_state_goes_on_as_if_nothing_had_come_after():
    pytest.importorskip("hyperopt")
    spec = faces.hyperopt(n_startup_jobs=2)
    searcher = searcher_of(spec)
    state = searcher.init(spec, space(x=uniform(0, 1)).__space__(), OBJECTIVES, 1)
    for trial in range(4):
        state, _ = searcher.ask(spec, state, trial, 1)
        state = searcher.tell(spec, state, trial, Observation("done", 1, (trial / 4,)))
    later, expected = searcher.ask(spec, state, 4, 1)
    for trial in range(5, 9):
        later, _ = searcher.ask(spec, later, trial, 1)
    assert searcher.ask(spec, state, 4, 1)[1] == expected


PLAIN = space(x=uniform(0, 1), n=randint(1, 9), opt=choice(["a", "b"]))
REFUSED = [
    ("optuna", faces.optuna(n_startup_trials="many")),
    ("optuna", faces.optuna(gamma=0.1)),
    ("optuna", faces.optuna("nsgaii", population_size=1)),
    ("hyperopt", faces.hyperopt(n_startup_jobs="many")),
    ("hyperopt", faces.hyperopt(gamma="some")),
    ("cmaes", faces.cmaes(population_size=-3)),
    ("skopt", faces.skopt(acq_func="luck")),
    ("skopt", faces.skopt(base_estimator="oracle")),
    ("bayes_opt", faces.bayesopt(kappa=-1.0)),
    ("ax", faces.ax(method="oracle")),
    ("hebo", faces.hebo(rand_sample="many")),
    ("flaml", faces.cfo(low_cost_partial_config=3)),
    ("flaml", faces.cfo(low_cost_partial_config={"m": 1})),
    ("flaml", faces.cfo(low_cost_partial_config={"n": 0.5})),
    ("flaml", faces.blendsearch(cat_hp_cost={"opt": [1.0]})),
    ("flaml", faces.blendsearch(cat_hp_cost={"n": [1.0]})),
]


@pytest.mark.parametrize(("module", "spec"), REFUSED, ids=[repr(spec) for _, spec in REFUSED])
def test_a_value_that_the_library_refuses_is_a_diagnostic_at_compile(module, spec):
    pytest.importorskip(module)
    if searcher_of(spec).validate(spec):
        pytest.skip("another version is installed")
    (fault,) = PLAIN.trainable(_reads_all).minimize("loss").samples(3).searcher(spec).check()
    assert (fault.code, fault.subject) == ("E080", "searcher")


def test_options_by_parameter_that_go_with_the_space_are_taken():
    pytest.importorskip("flaml")
    spec = faces.cfo(low_cost_partial_config={"n": 2, "opt": "b"}, cat_hp_cost={"opt": [1, 2.5]})
    assert PLAIN.trainable(_reads_all).minimize("loss").samples(3).searcher(spec).check() == ()


def test_a_function_that_fails_is_not_told_of_as_an_option():
    pytest.importorskip("optuna")
    spec = faces.optuna(n_startup_trials=3)
    fails = space(x=uniform(0, 1), y=sample_from(_fails)).__space__()
    assert list(searcher_of(spec).check_compatibility(spec, fails, OBJECTIVES)) == []


def _reads_all(config):
    return {"loss": config["x"] + config["n"] + (config["opt"] == "a")}


def _fails(config):
    raise ValueError("no")


@pytest.mark.parametrize("loss", [1e300, -1e300])
def test_a_loss_beyond_what_can_be_squared_is_told_within(loss):
    spec = faces.bayesopt(init_points=1)
    searcher = searcher_of(spec)
    if searcher.validate(spec):
        pytest.skip("not installed, or the old one that Nevergrad pins")
    state = searcher.init(spec, space(x=uniform(0, 1)).__space__(), OBJECTIVES, 1)
    for trial, number in enumerate((0.5, loss, 0.25)):
        state, _ = searcher.ask(spec, state, trial, 1)
        state = searcher.tell(spec, state, trial, Observation("done", 1, (number,)))
    assert searcher.ask(spec, state, 3, 1)


def test_a_fit_of_hebo_that_is_hard_says_nothing(capfd):
    pytest.importorskip("hebo")
    spec = faces.hebo(rand_sample=2)
    searcher = searcher_of(spec)
    if searcher.validate(spec):
        pytest.skip("another version is installed")
    over = space(a=choice(["x", "y"]), b=uniform(0, 1).when(ref("a") == "x"), n=randint(0, 9)).__space__()
    state = searcher.init(spec, over, OBJECTIVES, 1)
    for trial, loss in enumerate((1.0, 1e100, -1.0)):
        state, _ = searcher.ask(spec, state, trial, 1)
        state = searcher.tell(spec, state, trial, Observation("done", 1, (loss,)))
    searcher.ask(spec, state, 3, 1)
    assert "jitter" not in capfd.readouterr().out


@pytest.mark.parametrize(
    ("module", "spec"), [("flaml", faces.blendsearch(experimental=True)), ("optuna", faces.optuna("qmc"))]
)
def test_libraries_say_nothing_of_their_own(module, spec, capfd, caplog):
    pytest.importorskip(module)
    searcher = searcher_of(spec)
    over = space(opt=choice(["a", "b", "c"]), x=uniform(0, 1).when(ref("opt") == "a")).__space__()
    state = searcher.init(spec, over, OBJECTIVES, 1)
    for trial in range(6):
        state, _ = searcher.ask(spec, state, trial, 1)
    assert not [record for record in caplog.records if record.levelno >= logging.WARNING]
    assert not "".join(capfd.readouterr())
