"""PBT: which trial continues from which, with what; the same quantiles, pairs and changes as Ray Tune's."""

import math
import random
from types import SimpleNamespace

import immutables
import pytest

from tunedsl import choice, loguniform, quniform, randint, randn, ref, uniform
from tunedsl.base import codec, keys
from tunedsl.base.errors import ArgumentError
from tunedsl.base.objective import Objective
from tunedsl.schedulers import pbt
from tunedsl.schedulers.contract import Every, Exploit, Report, SchedulerContext, scheduler_of
from tunedsl.schedulers.perturb import Mutations, default_mutations, mutate, perturb_config, perturb_number
from tunedsl.schedulers.population import quantile_size
from tunedsl.spaces.layout import resolve_space
from tunedsl.spaces.sampling import sample
from tunedsl.spaces.space import Space
from tunedsl.spaces.unit_interval import contains, from_unit


def setting(trials=4, **params):
    return SchedulerContext(1, trials, Objective("score", "max"), Space.of(params))


class Population:
    """A scheduler's state, driven by hand."""

    def __init__(self, spec, configs, full=True, **params):
        self.spec, self.scheduler = spec, scheduler_of(spec)
        self.state = self.scheduler.init(spec, setting(len(configs), **params))
        for trial, config in enumerate(configs):
            self.state = self.scheduler.on_add(spec, self.state, trial, config)
        if full:
            self.fill()

    def fill(self):
        self.state = self.scheduler.on_all_proposed(self.spec, self.state)

    def report(self, trial, iteration, value, **metrics):
        report = Report(trial, iteration, value, float(iteration), metrics)
        self.state, decision, note = self.scheduler.on_report(self.spec, self.state, report)
        return decision, note

    def leave(self, trial):
        self.state = self.scheduler.on_remove(self.spec, self.state, trial)

    def end(self, trial):
        self.state = self.scheduler.on_end(self.spec, self.state, Report(trial, 1, 0.0, 0.0, {}))

    def promote(self):
        self.state, chosen = self.scheduler.promote(self.spec, self.state)
        return chosen

    def promote_all(self):
        return list(iter(self.promote, None))


LR = {"lr": uniform(0, 100)}


def four(spec, **options):
    return Population(spec, [{"lr": float(10 + trial)} for trial in range(4)], **options, **LR)


def test_the_worst_goes_on_from_the_best_and_the_note_says_why():
    population = four(pbt(perturbation_interval=2, resample_probability=0))
    answers = [population.report(trial, 2, float(trial)) for trial in (3, 2, 1, 0)]
    assert [decision for decision, _ in answers[:1]] == ["continue"]
    decision, note = answers[-1]
    assert isinstance(decision, Exploit) and decision.donor == 3
    assert decision.config["lr"] in (pytest.approx(13 * 1.2), pytest.approx(13 * 0.8))
    facts = note.facts
    assert (facts["interval"], facts["time"], facts["value"], facts["lower"], facts["upper"]) == (1, 2, 0, 0, 3)
    assert (facts["donor"], facts["donor_value"], facts["competitors"]) == (3, 3, 4)
    assert facts["config/lr"].startswith("13, * ") and facts["config/lr"].endswith(f"-> {decision.config['lr']:.6g}")
    assert population.state.members[0].config == decision.config


def test_nothing_is_decided_between_intervals_or_before_the_burn_in():
    population = four(pbt(perturbation_interval=3, burn_in_period=4))
    assert scheduler_of(population.spec).decision_points(population.spec) == Every(3, 4)
    for trial in range(4):
        for iteration in (1, 2, 3, 5, 6):
            assert population.report(trial, iteration, float(-trial)) == ("continue", None)
    assert not population.state.ranked.size
    assert [type(population.report(trial, 4, float(-trial))[0]) for trial in range(4)][1:] == [
        Exploit,
        Exploit,
        Exploit,
    ]


