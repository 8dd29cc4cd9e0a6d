"""Settings of an experiment that are neither policy nor space: resources, retries, timeouts, checkpoints."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any, Final, Literal, get_args

import attrs

from tunedsl.base.arguments import as_choice, as_int, as_number, as_positive, as_text, check_arguments
from tunedsl.base.codec import data_fields, omit_default_field, value
from tunedsl.base.errors import ArgumentError, wrong_value
from tunedsl.base.names import did_you_mean
from tunedsl.base.references import call_repr, whole_as_int
from tunedsl.base.types import LIMITED_KINDS

Strategy = Literal["PACK", "SPREAD", "STRICT_PACK", "STRICT_SPREAD"]
Amounts = tuple[tuple[str, float], ...]
"""Resources by name, in the order of their names."""

_BYTE_UNITS = {
    **{unit: 1000**power for power, unit in enumerate(["", "KB", "MB", "GB", "TB"])},
    **{unit: 1024**power for power, unit in enumerate(["B", "KIB", "MIB", "GIB", "TIB"])},
}
_PLAIN = ("cpu", "gpu", "memory")


@value
class Resources:
    """The resources of one trial.

    Attributes:
        cpu, gpu: cores and devices; a share below 1 is on one device.
        memory: bytes, or None for no request.
        custom: the cluster's custom resources by name.
        bundles: parts that may be on different nodes; with bundles, the fields above are their sums.
        strategy: how bundles are placed.
    """

    cpu: float = 1.0
    gpu: float = 0.0
    memory: int | None = None
    custom: Amounts = ()
    bundles: tuple[Amounts, ...] = ()
    strategy: Strategy = "PACK"

    @staticmethod
    @check_arguments
    def of(
        cpu: float | None = None,
        gpu: float | None = None,
        memory: int | str | None = None,
        custom: Mapping[str, float] | None = None,
        bundles: Sequence[Mapping[str, float | str]] | None = None,
        strategy: Strategy = "PACK",
    ) -> Resources:
        """The resources of a `resources` clause.

        Args:
            cpu, gpu: at least 0; by default one core and no device. Devices are a share below 1, or whole.
            memory: bytes, or text such as `"2GiB"`.
            custom: amounts by name.
            bundles: one mapping per bundle, with `cpu`, `gpu`, `memory` and custom names; instead of all the above.
            strategy: `PACK`, `SPREAD`, `STRICT_PACK` or `STRICT_SPREAD`.

        Raises:
            ArgumentError: for an invalid amount, or for bundles together with plain amounts.

        >>> Resources.of(gpu=0.5, memory="2GiB")
        resources(gpu=0.5, memory=2147483648)
        """
        hint = did_you_mean(str(strategy), get_args(Strategy))
        strategy = as_choice("resources.strategy", strategy, get_args(Strategy), hint)
        twice = next((name for name in _PLAIN if name in (custom or {})), None)
        if twice is not None:
            message = f"resources.custom cannot contain {twice!r}, which has its own keyword."
            raise ArgumentError("E003", "resources.custom", message, f"write resources({twice}=...)")
        plain = {"cpu": cpu, "gpu": gpu, "memory": memory, **(custom or {})}
        if bundles is None:
            given = dict(_amounts("resources", {"cpu": 1.0, **{k: v for k, v in plain.items() if v is not None}}))
            return Resources(*_split_custom(given), strategy=strategy)
        if any(item is not None for item in plain.values()):
            raise ArgumentError(
                "E003", "resources", "resources(...) has both bundles and plain amounts.", "write one of the two"
            )
        if not bundles:
            raise wrong_value("resources.bundles", bundles, "a list of at least one bundle")
        parts = tuple(_amounts(f"resources.bundles[{at}]", bundle) for at, bundle in enumerate(bundles))
        names = sorted({name for part in parts for name, _ in part})
        totals = {name: sum(dict(part).get(name, 0.0) for part in parts) for name in names}
        return Resources(*_split_custom({"cpu": 0.0, **totals}), parts, strategy)

    def amounts(self) -> dict[str, float]:
        """The total resources of a trial by name, without zeros."""
        named = {"cpu": self.cpu, "gpu": self.gpu, "memory": float(self.memory or 0), **dict(self.custom)}
        return {name: amount for name, amount in named.items() if amount}

    def __repr__(self) -> str:
        if self.bundles:
            parts = [f"bundles={[_format_amounts(part) for part in self.bundles]!r}"]
        else:
            parts = [
                f"{field.name}={_format_amounts(found) if field.name == 'custom' else whole_as_int(found)!r}"
                for field in data_fields(Resources)
                if (found := getattr(self, field.name)) != field.default and field.name != "strategy"
            ] or ["cpu=1"]
        if self.strategy != "PACK":
            parts.append(f"strategy={self.strategy!r}")
        return f"resources({', '.join(parts)})"


def format_amount(name: str, amount: float) -> str:
    """An amount as text, with memory in GiB.

    >>> format_amount("memory", 9000 * 2**30), format_amount("memory", 2.5e9), format_amount("cpu", 2.0)
    ('9,000 GiB', '2.33 GiB', '2')
    """
    if name != "memory":
        return f"{amount:g}"
    gib = amount / 2**30
    return f"{gib:,.0f} GiB" if gib >= 100 else f"{gib:.3g} GiB"


def _format_amounts(amounts: Amounts) -> dict[str, float]:
    return {name: whole_as_int(amount) for name, amount in amounts}


def _split_custom(given: dict[str, float]) -> tuple[float, float, int | None, Amounts]:
    custom = tuple(sorted((name, amount) for name, amount in given.items() if name not in _PLAIN))
    memory = given.get("memory")
    return given["cpu"], given.get("gpu", 0.0), None if memory is None else int(memory), custom


def _amounts(subject: str, given: Mapping[str, Any]) -> Amounts:
    if not isinstance(given, Mapping):
        raise wrong_value(subject, given, 'amounts by name, such as {"cpu": 1}')
    named = {as_text(f"a name in {subject}", name): item for name, item in given.items()}
    return tuple(sorted((name, _amount(f"{subject}.{name}", name, item)) for name, item in named.items()))


def _amount(subject: str, name: str, item: Any) -> float:
    if name == "memory" and isinstance(item, str):
        match = re.fullmatch(r"\s*([0-9.]+)\s*([A-Za-z]*)\s*", item)
        if match is None or match[2].upper() not in _BYTE_UNITS:
            raise wrong_value(subject, item, 'bytes, or text such as "2GiB" or "500MB"')
        return float(int(float(match[1]) * _BYTE_UNITS[match[2].upper()]))
    found = float(as_number(subject, item))
    if not 0 <= found < float("inf"):
        raise wrong_value(subject, item, "a finite number of at least 0")
    return found


MAX_CONSECUTIVE: Final = 5


@attrs.frozen
class Backoff:
    """How long a trial waits before each retry. Build one with `backoff(...)`.

    Attributes:
        initial: seconds before the first retry of a kind of failure; 0 for no delay.
        factor: the delay is multiplied by this after each retry.
        maximum: upper limit of the delay, in seconds.
    """

    initial: float = 0.5
    factor: float = 2.0
    maximum: float = 60.0

    def __repr__(self) -> str:
        return call_repr("backoff", Backoff(*map(whole_as_int, attrs.astuple(self))))


@check_arguments
def backoff(initial: float = 0.5, factor: float = 2.0, maximum: float = 60.0) -> Backoff:
    """The delays between retries, for `.retry(backoff=...)`: they grow exponentially up to a maximum.

    Args:
        initial: seconds before the first retry of a kind of failure, at least 0; 0 for no delay.
        factor: the delay is multiplied by this after each retry; at least 1.
        maximum: upper limit of the delay in seconds, at least 0.

    Returns:
        A value for `retry(backoff=...)`.

    Raises:
        ArgumentError: for a factor below 1, or seconds below 0.

    >>> backoff(initial=1, maximum=30)
    backoff(initial=1, maximum=30)
    """
    return Backoff(
        _at_least("backoff.initial", initial, 0.0),
        _at_least("backoff.factor", factor, 1.0),
        _at_least("backoff.maximum", maximum, 0.0),
    )


_BACKOFF: Final = Backoff()


@value
class Retry:
    """How often a trial is retried after each kind of failure; -1 for no limit.

    Attributes:
        grow: factor by which memory grows after each out-of-memory failure, up to the memory of a node.
        wait: seconds before the first retry of a kind other than `lost`.
        wait_growth, wait_most: factor of that delay after each retry, and its upper limit in seconds.
        in_a_row: retries after the trial's worker died (`lost` or `oom`) with no report in between; -1 for no limit.
    """

    crash: int = 0
    oom: int = 0
    lost: int = 3
    timeout: int = 0
    bad_report: int = 0
    storage: int = 0
    idle: int = omit_default_field(0)
    grow: float = omit_default_field(1.0)
    wait: float = omit_default_field(0.0)
    wait_growth: float = omit_default_field(2.0)
    wait_most: float = omit_default_field(60.0)
    in_a_row: int = omit_default_field(-1)

    @staticmethod
    @check_arguments
    def of(
        n: int = 0,
        crash: int | None = None,
        oom: int | None = None,
        lost: int | None = None,
        timeout: int | None = None,
        bad_report: int | None = None,
        storage: int | None = None,
        idle: int | None = None,
        *,
        grow: float = 1.0,
        backoff: Backoff = _BACKOFF,
        max_consecutive: int | None = None,
    ) -> Retry:
        """The retries of `.retry(...)`; see `Experiment.retry` for the arguments.

        Raises:
            ArgumentError: for a count that is not a whole number of at least -1, a factor below 1, or a `backoff` that
                is not a `Backoff`.

        >>> Retry.of(2, oom=-1)
        retry(crash=2, oom=-1, timeout=2, bad_report=2, storage=2, idle=2)
        >>> Retry.of(oom=2, grow=1.5)
        retry(oom=2, grow=1.5)
        """
        if not isinstance(backoff, Backoff):
            hint = "write backoff=backoff(initial=1, factor=2, maximum=60)"
            raise wrong_value("retry.backoff", backoff, "the result of backoff(...)", hint)
        n = as_int("retry.n", n, minimum=-1)
        kinds = {"crash": crash, "oom": oom, "lost": lost, "timeout": timeout, "bad_report": bad_report}
        kinds |= {"storage": storage, "idle": idle}
        usual = dict.fromkeys(kinds, n) | {"lost": max(3, n) if n >= 0 else -1}
        counts = {
            kind: usual[kind] if count is None else as_int(f"retry.{kind}", count, minimum=-1)
            for kind, count in kinds.items()
        }
        return Retry(
            **counts,
            grow=_at_least("retry.grow", grow, 1.0),
            wait=backoff.initial,
            wait_growth=backoff.factor,
            wait_most=backoff.maximum,
            in_a_row=max(MAX_CONSECUTIVE, counts["oom"], counts["lost"])
            if max_consecutive is None
            else as_int("retry.max_consecutive", max_consecutive, minimum=-1),
        )

    def __repr__(self) -> str:
        kinds = {kind: getattr(self, kind) for kind in LIMITED_KINDS}
        defaults, delays = Retry.of(**kinds), Backoff(self.wait, self.wait_growth, self.wait_most)
        written: dict[str, Any] = {kind: count for kind, count in kinds.items() if count != getattr(Retry(), kind)}
        if self.grow != 1:
            written["grow"] = whole_as_int(self.grow)
        if delays != _BACKOFF:
            written["backoff"] = delays
        if self.in_a_row != defaults.in_a_row:
            written["max_consecutive"] = self.in_a_row
        return f"retry({', '.join(f'{name}={item!r}' for name, item in written.items())})"


def _at_least(subject: str, item: Any, least: float) -> float:
    found = float(as_number(subject, item))
    if not least <= found < float("inf"):
        raise wrong_value(subject, item, f"a finite number of at least {least:g}")
    return found


EXTERNAL: Final = "external"
"""The name of the engine of ask and tell, whose trials no worker runs."""
MAX_ASKED: Final = 1_000_000_000
"""The number of trials for ask and tell without `.samples(...)`: all valid trial numbers."""
GRACE_SECONDS: Final = 30.0


@value
class Timeout:
    """Limits in seconds: of an attempt, of its time without a report, and of its code after the trial ended."""

    seconds: float | None = None
    idle: float | None = None
    grace: float = omit_default_field(GRACE_SECONDS)

    @staticmethod
    @check_arguments
    def of(seconds: float | None = None, idle: float | None = None, grace: float | None = None) -> Timeout:
        """The limits of a `timeout` clause; see `Experiment.timeout`."""
        if seconds is None and idle is None and grace is None:
            raise ArgumentError(
                "E002", "timeout", "timeout() has no limit.", "write seconds=..., idle=... or grace=..."
            )
        return Timeout(
            None if seconds is None else float(as_positive("timeout.seconds", seconds)),
            None if idle is None else float(as_positive("timeout.idle", idle)),
            GRACE_SECONDS if grace is None else float(as_positive("timeout.grace", grace)),
        )

    def __repr__(self) -> str:
        parts = [] if self.seconds is None else [repr(whole_as_int(self.seconds))]
        parts += [] if self.idle is None else [f"idle={whole_as_int(self.idle)!r}"]
        parts += [] if parts and self.grace == GRACE_SECONDS else [f"grace={whole_as_int(self.grace)!r}"]
        return f"timeout({', '.join(parts)})"


Isolation = Literal["pool", "process", "none"]
"""What trials share: pooled workers that are cleaned up, no worker, or workers without cleanup."""


@value
class CheckpointPolicy:
    """When trials of the class form save, and which checkpoints are kept.

    Attributes:
        every: iterations between two checkpoints, None for no periodic checkpoint.
        keep: how many of a trial's newest checkpoints are kept.
        at_end: whether a trial saves when it ends.
        best: a metric; the checkpoint that is best by it is kept too.
    """

    every: int | None = None
    keep: int | None = None
    at_end: bool = False
    best: str | None = None

    def __repr__(self) -> str:
        return call_repr("checkpoint", self)
