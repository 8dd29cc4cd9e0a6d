"""Settings of all tests, and the one local cluster for all tests on Ray: starting it costs seconds."""

from __future__ import annotations

import logging
import os
import signal
from collections.abc import Iterator

import pytest
from hypothesis import settings

from tunedsl.base.interrupts import SIGNALS

os.environ.setdefault("KERAS_BACKEND", "torch")  # Keras' own default is TensorFlow, which the tests do not install

# As in a terminal, also when the tests run in the background, where a shell ignores some signals.
for _number in SIGNALS:
    signal.signal(_number, signal.default_int_handler if _number == signal.SIGINT else signal.SIG_DFL)

# Machines that run tests are slow at times, and no law here is about speed.
settings.register_profile("tunedsl", deadline=None)
settings.load_profile("tunedsl")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Marks tests on Ray and runs them last: a running Ray would change what other tests check."""
    for item in items:
        if "tests/ray/" in str(item.path) or "cluster" in getattr(item, "fixturenames", ()):
            item.add_marker(pytest.mark.ray)
    items.sort(key=lambda item: item.get_closest_marker("ray") is not None)


@pytest.fixture(scope="session")
def cluster() -> Iterator[None]:
    """Four slots, whatever this machine has."""
    import ray

    ray.init(address="local", num_cpus=4, include_dashboard=False, log_to_driver=False, logging_level=logging.ERROR)
    yield
    ray.shutdown()


@pytest.fixture(autouse=True)
def _signal_handlers() -> Iterator[None]:
    """Restores the signal handlers: an interrupted command leaves signals ignored, since its process exits."""
    before = {number: signal.getsignal(number) for number in SIGNALS}
    yield
    for number, handler in before.items():
        if signal.getsignal(number) is not handler:
            signal.signal(number, handler)
