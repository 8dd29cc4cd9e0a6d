"""Everything that runs without Ray also runs without POSIX-only modules and functions."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

PRELUDE = """
import concurrent.futures, errno, multiprocessing, os, pathlib, platform, shutil, subprocess, sys, tempfile, threading
import attrs, click, cloudpickle, filelock, fsspec, immutables, msgspec, numpy, pandas, rich.live, toolz
for module in ("fcntl", "pwd", "grp", "termios", "resource"):
    sys.modules[module] = None
for name in (
    "uname", "pwrite", "pread", "fdatasync", "getuid", "sysconf", "sched_getaffinity", "O_NOFOLLOW", "O_CLOEXEC",
    "setsid", "killpg", "register_at_fork", "statvfs",
):
    if hasattr(os, name):
        delattr(os, name)
"""
"""Imports the libraries, which adapt to the operating system, and removes POSIX-only names before tunedsl loads."""

RUN = """
import sys
from tunedsl import asha, load, report, space, uniform
from tunedsl.sinks import csv

def train(config):
    for iteration in range(4):
        report(loss=config["x"] / (iteration + 1))

experiment = space(x=uniform(0, 1)).trainable(train).minimize("loss").scheduler(asha(max_t=4)).samples(3).seed(0)
experiment = experiment.store(sys.argv[1]).log_to_file().sinks(csv())
print(experiment.dry_run().trials)
results = experiment.run(engine="inline", quiet=True)
again = load(results.path)
print(len(again.trials), again.best.config == results.best.config, len(again.dataframe()))
print(experiment.resume(results.path, quiet=True).finished)
"""


def run(code: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", PRELUDE + code, *arguments], check=False, capture_output=True, text=True
    )


def test_a_run_its_results_and_its_resume_need_no_posix(tmp_path: Path) -> None:
    done = run(RUN, str(tmp_path))
    assert done.returncode == 0, done.stderr
    assert done.stdout.split() == ["3", "3", "True", "3", "True"]


@pytest.mark.parametrize("command", ["list", "show"])
def test_the_terminal_reads_without_posix(tmp_path: Path, command: str) -> None:
    run(RUN, str(tmp_path))
    path = next(tmp_path.glob("train-*")) if command == "show" else tmp_path
    done = run(f"import sys; sys.argv = ['tunedsl', '{command}', {str(path)!r}]\nfrom tunedsl.cli import main\nmain()")
    assert done.returncode == 0, done.stderr
    assert "train" in done.stdout
