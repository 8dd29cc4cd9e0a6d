"""The compiler's diagnostics: code, message and location."""

import functools
import threading

import attrs
import pytest

from tunedsl import (
    CompileError,
    Trainable,
    asha,
    choice,
    elapsed,
    fifo,
    grid,
    iteration,
    loguniform,
    metric,
    pbt,
    plateau,
    ref,
    report,
    sample_from,
    sobol,
    space,
    tpe,
    uniform,
)
from tunedsl.base.codec import value
from tunedsl.base.diagnostics import errors_of
from tunedsl.compiler import check
from tunedsl.compiler import closures as capture
from tunedsl.compiler import execution as means
from tunedsl.compiler.codes import CODES
from tunedsl.schedulers import (
    asha_promote,
    distribute,
    hyperband,
    median_stopping,
    pasha,
    pbt_replay,
    resource_changing,
)
from tunedsl.schedulers import contract as schedule
from tunedsl.searchers import contract as search
from tunedsl.searchers import dedupe, limit, random_search, repeat, try_first, warm_start, with_results, zoopt
from tunedsl.spaces.check import CODES as SPACE_CODES


def train(config):
    report(loss=config["x"])


def train_with_checkpoints(config):
    for _ in range(10):
        report(loss=config["x"], checkpoint="folder")


def train_in_phases(config):
    report(loss=config["x"], phase="early", y=config["y"])


def train_with_rows(config, rows):
    return {"loss": config["x"] * len(rows)}


def never(trial_id, result):
    return False


def deep(config):
    return {"deep": [config["x"], None, train]}


def one_core(config):
    return {"cpu": 1}


def by_number(number, config):
    return str(number)


async def train_later(config):
    return {"loss": config["x"]}


class Net(Trainable):
    def setup(self, config):
        self.x = config["x"]

    def step(self):
        return {"loss": self.x}


class Stepless(Trainable):
    def setup(self, config):
        self.x = config["x"]


class Plain:
    """A class without a base and without methods."""


class Resumed(Net):
    def save(self, folder):
        pass

    def load(self, folder):
        self.optimizer.load_state_dict(folder)


class ResumedWithItsOwnRate(Resumed):
    def setup(self, config):
        self.x, self.lr = config["x"], config["lr"]

    def load(self, folder):
        self.optimizer.load_state_dict(folder)
        for group in self.optimizer.param_groups:
            group["lr"] = self.lr


class HalfSaved(Net):
    def save(self, folder):
        pass


class Wide(Net):
    def __init__(self, width):
        self.width = width


@value
class Pausing:
    """A scheduler that needs checkpoints."""


@value
class Learning:
    """A searcher that learns, and supports little."""


schedule.register_scheduler(
    Pausing,
    attrs.evolve(
        schedule.scheduler_of(fifo()), name="pausing", requirements=lambda spec: schedule.Requirements(checkpoints=True)
    ),
)
search.register_searcher(
    Learning,
    search.Searcher(
        "learning",
        search.Supports(False, False, False, False, False, False, 1, False, True),
        init=lambda spec, space, objectives, key: None,
        ask=lambda spec, state, trial, key: (state, search.Exhausted()),
    ),
)


def base(**params):
    return space(**({"x": uniform(0, 1)} | params)).trainable(train).minimize("loss").seed(0)


def saving(**params):
    return base(**params).trainable(train_with_checkpoints)


NAN = float("nan")

