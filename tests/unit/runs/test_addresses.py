"""Where a run on Ray goes when its process is connected already."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from tunedsl.base.errors import TunedslError

ray = pytest.importorskip("ray")


@pytest.mark.parametrize("address", [None, "auto", "local", "10.0.0.1:6379", "head:6379", "ray://known:10001"])
def test_an_address_that_this_process_is_connected_to_is_taken(address, monkeypatch):
    assert check(address, monkeypatch) is None


@pytest.mark.parametrize("address", ["10.0.0.1:6380", "ray://head:10001"])
def test_another_address_is_refused_rather_than_ignored(address, monkeypatch):
    with pytest.raises(TunedslError, match=r"connected to Ray .*already; leave address out"):
        check(address, monkeypatch)


def check(address, monkeypatch):
    from tunedsl.backends.ray import backend as engine

    monkeypatch.setattr(engine, "_joined", ["ray://known:10001"])
    monkeypatch.setattr(ray, "get_runtime_context", lambda: SimpleNamespace(gcs_address="10.0.0.1:6379"))
    return engine._check_connected(address)
