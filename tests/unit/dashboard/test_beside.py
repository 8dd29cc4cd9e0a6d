"""A dashboard next to a run: a process of its own, which ends with the process of the run."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import pytest

from tests.served import eventually
from tunedsl import report, space, uniform
from tunedsl.base.errors import TunedslError
from tunedsl.runs import beside

httpx = pytest.importorskip("httpx")


def train(config: dict[str, Any]) -> None:
    report(loss=config["x"])


@pytest.mark.slow
def test_it_opens_with_the_run_and_ends_with_its_process(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    tuned = space(x=uniform(0, 1)).trainable(train).minimize("loss").samples(2).store(str(tmp_path))
    results = tuned.run("inline", dashboard=True)
    address = next(word for word in capfd.readouterr().err.split() if word.startswith("http://127.0.0.1:"))
    home, _, run = address.partition("#/run/")
    assert run == results.path.name
    process, _ = beside._opened.pop(str(tmp_path))
    try:
        answer = httpx.get(f"{home}api/runs/{run}", timeout=60)  # it answers as soon as it has started
        assert answer.json()["trials"] == 2
        assert eventually(lambda: httpx.get(f"{home}api/runs", timeout=60).json()["runs"])
    finally:
        process.stdin.close()
    assert process.wait(60) == 0


def test_it_says_which_extra_is_missing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(beside, "find_spec", lambda name: None if name == "starlette" else sys)
    tuned = space(x=uniform(0, 1)).trainable(train).minimize("loss").samples(2).store(str(tmp_path))
    with pytest.raises(TunedslError, match=r"tunedsl\[dashboard\]"):
        tuned.run("inline", dashboard=True, quiet=True)
    assert not list(tmp_path.iterdir())  # nothing was begun
