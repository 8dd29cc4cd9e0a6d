"""Hints for names of other tools, misspelt names and wrong calls."""

from __future__ import annotations

import copy
import inspect
import pickle
import re
import subprocess
import sys
import traceback
from pathlib import Path
from typing import Any

import pytest

import tunedsl
import tunedsl.integrations.sklearn
import tunedsl.schedulers
import tunedsl.searchers
import tunedsl.spaces
from tunedsl import (
    ArgumentError,
    CompileError,
    Experiment,
    asha,
    choice,
    grid,
    loguniform,
    pbt,
    randint,
    randn,
    sample_from,
    space,
    tpe,
    uniform,
)
from tunedsl.backends import SimulatedEngine
from tunedsl.base import suggestions
from tunedsl.base.other_tools import ARGUMENTS, CLAUSES, PACKAGE, RESULTS, TRIAL
from tunedsl.results import Results
from tunedsl.results.trial import TrialResult
from tunedsl.sinks import user_sink
from tunedsl.testing import cluster, scheduler_suite, searcher_suite

HERE = str(Path(__file__))


def train(config: dict[str, Any]) -> dict[str, Any]:
    return {"loss": config["x"]}


BASE = space(x=uniform(0, 1)).trainable(train).minimize("loss")


class TestExperiment:
    @pytest.mark.parametrize(
        ("name", "clause"),
        [
            ("fit", ".run()"),
            ("optimize", ".run()"),
            ("tune", ".run()"),
            ("num_samples", ".samples(100)"),
            ("n_trials", ".samples(100)"),
            ("max_evals", ".samples(100)"),
            ("search_alg", ".searcher(tpe())"),
            ("sampler", ".searcher(tpe())"),
            ("pruner", ".scheduler(asha(max_t=81))"),
            ("metric", '.minimize("loss") or .maximize("accuracy")'),
            ("mode", '.minimize("loss") or .maximize("accuracy")'),
            ("direction", '.minimize("loss") or .maximize("accuracy")'),
            ("minimise", '.minimize("loss")'),
            ("max_concurrent_trials", ".parallel(4)"),
            ("n_jobs", ".parallel(4)"),
            ("suggest_float", ".space(lr=uniform(0, 1))"),
            ("param_space", ".space(lr=uniform(0, 1))"),
            ("add", ".space(lr=uniform(0, 1))"),
            ("time_budget_s", ".budget(seconds=3600)"),
            ("resources_per_trial", ".resources(cpu=1, gpu=1)"),
            ("with_parameters", ".data(x=x)"),
            ("best_params", ".run().best"),
            ("random_state", ".seed(1)"),
            ("callbacks", ".sinks(tensorboard())"),
            ("max_failures", ".retry(3)"),
            ("stoping", "'stop'"),
            ("Samples", "'samples'"),
        ],
    )
    def test_a_name_of_another_tool_or_a_misspelt_one_leads_to_the_clause(self, name: str, clause: str) -> None:
        with pytest.raises(AttributeError) as caught:
            getattr(BASE, name)
        assert f"no attribute {name!r}" in str(caught.value) and clause in str(caught.value).partition("help: ")[2]

    def test_every_clause_that_is_recommended_exists(self) -> None:
        for text in {*CLAUSES.values()}:
            for clause in re.findall(r"(?:^| )\.(\w+)\(", text):
                assert hasattr(Experiment, clause), text

    def test_protocols_find_nothing(self) -> None:
        for name in ("_ipython_display_", "__array__", "__iter__", "_ipython_canary_method_", "fit"):
            assert not hasattr(BASE, name)
        with pytest.raises(AttributeError, match=r"^'Experiment' object has no attribute '_ipython_display_'$"):
            BASE._ipython_display_  # type: ignore[attr-defined]

    def test_it_is_copied_pickled_and_compared_as_before(self) -> None:
        for other in (copy.copy(BASE), copy.deepcopy(BASE), pickle.loads(pickle.dumps(BASE))):
            assert other == BASE and repr(other) == repr(BASE)
        assert getattr(BASE, "num_samples", None) is None

    def test_ipython_displays_it(self) -> None:
        formatters = pytest.importorskip("IPython.core.formatters")
        found, _ = formatters.DisplayFormatter().format(BASE)
        assert found == {"text/plain": repr(BASE), "text/html": BASE._repr_html_()}

    def test_an_error_inside_a_property_is_not_hidden(self) -> None:
        @suggestions.hinted({})
        class Lazy:
            @property
            def broken(self) -> int:
                raise AttributeError("of the property's own")

        with pytest.raises(AttributeError, match="of the property's own"):
            Lazy().broken


