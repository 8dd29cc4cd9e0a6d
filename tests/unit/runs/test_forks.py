"""Processes that a trial forks do not handle signals, write the journal or end the run."""

from __future__ import annotations

import concurrent.futures
import multiprocessing
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from tests.clocks import PATIENCE_SECONDS
from tests.experiments import searching
from tunedsl import Interrupted, report, resume, sinks, space, trial, uniform
from tunedsl.base.errors import TunedslError
from tunedsl.base.forks import in_children
from tunedsl.base.interrupts import handled_interrupts
from tunedsl.driver.driver import Listener
from tunedsl.experiment import Experiment
from tunedsl.journal import has_driver

FORK: Any = multiprocessing.get_context("fork")
DEFAULTS = (signal.default_int_handler, signal.SIG_DFL)

pytestmark = pytest.mark.filterwarnings("ignore:.*multi-threaded:DeprecationWarning")


def one(trainable: Any, store: Path) -> Experiment:
    return space(x=uniform(0, 1)).trainable(trainable).minimize("loss").seed(0).store(store)


def run(trainable: Any, store: Path) -> dict[str, Any]:
    results = one(trainable, store).run(engine="inline", quiet=True)
    assert not results.errors, results.errors[0]
    return results.best.metrics


def forked(work: Any) -> int:
    """The exit code of a child that `os.fork` made, and that then does some work."""
    pid = os.fork()
    if pid == 0:
        work()
    else:
        return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    return -1


def square(x: int) -> int:
    return x * x


def handlers(_: int) -> bool:
    return (signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGTERM)) == DEFAULTS


def pools(config: dict[str, Any]) -> None:
    with FORK.Pool(2) as pool:  # its end terminates the processes by SIGTERM
        total, default = sum(pool.map(square, range(10))), all(pool.map(handlers, range(4)))
    with concurrent.futures.ProcessPoolExecutor(2, mp_context=FORK) as executor:
        total += sum(executor.map(square, range(3)))
    report(loss=total, default=default)


def terminated(config: dict[str, Any]) -> None:
    codes = {}
    for number in (signal.SIGTERM, signal.SIGHUP, signal.SIGINT):
        receiver, sender = FORK.Pipe(duplex=False)
        process = FORK.Process(target=_wait, args=(sender,))
        process.start()
        receiver.recv()
        os.kill(process.pid, number)
        process.join()
        codes[number.name] = process.exitcode
    report(loss=0, **codes)


def _wait(sender: Any) -> None:
    try:
        sender.send("ready")
        signal.pause()
    except KeyboardInterrupt:
        os._exit(77)


def test_pools_of_processes_end(tmp_path):
    metrics = run(pools, tmp_path)
    assert metrics["loss"] == 290 and metrics["default"]


def test_signals_do_in_children_what_they_do_without_a_run(tmp_path):
    metrics = run(terminated, tmp_path)
    assert (metrics["SIGTERM"], metrics["SIGHUP"], metrics["SIGINT"]) == (-signal.SIGTERM, -signal.SIGHUP, 77)


def test_a_child_has_the_handlers_from_before_the_run_whatever_is_nested():
    own = signal.signal(signal.SIGTERM, _own)
    try:
        with handled_interrupts(), handled_interrupts() as interrupts, interrupts.graceful():
            assert forked(lambda: os._exit(signal.getsignal(signal.SIGTERM) is _own)) == 1
        assert signal.getsignal(signal.SIGTERM) is _own
    finally:
        signal.signal(signal.SIGTERM, own)


def _own(number: int, frame: object) -> None: ...


def test_a_signal_that_comes_before_the_child_is_released_is_not_lost():
    """A pool may end its processes before they start to work."""
    with handled_interrupts() as interrupts:
        forget = in_children(lambda: os.kill(os.getpid(), signal.SIGTERM))  # before the handlers are released
        code = forked(lambda: os._exit(0))
        forget()
        assert code == -signal.SIGTERM and not interrupts.requested
    assert signal.pthread_sigmask(signal.SIG_BLOCK, ()) == set(), "nothing stays blocked"


def returns(config: dict[str, Any]) -> None:
    codes = []
    for leave in (lambda: None, lambda: sys.exit(5), lambda: sys.exit("enough"), lambda: 1 / 0):
        pid = os.fork()
        if pid == 0:
            leave()
            return
        codes.append(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))
    report(loss=0, codes=codes)


def reports(config: dict[str, Any]) -> None:
    def child() -> None:
        try:
            report(loss=1)
        except TunedslError as error:
            os._exit(3 if f"a process that trial {trial().id} forked" in str(error) else 4)

    report(loss=forked(child))


def test_a_child_that_returns_from_the_trainable_ends_as_a_script_would(tmp_path):
    assert run(returns, tmp_path)["codes"] == [0, 5, 1, 1]


