"""People steer runs from browsers: forms, refusals at the field, and two people at once."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.browsers import chromium
from tests.steered import steer_from_two_browsers


@pytest.mark.slow
def test_two_people_steer_a_run_from_their_browsers(tmp_path: Path) -> None:
    with chromium() as browser:
        steer_from_two_browsers(browser, tmp_path, "local")
