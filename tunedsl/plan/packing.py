"""Ray's packing of resources onto nodes, device by device and node by node, without Ray.

A share below 1 is on one device; whole numbers take whole devices. Other resources of a node are one amount that can be
divided freely. Amounts here have Ray's names: `CPU`, `GPU`, `memory` in bytes, and custom names.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Final

from tunedsl.base.diagnostics import Diagnostic
from tunedsl.plan.settings import Resources

UNIT: Final = 10_000
"""Ray counts in ten-thousandths."""
DEVICES: Final = frozenset({"GPU", "TPU", "NPU", "HPU", "RBLN", "MBLT", "FURIOSA", "TTNPU", "neuron_cores"})
"""Resources that come as devices."""
RAY_NAMES: Final = {"cpu": "CPU", "gpu": "GPU"}
_RESERVED: Final = {"CPU": "cpu", "GPU": "gpu", "object_store_memory": "memory"}
"""Names that Ray reserves, and the names to use here instead."""

Amounts = Mapping[str, float]
Free = Mapping[str, tuple[int, ...]]
"""The free amounts of a node in units: one number per device, or one for a resource without devices."""


def faults(resources: Resources) -> Iterator[Diagnostic]:
    """Problems of resources that no Ray cluster can provide."""
    for subject, part in _parts(resources):
        for name, amount in part.items():
            yield from _faults_of(f"{subject}.{name}", name, amount)
        if resources.bundles and not any(part.values()):
            yield Diagnostic(
                "E068", subject, f"{subject} is an empty bundle.", "remove it, or give it an amount above 0"
            )


def _parts(resources: Resources) -> Iterator[tuple[str, dict[str, float]]]:
    if resources.bundles:
        yield from ((f"resources.bundles[{at}]", dict(bundle)) for at, bundle in enumerate(resources.bundles))
    else:
        yield "resources", {"cpu": resources.cpu, "gpu": resources.gpu}
        yield "resources.custom", dict(resources.custom)


def _faults_of(subject: str, name: str, amount: float) -> Iterator[Diagnostic]:
    given = f"{name}={amount:g}"
    if name in _RESERVED:
        message = f"{given} is not a custom resource, because Ray reserves the name."
        yield Diagnostic("E068", subject, message, f"write {_RESERVED[name]}={amount:g}")
    elif RAY_NAMES.get(name, name) in DEVICES and amount > 1 and amount != int(amount):
        message = f"{given} is neither a share below 1 of one device nor a whole number of devices."
        yield Diagnostic("E068", subject, message, f"write {name}={int(amount)} or {name}={int(amount) + 1}")
    elif 0 < amount * UNIT < 1:
        message = f"{given} is below {1 / UNIT:g}, the smallest amount that Ray counts."
        yield Diagnostic("E068", subject, message, f"write {name}={1 / UNIT:g}")


def ray_amounts(amounts: Amounts) -> dict[str, float]:
    """Amounts by the names that Ray gives to resources."""
    return {RAY_NAMES.get(name, name): amount for name, amount in amounts.items()}


def bundles_of(resources: Resources) -> list[dict[str, float]]:
    """The requests of a trial, one mapping per bundle; plain amounts are one bundle."""
    return [ray_amounts(dict(bundle)) for bundle in resources.bundles] or [ray_amounts(resources.amounts())]


def places(nodes: Sequence[Amounts], resources: Resources, limit: int) -> int:
    """How many concurrent trials with these resources fit on otherwise free nodes; counts up to `limit`.

    >>> places([{"CPU": 8, "GPU": 2}], Resources.of(gpu=0.6), 100)
    2
    """
    if not resources.bundles:
        need = ray_amounts(resources.amounts())
        return min(limit, sum(_places_on(node, need) for node in nodes))
    packing = Packing(nodes)
    count = 0
    while count < limit and packing.add(resources):
        count += 1
    return count


def _places_on(node: Amounts, need: Amounts) -> int:
    """The same for one node and one bundle: the scarcest resource decides."""
    units = {name: round(amount * UNIT) for name, amount in need.items()}
    rooms = [_rooms(_devices(name, node.get(name, 0)), amount) for name, amount in units.items() if amount > 0]
    return min(rooms) if rooms else max(1, int(node.get("CPU", 1)))


def _rooms(devices: tuple[int, ...], units: int) -> int:
    if len(devices) == 1 or units < UNIT:
        return sum(device // units for device in devices)
    return sum(device == UNIT for device in devices) // (units // UNIT) if units % UNIT == 0 else 0


class Packing:
    """Nodes and the trials placed on them, each where Ray would put it: on the emptiest node first."""

    def __init__(self, nodes: Iterable[Amounts]) -> None:
        self._free: list[Free] = [{name: _devices(name, total) for name, total in node.items()} for node in nodes]

    def add(self, resources: Resources) -> bool:
        """Places one trial; returns whether it fits."""
        bundles = sorted(map(_units, bundles_of(resources)), key=_placement_priority, reverse=True)
        left = _placed(self._free, bundles, resources.strategy)
        if left is not None:
            self._free = left
        return left is not None


def fit_together(nodes: Sequence[Amounts], trials: Iterable[Resources]) -> bool:
    """Whether trials with different resources fit together on otherwise free nodes, the largest placed first."""
    packing = Packing(nodes)

    def priority(resources: Resources) -> tuple[int, int, int]:
        return max(map(_placement_priority, map(_units, bundles_of(resources))))

    by_priority = sorted(trials, key=priority, reverse=True)
    return all(packing.add(one) for one in by_priority)


def _placed(free: list[Free], bundles: list[dict[str, int]], strategy: str) -> list[Free] | None:
    """The free amounts after placing the bundles by the strategy; None if they do not fit."""
    if strategy == "STRICT_PACK":
        return _on_one_node(free, bundles)
    free, used = list(free), set[int]()
    for bundle in bundles:
        others = [node for node in range(len(free)) if node not in used]
        order = [others, [] if strategy == "STRICT_SPREAD" else sorted(used)]
        if strategy == "PACK":
            order.reverse()
        found = next((best for nodes in order if (best := _best(free, nodes, bundle)) is not None), None)
        if found is None:
            return None
        node, free[node] = found
        used.add(node)
    return free


def _on_one_node(free: list[Free], bundles: list[dict[str, int]]) -> list[Free] | None:
    """The free amounts after placing all bundles on the first node that fits them."""
    for node, before in enumerate(free):
        left: Free | None = before
        for bundle in bundles:
            left = None if left is None else _taken(left, bundle)
        if left is not None:
            return [*free[:node], left, *free[node + 1 :]]
    return None


def _best(free: list[Free], nodes: Iterable[int], bundle: dict[str, int]) -> tuple[int, Free] | None:
    """The node with the largest free share of the requested resources, and its free amounts after that."""
    fitting = [(node, left) for node in nodes if (left := _taken(free[node], bundle)) is not None]
    return max(fitting, key=lambda one: _leeway(free[one[0]], bundle), default=None)


def _leeway(free: Free, bundle: dict[str, int]) -> float:
    totals = {name: sum(free.get(name, ())) for name in bundle}
    return sum((totals[name] - units) / totals[name] for name, units in bundle.items() if totals[name])


def _taken(free: Free, bundle: dict[str, int]) -> Free | None:
    left = dict(free)
    for name, units in bundle.items():
        devices = _after(left.get(name, ()), units, name in DEVICES)
        if devices is None:
            return None
        left[name] = devices
    return left


def _after(devices: tuple[int, ...], units: int, apart: bool) -> tuple[int, ...] | None:
    """The free amounts of the devices after a request; a share comes from the fullest device that fits it."""
    if not apart or units < UNIT:
        room = min((device for device in devices if device >= units), default=None)
        wanted, left = ([room], [room - units]) if room is not None else ([-1], [])
    else:
        wanted, left = [UNIT] * (units // UNIT), [0] * (units // UNIT)
        if units % UNIT:
            return None
    rest = list(devices)
    for one in wanted:
        if one not in rest:
            return None
        rest.remove(one)
    return tuple(sorted([*rest, *left]))


def _devices(name: str, total: float) -> tuple[int, ...]:
    units = round(min(total, 1e18) * UNIT)  # the amount of memory may be unknown
    if name not in DEVICES:
        return (units,)
    whole, share = divmod(units, UNIT)
    return (UNIT,) * whole + ((share,) if share else ())


def _units(bundle: Amounts) -> dict[str, int]:
    found = {name: round(amount * UNIT) for name, amount in bundle.items()}
    return {name: units for name, units in found.items() if units > 0}


def _placement_priority(bundle: dict[str, int]) -> tuple[int, int, int]:
    """The order in which Ray places bundles: by devices, then memory, then cores."""
    devices = sum(units for name, units in bundle.items() if name in DEVICES)
    return devices, bundle.get("memory", 0), bundle.get("CPU", 0)
