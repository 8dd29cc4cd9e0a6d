"""`kill -9` of the driver: nothing acknowledged is lost, nothing finished runs again, the end is the same."""

from __future__ import annotations

import pytest

from tests.replay.killing import kill_until_done


@pytest.mark.slow
def test_a_killed_inline_driver(tmp_path):
    kill_until_done(tmp_path, "inline", kills=5, seed=0)
