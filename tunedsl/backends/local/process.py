"""The main function of a worker process: runs one worker, whose commands and messages use one connection."""

from __future__ import annotations

import faulthandler
import os
import signal
import socket
import threading
import traceback
from typing import Final, NoReturn

from tunedsl.backends.local.channel import Channel
from tunedsl.backends.local.shipping import read_shipment
from tunedsl.backends.pool import DRAIN_SECONDS
from tunedsl.base.import_path import process_code
from tunedsl.worker.output import capture
from tunedsl.worker.wire import MessageBatch, pack, unpack_orders
from tunedsl.worker.worker import Worker

HALT: Final = b""
"""The frame that ends the running trial at its next report; other frames are commands."""


def start_code(connection: int, shipment: int) -> str:
    """Return the Python code of a worker process, with the import path of this one."""
    return process_code(__name__, f"main({connection}, {shipment})")


def main(connection: int, shipment: int) -> None:
    """Run trials until the driver ends this process, or the driver has ended.

    Args:
        connection: descriptor of the connection to the driver.
        shipment: descriptor of the memory with the shipment.
    """
    for descriptor in (connection, shipment):
        os.set_inheritable(descriptor, False)
    _prefer_for_oom_kill()
    faulthandler.enable()
    channel, workers = Channel(socket.socket(fileno=connection)), list[Worker]()
    # Start it before the worker, which treats later threads as those of trials.
    threading.Thread(target=_run_commands, args=(channel, workers), name="tunedsl-commands", daemon=True).start()
    try:
        shipped = read_shipment(shipment)
        heard = capture(shipped.output, alone=True)
        worker = Worker(shipped, capture=heard, cleans_up=shipped.isolate == "pool")
    except BaseException:
        channel.send_all(traceback.format_exc().encode())
        return
    workers.append(worker)
    try:
        channel.send_all(b"")
        while not worker.replace:
            channel.send_all(pack(MessageBatch(worker.drain(DRAIN_SECONDS), worker.replace)))
    except OSError:
        _end()
    threading.Event().wait()  # the driver replaces this process


def _run_commands(channel: Channel, workers: list[Worker]) -> None:
    """Pass commands to the worker; the driver sends none before the worker has started."""
    try:
        while frames := channel.wait():
            for frame in frames:
                if frame == HALT:
                    workers[0].halt()
                else:
                    workers[0].push(unpack_orders(frame))
    except OSError:
        pass
    _end()


def _end() -> NoReturn:
    """End this process and the processes that its trials have started."""
    os.killpg(0, signal.SIGKILL)
    os._exit(1)


def _prefer_for_oom_kill() -> None:
    """Make the kernel kill workers before the driver when memory runs out."""
    try:
        with open("/proc/self/oom_score_adj", "w") as file:
            file.write("1000")
    except OSError:
        pass  # another system
