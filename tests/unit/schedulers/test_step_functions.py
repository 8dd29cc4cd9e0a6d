"""Medians of step functions at any time, and the median rule on measured time, compared with a walk over all trials."""

import itertools
import math
import random

import numpy as np
import pytest

from tunedsl.base.objective import Objective
from tunedsl.schedulers import median_stopping, step_functions
from tunedsl.schedulers.contract import Report, SchedulerContext, scheduler_of
from tunedsl.schedulers.step_functions import Steps, add, count_at, extend, median_at


@pytest.fixture(autouse=True)
def _small_cells(monkeypatch):
    monkeypatch.setattr(step_functions, "_CELL_SIZE", 4)
    monkeypatch.setattr(step_functions, "chunk_size", lambda least, count: least)


def test_medians_are_those_of_all_functions_at_every_time():
    rng, steps, walked, last = random.Random(0), Steps(), [], {}
    for _ in range(250):
        trial, gap = rng.randint(0, 20), rng.choice([0.0, 0.5, 1.0, rng.random()])
        value = rng.choice([rng.random(), float(rng.randint(0, 3))])
        time = gap
        if trial in last:
            old, start, place = last[trial]
            time = start + gap
            steps, walked[place] = extend(steps, old, start, time), (old, start, time)
        before = repr(steps)
        steps = add(steps, value, time)
        assert repr(steps) != before
        last[trial] = value, time, len(walked)
        walked.append((value, time, math.nextafter(time, math.inf)))
        at = rng.choice([time, time + 0.25, rng.random() * 9])
        there = [value for value, start, end in walked if start <= at < end]
        assert count_at(steps, at) == len(there)
        assert median_at(steps, at) == np.median(there) if there else math.isnan(median_at(steps, at))


class Walk:
    """The rule with a walk over all trials at each decision."""

    def __init__(self, spec):
        self.spec, self.curves, self.best, self.last = spec, {}, {}, {}

    def record(self, trial, time, value):
        self.best[trial] = (
            max(self.best.get(trial, -math.inf), value) if value == value else self.best.get(trial, -math.inf)
        )
        self.last[trial] = time
        if time >= self.spec.grace_period:
            self.curves.setdefault(trial, []).append((time, value))

    def report(self, trial, time, value):
        """Whether it stops, and the median."""
        found = []
        for other, curve in self.curves.items():
            values = [value for at, value in curve if at <= time]
            if other != trial and self.last[other] >= time and values and np.isfinite(values).all():
                found.append(math.fsum(values) / len(values))
        self.record(trial, time, value)
        if time < self.spec.grace_period or len(found) < self.spec.min_samples_required:
            return False, None
        return self.best[trial] < np.median(found), float(np.median(found))


def test_decides_as_a_walk_over_all_trials():
    stops, rng = 0, random.Random(1)
    for case in range(50):
        spec = median_stopping("epochs", rng.choice([0, 1, 3]), rng.choice([1, 2, 4]))
        scheduler, walk = scheduler_of(spec), Walk(spec)
        state = scheduler.init(spec, SchedulerContext(0, 99, Objective("loss", "max")))
        tick = rng.choice([rng.random, lambda: 1, lambda: rng.choice([0, 0.5, 1])])
        draw = rng.choice(
            [lambda: rng.randint(-16, 16) / 8, lambda: rng.choice([math.inf, math.nan, 0.5, rng.randint(0, 8) / 8])]
        )
        clock, gone = {}, set()
        for step in itertools.count():
            trial = rng.randint(0, 12)
            if step > 150 or len(gone) > 10:
                break
            if trial in gone:
                continue
            clock[trial] = clock.get(trial, 0) + tick()
            value = draw()
            report = Report(trial, 1, value, 0.0, {"epochs": clock[trial], "loss": value})
            if rng.random() < 0.03 and clock[trial] > walk.last.get(trial, -1):
                state = scheduler.on_end(spec, state, report)
                walk.record(trial, clock[trial], value)
                gone.add(trial)
                continue
            stop, middle = walk.report(trial, clock[trial], value)
            state, decision, why = scheduler.on_report(spec, state, report)
            assert decision == ("stop" if stop else "continue"), case
            assert middle is None or why.facts["median"] == pytest.approx(middle)
            stops += stop
            gone |= {trial} if stop else set()
    assert stops > 50


def test_a_time_that_falls_back_counts_as_the_latest():
    spec = median_stopping("epochs", 0, 1)
    scheduler = scheduler_of(spec)
    state = scheduler.init(spec, SchedulerContext(0, 99, Objective("loss", "max")))
    for trial, epochs, value in ((0, 5, 1.0), (1, 5, 0.0), (0, 2, 0.5), (1, 3, 0.25)):
        report = Report(trial, 1, value, 0.0, {"epochs": epochs, "loss": value})
        state, decision, why = scheduler.on_report(spec, state, report)
    assert decision == "stop" and why.facts["time"] == 5