def test_a_trial_that_has_diverged_takes_over_and_one_without_the_metric_is_left_alone():
    population = four(pbt(perturbation_interval=1))
    population.report(3, 1, 3.0, score=3.0)
    population.report(2, 1, 2.0, score=2.0)
    decision, note = population.report(0, 1, math.nan, score=math.nan)
    assert decision.donor == 3 and note.facts["value"] == "nan"
    assert population.report(1, 1, math.nan)[0] == "continue"
    assert [trial for _, trial in population.state.ranked] == [2, 3]


def test_those_that_outnumber_the_places_take_turns():
    population = four(pbt(perturbation_interval=1), full=False)
    assert population.report(0, 1, 0.0)[0] == "pause" and population.promote() is None
    assert population.report(1, 1, 1.0)[0] == "pause"
    population.fill()
    assert [chosen[0] for chosen in population.promote_all()] == [0, 1]
    assert population.report(3, 1, 3.0)[0] == "continue", "nobody waits"
    population = four(pbt(perturbation_interval=1), full=False)
    population.report(3, 1, 3.0)
    decision, note = population.report(0, 1, 0.0)
    assert decision == "pause" and note.facts["donor"] == 3
    population.fill()
    assert population.promote()[0] == 0 or population.promote()[0] == 0


def test_who_is_to_take_over_finds_another_donor_when_the_first_is_gone():
    spec = pbt(perturbation_interval=1, quantile_fraction=0.5)
    population = four(spec, full=False)
    for trial, value in ((3, 3.0), (2, 2.0), (1, 1.0), (0, 0.0)):
        population.report(trial, 1, value)
    first = population.state.members[0].donor
    population.fill()
    population.leave(first)
    taken = {chosen[0]: chosen[2].donor for chosen in population.promote_all() if len(chosen) == 3}
    assert taken[0] == ({2, 3} - {first}).pop()


def test_synchronous_members_wait_for_each_other_and_the_worst_go_first():
    population = four(pbt(perturbation_interval=2, synch=True))
    answers = [population.report(trial, 2, float(trial)) for trial in (0, 1, 2)]
    assert [decision for decision, _ in answers] == ["pause"] * 3
    assert answers[0][1].facts["there"] == 1 and answers[0][1].facts["of"] == 4
    assert population.promote() is None
    assert population.report(3, 2, 3.0)[0] == "continue"
    first, second, third = population.promote_all()
    assert (first[0], first[2].donor) == (0, 3) and len(second) == len(third) == 2
    assert population.report(0, 4, 9.0)[0] == "pause"


def test_synchronous_members_do_not_wait_for_those_that_are_gone():
    """The original compares only when a result arrives: all remaining trials would wait forever."""
    population = four(pbt(perturbation_interval=2, synch=True))
    for trial in (0, 1, 2):
        population.report(trial, 2, float(trial))
    population.leave(3)
    assert [chosen[0] for chosen in population.promote_all()] == [0, 1, 2]

    controller, original = Controller(4), None
    original = original_pbt(controller, synch=True, perturbation_interval=2)
    for trial in controller.trials[:3]:
        controller.report(original, trial, 2, 0.0)
    controller.trials[3].status = "TERMINATED"
    assert original.choose_trial_to_run(controller) is None
    assert [trial.status for trial in controller.get_live_trials()] == ["PAUSED"] * 3


def test_steps_larger_than_an_interval_leave_nobody_waiting():
    """In the original the farthest member waits for a time that it has passed, and with it everybody."""
    population = four(pbt(perturbation_interval=5, synch=True, time_attr="steps"))
    decisions = [population.report(trial, 1, float(trial), steps=20)[0] for trial in range(4)]
    assert decisions == ["pause"] * 3 + ["continue"] and len(population.promote_all()) == 3
    controller = Controller(4)
    original = original_pbt(controller, synch=True, perturbation_interval=5)
    for trial in controller.trials:
        controller.report(original, trial, 20, float(trial.number))
    assert original.choose_trial_to_run(controller) is None


