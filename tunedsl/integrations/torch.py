"""For users of PyTorch: one trial over several processes or nodes, with its process group set up."""

from __future__ import annotations

import contextlib
import functools
import os
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from datetime import timedelta
from typing import Any, Final

import attrs
import torch.distributed as dist

from tunedsl.base.arguments import as_int, as_text, check_arguments
from tunedsl.base.errors import wrong_value
from tunedsl.base.names import did_you_mean
from tunedsl.base.types import Config
from tunedsl.worker.current import current_session
from tunedsl.worker.messages import TrialStopped
from tunedsl.worker.ranks import ProcessRank, Rank, RankFailure, RankTask, fail_attempt
from tunedsl.worker.session import Session

NOTICE_SECONDS: Final = 5.0
"""How long a trial waits for the cause of a broken connection, and for its own error after the death of a rank."""
_POLL_SECONDS: Final = 0.2
_BROKEN: Final = (
    "Connection closed",
    "Connection reset",
    "Broken pipe",
    "gloo",
    "NCCL",
    "Socket",
    "socket",
    "imed out",
)
"""Phrases in errors that the failure of another rank may cause."""


@check_arguments
def distributed(
    train: Callable[..., Any], workers: int = 2, *, backend: str = "gloo", timeout: float = 1800.0
) -> Callable[..., Any]:
    """A trainable that runs `train` in a process group of several processes.

    Every process calls `train` with the same configuration and data. Rank 0 is the trial's own process: its reports,
    checkpoints and return value are the trial's, and `report()` does nothing in the other ranks. All ranks start from
    the trial's checkpoint, and end with the trial. The variables `RANK`, `LOCAL_RANK`, `WORLD_SIZE`, `MASTER_ADDR` and
    `MASTER_PORT` are set.

    On Ray, with `.resources(bundles=[{"cpu": 1}] * 4)`, each rank has a bundle, also on different nodes. Otherwise all
    ranks are processes on one machine and share the trial's resources.

    Args:
        train: the training code, a function `(config, **data)`.
        workers: the number of processes, at least 1.
        backend: of `torch.distributed`: `gloo` for CPUs, `nccl` for GPUs.
        timeout: seconds after which a collective operation fails, above 0.

    Raises:
        ArgumentError: for an invalid argument.

    If a rank fails, the attempt fails: with the exception of the rank, or as `lost` if its process died.

    Example:
        >>> def train(config):
        ...     total = torch.ones(1)
        ...     torch.distributed.all_reduce(total)
        ...     report(workers=total.item())
        >>> experiment = space(lr=0.1).trainable(distributed(train, workers=4))  # doctest: +SKIP
    """
    count = as_int("distributed.workers", workers, minimum=1)
    task = _Task(train, count, _backend(backend), timeout)

    @functools.wraps(train)
    def run(config: Config, **data: Any) -> Any:
        return task.run(config, data)

    return run


def _backend(backend: str) -> str:
    """The argument `backend`: a name that PyTorch knows, or one for each kind of device, as `cpu:gloo,cuda:nccl`."""
    known = [name for name in dist.Backend.backend_list if name != "undefined"]
    for part in as_text("distributed.backend", backend).split(","):
        name = part.rpartition(":")[2].strip().lower()
        if name not in known:
            raise wrong_value("distributed.backend", backend, "a backend of PyTorch", did_you_mean(name, known))
    return backend


