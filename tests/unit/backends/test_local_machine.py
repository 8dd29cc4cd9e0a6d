"""What local runs count: CPUs, memory and GPUs of this machine."""

from __future__ import annotations

import subprocess
from pathlib import Path
from types import SimpleNamespace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tunedsl.backends.local.machine import Machine, this_machine
from tunedsl.base import machine as machines
from tunedsl.base.machine import usable_cpus, usable_gpus, usable_memory
from tunedsl.plan import Resources
from tunedsl.plan.packing import Packing

requests = st.one_of(
    st.builds(
        Resources.of,
        cpu=st.sampled_from([0, 0.5, 1, 2]),
        gpu=st.sampled_from([0, 0.25, 0.5, 0.6, 1, 2]),
        memory=st.sampled_from([None, 100, 400]),
    ),
    st.sampled_from(
        [Resources.of(bundles=[{"cpu": 1, "gpu": 0.5}, {"gpu": 1}]), Resources.of(bundles=[{"cpu": 1}] * 3)]
    ),
)


@given(st.lists(requests, max_size=8))
def test_a_worker_gets_its_resources_where_the_compiler_expects_room(asked):
    machine, packing = Machine(4, 1000, ["0", "1", "2"]), Packing([{"CPU": 4, "GPU": 3, "memory": 1000}])
    for resources in asked:
        assert (machine.take(resources) is not None) == packing.add(resources)


@given(st.lists(st.tuples(requests, st.booleans()), max_size=20))
def test_devices_are_never_given_twice_and_all_comes_back(asked):
    machine, held = Machine(4, 1000, ["a", "b"]), []
    for resources, gives_back in asked:
        grant = machine.take(resources)
        held += [] if grant is None else [grant]
        taken = [sum(share for one in held for name, share in one.devices if name == device) for device in "ab"]
        assert max(taken) <= 10_000
        if gives_back and held:
            machine.give_back(held.pop(0))
    for grant in held:
        machine.give_back(grant)
    assert machine.take(Resources.of(cpu=4, gpu=2, memory=1000)).visible == "a,b"


def test_a_worker_sees_its_devices_only():
    machine = Machine(8, 1000, ["3", "GPU-5"])
    shares = [machine.take(Resources.of(gpu=0.5)).visible for _ in range(3)]
    assert shares == ["3", "3", "GPU-5"]
    assert machine.take(Resources.of(gpu=1)) is None
    assert machine.take(Resources.of(cpu=1)).visible == ""


def test_runs_of_one_process_share_the_machine(monkeypatch):
    assert this_machine() is this_machine() and this_machine(cpus=64) is not this_machine()
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "0,1")
    assert this_machine().total["GPU"] == 2


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ("", ()),
        ("-1", ()),
        ("2,0", ("2", "0")),
        ("0,-1,1", ("0",)),
        ("GPU-ab,MIG-cd", ("GPU-ab", "MIG-cd")),
        ("1,1", ("1",)),
    ],
)
def test_visible_devices_are_read_as_cuda_reads_them(monkeypatch, text, names):
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", text)
    assert usable_gpus() == names


def test_devices_are_listed_by_the_driver_where_nothing_limits_them(monkeypatch):
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    listed = SimpleNamespace(
        stdout="GPU 0: A (UUID: GPU-1)\n  MIG 1g Device 0: (UUID: MIG-2)\nGPU 1: A (UUID: GPU-3)\n"
    )
    monkeypatch.setattr(machines.shutil, "which", lambda name: name)
    monkeypatch.setattr(machines.subprocess, "run", lambda *words, **options: listed)
    machines._nvidia_gpus.cache_clear()
    assert usable_gpus() == ("0", "1")

    def fails(*words, **options):
        raise subprocess.CalledProcessError(9, "nvidia-smi")

    monkeypatch.setattr(machines.subprocess, "run", fails)
    machines._nvidia_gpus.cache_clear()
    assert usable_gpus() == ()
    machines._nvidia_gpus.cache_clear()


def cgroup(monkeypatch, root: Path, files: dict[str, str]) -> None:
    for name, text in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text)
    monkeypatch.setattr(machines, "_CGROUPS", root)
    monkeypatch.setattr(machines.os, "sched_getaffinity", lambda pid: set(range(16)))


@pytest.mark.parametrize(
    ("files", "cpus"),
    [
        ({}, 16),
        ({"cpu.max": "max 100000\n"}, 16),
        ({"cpu.max": "350000 100000\n"}, 3),
        ({"cpu.max": "50000 100000\n"}, 1),
        ({"cpu/cpu.cfs_quota_us": "200000\n", "cpu/cpu.cfs_period_us": "100000\n"}, 2),
        ({"cpu/cpu.cfs_quota_us": "-1\n", "cpu/cpu.cfs_period_us": "100000\n"}, 16),
    ],
)
def test_a_quota_of_the_control_group_limits_the_cpus(monkeypatch, tmp_path, files, cpus):
    cgroup(monkeypatch, tmp_path, files)
    assert usable_cpus() == cpus


def test_a_limit_of_the_control_group_limits_the_memory(monkeypatch, tmp_path):
    cgroup(monkeypatch, tmp_path, {"memory.max": "max\n"})
    assert usable_memory() == machines.physical_memory()
    cgroup(monkeypatch, tmp_path, {"memory.max": "1048576\n"})
    assert usable_memory() == 2**20