CALLS = [
    (lambda: BASE.run(verbose=1), ".run(quiet=True)"),
    (lambda: BASE.run(num_samples=10), ".samples(100)"),
    (lambda: BASE.run(n_trials=10), ".samples(100)"),
    (lambda: BASE.run(timeout=60), ".budget(seconds=3600)"),
    (lambda: BASE.run(seed=1), ".seed(1)"),
    (lambda: BASE.run(engin="inline"), "did you mean 'engine'?"),
    (lambda: BASE.resume(verbose=0), ".run(quiet=True)"),
    (lambda: BASE.dry_run(seed=1), ".seed(1)"),
    (lambda: tunedsl.load("somewhere", paht=1), "did you mean 'path'?"),
    (lambda: tunedsl.space_from_ray(config={}), ".space(lr=uniform(0, 1))"),
    (lambda: asha(metric="loss"), '.minimize("loss")'),
    (lambda: asha(mode="min"), '.minimize("loss")'),
    (lambda: asha(eta=3), "did you mean 'reduction_factor'?"),
    (lambda: tunedsl.schedulers.hyperband(max_iter=81), "did you mean 'max_t'?"),
    (lambda: asha(max_T=81), "did you mean 'max_t'?"),
    (lambda: pbt(metric="loss"), '.minimize("loss")'),
    (lambda: tpe(seed=1), ".seed(1)"),
    (lambda: tpe(n_initial_points=1), "did you mean 'n_startup_trials'?"),
    (lambda: tpe(n_startup_trial=1), "did you mean 'n_startup_trials'?"),
    (lambda: tpe(multivariate=True), "leave it out"),
    (lambda: tpe(max_concurrent=4), ".parallel(4)"),
    (lambda: tpe(points_to_evaluate=[]), "try_first"),
    (lambda: BASE.resources(num_cpus=1), "did you mean 'cpu'?"),
    (lambda: BASE.checkpoint(num_to_keep=1), "did you mean 'keep'?"),
    (lambda: BASE.retry(max_failures=1), "did you mean 'n'?"),
    (lambda: BASE.budget(time_budget_s=1), "did you mean 'seconds'?"),
    (lambda: uniform(1e-4, 0.1, log=True), "write loguniform(0.0001, 0.1)"),
    (lambda: uniform(0, 1, log=True), "write loguniform(1e-06, 1)"),
    (lambda: uniform(0, 1, log=False), "write uniform(0, 1)"),
    (lambda: uniform(low=1e-4, high=0.1, sampling="log"), "write loguniform(0.0001, 0.1)"),
    (lambda: uniform(low=0, high=1, step=0.1), "write quniform(0, 1, q=0.1)"),
    (lambda: uniform(0, 1, 0.1), "write quniform(0, 1, q=0.1)"),
    (lambda: uniform(1e-4, 1, log=True, step=0.1), "write qloguniform(0.0001, 1, q=0.1)"),
    (lambda: uniform("lr", 1e-4, 0.1, log=True), "write space(lr=loguniform(0.0001, 0.1))"),
    (lambda: uniform("lr", 0, 1), "write space(lr=uniform(0, 1))"),
    (lambda: uniform((0, 1)), "write uniform(0, 1)"),
    (lambda: uniform("0", 1), "without quotes: 0"),
    (lambda: randint(1, "10"), "without quotes: 10"),
    (lambda: uniform(min=0, max=1), "did you mean 'low'?"),
    (lambda: uniform(0, 1, name="lr"), "write the name as the keyword of space(...)"),
    (lambda: loguniform(1e-4, 0.1, base=10), "leave it out"),
    (lambda: randint(1, 9, step=2), "write qrandint(1, 9, q=2)"),
    (lambda: randint(1, 9, log=True), "write lograndint(1, 9)"),
    (lambda: randint(1, 9, 2), "write qrandint(1, 9, q=2)"),
    (lambda: randn(0, 1, q=0.5), "write qrandn(0, 1, q=0.5)"),
    (lambda: randn(mu=0, sigma=1), "did you mean 'mean'?"),
    (lambda: choice("a", "b"), "write choice(['a', 'b'])"),
    (lambda: choice("a"), "write choice(['a'])"),
    (lambda: choice("opt", ["a", "b"]), "write space(opt=choice(['a', 'b']))"),
    (lambda: choice(categories=["a"]), "did you mean 'options'?"),
    (lambda: choice({"a", "b"}), "write a list, which keeps its order"),
    (lambda: grid(1, 2), "write grid([1, 2])"),
    (lambda: sample_from(func=train), "did you mean 'f'?"),
    (lambda: space("x", uniform(0, 1)), ""),
    (lambda: space(["x"]), "write space(name=...)"),
    (lambda: BASE.retry(1, wait=2), "write backoff=backoff(initial=1)"),
    (lambda: BASE.retry(1, wait_growth=2), "write backoff=backoff(factor=2)"),
    (lambda: BASE.retry(1, wait_most=2), "write backoff=backoff(maximum=60)"),
    (lambda: BASE.retry(1, in_a_row=2), "did you mean 'max_consecutive'?"),
    (lambda: BASE.resources({"num_cpus": 2}), "did you mean 'cpu'?"),
    (lambda: BASE.scheduler("asha"), "did you mean asha(...)?"),
    (lambda: BASE.scheduler(type("ASHAScheduler", (), {})()), "write asha(max_t=81)"),
    (lambda: BASE.searcher("tpe"), "did you mean tpe()?"),
    (lambda: BASE.searcher(type("TPESampler", (), {})()), "write tpe()"),
    (lambda: BASE.minimize(["loss", "size"]), ".minimize('loss').minimize('size')"),
    (lambda: BASE.minimize(train), ".trainable(train)"),
]  # fmt: skip


