"""Runs one program in a process of its own, and ends it with everything that it started.

It is run as a script, `python -I -S supervisor.py CONTROL STATUS SECONDS PROGRAM ARGUMENT...`, and imports only the
standard library. It ends the program when the pipe CONTROL closes, for example because the worker at the other end was
killed. On Linux it adopts orphans, so that a process that detaches itself ends as well. The pipe STATUS receives
`pid N`, then `exit CODE` or `error ERRNO`; it closes when no process is left.
"""

from __future__ import annotations

import contextlib
import os
import select
import signal
import sys
import time

_DEATH_SIGNAL = 1  # PR_SET_PDEATHSIG
_SUBREAPER = 36  # PR_SET_CHILD_SUBREAPER
_IGNORED = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT)
_KILL_SECONDS = 5.0
"""How long to wait for killed processes; a process in an uninterruptible system call may take longer."""
_PARENT_SECONDS = 1.0
"""Interval at which to check whether the worker still exists."""


def main() -> None:
    """Run the program of the command line to its end, or until CONTROL closes."""
    control, status, seconds = int(sys.argv[1]), int(sys.argv[2]), float(sys.argv[3])
    parent = os.getppid()
    for number in (control, status):
        os.set_inheritable(number, False)
    for number in _IGNORED:
        signal.signal(number, signal.SIG_IGN)
    wake, wake_write = os.pipe()
    os.set_blocking(wake_write, False)
    signal.set_wakeup_fd(wake_write, warn_on_full_buffer=False)
    signal.signal(signal.SIGCHLD, lambda *_: None)
    _prctl(_SUBREAPER, 1)
    program = _start(sys.argv[4:], status)
    os.dup2(os.open(os.devnull, os.O_RDWR), 1)  # only the program keeps the pipes of its output open
    os.dup2(1, 2)
    _watch(program, control, wake, parent, status)
    _end_all(program, seconds, wake, status)


def _start(arguments: list[str], status: int) -> int:
    """Start the program in its own process group; report its process id, or why it did not start."""
    read, write = os.pipe()
    own = os.getpid()
    child = os.fork()
    if child == 0:
        try:
            os.setpgid(0, 0)
            _prctl(_DEATH_SIGNAL, signal.SIGKILL)
            if os.getppid() != own:
                os._exit(1)
            for number in (*_IGNORED, signal.SIGCHLD, signal.SIGPIPE, signal.SIGXFSZ):
                signal.signal(number, signal.SIG_DFL)
            os.execvp(arguments[0], arguments)
        except OSError as error:
            os.write(write, str(error.errno).encode())
        finally:
            os._exit(127)
    os.close(write)
    with contextlib.suppress(OSError):
        os.setpgid(child, child)  # both processes do this, because either may be first
    failure = os.read(read, 32).decode()
    os.close(read)
    _tell(status, f"error {failure}" if failure else f"pid {child}")
    return child


def _watch(program: int, control: int, wake: int, parent: int, status: int) -> None:
    """Wait until the program ends, CONTROL closes, or the worker has ended."""
    poll = select.poll()
    poll.register(control, select.POLLIN)
    poll.register(wake, select.POLLIN)
    while not _reap(program, status):
        ready = dict(poll.poll(_PARENT_SECONDS * 1000))
        if wake in ready:
            os.read(wake, 4096)
        if control in ready or os.getppid() != parent:
            return


def _end_all(program: int, seconds: float, wake: int, status: int) -> None:
    """End all descendants: SIGTERM, a grace period, SIGKILL."""
    poll = select.poll()
    poll.register(wake, select.POLLIN)
    terminate, kill = time.monotonic() + seconds, time.monotonic() + seconds + _KILL_SECONDS
    told: set[int] = set()
    while time.monotonic() < kill:
        _reap(program, status)
        left = _left(program)
        if not left:
            return
        if time.monotonic() < terminate:
            _signal([process for process in left if process not in told], signal.SIGTERM)
            _signal([process for process in left if process not in told], signal.SIGCONT)
            told.update(left)
        else:
            _signal(left, signal.SIGKILL)
        if poll.poll(20):
            os.read(wake, 4096)


def _left(program: int) -> list[int]:
    """The living descendants of this process; where /proc is missing, the program's group as one negative number."""
    if not os.path.exists("/proc/self/stat"):
        try:
            os.killpg(program, 0)
        except OSError:
            return []
        return [-program]
    parents: dict[int, int] = {}
    for name in os.listdir("/proc"):
        if name.isdigit():
            with contextlib.suppress(OSError, ValueError, IndexError), open(f"/proc/{name}/stat", "rb") as file:
                state, parent = file.read().rpartition(b")")[2].split()[:2]
                if state not in (b"Z", b"X"):
                    parents[int(name)] = int(parent)
    found, layer = list[int](), {os.getpid()}
    while layer:
        layer = {process for process, parent in parents.items() if parent in layer}
        found += layer
    return found


def _signal(processes: list[int], number: int) -> None:
    for process in processes:
        with contextlib.suppress(OSError):
            os.kill(process, number)


def _reap(program: int, status: int) -> bool:
    """Collect children that have ended; report the end of the program, and return whether it was among them."""
    ended = False
    while True:
        try:
            child, code = os.waitpid(-1, os.WNOHANG)
        except ChildProcessError:
            return True
        if child == 0:
            return ended
        if child == program:
            ended = True
            _tell(status, f"exit {os.waitstatus_to_exitcode(code)}")


def _tell(status: int, text: str) -> None:
    with contextlib.suppress(OSError):  # the worker may have ended
        os.write(status, f"{text}\n".encode())


def _prctl(option: int, argument: int) -> None:
    """Set an attribute of this process, on Linux."""
    if sys.platform == "linux":
        import ctypes

        ctypes.CDLL(None).prctl(option, argument, 0, 0, 0)


if __name__ == "__main__":
    main()