CASES = [
    ("E011", "space.x", base(x=uniform(1, 0))),
    ("E030", "trainable", space(x=1).minimize("loss")),
    ("E024", "space.y", base(y=sample_from(lambda config: object()))),
    ("E031", "trainable", base().trainable(train_with_rows)),
    ("E031", "trainable", base().data(row=1).trainable(train_with_rows)),
    ("E031", "trainable", base().data(rows=1).trainable(Net)),
    ("E031", "trainable", base().trainable(Wide)),
    ("E032", "trainable", base().trainable(Stepless)),
    ("E032", "trainable", base().trainable(HalfSaved)),
    ("E032", "trainable", base().trainable(Plain)),
    ("E033", "trainable", base().trainable(train_later)),
    ("E040", "scheduler.max_t", base().scheduler(asha(max_t=1, grace_period=3))),
    ("E041", "scheduler.reduction_factor", base().scheduler(asha(reduction_factor=1))),
    ("E042", "scheduler.grace_period", base().scheduler(asha(grace_period=0))),
    ("E043", "scheduler.max_t", base().scheduler(asha(max_t=float("inf")))),
    ("E044", "scheduler.brackets", base().scheduler(asha(brackets=9))),
    ("E045", "scheduler", space(x=uniform(0, 1)).trainable(train).scheduler(asha())),
    ("E045", "searcher", space(x=uniform(0, 1)).trainable(train).searcher(Learning())),
    ("E046", "scheduler", base().scheduler(Pausing())),
    ("E046", "scheduler", base().trainable(Net).stop(training_iteration=3).scheduler(Pausing())),
    ("E048", "space.x", base(x=loguniform(1, 2)).searcher(Learning())),
    ("E048", "space.y", base(y=choice([1, 2]).when(ref("x") > 0)).searcher(Learning())),
    ("E048", "space.where", base().where(ref("x") < 1).searcher(Learning())),
    ("E050", "stop", base().stop(metric("loss") < float("inf"))),
    ("E050", "stop", base().stop(loss=float("inf"))),
    ("E050", "stop", base().stop(training_iteration=0)),
    ("E050", "stop", base().stop(metric("training_iteration") < 5)),
    ("E050", "stop", base().stop(time_total_s=0)),
    ("E052", "stop", base().stop(metric("loss") < "x")),
    ("E052", "stop", base().stop(metric("loss") == "low")),
    ("E052", "stop", base().stop(metric("training_iteration") + "x" > 3)),
    ("E052", "stop", base().stop(iteration(3) & (metric("loss") < NAN))),
    ("E052", "subject_to", base().subject_to(metric("loss") <= NAN)),
    ("E052", "subject_to", base().subject_to(metric("loss") <= "low")),
    ("E053", "subject_to", base().subject_to(metric("loss") <= float("inf"))),
    ("E053", "subject_to", base().subject_to(metric("loss") <= 1, metric("loss") >= 2)),
    ("E053", "subject_to", base().subject_to((metric("loss") < 1) & (metric("loss") == 1))),
    ("E051", "stop", base().stop(plateau("accuracy", metric_threshold=0.5))),
    ("E060", "resources.cpu", base().resources(cpu=4096)),
    ("E060", "resources.gpu", base().resources(gpu=64)),
    ("E060", "resources.memory", base().resources(memory="900TiB")),
    ("E060", "resources.tpu", base().resources(custom={"tpu": 1})),
    ("E060", "resources.bundles", base().resources(bundles=[{"cpu": 1}, {"cpu": 1}], strategy="STRICT_SPREAD")),
    ("E060", "resources.gpu", base().resources(lambda config: {"gpu": 64})),
    ("E068", "resources.gpu", base().resources(gpu=1.5)),
    ("E068", "resources.gpu", base().resources(gpu=0.00001)),
    ("E068", "resources.custom.CPU", base().resources(custom={"CPU": 1})),
    ("E068", "resources.custom.GPU", base().resources(custom={"GPU": 1})),
    ("E068", "resources.custom.object_store_memory", base().resources(custom={"object_store_memory": 1e9})),
    ("E068", "resources.custom.TPU", base().resources(custom={"TPU": 2.5})),
    ("E068", "resources.bundles[1].gpu", base().resources(bundles=[{"cpu": 1}, {"gpu": 1.5}])),
    ("E068", "resources.bundles[0].CPU", base().resources(bundles=[{"CPU": 1}])),
    ("E068", "resources.bundles[1]", base().resources(bundles=[{"cpu": 1}, {"gpu": 0}])),
    ("E068", "resources.gpu", base().resources(lambda config: {"gpu": 1.5})),
    ("E061", "resources", base().resources(lambda: {"cpu": 1})),
    ("E061", "resources", base().resources(lambda config: {"cpu": config["y"]})),
    ("E061", "resources", base().resources(lambda config: {"cpus": 1})),
    ("E061", "resources", base().resources(lambda config: 1)),
    ("E061", "resources", base().searcher(tpe()).samples(9).resources(lambda config: {1: 2})),
    ("E061", "name_trials", base().name_trials(lambda config: "x")),
    ("E061", "name_trials", base().name_trials(lambda number, config: config["y"])),
    ("E061", "stop", base().stop(lambda a: 1)),
    ("E062", "name_trials", base().name_trials(lambda number, config: number)),
    ("E062", "name_trials", base().name_trials(lambda number, config: "a/b")),
    ("E062", "name_trials", base().samples(2).name_trials(lambda number, config: "x")),
    ("E062", "named", base().named("my/run")),
    ("E063", "order", base().order("logical")),
    ("E064", "budget", base().order("logical").parallel(2).budget(seconds=9)),
    ("E064", "timeout", base().order("logical").parallel(2).timeout(9)),
    ("E064", "stop", base().order("logical").parallel(2).stop(elapsed(9))),
    ("E064", "scheduler", base().order("logical").parallel(2).scheduler(asha(time_attr="time_total_s"))),
    ("E064", "timeout", base().order("logical").parallel(2).timeout(idle=9)),
    ("E064", "subject_to", base().order("logical").parallel(2).subject_to(metric("time_total_s") < 9)),
    ("E066", "retry.grow", base().retry(oom=2, grow=1.5)),
    ("E066", "retry.grow", base().resources(memory="1MB").retry(grow=1.5)),
    ("E066", "retry.grow", base().resources(bundles=[{"cpu": 1, "memory": "1MB"}]).retry(oom=2, grow=1.5)),
    ("E066", "retry.grow", base().resources(lambda config: {"cpu": 1}).retry(oom=2, grow=1.5)),
    ("E065", "checkpoint", base().checkpoint(every=2)),
    ("E065", "checkpoint", base().trainable(Net).checkpoint(at_end=True)),
    ("E065", "checkpoint", base().checkpoint(at_end=True)),
    ("E065", "checkpoint.best", base().checkpoint(best="accuracy")),
    ("E070", "searcher", saving().scheduler(pbt()).searcher(Learning())),
    ("E070", "searcher", saving().scheduler(hyperband()).searcher(limit(random_search(), 2))),
    ("E070", "searcher", saving().scheduler(hyperband()).searcher(dedupe(limit(random_search(), 2)))),
    ("E070", "searcher", saving().scheduler(resource_changing(pbt(), distribute(cpu=2))).searcher(Learning())),
    ("E071", "scheduler.hyperparam_mutations", saving().scheduler(pbt(hyperparam_mutations={"lr": [1, 2]}))),
    ("E071", "scheduler", saving(x=1).scheduler(pbt())),
    ("E072", "scheduler.perturbation_interval", saving().scheduler(pbt(perturbation_interval=0))),
    ("E073", "scheduler.quantile_fraction", saving().scheduler(pbt(quantile_fraction=1))),
    ("E075", "samples", saving(x=0.1).scheduler(pbt_replay([(3, {"x": 0.2})])).samples(2)),
    ("E076", "scheduler.resources", saving().scheduler(resource_changing(fifo(), distribute()))),
    ("E078", "scheduler.grace_period", base().scheduler(median_stopping(grace_period=-1))),
    ("E077", "scheduler.policy", saving().scheduler(pbt_replay([(0, {"x": 0.1}), (3, {"x": 0.2})]))),
    ("E080", "searcher", base().searcher(tpe(gamma=2))),
    ("E081", "searcher.try_first[0]", base().searcher(try_first(tpe(), [{"y": 1}]))),
    ("W043", "space.x", base(x=uniform(0, 1).prior(0.5)).searcher(Learning())),
    ("E081", "searcher.with_results[0]", base().searcher(with_results(tpe(), [({"x": 2.0}, 0.1)]))),
    ("E081", "searcher", base().searcher(with_results(tpe(), [({"x": 0.5}, (0.1, 0.2))]))),
    ("E082", "searcher", base().searcher(warm_start(tpe(), "nowhere"))),
    ("E083", "objective", base().maximize("accuracy").searcher(zoopt())),
    ("E083", "objective", saving().minimize("loss").maximize("accuracy").scheduler(pbt(perturbation_interval=3))),
    ("E084", "searcher", base().searcher(dedupe(repeat(tpe(), 2)))),
    ("W030", "space", base(depth=3)),
    ("W031", "objective", space(x=1).trainable(train).minimize("los")),
    ("W031", "stop", base().stop(accuracy=0.9)),
    ("W031", "subject_to", base().subject_to(metric("accuracy") >= 0.9)),
    ("W031", "scheduler", base().scheduler(asha(time_attr="epochs"))),
    ("W032", "objective", space(x=1).trainable(train)),
    ("W034", "stop", base().stop(lambda trial_id, result: False)),
    ("W034", "trainable", base().trainable(functools.wraps(train)(functools.partial(train_with_rows, rows=[1])))),
    ("W035", "data.rows", base().trainable(train_with_rows).data(rows=threading.Lock())),
    ("W033", "objective.accuracy", base().minimize("accuracy")),
    ("W037", "subject_to", base().subject_to(metric("loss") > 0.1)),
    ("W037", "subject_to", base().subject_to(metric("accuracy") <= 0.9)),
    ("W041", "scheduler", saving().scheduler(pbt(perturbation_interval=20)).samples(4).stop(training_iteration=20)),
    ("W041", "scheduler", saving().scheduler(pbt(perturbation_interval=10)).samples(4)),
    ("W042", "trainable", base(lr=uniform(0, 1)).trainable(Resumed).scheduler(pbt()).samples(4)),
    ("W044", "searcher", saving().scheduler(asha_promote(max_t=9)).searcher(tpe())),
    ("W044", "searcher", saving().scheduler(pasha(max_t=9)).searcher(try_first(zoopt(), []))),
    ("W040", "scheduler", base().scheduler(asha(max_t=9)).stop(training_iteration=5)),
    ("W050", "stop", base().trainable(Net)),
    ("W051", "stop", base().stop(metric("phase") < "x")),
]


