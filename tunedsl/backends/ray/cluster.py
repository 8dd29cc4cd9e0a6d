"""Which Ray cluster a run uses, whether it answers, and joining it: once for all runs of this process."""

from __future__ import annotations

import contextlib
import logging
import os
import socket
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from queue import Empty, SimpleQueue
from typing import Any, Final

import cloudpickle
import ray
import ray.cloudpickle

from tunedsl.backends.protocol import EngineLost
from tunedsl.base.errors import ResourceError, TunedslError

CONNECT_SECONDS: Final = 3.0
"""How long a cluster may take to answer at all."""
CHECK_SECONDS: Final = 15.0
"""How long Ray's own client may take to be let in."""
PROBE_SECONDS: Final = 2.0
"""Between two looks at whether the cluster is still there."""
LOST_SECONDS: Final = 10.0
"""How long a cluster may not answer before a run pauses. Ray ends this whole process after a minute of that."""
SHUTDOWN_SECONDS: Final = 30.0

_HELLO: Final = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + bytes((0, 0, 0, 4, 0, 0, 0, 0, 0))
"""How every gRPC client begins; a server that lives answers with settings of its own."""
_SETTINGS: Final = 4

_joining = threading.Lock()
_joined: Final[list[str | None]] = []
"""The address at which a run has connected this process."""

Say = Callable[[str], None]


def answers(address: str, seconds: float = CONNECT_SECONDS) -> bool:
    """Whether a Ray cluster's head answers at `host:port`, found out without Ray, which would wait for minutes."""
    host, _, port = address.rpartition(":")
    try:
        with socket.create_connection((host.strip("[]"), int(port)), seconds) as connection:
            if os.environ.get("RAY_USE_TLS", "0") not in ("", "0"):
                return True  # it would not answer in the clear
            connection.settimeout(seconds)
            connection.sendall(_HELLO)
            head = connection.recv(9)
            return len(head) > 3 and head[3] == _SETTINGS
    except (OSError, ValueError, OverflowError):
        return False


def leftover() -> tuple[str, Path] | None:
    """The address that `ray start` left on this machine for whoever names none, and the file that has it."""
    places = (os.environ.get("RAY_TMPDIR"), os.environ.get("TMPDIR") if sys.platform == "linux" else None, "/tmp")
    file = Path(next(filter(None, places))) / "ray" / "ray_current_cluster"
    try:
        text = file.read_text().strip()
    except OSError:
        return None
    return (text, file) if text else None


def join(address: str | None, say: Say) -> None:
    """Connects this process to the cluster that `address`, `RAY_ADDRESS` or Ray's own file names, or to a new one.

    Args:
        say: is told what is joined or started, before it may take a while.

    Raises:
        ResourceError: when the user has named a cluster that does not answer, or that refuses this process.
    """
    if not _joining.acquire(blocking=False):
        say("waiting for another run of this process, which connects to Ray")
        _joining.acquire()
    try:
        if ray.is_initialized():
            _check_connected(address)
        else:
            _connect(_chosen(address, say), say)
            _joined[:] = [address]
        for name in cloudpickle.list_registry_pickle_by_value() & sys.modules.keys():  # Ray has a registry of its own
            ray.cloudpickle.register_pickle_by_value(sys.modules[name])
    finally:
        _joining.release()


def _chosen(address: str | None, say: Say) -> str:
    """The address to give to Ray: of a cluster that answers, or `local`."""
    by = f"address={address!r}"
    if address in (None, "auto") and os.environ.get("RAY_ADDRESS"):
        address, by = os.environ["RAY_ADDRESS"], "RAY_ADDRESS"
    if address == "local":
        return address
    if address is None or address == "auto":
        return _found(address == "auto", say)
    scheme, found, place = address.rpartition("://")
    if found and scheme != "ray":
        return address  # Ray's plug-ins know such addresses
    if not (_connects(place) if found else answers(address)):
        undo = "unset RAY_ADDRESS" if by == "RAY_ADDRESS" else "leave address out"
        raise ResourceError(
            f"No Ray cluster answers at {address}, which {by} names.\n"
            f"  help: start it there by `ray start --head`, name another one, or {undo} to run on this machine"
        )
    return address


def _found(must: bool, say: Say) -> str:
    """The cluster that runs on this machine, or `local` unless there `must` be one."""
    left = leftover()
    if left is not None and answers(left[0]):
        return left[0]
    running = next((one for one in _running() if answers(one)), None) if must else None
    if running is not None:
        return running
    stale = "" if left is None else f"nothing answers at {left[0]}, which {left[1]} names from an earlier `ray start`"
    if must:
        raise ResourceError(
            f"address='auto' finds no Ray cluster on this machine{stale and f'; {stale}'}.\n"
            f"  help: start one by `ray start --head`, or leave address out to have one started for this run"
        )
    if stale:
        say(stale)
    return "local"


def _running() -> list[str]:
    """Heads of clusters among this machine's processes, as far as Ray tells."""
    with contextlib.suppress(Exception):  # none of Ray's public names
        from ray._private.services import find_gcs_addresses

        return sorted(find_gcs_addresses())
    return []


def _connects(place: str) -> bool:
    host, _, port = place.partition("/")[0].rpartition(":")
    try:
        socket.create_connection((host.strip("[]"), int(port)), CONNECT_SECONDS).close()
    except (OSError, ValueError, OverflowError):
        return False
    return True


