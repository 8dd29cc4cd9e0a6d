"""Two hundred cases of the fuzzer, and a check that it finds defects."""

from __future__ import annotations

import pytest

from tests.replay import fuzz


@pytest.mark.slow
def test_changed_journals_give_the_same_results_or_say_where_they_are_damaged(tmp_path):
    outcomes, wrongs = fuzz.fuzz(200, seed=1, folder=tmp_path)
    assert not wrongs, "\n".join(wrongs)
    kinds = {outcome.partition(": ")[2] for outcome in outcomes}
    assert {"refused", "part", "whole"} <= kinds


def test_the_fuzzer_sees_another_result(tmp_path):
    """A record changed with a correct checksum, of which the fuzzer is not informed."""
    lines = fuzz.lines_of("asha")
    changed = [fuzz.sealed(line.replace(b'["loss"],[[', b'["loss"],[[1', 1)) for line in lines]
    assert changed != lines
    place = fuzz.lay_down(fuzz.plain(changed, None), "plain", tmp_path / "case")
    outcome, wrong = fuzz.judge(place, "asha", taken=False)
    assert wrong.startswith("another result") or outcome == "diverged"
    whole = fuzz.lay_down(fuzz.plain(lines, None), "plain", tmp_path / "case")
    assert fuzz.judge(whole, "asha", taken=False) == ("whole", "")
    assert fuzz.judge(whole, "pbt", taken=False)[1].startswith("another result")


def test_the_fuzzer_sees_code_that_is_run_and_what_hangs(tmp_path, monkeypatch):
    import subprocess
    import sys
    import time

    with fuzz.watched() as run:
        subprocess.run([sys.executable, "-c", ""], check=True)
    assert run
    monkeypatch.setattr(fuzz, "SECONDS", 1)
    with pytest.raises(TimeoutError), fuzz.watched():
        time.sleep(5)