@pytest.fixture(autouse=True)
def machine(monkeypatch):
    monkeypatch.setattr(means, "_machine_resources", lambda: {"cpu": 2, "gpu": 0, "memory": 2**33})


def is_sentence(text: str) -> bool:
    """Whether a message can be read aloud: it is one line, ends with a full stop, and has no part of an older form."""
    return text.endswith(".") and not text.endswith("..") and "\n" not in text and ": expected" not in text


@pytest.mark.parametrize(("code", "subject", "experiment"), CASES, ids=[f"{c}-{s}" for c, s, _ in CASES])
def test_each_mistake_has_its_code_subject_and_place(code, subject, experiment):
    found = [diagnostic for diagnostic in check(experiment) if diagnostic.code == code]
    assert [diagnostic.subject for diagnostic in found][:1] == [subject]
    assert is_sentence(found[0].message) and found[0].place.file == __file__
    if code.startswith("E"):
        with pytest.raises(CompileError, match=code):
            experiment.compile()
    else:
        assert found[0] in experiment.compile().warnings


def test_a_function_keeps_its_last_checkpoint_as_the_hint_says():
    def saves(config):
        report(loss=config["x"], checkpoint=lambda folder: None)

    (found,) = errors_of(check(base().trainable(saves).checkpoint(at_end=True)))
    assert found.hint == "write checkpoint(every=1, keep=1), which keeps the last checkpoint that is reported"
    assert not errors_of(check(base().trainable(saves).checkpoint(every=1, keep=1)))