def test_brackets_of_time_other_than_iterations_follow_the_donors():
    population = four(pbt(perturbation_interval=10, time_attr="steps"))
    population.report(3, 1, 3.0, steps=30)
    population.report(2, 1, 2.0, steps=12)
    assert isinstance(population.report(0, 1, 0.0, steps=14)[0], Exploit)
    assert population.state.members[0].decided_at == 30
    assert scheduler_of(population.spec).metrics_used(population.spec) == ("steps",)


@pytest.mark.parametrize(
    ("spec", "codes"),
    [
        (pbt(perturbation_interval=0), ["E072"]),
        (pbt(perturbation_interval=2.5), ["E072"]),
        (pbt(perturbation_interval=2.5, time_attr="time_total_s"), []),
        (pbt(burn_in_period=-1), ["E072"]),
        (pbt(quantile_fraction=0.6), ["E073"]),
        (pbt(resample_probability=math.nan, perturbation_factors=(0, 1)), ["E073", "E073"]),
    ],
)
def test_settings_without_a_meaning_are_faults(spec, codes):
    assert [fault.code for fault in scheduler_of(spec).validate(spec)] == codes


def test_what_cannot_be_changed_is_said():
    branch = choice({"svm": {"C": uniform(0, 1)}, "tree": {"depth": randint(1, 9)}})
    given = setting(lr=uniform(0, 1), twice=ref("lr") * 2, model=branch)
    spec = pbt(hyperparam_mutations={"lrr": [1], "twice": [1], "model": {"svm": {"C": [1]}}})
    assert [fault.message for fault in scheduler_of(spec).check_compatibility(spec, given)] == [
        "hyperparam_mutations has 'lrr', which is not a parameter of the space.",
        "The scheduler cannot change twice, which is computed from others.",
    ]
    assert [fault.code for fault in scheduler_of(pbt()).check_compatibility(pbt(), setting(a=1))] == ["E071"]
    for wrong in ({"lr": 3}, {}, [1], {"lr": choice({"a": {}})}):
        with pytest.raises(ArgumentError, match=r"E003: pbt\.hyperparam_mutations"):
            pbt(hyperparam_mutations=wrong)


def test_a_spec_is_shown_as_it_is_written():
    spec = pbt(hyperparam_mutations={"optim": {"lr": loguniform(1e-3, 1)}, "width": (16, 32)}, synch=True)
    assert repr(spec) == "pbt(hyperparam_mutations={'optim.lr': loguniform(0.001, 1.0), 'width': [16, 32]}, synch=True)"
    assert eval(repr(spec)) == spec == codec.from_json(codec.to_json(spec))


# What a change of a configuration holds


def test_changes_stay_in_the_domains_on_their_steps_and_within_the_constraints():
    space = Space.of(
        {
            "lr": loguniform(1e-3, 1.0),
            "q": quniform(0, 1, 0.1),
            "n": randint(1, 9),
            "z": randn(),
            "kind": choice(["a", "b", "c"]),
            "only": uniform(0, 1).when(ref("kind") == "b"),
            "optim": {"momentum": uniform(0.5, 0.9)},
            "twice": ref("n") * 2,
        }
    ).where(ref("q") <= ref("lr") + 0.9)
    layout = resolve_space(space)
    domains = {leaf.name: leaf.node for leaf in layout.cube_params}
    config = codec.encode(sample(layout, 0, [0])[0])
    seen = set()
    for round in range(400):
        config, facts = perturb_config(layout, config, default_mutations(layout), keys.key(3, round))
        assert config["twice"] == 2 * config["n"] and config["q"] <= config["lr"] + 0.9
        assert ("only" in config) == (config["kind"] == "b")
        for name in ("lr", "q", "n", "z", "kind"):
            assert contains(domains[name], config[name]), (name, config)
        assert 0.5 <= config["optim"]["momentum"] <= 0.9
        assert "unchanged" in facts or set(facts) >= {"config/lr", "config/optim.momentum"}
        seen.add(config["kind"])
    assert seen == {"a", "b", "c"}


