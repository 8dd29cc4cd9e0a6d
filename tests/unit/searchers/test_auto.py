"""What `auto` chooses, and how it says so."""

from __future__ import annotations

from tests.unit.searchers.test_gp import LOSS, PLANE, at_rungs, bowl, run
from tunedsl import Trainable, auto, random_search, report, space, uniform
from tunedsl.schedulers import asha, pbt
from tunedsl.searchers import Observation, dedupe, gp, searcher_of, tpe


def state_after(trials, **options):
    return run(auto(), PLANE, bowl, trials, **options)[1]


def proposal(spec, state, trial):
    return searcher_of(spec).ask(spec, state, trial, 0)[1].config


def test_the_process_and_tpe_propose_in_turn_from_the_same_trials():
    state = state_after(20)
    assert proposal(auto(), state, 20) == proposal(gp(), state, 20)
    assert proposal(auto(), state, 21) == proposal(tpe(n_startup_trials=8), state.history, 21)


def test_after_many_trials_tpe_proposes():
    state = state_after(20)
    assert proposal(auto(), state, 250) == proposal(tpe(n_startup_trials=8), state.history, 250)


def test_trials_that_are_compared_before_they_end_are_proposed_by_the_process():
    state = run(auto(), PLANE, bowl, 20, tell=at_rungs)[1]
    assert proposal(auto(), state, 21) == proposal(gp(), state, 21)
    assert proposal(auto(), state, 300) == proposal(gp(), state, 300)


def test_it_finds_the_bottom_of_a_bowl():
    losses, _ = run(auto(), PLANE, bowl, 40)
    assert min(losses) < 1e-4


def test_it_learns_while_no_trial_has_ended():
    searcher = searcher_of(auto())
    state = searcher.init(auto(), PLANE, LOSS, 0)
    for trial in range(10):
        state, answer = searcher.ask(auto(), state, trial, 0)
        state = searcher.tell(auto(), state, trial, Observation("reported", 1, (answer.config["x"],)))
    _, answer = searcher.ask(auto(), state, 10, 0)
    assert answer.config["x"] < 0.1


def train(config):
    return {"loss": config["x"] ** 2}


def train_in_steps(config):
    for step in range(9):
        report(loss=config["x"] ** 2 + 1 / (step + 1))


class Saved(Trainable):
    def setup(self, config):
        self.x = config["x"]

    def step(self):
        return {"loss": self.x**2}

    def save(self, folder):
        (folder / "x").write_text(str(self.x))

    def load(self, folder):
        self.x = float((folder / "x").read_text())


EXPERIMENT = space(x=uniform(-1, 1)).trainable(train).minimize("loss").samples(12).seed(0)


def test_explain_says_which_searchers_propose():
    assert "gp() and tpe() in turn\n" in EXPERIMENT.searcher(auto()).compile().explain()
    assert "tpe() from there" in EXPERIMENT.samples(300).searcher(dedupe(auto())).compile().explain()
    early = EXPERIMENT.trainable(train_in_steps).searcher(auto()).scheduler(asha(max_t=9))
    assert "then gp(), as trials are compared before they end" in early.compile().explain()
    assert "in turn" not in EXPERIMENT.searcher(tpe()).compile().explain()


def test_why_says_which_searcher_proposed_a_trial(tmp_path):
    results = EXPERIMENT.searcher(auto()).store(str(tmp_path)).run(engine="inline", quiet=True)
    assert "proposed: by gp(), as the first 250 trials" in results.why(10)
    assert "proposed: by tpe(), as the first 250 trials" in results.why(11)


def test_a_run_without_a_searcher_says_once_what_auto_would_be(tmp_path, capfd):
    experiment = EXPERIMENT.store(str(tmp_path))
    experiment.run(engine="inline")
    assert capfd.readouterr().err.count(".searcher(auto()) would be: the first configurations are spread evenly") == 1
    experiment.searcher(random_search()).run(engine="inline")
    experiment.samples(3).run(engine="inline")
    experiment.run(engine="inline", quiet=True)
    assert "auto()" not in capfd.readouterr().err


def test_a_run_whose_scheduler_lets_no_searcher_learn_is_given_no_advice(tmp_path, capfd):
    class_based = EXPERIMENT.trainable(Saved).scheduler(pbt(perturbation_interval=2)).stop(training_iteration=3)
    class_based.store(str(tmp_path)).run(engine="inline")
    assert "auto()" not in capfd.readouterr().err