def test_isolation_needs_processes():
    isolated = base().isolate("process")
    assert check(isolated) == check(isolated, engine="simulated") == ()
    (found,) = check(isolated, engine="inline")
    assert (found.code, found.subject, found.place.file) == ("E067", "isolate", __file__)


def test_every_code_of_the_compiler_is_shown_by_a_case():
    own = {code for code in CODES if (code not in SPACE_CODES and code > "E029") or code.startswith("W03")}
    elsewhere = {"E034", "E035", "E038", "E049", "E067", "E074", "E091", "W080"}  # below, and where policies are tested
    elsewhere |= {"E036", "E037", "E039", "W036", "E069"}  # tests/unit/compiler/test_commands.py
    shown = {code for code, _, _ in CASES} | elsewhere
    assert own - shown == set()


@pytest.mark.parametrize(
    "experiment",
    [
        base(),
        base().scheduler(asha(max_t=9)).stop(training_iteration=9),
        base().data(rows=[1]).trainable(train_with_rows),
        base().trainable(train_with_checkpoints).scheduler(Pausing()),
        saving().scheduler(pbt(hyperparam_mutations={"x": [0.1, 0.2]})).samples(4),
        saving().scheduler(pbt()).searcher(sobol()).samples(4),
        saving(x=0.1).scheduler(pbt_replay([(0, {"x": 0.1}), (3, {"x": 0.2})])),
        saving().scheduler(resource_changing(pbt(), distribute(cpu=2))).samples(4),
        base().trainable(Net).stop(training_iteration=3),
        base().stop(plateau("loss", metric_threshold=0.5)),
        base().stop(training_iteration=1).stop(never),
        base().trainable(train_in_phases).stop(metric("phase") == "late"),
        base(y=sample_from(deep)).trainable(train_in_phases),
        base(y=1).where(ref("y") < ref("x") + 2),
        base().searcher(Learning()),
        base().searcher(sobol()),
        base().order("logical").parallel(2).stop(training_iteration=3).budget(iterations=9),
        base().resources(one_core).name_trials(by_number),
    ],
    ids=repr,
)
def test_what_is_right_is_left_alone(experiment):
    assert check(experiment) == ()


