"""Each transition of a trial's state, legal or not."""

from __future__ import annotations

from itertools import product

import pytest

from tunedsl.kernel import TRANSITIONS, IllegalMove
from tunedsl.kernel.transitions import MOVES, PHASES, next_phase

LIFE = {
    "PENDING": {"start": "RUNNING", "stop": "TERMINATED", "retry": "PENDING", "error": "ERRORED"},
    "RUNNING": {
        "report": "RUNNING",
        "save": "RUNNING",
        "pause": "PAUSED",
        "end": "TERMINATED",
        "stop": "TERMINATED",
        "retry": "PENDING",
        "error": "ERRORED",
    },
    "PAUSED": {"start": "RUNNING", "retry": "PAUSED", "stop": "TERMINATED", "error": "ERRORED"},
    "TERMINATED": {"reopen": "PENDING"},
    "ERRORED": {"rerun": "PENDING"},
}


@pytest.mark.parametrize(("phase", "move"), list(product(PHASES, MOVES)))
def test_each_cell(phase, move):
    expected = LIFE[phase].get(move)
    if expected is None:
        with pytest.raises(IllegalMove) as caught:
            next_phase(7, phase, move)
        assert (caught.value.trial, caught.value.phase, caught.value.move) == (7, phase, move)
    else:
        assert next_phase(7, phase, move) == expected


def test_the_table_cannot_be_changed():
    with pytest.raises(TypeError):
        TRANSITIONS["PENDING", "end"] = "TERMINATED"  # type: ignore[index]


def test_a_trial_leaves_its_end_only_to_be_run_again_or_to_continue_under_an_amended_plan():
    ends = [cell for cell in TRANSITIONS if cell[0] in ("TERMINATED", "ERRORED")]
    assert ends == [("ERRORED", "rerun"), ("TERMINATED", "reopen")]