def test_a_branch_keeps_its_option_and_changes_inside():
    branch = choice({"svm": {"C": uniform(0, 1)}, "tree": {"depth": randint(1, 9)}})
    layout = resolve_space(Space.of({"model": branch}))
    config, facts = perturb_config(layout, {"model": {"svm": {"C": 0.5}}}, default_mutations(layout), 7, 0.0)
    assert config["model"]["svm"]["C"] in (0.6, 0.4) and list(facts) == ["config/model.svm.C"]


def test_constants_change_where_they_are_named_and_constraints_can_forbid_all():
    space = Space.of({"lr": 0.1, "n": randint(1, 4)})
    layout = resolve_space(space)
    config, _ = perturb_config(layout, {"lr": 0.1, "n": 2}, Mutations.of("", {"lr": [0.1, 0.01]}), 3, 0.0)
    assert config in ({"lr": 0.01, "n": 2}, {"lr": 0.1, "n": 2})
    narrow = resolve_space(space.where(ref("lr") == 0.1))
    kept, facts = perturb_config(narrow, {"lr": 0.1, "n": 2}, Mutations.of("", {"lr": [1, 2]}), 3)
    assert kept == {"lr": 0.1, "n": 2} and facts == {"unchanged": "no change met the constraints in 100 attempts"}


def test_an_integer_takes_a_whole_step_where_rounding_would_keep_it():
    """The original rounds 2 * 1.2 and 2 * 0.8 back to 2: such a parameter never moves but by a resample."""
    original = pytest.importorskip("ray.tune.schedulers.pbt")
    assert {perturb_number(randint(1, 9), 2, 2 * factor) for factor in (1.2, 0.8)} == {1, 3}
    stuck = {original._explore({"n": 2}, {"n": lambda: 5}, 0, (1.2, 0.8), None)[0]["n"] for _ in range(50)}
    assert stuck == {2}
    assert perturb_number(quniform(0, 1, 0.1), 1.0, 1.2) == 1.0, "a bound is a bound"


def test_choices_move_to_a_neighbour_where_the_original_multiplies_them():
    tune = pytest.importorskip("ray.tune")
    original = pytest.importorskip("ray.tune.schedulers.pbt")
    with pytest.raises(TypeError, match="can't multiply"):
        original._explore({"act": "relu"}, {"act": tune.choice(["tanh", "relu"])}, 0, (1.2,), None)
    assert mutate(choice(["tanh", "relu"]), "relu", 0, 0.0, (1.2,))[0] in ("tanh", "relu")


def drawn():
    return random.random()


def test_functions_draw_by_key_and_a_custom_one_has_the_last_word():
    assert mutate(Mutations.of("", {"a": drawn}).parts[0][1], 0.5, 3, 1.0, (1.2,)) == mutate(
        Mutations.of("", {"a": drawn}).parts[0][1], 0.5, 3, 1.0, (1.2,)
    )

    def halved(config):
        return {**config, "lr": config["lr"] / 2}

    population = four(pbt(perturbation_interval=1, resample_probability=0, custom_explore_fn=halved))
    population.report(3, 1, 3.0)
    decision, note = population.report(0, 1, 0.0)
    assert (
        decision.config["lr"] in (pytest.approx(13 * 0.6), pytest.approx(13 * 0.4)) and note.facts["custom"] == "halved"
    )


# Compared with the original


class Fed:
    """Replaces `random` in the original by numbers from our keys."""

    def __init__(self):
        self.donor, self.names, self.key = 0.0, [], 0

    def expect(self, key, trial, interval, names):
        self.donor = keys.uniform(keys.key(key, "donor", trial, interval))
        self.key, self.names, self.at = keys.key(key, "explore", trial, interval), names, -1

    def random(self):
        self.at += 1
        self.coin, self.pick = keys.uniforms(keys.key(self.key, self.names[self.at]), [0, 1]).tolist()
        return self.coin

    def choice(self, options):
        number = self.donor if self.at < 0 else self.pick
        return options[int(number * len(options))]


