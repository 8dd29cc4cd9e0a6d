"""Allocates this machine's CPUs, memory and GPUs to trials. All local runs of a process share one allocator."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from typing import Final

import attrs

from tunedsl.base.machine import usable_cpus, usable_gpus, usable_memory
from tunedsl.plan import Resources
from tunedsl.plan.packing import UNIT, bundles_of

_COUNTED: Final = ("CPU", "memory")


@attrs.frozen
class Grant:
    """The resources of one worker, in units of `packing.UNIT`."""

    amounts: dict[str, int]
    devices: tuple[tuple[str, int], ...]

    @property
    def visible(self) -> str:
        """The value of `CUDA_VISIBLE_DEVICES`."""
        return ",".join(dict.fromkeys(name for name, _ in self.devices))


class Machine:
    """Counts free resources by the rules of `plan.packing`: a share of a GPU is on one device.

    Args:
        cpus: how many CPUs trials may use at a time.
        memory: bytes.
        gpus: names of devices.
    """

    def __init__(self, cpus: float, memory: float, gpus: Sequence[str] = ()) -> None:
        self.total: dict[str, float] = {"CPU": cpus, "GPU": len(gpus), "memory": memory}
        self._free = {name: round(min(self.total[name], 1e18) * UNIT) for name in _COUNTED}
        self._devices = dict.fromkeys(gpus, UNIT)
        self._lock = threading.Lock()

    def take(self, resources: Resources) -> Grant | None:
        """Allocate the resources of a worker; return None if they are not free now."""
        with self._lock:
            bundles = bundles_of(resources)
            amounts = {name: round(sum(each.get(name, 0) for each in bundles) * UNIT) for name in _COUNTED}
            devices = dict(self._devices)
            taken: list[tuple[str, int]] = []
            for units in sorted((round(each.get("GPU", 0) * UNIT) for each in bundles), reverse=True):
                found = _choose(devices, units)
                if found is None:
                    return None
                for name, share in found:
                    devices[name] -= share
                taken += found
            if any(self._free[name] < units for name, units in amounts.items()):
                return None
            self._devices = devices
            self._add(amounts, -1)
            return Grant(amounts, tuple(taken))

    def give_back(self, grant: Grant) -> None:
        """Free the resources of a worker."""
        with self._lock:
            self._add(grant.amounts, 1)
            for name, units in grant.devices:
                self._devices[name] += units

    def _add(self, amounts: dict[str, int], sign: int) -> None:
        for name, units in amounts.items():
            self._free[name] += sign * units


def _choose(devices: dict[str, int], units: int) -> list[tuple[str, int]] | None:
    """Choose whole devices, or the fullest device that has room for a share."""
    if units < UNIT:
        fitting = [name for name, free in devices.items() if free >= units]
        best = min(fitting, key=lambda name: devices[name], default=None)
        return [] if units == 0 else None if best is None else [(best, units)]
    whole = [name for name, free in devices.items() if free == UNIT][: units // UNIT]
    return [(name, UNIT) for name in whole] if len(whole) == units // UNIT else None


_machines: Final[dict[tuple[object, ...], Machine]] = {}
_lock: Final = threading.Lock()


def this_machine(cpus: float | None = None) -> Machine:
    """Return the machine that local runs of this process share.

    Args:
        cpus: how many CPUs trials may use at a time; by default those that this process may use.
    """
    with _lock:
        found = (usable_cpus() if cpus is None else cpus, usable_memory(), usable_gpus())
        if found not in _machines:
            _machines[found] = Machine(*found)
        return _machines[found]
