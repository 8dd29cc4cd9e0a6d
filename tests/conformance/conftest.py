"""The engines whose workers are processes: the same tests hold on each of them."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tunedsl.backends import Engine, LocalEngine


@pytest.fixture(params=["local", pytest.param("ray", marks=pytest.mark.ray)])
def engine(request: pytest.FixtureRequest) -> Callable[[], str | Engine]:
    """Makes an engine with four CPUs, whatever this machine has."""
    if request.param == "ray":
        request.getfixturevalue("cluster")
        return lambda: "ray"
    return lambda: LocalEngine(cpus=4)
