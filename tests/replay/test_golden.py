"""Golden journals: every later version reads them and decides as they did, or reports where it differs."""

from __future__ import annotations

from pathlib import Path

import pytest

from tunedsl import load, replay
from tunedsl.base.errors import Divergence

GOLDEN = sorted((Path(__file__).parent / "golden").glob("*.jsonl"))


@pytest.mark.parametrize("file", [file for file in GOLDEN if file.stem != "divergent"], ids=lambda file: file.stem)
def test_it_is_proved_and_read(file):
    proof = replay(file)
    assert proof.state.finished
    results = load(file)
    assert len(results.trials) == len(proof.state.trials) and results.journal.digest == proof.digest
    assert all(results.why(trial.number) for trial in results.trials)


def test_there_are_some():
    assert len(GOLDEN) >= 5


def test_the_divergent_one_is_found_out():
    (file,) = [file for file in GOLDEN if file.stem == "divergent"]
    with pytest.raises(Divergence) as caught:
        replay(file)
    assert "milestone" in caught.value.field and caught.value.record > 0
    assert caught.value.expected != caught.value.actual


def test_the_one_in_packed_segments_is_the_same_journal():
    folder = Path(__file__).parent / "golden" / "packed"
    assert replay(folder) == replay(folder.parent / "asha.jsonl") and load(folder).finished