@attrs.frozen
class _Task:
    """The arguments of `distributed`."""

    train: Callable[..., Any]
    workers: int
    backend: str
    timeout: float

    def run(self, config: Config, data: Mapping[str, Any]) -> Any:
        """Run rank 0 in this thread, and the other ranks in parallel."""
        session = current_session("the trainable of distributed(...)")
        on_nodes = _has_bundles()
        host = _node_address() if on_nodes else "127.0.0.1"
        store = dist.TCPStore(host, 0, self.workers, True, timedelta(seconds=self.timeout), wait_for_workers=False)
        ranks: list[Rank] = []
        try:
            if on_nodes:
                from tunedsl.backends.ray.ranks import check_bundles

                check_bundles(self.workers)
            for rank in range(1, self.workers):
                body = functools.partial(self.join, rank, host, store.port, config, data)
                ranks.append(_start(RankTask.of(session, body), self._environment(rank, host, store.port), on_nodes))
            with _watched(session, ranks), _environment_of(self._environment(0, host, store.port)):
                result = self._in_group(0, store, config, data)
            _join(session, ranks, self.timeout)
        except Exception as error:
            failure = _cause(error, ranks)
            if failure is None:
                raise
            fail_attempt(session, failure)
            raise TrialStopped from error
        finally:
            for each in ranks:
                each.kill()
        return result

    def join(self, rank: int, host: str, port: int, config: Config, data: Mapping[str, Any]) -> None:
        """Run another rank; called in its process."""
        store = dist.TCPStore(host, port, self.workers, False, timedelta(seconds=self.timeout))
        self._in_group(rank, store, config, data)

    def _in_group(self, rank: int, store: Any, config: Config, data: Mapping[str, Any]) -> Any:
        limit = timedelta(seconds=self.timeout)
        dist.init_process_group(self.backend, store=store, rank=rank, world_size=self.workers, timeout=limit)
        try:
            return self.train(config, **data)
        finally:
            dist.destroy_process_group()

    def _environment(self, rank: int, host: str, port: int) -> dict[str, str]:
        named = {"RANK": rank, "LOCAL_RANK": rank, "WORLD_SIZE": self.workers, "MASTER_ADDR": host, "MASTER_PORT": port}
        return {name: str(value) for name, value in named.items()}


def _has_bundles() -> bool:
    """Whether this trial runs in a placement group of Ray."""
    if "ray" not in sys.modules:
        return False
    from tunedsl.backends.ray.ranks import bundles_of_trial

    return bundles_of_trial() > 0


def _node_address() -> str:
    from tunedsl.backends.ray.ranks import node_address

    return node_address()


def _start(task: RankTask, environment: dict[str, str], on_nodes: bool) -> Rank:
    if not on_nodes:
        return ProcessRank(task, environment)
    from tunedsl.backends.ray.ranks import RayRank

    return RayRank(task, environment, int(environment["RANK"]))


@contextlib.contextmanager
def _environment_of(variables: Mapping[str, str]) -> Iterator[None]:
    """Sets variables of this process for the body."""
    before = {name: os.environ.get(name) for name in variables}
    os.environ.update(variables)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value


@contextlib.contextmanager
def _watched(session: Session, ranks: list[Rank]) -> Iterator[None]:
    """Fails the attempt when a rank has failed and rank 0 does not notice, as in a collective of NCCL."""
    over = threading.Event()

    def watch() -> None:
        while not over.wait(_POLL_SECONDS):
            failure = _first_failure(ranks)
            if failure is not None and not over.wait(NOTICE_SECONDS):
                fail_attempt(session, failure)
                return

    threading.Thread(target=watch, name="tunedsl-ranks", daemon=True).start()
    try:
        yield
    finally:
        over.set()


def _join(session: Session, ranks: list[Rank], seconds: float) -> None:
    """Wait until all ranks are done; fail the attempt if one has failed."""
    deadline = time.monotonic() + seconds
    while not all(rank.is_over() for rank in ranks) and time.monotonic() < deadline:
        time.sleep(_POLL_SECONDS / 10)
    failure = _first_failure(ranks)
    if failure is not None:
        fail_attempt(session, failure)
        raise TrialStopped


def _cause(error: BaseException, ranks: list[Rank]) -> RankFailure | None:
    """The failure of another rank that caused an error of rank 0; None if rank 0 failed by itself."""
    if not _is_broken_connection(str(error)):
        return None
    deadline = time.monotonic() + NOTICE_SECONDS
    while (failure := _first_failure(ranks)) is None and time.monotonic() < deadline:
        time.sleep(_POLL_SECONDS / 10)
    return failure


def _first_failure(ranks: list[Rank]) -> RankFailure | None:
    """The failure that caused the others: a dead process, or else an error other than a broken connection."""
    found = [failure for failure in (rank.failure() for rank in ranks) if failure is not None]
    broken = [failure for failure in found if _is_broken_connection(failure.message)]
    causes = [failure for failure in found if failure not in broken]
    return min(causes, key=lambda failure: failure.kind == "crash", default=broken[0] if broken else None)


def _is_broken_connection(message: str) -> bool:
    """Whether an error may be the effect of the end of another rank."""
    return any(word in message for word in _BROKEN)