@pytest.mark.parametrize(
    ("trainable", "scheduler", "warned"),
    [
        (Resumed, pbt(), True),
        (Resumed, resource_changing(pbt(), distribute(cpu=2)), True),
        (Resumed, hyperband(max_t=9), False),
        (ResumedWithItsOwnRate, pbt(), False),
    ],
)
def test_an_optimisers_state_is_warned_of_where_configurations_change(trainable, scheduler, warned):
    experiment = base(lr=uniform(0, 1)).trainable(trainable).scheduler(scheduler).samples(8).stop(training_iteration=99)
    assert ("W042" in [diagnostic.code for diagnostic in check(experiment)]) is warned


def test_each_condition_has_its_own_place():
    experiment = (
        base()
        .stop(metric("loss") < float("inf"))
        .stop(training_iteration=3)
        .stop(metric("loss") > -float("inf"))
    )  # fmt: skip
    first, second = (diagnostic.place.line for diagnostic in check(experiment) if diagnostic.code == "E050")
    assert first < second


def test_keywords_of_stop_follow_the_objective():
    down = base().stop(loss=0.5, accuracy=0.9, training_iteration=7).compile()
    assert repr(down.stop) == (
        "((metric('loss') <= 0.5) | (metric('accuracy') >= 0.9)) | (metric('training_iteration') >= 7)"
    )
    up = space(x=1).trainable(train).maximize("loss").stop(loss=0.5).compile()
    assert repr(up.stop) == "metric('loss') >= 0.5"
    threshold = base().stop(plateau("loss", metric_threshold=0.5)).compile()
    assert threshold.stop.mode == "min"


def test_the_schedulers_last_iteration_is_in_the_shipped_rule_once():
    assert repr(base().scheduler(asha(max_t=9)).compile().stop) == "metric('training_iteration') >= 9"
    same = base().scheduler(asha(max_t=9)).stop(training_iteration=9).compile()
    assert repr(same.stop) == "metric('training_iteration') >= 9"
    assert base().scheduler(asha(max_t=9, stop_last_trials=False)).compile().stop is None


def test_resources_are_left_to_the_cluster_where_there_is_one():
    greedy = base().resources(cpu=4096)
    assert [d.code for d in check(greedy)] == ["E060"]
    assert check(greedy, address="ray://head:10001") == check(greedy, engine="inline") == ()


def test_a_function_of_resources_is_tried_and_quoted():
    def by_x(config):
        return {"gpu": 4, "memory": "9000GiB"} if config["x"] > 0.5 else {"cpus": 1}

    first = base().resources(by_x)
    (found,) = errors_of(check(first.fix(x=0.25)))
    assert str(found).startswith("E061: With by_x(x=0.25): resources() has no argument 'cpus'.\n")
    assert str(found).endswith("\n  help: did you mean 'cpu'?")
    gpu, memory = errors_of(check(first.fix(x=0.75).samples(8)))
    assert gpu.message.startswith("With by_x(x=0.75): A trial needs gpu=4, but this machine has gpu=")
    assert memory.message == ("With by_x(x=0.75): A trial needs memory=9,000 GiB, but this machine has memory=8 GiB.")
    assert errors_of(check(first.fix(x=0.75), engine="inline")) == ()


def test_a_function_sees_the_configurations_that_will_run():
    seen = []

    def one(config):
        seen.append(config.pop("x"))
        return {"cpu": 1}

    experiment = base(g=grid([1, 2])).resources(one).samples(9)
    check(experiment)
    tried = list(seen)
    assert tried == [config["x"] for config in experiment.preview(8)] and len(tried) == 8


