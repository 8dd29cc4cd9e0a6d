"""The curve of a trial that the kernel keeps for schedulers that read curves."""

from tests.plans import make_plan
from tunedsl.base.objective import Objective
from tunedsl.kernel import Reported
from tunedsl.kernel.state import TrialState
from tunedsl.kernel.trial_steps import last_report, with_curve

PLAN = make_plan(objectives=(Objective("loss", "min"), Objective("size", "max")))


def reported(first, *losses):
    rows = tuple((loss, 10.0) for loss in losses)
    return Reported(0.0, 0, first, ("loss", "size"), rows, ())


def test_it_has_all_objectives_at_each_iteration_with_their_signs():
    trial = with_curve(PLAN, TrialState(0, {}), reported(1, 3.0, 2.0))
    assert with_curve(PLAN, trial, reported(3, 1.0)).curve == ((-3.0, 10.0), (-2.0, 10.0), (-1.0, 10.0))
    assert last_report(PLAN, trial).curve == trial.curve


def test_iterations_that_are_repeated_after_a_failure_replace_the_old_ones():
    trial = with_curve(PLAN, TrialState(0, {}), reported(1, 3.0, 2.0, 1.0))
    assert with_curve(PLAN, trial, reported(2, 5.0)).curve == ((-3.0, 10.0), (-5.0, 10.0))


def test_iterations_from_before_it_was_kept_are_missing():
    curve = with_curve(PLAN, TrialState(0, {}), reported(3, 1.0)).curve
    assert len(curve) == 3 and curve[0][0] != curve[0][0] and curve[2] == (-1.0, 10.0)
