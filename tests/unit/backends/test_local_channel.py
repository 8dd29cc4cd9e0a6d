"""Frames between driver and workers, and the shipment that workers read."""

from __future__ import annotations

import socket
import threading

import attrs
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.experiments import searching
from tunedsl.backends.local.channel import Channel
from tunedsl.backends.local.shipping import read_shipment, write_shipment
from tunedsl.base.errors import TunedslError
from tunedsl.worker import Shipment


def pair() -> tuple[Channel, Channel]:
    left, right = socket.socketpair()
    return Channel(left), Channel(right)


@given(st.lists(st.binary(max_size=2000), max_size=20))
def test_frames_arrive_whole_and_in_order(frames):
    ours, theirs = pair()
    for frame in frames:
        ours.send(frame)
    assert theirs.receive() == (frames, False)
    ours.close()
    assert theirs.receive() == ([], True) and theirs.wait() == []
    theirs.close()


def test_a_reader_that_does_not_read_does_not_stop_the_sender():
    ours, theirs = pair()
    large = [bytes([number]) * 2**20 for number in range(4)]
    for frame in large:
        ours.send(frame)
    assert not ours.flush(), "the connection cannot hold all of it"
    got: list[bytes] = []
    reader = threading.Thread(target=lambda: [got.extend(theirs.wait()) for _ in iter(lambda: len(got) < 4, False)])
    reader.start()
    while not ours.flush():
        pass
    reader.join()
    assert got == large
    ours.close()
    theirs.close()


def test_sending_to_a_closed_end_is_no_error():
    ours, theirs = pair()
    theirs.close()
    ours.send(b"x" * 2**20)
    assert ours.flush() and ours.receive() == ([], True)
    ours.close()


def shipped(tmp_path, **data):
    plan = searching(tmp_path).compile("inline")
    return Shipment.of(plan, data, {}, str(tmp_path))


def test_arrays_are_shared_and_cannot_be_written(tmp_path):
    table, small = np.arange(100_000.0), np.arange(3)
    with write_shipment(shipped(tmp_path, table=table, empty=np.zeros(0), pair={"small": small}, text="x")) as file:
        first, second = (read_shipment(file.fileno()) for _ in range(2))
    assert attrs.evolve(first, data={}) == attrs.evolve(second, data={})
    for found in (first, second):
        assert np.array_equal(found.data["table"], table) and np.array_equal(found.data["pair"]["small"], small)
        assert found.data["text"] == "x" and found.data["empty"].shape == (0,)
        assert not found.data["table"].flags.writeable and not found.data["table"].flags.owndata


def test_functions_keep_the_file_that_tracebacks_name(tmp_path):
    def outer():
        def inner():
            return 1

        return inner

    with write_shipment(shipped(tmp_path, function=outer)) as file:
        found = read_shipment(file.fileno()).data["function"]
    assert found.__code__.co_filename == found().__code__.co_filename == __file__ and found()() == 1


def test_data_that_cannot_be_sent_is_named(tmp_path):
    with pytest.raises(TunedslError, match=r"The object of .data\(lock=...\) cannot be sent to worker processes"):
        write_shipment(shipped(tmp_path, fine=1, lock=threading.Lock()))
