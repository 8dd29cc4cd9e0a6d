"""A run on Ray is steered from two browsers: add, clone, stop a trial, amend, pause and resume; its journal replays."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.browsers import chromium
from tests.steered import steer_from_two_browsers

pytestmark = [pytest.mark.usefixtures("cluster"), pytest.mark.slow]


def test_two_people_steer_a_run_on_ray(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import ray

    monkeypatch.setenv("RAY_ADDRESS", ray.get_runtime_context().gcs_address)
    with chromium() as browser:
        steer_from_two_browsers(browser, tmp_path, "ray")