def _connect(address: str, say: Say) -> None:
    if address == "local":
        say("starting Ray on this machine")
    else:
        say(f"joining the Ray cluster at {address}")
        refusal = "" if "://" in address else _refusal(address)
        if refusal:
            raise ResourceError(_refused(address, refusal))
    try:
        ray.init(
            address=address,
            include_dashboard=False,
            log_to_driver=False,
            configure_logging=False,
            logging_level=logging.ERROR,
        )
    except Exception as error:  # of many types, by what goes wrong
        what = _refused(address, _first_line(error)) if address != "local" else f"Ray does not start: {error}"
        raise ResourceError(what) from error


def _refused(address: str, why: str) -> str:
    hint = "use the same versions of Ray and Python as the cluster does"
    if "token" in why.lower():
        hint = "set RAY_AUTH_MODE=token, and give this process the cluster's token as Ray documents it"
    return f"The Ray cluster at {address} does not let this process join: {why}.\n  help: {hint}"


def _refusal(address: str) -> str:
    """Why Ray's own client does not get in; empty where it does. By itself it would try again for minutes."""
    told: SimpleQueue[str] = SimpleQueue()

    def ask() -> None:
        try:
            from ray._raylet import GcsClient  # type: ignore[attr-defined]  # none of Ray's public names

            GcsClient(address=address)
        except ImportError:
            told.put("")
        except Exception as error:
            told.put(_first_line(error))
        else:
            told.put("")

    threading.Thread(target=ask, name="tunedsl-joins", daemon=True).start()
    try:
        return told.get(timeout=CHECK_SECONDS)
    except Empty:
        return f"it has not answered Ray's client for {CHECK_SECONDS:g} s"


def _first_line(error: Exception) -> str:
    return f"{type(error).__name__}: {error}".strip().splitlines()[0][:300]


def _check_connected(address: str | None) -> None:
    """Refuses an address that is another than this process is connected to, where it would go unheeded."""
    if address is None or address in ("auto", "local", *_joined):
        return
    if address.startswith("ray://"):
        there = "elsewhere" if not ray.util.client.ray.is_connected() else ""
    else:
        at = ray.get_runtime_context().gcs_address
        there = "" if at.rpartition(":")[2] == address.rpartition(":")[2] else f"at {at}"  # one host has many names
    if there:
        raise TunedslError(
            f"This process is already connected to Ray {there}, so it cannot join {address!r}.\n"
            f"  help: leave out address to run there, or call ray.shutdown() before"
        )


def in_worker() -> bool:
    """Whether this process is a worker of the cluster, so that its resources are in use while it waits."""
    with contextlib.suppress(Exception):  # none of Ray's public names
        return bool(ray._private.worker.global_worker.mode == ray.WORKER_MODE)
    return False


def _raylet_socket() -> str:
    """Where this process reaches the Ray of its own machine; empty if it is unknown."""
    with contextlib.suppress(Exception):  # none of Ray's public names
        node: Any = ray._private.worker._global_node
        path = str(node.raylet_socket_name)
        return path if _listens(path) else ""
    return ""


def _listens(path: str) -> bool:
    """Whether a process listens at a Unix socket, by the kernel's list, because a connection would be noticed."""
    try:
        return any(line.endswith(f" {path}") for line in Path("/proc/net/unix").read_text().splitlines())
    except OSError:
        return False


class Watch:
    """Detects the loss of the cluster that this process has joined.

    Ray itself does not report the loss. It ends this process in some of its calls, and otherwise after a minute. So the
    engine makes no call while the cluster does not answer.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        client = ray.util.client.ray.is_connected()
        self.address = "" if client else str(ray.get_runtime_context().gcs_address)
        self.lost = False
        self._raylet = "" if client else _raylet_socket()
        self._clock = clock
        self._job = "" if client else ray.get_runtime_context().get_job_id()
        self._looked = clock()
        self._since: float | None = None

    def answers(self, now: bool = False) -> bool:
        """Whether Ray may be asked; the cluster is looked at every few seconds, or `now`.

        Raises:
            EngineLost: when it has not answered for some seconds, or this process has left it.
        """
        if not self._is_joined():
            raise self._lost("This process has left the Ray cluster, because ray.shutdown() was called.")
        time_is = self._clock()
        wait = PROBE_SECONDS if self._since is None else 1.0
        if not self.address or (not now and time_is - self._looked < wait):
            return self._since is None
        self._looked = time_is
        if self._raylet and not _listens(self._raylet):
            raise self._lost(f"Ray's process on this machine, which connects it to {self.address}, has ended.")
        if answers(self.address):
            self._since = None
            return True
        if self._since is None:
            self._since = time_is
        if self._clock() - self._since >= LOST_SECONDS:
            raise self._lost(f"The Ray cluster at {self.address} has not answered for {LOST_SECONDS:g} seconds.")
        return False

    def _lost(self, text: str) -> EngineLost:
        self.lost = True
        return EngineLost(text)

    @contextlib.contextmanager
    def guarding(self) -> Iterator[None]:
        """Converts Ray's errors about a lost cluster to `EngineLost`."""
        try:
            yield
        except (TunedslError, ray.exceptions.RayTaskError):
            raise  # said already; or a fault of this package
        except Exception as error:
            there = self.answers(now=True)
            if there and not isinstance(error, ray.exceptions.RayError):
                raise
            self.lost = not there
            where = f" at {self.address}" if self.address else ""
            raise EngineLost(f"The Ray cluster{where} failed: {_first_line(error)}") from error

    def leave(self) -> None:
        """Disconnects this process from a lost cluster, before Ray ends the process."""
        if self._is_joined():
            disconnecting = threading.Thread(target=ray.shutdown, name="tunedsl-disconnect", daemon=True)
            disconnecting.start()
            disconnecting.join(SHUTDOWN_SECONDS)

    def _is_joined(self) -> bool:
        if not ray.is_initialized():
            return False
        return not self._job or ray.get_runtime_context().get_job_id() == self._job
