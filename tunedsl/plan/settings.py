"""Settings of an experiment that are neither policy nor space: resources, retries, checkpoints."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any, Literal, get_args

from tunedsl.base.arguments import checked, number, whole
from tunedsl.base.codec import value, written_fields
from tunedsl.base.errors import ArgumentError
from tunedsl.base.literals import as_written, spell
from tunedsl.base.names import did_you_mean

Strategy = Literal["PACK", "SPREAD", "STRICT_PACK", "STRICT_SPREAD"]
Amounts = tuple[tuple[str, float], ...]
"""Resources by name, in the order of their names."""

_UNITS = {
    **{unit: 1000**power for power, unit in enumerate(["", "KB", "MB", "GB", "TB"])},
    **{unit: 1024**power for power, unit in enumerate(["B", "KIB", "MIB", "GIB", "TIB"])},
}
_PLAIN = ("cpu", "gpu", "memory")


@value
class Resources:
    """What one trial is given.

    Attributes:
        cpu, gpu: cores and devices; fractions share one.
        memory: bytes, or None for no claim.
        custom: the cluster's own resources by name.
        bundles: parts that may lie on different nodes; with any, the fields above are their sums.
        strategy: how bundles are placed.
    """

    cpu: float = 1.0
    gpu: float = 0.0
    memory: int | None = None
    custom: Amounts = ()
    bundles: tuple[Amounts, ...] = ()
    strategy: Strategy = "PACK"

    @staticmethod
    @checked
    def of(
        cpu: float | None = None,
        gpu: float | None = None,
        memory: int | str | None = None,
        custom: Mapping[str, float] | None = None,
        bundles: Sequence[Mapping[str, float | str]] | None = None,
        strategy: Strategy = "PACK",
    ) -> Resources:
        """The resources that a user writes.

        Args:
            cpu, gpu: at least 0; one core and no device unless said otherwise.
            memory: bytes, or text such as `"2GiB"`.
            custom: amounts by name.
            bundles: one mapping a bundle, of `cpu`, `gpu`, `memory` and custom names; instead of all the above.
            strategy: `PACK`, `SPREAD`, `STRICT_PACK` or `STRICT_SPREAD`.

        Raises:
            ArgumentError: for what is no amount, or for bundles beside plain amounts.

        >>> Resources.of(gpu=0.5, memory="2GiB")
        resources(gpu=0.5, memory=2147483648)
        """
        if strategy not in get_args(Strategy):
            hint = did_you_mean(str(strategy), get_args(Strategy))
            raise ArgumentError("E003", "resources.strategy", repr(strategy), "a placement strategy", hint)
        plain = {"cpu": cpu, "gpu": gpu, "memory": memory, **(custom or {})}
        if bundles is None:
            given = dict(_amounts("resources", {"cpu": 1.0, **{k: v for k, v in plain.items() if v is not None}}))
            return Resources(*_split(given), strategy=strategy)
        if any(item is not None for item in plain.values()):
            raise ArgumentError("E003", "resources", "bundles and plain amounts", "one of the two")
        parts = tuple(_amounts(f"resources.bundles[{at}]", bundle) for at, bundle in enumerate(bundles))
        names = sorted({name for part in parts for name, _ in part})
        totals = {name: sum(dict(part).get(name, 0.0) for part in parts) for name in names}
        return Resources(*_split({"cpu": 0.0, **totals}), parts, strategy)

    def amounts(self) -> dict[str, float]:
        """What a trial is given in all, by name, zeros left out."""
        named = {"cpu": self.cpu, "gpu": self.gpu, "memory": float(self.memory or 0), **dict(self.custom)}
        return {name: amount for name, amount in named.items() if amount}

    def __repr__(self) -> str:
        if self.bundles:
            parts = [f"bundles={[_shown(part) for part in self.bundles]!r}"]
        else:
            parts = [
                f"{field.name}={_shown(found) if field.name == 'custom' else as_written(found)!r}"
                for field in written_fields(Resources)
                if (found := getattr(self, field.name)) != field.default and field.name != "strategy"
            ] or ["cpu=1"]
        if self.strategy != "PACK":
            parts.append(f"strategy={self.strategy!r}")
        return f"resources({', '.join(parts)})"


def shown_amount(name: str, amount: float) -> str:
    """An amount for people: memory in GiB.

    >>> shown_amount("memory", 9000 * 2**30), shown_amount("memory", 2.5e9), shown_amount("cpu", 2.0)
    ('9,000 GiB', '2.33 GiB', '2')
    """
    if name != "memory":
        return f"{amount:g}"
    gib = amount / 2**30
    return f"{gib:,.0f} GiB" if gib >= 100 else f"{gib:.3g} GiB"


def _shown(amounts: Amounts) -> dict[str, float]:
    return {name: as_written(amount) for name, amount in amounts}


def _split(given: dict[str, float]) -> tuple[float, float, int | None, Amounts]:
    custom = tuple(sorted((name, amount) for name, amount in given.items() if name not in _PLAIN))
    memory = given.get("memory")
    return given["cpu"], given.get("gpu", 0.0), None if memory is None else int(memory), custom


def _amounts(subject: str, given: Mapping[str, Any]) -> Amounts:
    if not isinstance(given, Mapping):
        raise ArgumentError("E003", subject, repr(given), 'amounts by name, such as {"cpu": 1}')
    return tuple(sorted((name, _amount(f"{subject}.{name}", name, item)) for name, item in given.items()))


def _amount(subject: str, name: str, item: Any) -> float:
    if name == "memory" and isinstance(item, str):
        match = re.fullmatch(r"\s*([0-9.]+)\s*([A-Za-z]*)\s*", item)
        if match is None or match[2].upper() not in _UNITS:
            raise ArgumentError("E003", subject, repr(item), 'bytes, or text such as "2GiB" or "500MB"')
        return float(int(float(match[1]) * _UNITS[match[2].upper()]))
    found = float(number(subject, item))
    if not 0 <= found < float("inf"):
        raise ArgumentError("E003", subject, repr(item), "a finite number of at least 0")
    return found


@value
class Retry:
    """How often a trial is run again after each kind of failure; -1 for no limit."""

    crash: int = 0
    oom: int = 0
    lost: int = 3
    timeout: int = 0
    bad_report: int = 0
    storage: int = 0

    @staticmethod
    @checked
    def of(
        n: int = 0,
        crash: int | None = None,
        oom: int | None = None,
        lost: int | None = None,
        timeout: int | None = None,
        bad_report: int | None = None,
        storage: int | None = None,
    ) -> Retry:
        """The retries that a user writes.

        Args:
            n: for all kinds that are not named; a lost node, which is no fault of the trial, counts at least 3.
            crash, oom, lost, timeout, bad_report, storage: for one kind: an error in the user's code, out of memory, a
                node that is gone, too long, a report that is none, a checkpoint that cannot be written.

        Raises:
            ArgumentError: for what is no whole number of at least -1.

        >>> Retry.of(2, oom=-1)
        retry(crash=2, oom=-1, timeout=2, bad_report=2, storage=2)
        """
        n = whole("retry.n", n, least=-1)
        kinds = {"crash": crash, "oom": oom, "lost": lost, "timeout": timeout, "bad_report": bad_report}
        kinds["storage"] = storage
        usual = dict.fromkeys(kinds, n) | {"lost": max(3, n) if n >= 0 else -1}
        return Retry(
            **{
                kind: usual[kind] if given is None else whole(f"retry.{kind}", given, least=-1)
                for kind, given in kinds.items()
            }
        )

    def __repr__(self) -> str:
        return spell("retry", self)


@value
class CheckpointPolicy:
    """When trials of the class form save, and what is kept.

    Attributes:
        every: iterations between two checkpoints, None for none on the way.
        keep: how many of a trial's checkpoints stay.
        at_end: whether a trial saves when it ends.
        best: a metric; the checkpoints that are best by it stay.
    """

    every: int | None = None
    keep: int | None = None
    at_end: bool = False
    best: str | None = None

    def __repr__(self) -> str:
        return spell("checkpoint", self)