def test_a_child_cannot_report(tmp_path):
    assert run(reports, tmp_path)["loss"] == 3


def tunes(config: dict[str, Any]) -> None:
    """An experiment in a forked child is one of its own."""

    def child() -> None:
        found = run(lambda config: report(loss=config["x"] + 1), trial().path)
        os._exit(int(found["loss"]))

    report(loss=forked(child))


def test_a_child_can_run_an_experiment_of_its_own(tmp_path):
    assert run(tunes, tmp_path)["loss"] == 1


def test_a_child_of_the_driver_that_unwinds_closes_nothing(tmp_path):
    """A listener forks in the driver's own thread, and the child leaves by an exception."""
    driver, children = os.getpid(), []

    class Forks(Listener):
        def on_event(self, event, commands, state):
            if len(state.trials) == 2 and not children:
                pid = os.fork()
                if pid == 0:
                    raise SystemExit(9)
                children.append(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))

        def on_wait(self, state): ...
        def close(self, state): ...

    try:
        results = searching(tmp_path).run(engine="inline", quiet=True, listeners=[Forks()])
    except SystemExit as error:
        assert os.getpid() != driver
        os._exit(error.code)
    assert children == [9]
    assert results.finished and [line.m.closed for line in results.journal.records() if line.m][-1] == "finished"


LEAVES = """
import multiprocessing, os, sys, time
from tunedsl import report, space, uniform

def stays(sender):
    sender.send(os.getpid())
    time.sleep({seconds})

def train(config):
    fork = multiprocessing.get_context("fork")
    receiver, sender = fork.Pipe(duplex=False)
    fork.Process(target=stays, args=(sender,)).start()
    print(receiver.recv(), flush=True)
    sys.stdin.readline()
    report(loss=config["x"])

made = space(x=uniform(0, 1)).trainable(train).minimize("loss").store({store!r})
if __name__ == "__main__":
    made.run(engine="inline", quiet=True)
"""


@pytest.mark.slow
def test_a_child_that_outlives_its_driver_holds_no_journal(tmp_path):
    script = tmp_path / "leaves.py"
    script.write_text(LEAVES.format(seconds=PATIENCE_SECONDS, store=str(tmp_path / "runs")))
    driver = subprocess.Popen([sys.executable, str(script)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    child = int(driver.stdout.readline())
    (folder,) = (tmp_path / "runs").iterdir()
    try:
        assert has_driver(folder / "journal.jsonl")
        driver.kill()
        driver.wait()
        os.kill(child, 0)
        assert not has_driver(folder / "journal.jsonl")
    finally:
        os.kill(child, signal.SIGKILL)
        driver.stdin.close()
        driver.stdout.close()


def leaves_one_behind(config: dict[str, Any]) -> None:
    process = FORK.Process(target=time.sleep, args=(PATIENCE_SECONDS,), daemon=True)
    process.start()
    report(loss=config["x"], pid=process.pid)


def test_a_child_that_a_trial_leaves_behind_keeps_no_sink_waiting(tmp_path, monkeypatch):
    import tunedsl.export.delivery as exporting

    monkeypatch.setattr(exporting, "SHUTDOWN_SECONDS", PATIENCE_SECONDS / 2)
    results = one(leaves_one_behind, tmp_path).sinks(sinks.jsonl()).run(engine="inline", quiet=True)
    os.kill(int(results.best.metrics["pid"]), signal.SIGKILL)  # it was still there
    log = results.path / exporting.LOG_FILE
    assert not log.exists() or "disabled" not in log.read_text()


def test_what_a_child_releases_is_released_in_the_reverse_order_and_once():
    order: list[str] = []
    endings = [in_children(lambda: order.append("first")), in_children(lambda: order.append("last"))]
    dropped = in_children(lambda: order.append("dropped"))
    dropped()
    inner = lambda: os._exit(order == ["last", "first"])  # noqa: E731
    assert forked(lambda: os._exit(forked(inner))) == 1
    for end in endings:
        end()
    assert order == []


def test_ctrl_c_is_caught_by_no_except_exception(tmp_path):
    class Asks(Listener):
        def on_event(self, event, commands, state):
            if len(state.trials) == 3:
                os.kill(os.getpid(), signal.SIGINT)
                self.on_event = lambda *words: None

        def on_wait(self, state): ...
        def close(self, state): ...

    with pytest.raises(Interrupted) as caught:
        try:
            searching(tmp_path).run(engine="inline", quiet=True, listeners=[Asks()])
        except (Exception, SystemExit):
            pytest.fail("the interruption was swallowed")
    assert Interrupted.__bases__ == (KeyboardInterrupt,) and not issubclass(Interrupted, TunedslError)
    assert resume(caught.value.path, quiet=True).finished