@pytest.mark.parametrize(("call", "hint"), CALLS)
def test_a_call_of_another_shape_says_what_to_write(call: Any, hint: str) -> None:
    with pytest.raises(ArgumentError) as caught:
        call()
    assert hint in caught.value.diagnostic.hint
    assert caught.value.diagnostic.place is not None and caught.value.diagnostic.place.file == HERE


def test_every_recommended_argument_exists() -> None:
    places = [tunedsl, tunedsl.schedulers, tunedsl.searchers, Experiment, tunedsl.integrations.sklearn]
    for function, names in ARGUMENTS.items():
        found = next(getattr(place, function) for place in places if hasattr(place, function))
        parameters = inspect.signature(found).parameters
        assert {name.partition("=")[0] for name in names.values()} <= set(parameters), function


def test_every_recommended_name_of_the_package_exists() -> None:
    for text in {*PACKAGE.values()}:
        path = re.match(r"(?:tunedsl\.)?(\w+)(?:\.(\w+))?", text)
        if path is None:
            assert text.endswith("a clause of the experiment")
            continue
        found = getattr(tunedsl, path[1])
        assert path[2] is None or path[2] == "checkpoint" or hasattr(found, path[2])


@pytest.mark.parametrize(("cls", "names"), [(Results, RESULTS), (TrialResult, TRIAL)])
def test_every_recommended_attribute_of_results_exists(cls: type, names: dict[str, str]) -> None:
    for text in {*names.values()}:
        found = re.match(r"\.(\w+)", text)
        assert found is not None and hasattr(cls, found[1])
    with pytest.raises(AttributeError, match=r"help: write \."):
        getattr(object.__new__(cls), next(iter(names)))