class FakeTrial:
    def __init__(self, number, config):
        self.number, self.trial_id, self.config, self.status = number, str(number), config, "RUNNING"
        self.experiment_tag, self.evaluated_params, self.checkpoint, self.last_result = str(number), {}, "kept", {}
        self.temporary_state = SimpleNamespace(saving_to=None)
        manager = SimpleNamespace(checkpoint_config=SimpleNamespace(num_to_keep=None), _latest_checkpoint_result=None)
        self.run_metadata = SimpleNamespace(checkpoint_manager=manager)

    def is_finished(self):
        return self.status == "TERMINATED"

    def set_experiment_tag(self, tag): ...

    def set_config(self, config):
        self.config = config


class Controller:
    """Replaces the controller of Ray Tune."""

    search_alg = None

    def __init__(self, trials, config=lambda trial: {"lr": 1.0}):
        self.trials = [FakeTrial(trial, config(trial)) for trial in range(trials)]

    def get_trials(self):
        return self.trials

    def get_live_trials(self):
        return [trial for trial in self.trials if not trial.is_finished()]

    def pause_trial(self, trial, should_checkpoint):
        trial.status = "PAUSED"

    def _schedule_trial_save(self, trial, result):
        return "saved"

    def report(self, original, trial, time, value):
        decision = original.on_trial_result(self, trial, {"steps": time, "score": value})
        if decision == "PAUSE":
            trial.status = "PAUSED"


def original_pbt(controller, fed=None, intervals=None, key=0, names=("lr",), mutations=None, **options):
    module = pytest.importorskip("ray.tune.schedulers.pbt")

    class Original(module.PopulationBasedTraining):
        """Records who takes over from whom. As here, every trial has a checkpoint of its last interval."""

        def _checkpoint_or_exploit(self, trial, *rest):
            for state in self._trial_state.values():
                state.last_checkpoint = state.last_checkpoint or "checkpoint"
            if fed is not None:
                fed.expect(key, trial.number, intervals(trial.number), names)
            super()._checkpoint_or_exploit(trial, *rest)

        def _exploit(self, controller, trial, donor):
            super()._exploit(controller, trial, donor)
            self.pairs[trial.number] = (donor.number, trial.config)

    original = Original(
        time_attr="steps", metric="score", mode="max", hyperparam_mutations=mutations or {"lr": [1.0, 2.0]},
        log_config=False, **options,
    )  # fmt: skip
    original.pairs = {}
    for trial in controller.trials:
        original.on_trial_add(controller, trial)
    return original


def a_million():
    return 10**6


UNBOUNDED = {"lr": randn(), "n": a_million, "kind": ["a", "b", "c", "d"]}
START = {"lr": 3.0, "n": 10**6, "kind": "b"}