def test_unread_parameters_are_one_warning():
    (found,) = check(base(depth=3, xs=1).space(wide=2))
    assert found.message == "train does not read the parameters depth, xs, wide."
    assert found.hint == "remove a parameter that nothing reads"


def test_a_class_without_anything_is_told_of_the_base():
    (found,) = errors_of(check(base().trainable(Plain)))
    assert "class Plain(tunedsl.Trainable)" in found.hint


def test_what_sample_from_returns_has_to_be_data():
    (found,) = errors_of(check(base(y=sample_from(lambda config: slice(1, 2)))))
    assert found.message.endswith(
        "did not return a constant: "
        "space.y is not a constant: slice(1, 2, None) (slice) is not data and has no importable name."
    )


def test_an_unpicklable_capture_hides_no_heavy_one():
    lock, table = threading.Lock(), b"0" * (capture.MAX_CLOSURE_BYTES + 1)

    def helper(config):
        with lock:
            return table[int(config["x"])]

    def guarded(config):
        return {"loss": helper(config)}

    pickled, heavy = errors_of(check(base().trainable(guarded)))
    assert (pickled.code, heavy.code) == ("E034", "E035")
    assert heavy.message.startswith(
        "guarded captures 'helper.table' (closure variable, bytes) (10.0 MiB): 10.0 MiB in all, more than the limit of "
    )


def test_an_unpicklable_capture_is_named(tmp_path):
    with open(tmp_path / "log", "w") as log:

        def helper(text):
            log.write(text)

        def logs(config):
            helper(str(config["x"]))
            return {"loss": config["x"]}

        (found,) = errors_of(check(base().trainable(logs)))
    assert found.code == "E034"
    assert found.message.startswith("logs captures 'helper.log' (closure variable, _io.TextIOWrapper)")


def test_a_heavy_capture_is_named_with_its_size_and_the_fix():
    table, light = b"0" * (11 * 2**20), [1]

    def lookup(config, weights=b"1" * (2 * 2**20)):
        return {"loss": table[int(config["x"])] + len(light) + len(weights)}

    (found,) = errors_of(check(base().trainable(lookup)))
    assert found.code == "E035"
    assert found.message.startswith(
        "lookup captures 'table' (closure variable, bytes) (11.0 MiB), "
        "'weights' (default, bytes) (2.0 MiB): 13.0 MiB in all"
    )
    assert ".data(table=table, weights=weights)" in found.hint
    assert "lookup(config, table, weights)" in found.hint


def test_what_a_class_captures_travels_too():
    rows = b"0" * (capture.MAX_CLOSURE_BYTES + 1)

    class Reader(Net):
        def step(self):
            return {"loss": len(rows)}

    (found,) = errors_of(check(base().trainable(Reader).stop(training_iteration=1)))
    assert found.code == "E035" and "'rows' (closure variable, bytes)" in found.message
    assert found.hint.endswith("def setup(self, config, rows)")


def test_a_parameter_is_mentioned_where_the_config_cannot_be_followed():
    def spreads(config):
        return {"loss": sum(config.values())}

    def hands_on(config):
        train({**config})
        return {"loss": 0}

    def matches(config):
        match config:
            case {"x": x}:
                return {"loss": x}

    def renames(config):
        c = config
        return {"loss": c["x"] if "y" in c else c.get("z", 0)}

    def codes(function, **params):
        return [d.code for d in check(base(**params).trainable(function)) if d.code != "W034"]

    assert codes(spreads, depth=3) == codes(hands_on, depth=3) == codes(matches) == codes(renames, y=1, z=2) == []
    assert codes(matches, depth=3) == codes(renames, depth=3) == ["W030"]


def test_metrics_are_believed_where_reports_cannot_be_read():
    def passes_on(config):
        metrics = {"loss": config["x"]}
        report(metrics)

    found = check(base().trainable(passes_on).stop(accuracy=1))
    assert [diagnostic.code for diagnostic in found] == ["W034"]


def test_codes_and_titles_are_one_table():
    assert all(code[0] in "EW" and len(code) == 4 and title for code, title in CODES.items())
    assert set(SPACE_CODES) < set(CODES)


def test_a_function_of_one_line_is_corrected_as_one():
    (found,) = [each for each in base().stop(lambda a: 1).check() if each.code == "E061"]
    assert found.hint == "write lambda trial_id, result: ..."