class TestPackages:
    @pytest.mark.parametrize(
        ("package", "name", "hint"),
        [
            (tunedsl, "tune", "space(lr=uniform(0, 1))"),
            (tunedsl, "Study", "it is in tunedsl.runs"),
            (tunedsl, "create_study", "space(lr=uniform(0, 1))"),
            (tunedsl, "suggest_float", "write uniform(0, 1)"),
            (tunedsl, "suggest_int", "write randint(1, 10)"),
            (tunedsl, "suggest_categorical", "write choice("),
            (tunedsl, "grid_search", "write grid("),
            (tunedsl, "ASHAScheduler", "write asha("),
            (tunedsl, "uniforn", "did you mean 'uniform'?"),
            (tunedsl, "cmaes", "it is in tunedsl.searchers"),
            (tunedsl, "num_samples", ".samples(100)"),
            (tunedsl.searchers, "TPESampler", "write tpe()"),
            (tunedsl.schedulers, "MedianPruner", "median_stopping()"),
        ],
    )
    def test_a_name_of_another_tool_leads_to_ours(self, package: Any, name: str, hint: str) -> None:
        with pytest.raises(AttributeError) as caught:
            getattr(package, name)
        assert hint in str(caught.value).partition("help: ")[2]
        with pytest.raises(ImportError) as imported:
            exec(f"from {package.__name__} import {name}", {})
        assert hint in str(imported.value).partition("help: ")[2]
        assert not hasattr(package, name)

    def test_modules_that_are_not_loaded_yet_are_imported_all_the_same(self) -> None:
        code = "from tunedsl import testing, cli; from tunedsl.searchers import adapters; print(testing.__name__)"
        done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
        assert done.stdout.strip() == "tunedsl.testing"


class TestTracebacks:
    def test_the_users_line_is_the_last_frame(self) -> None:
        calls = [
            *(call for call, _ in CALLS),
            lambda: space(x=uniform(1, 0)).compile(),
            lambda: space(x=uniform(1, 0)).explain(),
            lambda: space(x=uniform(1, 0)).preview(),
            lambda: space(x=uniform(1, 0)).dry_run(),
            lambda: space(x=uniform(1, 0)).run("inline", quiet=True),
            lambda: space(x=object()),
            lambda: BASE.space(x=1),
            lambda: BASE.fix(x=uniform(0, 1)),
            lambda: BASE.stop(3),
            lambda: tunedsl.metric("loss") < slice(1),
            lambda: bool(tunedsl.metric("loss") < 1),
            lambda: 3 < tunedsl.ref("x") < 5,
            lambda: slice(1) | tunedsl.ref("x"),
            lambda: uniform(0, 1).when(3),
            lambda: SimulatedEngine(cost="slow"),
            lambda: scheduler_suite(3),
            lambda: searcher_suite(3),
            lambda: cluster(workers=0),
            lambda: user_sink(3),
            lambda: BASE.compile("inline").preview(-1),
            lambda: BASE | BASE.minimize("loss").samples(3) | BASE.samples(4),
        ]
        for call in calls:
            with pytest.raises((ArgumentError, CompileError)) as caught:
                call()
            frames = traceback.extract_tb(caught.value.__traceback__)
            assert {frame.filename for frame in frames} == {HERE}
            assert caught.value.__cause__ is None and (
                caught.value.__context__ is None or caught.value.__suppress_context__
            )

    def test_the_users_functions_between_stay(self) -> None:
        def halved(experiment: Experiment) -> Experiment:
            return experiment.samples(0)

        with pytest.raises(ArgumentError) as caught:
            BASE.pipe(halved)
        assert [frame.name for frame in traceback.extract_tb(caught.value.__traceback__)][-1] == "halved"

    def test_a_script_that_is_wrong_ends_at_its_own_line(self, tmp_path: Path) -> None:
        script = tmp_path / "wrong.py"
        script.write_text("from tunedsl import space, uniform\nspace(x=uniform(1, 0)).run('inline')\n")
        done = subprocess.run([sys.executable, str(script)], check=False, capture_output=True, text=True)
        lines = [line for line in done.stderr.splitlines() if line.startswith("  File ")]
        assert lines == [f'  File "{script}", line 2, in <module>']
        assert done.stderr.splitlines()[3].startswith("tunedsl.base.errors.CompileError: The experiment has 2 errors")

    def test_a_folder_whose_name_begins_like_the_package_is_the_users(self, tmp_path: Path) -> None:
        folder = Path(tunedsl.__file__).parent
        code = compile("def write(space):\n    return space(x=1).seed(0)\n", f"{folder}-mine/train.py", "exec")
        names: dict[str, Any] = {}
        exec(code, names)
        assert names["write"](space).places["seed"].file == f"{folder}-mine/train.py"
