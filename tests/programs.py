"""Programs without Python that tests of commands tune, and what they leave behind."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import time
from pathlib import Path

import pytest

from tests.experiments import searching
from tunedsl import command
from tunedsl.experiment import Experiment
from tunedsl.plan import Command

C_SOURCE = r"""
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>

int main(int argc, char **argv) {
    double x = atof(argv[1]), loss = 0;
    const char *folder = getenv("TUNEDSL_CHECKPOINT");
    char path[4096];
    int step = 0;
    snprintf(path, sizeof path, "%s/state", folder);
    FILE *file = fopen(path, "r");
    if (file && fscanf(file, "%d %lf", &step, &loss) != 2) return 9;
    if (file) fclose(file);
    while (step < 9) {
        step++;
        loss = 0.5 * loss + (x - 0.3) * (x - 0.3) + 1.0 / step;
        snprintf(path, sizeof path, "%s/%d", folder, step);
        mkdir(path, 0777);
        snprintf(path, sizeof path, "%s/%d/state", folder, step);
        file = fopen(path, "w");
        fprintf(file, "%d %.17g\n", step, loss);
        fclose(file);
        printf("step=%d loss=%.17g checkpoint=%d\n", step, loss, step);
        fflush(stdout);
    }
    return 0;
}
"""

FAMILY = r"""
sleep 1000 & echo $! >> pids
sh -c 'sleep 1000 & echo $! >> pids; echo $$ >> pids; wait' &
setsid sh -c 'echo $$ >> pids; trap "" TERM HUP; sleep 1000 & echo $! >> pids; wait' &
echo $$ >> pids
while [ $(wc -l < pids) -lt 6 ]; do sleep 0.01; done
echo loss=1
wait
"""
"""A shell program with children, grandchildren and a daemon in another session that ignores SIGTERM."""


def compiled(folder: Path) -> Path:
    """The C program; skips the test without a compiler."""
    compiler = shutil.which("cc")
    if compiler is None:
        pytest.skip("there is no C compiler")
    (folder / "train.c").write_text(C_SOURCE)
    subprocess.run([compiler, "-o", "train", "train.c"], cwd=folder, check=True)
    return folder / "train"


def tuned(program: Command, store: Path) -> Experiment:
    """ASHA over twelve trials of a program, four at a time, in logical order."""
    return searching(store, program)


def c_program(folder: Path) -> Command:
    """The compiled C program as a command."""
    return command([compiled(folder), "{x}"], iteration="step")


def pids(folder: Path) -> list[int]:
    """The processes that `FAMILY` has written down."""
    return [int(line) for path in folder.rglob("pids") for line in path.read_text().split()]


def is_alive(pid: int) -> bool:
    """Whether a process runs; a zombie does not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
    except FileNotFoundError:
        return False


def wait_until_gone(numbers: list[int], seconds: float = 30.0) -> list[int]:
    """Waits for processes to end; returns those that still run, which it kills."""
    deadline = time.monotonic() + seconds
    while (left := [number for number in numbers if is_alive(number)]) and time.monotonic() < deadline:
        time.sleep(0.02)
    for number in left:
        os.kill(number, signal.SIGKILL)
    return left
