"""Epochs: of drivers that share a journal, each record that one acted on stays, whatever the others write and when."""

from __future__ import annotations

import fsspec
import pytest

from tests.schedules import Schedule, begin
from tunedsl.journal import location_of

SEEDS = 100
"""Schedules for each kind of store."""


@pytest.fixture
def place(request, tmp_path):
    yield tmp_path if request.param == "folder" else location_of("memory://bucket/run")
    fsspec.filesystem("memory").store.clear()


@pytest.mark.parametrize("place", ["address", "folder"], indirect=True)
@pytest.mark.parametrize("seeds", range(0, SEEDS, 20))
def test_what_a_driver_acted_on_stays_in_every_schedule(place, seeds, tmp_path):
    written = 0
    for seed in range(seeds, seeds + 20):
        run = place / f"run-{seed}"
        begin(run)
        written += Schedule(seed, run).run()
    assert written > 20 * 10
