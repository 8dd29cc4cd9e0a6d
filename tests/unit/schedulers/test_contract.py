"""The contract of schedulers: registry, reasons, decision points."""

import pytest

from tunedsl.base.errors import ArgumentError
from tunedsl.schedulers import Asha, asha, fifo
from tunedsl.schedulers.contract import At, Every, Never, is_due, reason, registered_schedulers, scheduler_of


def test_a_spec_leads_to_its_scheduler():
    assert scheduler_of(asha()).name == "asha"
    assert registered_schedulers()[Asha] is scheduler_of(asha())


def test_what_is_no_scheduler_is_refused_with_the_way_out():
    with pytest.raises(ArgumentError, match=r"call it: asha\(\.\.\.\)"):
        scheduler_of(asha)
    with pytest.raises(
        ArgumentError, match=r"E003: The argument of scheduler\(...\) must be a scheduler such as asha\(\), not 'asha'"
    ):
        scheduler_of("asha")
    with pytest.raises(ArgumentError, match=r"E001: fifo\(\) has no argument 'order'"):
        fifo(order=1)


def test_decision_points():
    assert [i for i in range(1, 10) if is_due(At((1, 3, 9)), i)] == [1, 3, 9]
    assert [i for i in range(1, 10) if is_due(Every(4), i)] == [4, 8]
    assert not any(is_due(Never(), i) for i in range(1, 10))


def test_notes_hold_json_numbers_only():
    assert reason("rule", a=float("nan"), b=float("-inf"), c=1, d="x").facts == {
        "a": "nan",
        "b": "-inf",
        "c": 1,
        "d": "x",
    }