def beside(case, rng, synch):
    """One random experiment on both; how many takeovers there were."""
    module = pytest.importorskip("ray.tune.schedulers.pbt")
    trials = rng.randint(1, 12)
    options = {
        "perturbation_interval": rng.choice([1, 2, 3]),
        "burn_in_period": rng.choice([0, 0, 2, 5]),
        "quantile_fraction": rng.choice([0, 0.1, 0.25, 0.4, 0.5]),
        "resample_probability": rng.choice([0, 0.25, 1]),
        "perturbation_factors": rng.choice([(1.2, 0.8), (2.0,), (1.5, 0.5, 0.9)]),
        "synch": synch,
    }
    fed = Fed()

    mutations = {**UNBOUNDED, "lr": lambda: from_unit(randn(), keys.uniforms(keys.key(fed.key, "lr"), [1]))[0]}
    controller = Controller(trials, lambda trial: {**START, "n": START["n"] + trial})
    spec = pbt(time_attr="steps", hyperparam_mutations=UNBOUNDED, **options)
    ours = Population(spec, [trial.config for trial in controller.trials], **START)

    def intervals(trial):
        return counts[trial]

    counts = dict.fromkeys(range(trials), 0)
    names = list(mutations)
    module_random, module.random = module.random, fed
    value = {
        "distinct": lambda: rng.gauss(0, 1),
        "ties": lambda: float(rng.randint(0, 3)),
        "infinite": lambda: rng.choice([math.inf, -math.inf, rng.gauss(0, 1)]),
    }[rng.choice(["distinct", "ties", "infinite"])]
    try:
        original = original_pbt(controller, fed, intervals, ours.state.context.key, names, mutations, **options)
        steps, clocks, taken = rng.randint(5, 20), dict.fromkeys(range(trials), 0), 0
        running = list(range(trials))
        while running:
            number = rng.choice(running)
            trial = controller.trials[number]
            clocks[number] += 1 if synch else rng.choice([1, 1, 2])
            score, original.pairs = value(), {}
            decision, _ = ours.report(number, clocks[number], score, steps=clocks[number], score=score)
            counts = {trial: member.intervals for trial, member in ours.state.members.items()}
            controller.report(original, trial, clocks[number], score)
            pairs = {number: (decision.donor, decision.config)} if isinstance(decision, Exploit) else {}
            promoted = ours.promote_all()
            pairs |= {chosen[0]: (chosen[2].donor, chosen[2].config) for chosen in promoted if len(chosen) == 3}
            assert pairs == original.pairs, (case, number, clocks)
            ranked = [other for _, other in ours.state.ranked]
            size = quantile_size(spec, len(ranked))
            expected = [[trial.number for trial in part] for part in original._quantiles()]
            assert [ranked[:size], ranked[len(ranked) - size :]] == expected, case
            taken += len(pairs)
            if synch and decision == "pause":
                running.remove(number)
            running += [chosen[0] for chosen in promoted]
            for other in running:
                controller.trials[other].status = "RUNNING"
            if clocks[number] >= steps and (not synch or len(running) == len(ours.state.members)):
                for gone in list(running) if synch else [number]:
                    running.remove(gone)
                    controller.trials[gone].status = "TERMINATED"
                    ours.end(gone)
        assert not ours.state.members and not ours.state.resumable.size and ours.state.waiting == immutables.Map()
    finally:
        module.random = module_random
    return taken


@pytest.mark.slow
@pytest.mark.parametrize("synch", [False, True])
def test_decides_as_the_scheduler_of_ray_tune_on_random_result_sequences(synch):
    rng = random.Random(synch)
    taken = sum(beside(case, rng, synch) for case in range(400))
    assert taken > 2_000


def test_a_donor_of_the_middle_can_be_taken_over_from_later():
    """The original drops the checkpoint of who is not among the best at that moment, and then skips the takeover."""
    population = four(pbt(perturbation_interval=1))
    module = pytest.importorskip("ray.tune.schedulers.pbt")
    controller = Controller(4)
    original = module.PopulationBasedTraining(
        time_attr="steps", metric="score", mode="max", perturbation_interval=1, hyperparam_mutations={"lr": [1.0, 2.0]},
        log_config=False,
    )  # fmt: skip
    for trial in controller.trials:
        original.on_trial_add(controller, trial)
    reports = [(3, 1, 3.0), (2, 1, 2.0), (1, 1, 2.5), (3, 2, -1.0), (0, 1, -2.0)]
    decisions = [population.report(trial, time, value)[0] for trial, time, value in reports]
    for trial, time, value in reports:
        controller.report(original, controller.trials[trial], time, value)
        controller.trials[trial].status = "RUNNING"
    assert original._trial_state[controller.trials[1]].last_checkpoint is None
    assert decisions[-1].donor == 1 and original._num_perturbations < sum(isinstance(d, Exploit) for d in decisions)
