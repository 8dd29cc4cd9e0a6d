"""How `resource_changing` divides a total: evenly, or to the best trial. The scheduler is in its own file."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from tunedsl.base.arguments import as_int, as_number, check_arguments
from tunedsl.base.codec import value
from tunedsl.base.errors import wrong_value
from tunedsl.schedulers.time_attr import canonical_number


class _Distribution:
    """The base of distributions: its repr is the call that writes the value."""

    __slots__ = ()

    cpu: float
    gpu: float
    increase_by: tuple[tuple[str, float], ...]
    increase_by_times: int

    def __repr__(self) -> str:
        parts = [f"{field}={getattr(self, field)!r}" for field in ("cpu", "gpu") if getattr(self, field)]
        if self.increase_by:
            parts.append(f"increase_by={dict(self.increase_by)!r}")
        if self.increase_by_times != -1:
            parts.append(f"increase_by_times={self.increase_by_times}")
        name = "distribute_to_top" if isinstance(self, DistributeToTop) else "distribute"
        return f"{name}({', '.join(parts)})"


@value(repr=False)
class Distribute(_Distribution):
    """Even shares of a total; see `distribute`."""

    cpu: float = 0
    gpu: float = 0
    increase_by: tuple[tuple[str, float], ...] = ()
    increase_by_times: int = -1


@value(repr=False)
class DistributeToTop(_Distribution):
    """Idle resources for the best trial; see `distribute_to_top`."""

    cpu: float = 0
    gpu: float = 0
    increase_by: tuple[tuple[str, float], ...] = ()
    increase_by_times: int = -1


Distribution = Distribute | DistributeToTop


@check_arguments
def distribute(
    cpu: float = 0, gpu: float = 0, increase_by: Mapping[str, float] | None = None, increase_by_times: int = -1
) -> Distribute:
    """Gives each running trial an even share of a total.

    Args:
        cpu: number of CPUs of all workers together.
        gpu: number of GPUs of all workers together.
        increase_by: the unit by which a trial's resources exceed `.resources(...)`, such as `{"cpu": 2}`. By default,
            one GPU if trials have GPUs, else one CPU.
        increase_by_times: limit of units per trial; -1 for no limit.

    Raises:
        ArgumentError: for an argument of the wrong type.

    >>> distribute(cpu=16)
    distribute(cpu=16)
    """
    return Distribute(*_check_distribution("distribute", cpu, gpu, increase_by, increase_by_times))


@check_arguments
def distribute_to_top(
    cpu: float = 0, gpu: float = 0, increase_by: Mapping[str, float] | None = None, increase_by_times: int = -1
) -> DistributeToTop:
    """Gives idle resources to the best trial by the objective; others keep what they have.

    Args:
        cpu: number of CPUs of all workers together.
        gpu: number of GPUs of all workers together.
        increase_by: the unit by which a trial's resources grow; see `distribute`.
        increase_by_times: limit of units per trial, after which the next best trial receives units; -1 for no limit.

    Raises:
        ArgumentError: for an argument of the wrong type.
    """
    return DistributeToTop(*_check_distribution("distribute_to_top", cpu, gpu, increase_by, increase_by_times))


def _check_distribution(name: str, cpu: Any, gpu: Any, increase_by: Any, times: Any) -> tuple[Any, ...]:
    if increase_by is not None and not isinstance(increase_by, Mapping):
        raise wrong_value(f"{name}.increase_by", increase_by, "a dict such as {'cpu': 1}")
    units = {}
    for resource, amount in (increase_by or {}).items():
        if resource not in ("cpu", "gpu"):
            raise wrong_value(f"A key of {name}.increase_by", resource, "'cpu' or 'gpu'", subject=f"{name}.increase_by")
        units[resource] = canonical_number(as_number(f"{name}.increase_by[{resource!r}]", amount))
    return (
        canonical_number(as_number(f"{name}.cpu", cpu)),
        canonical_number(as_number(f"{name}.gpu", gpu)),
        tuple(sorted(units.items())),
        as_int(f"{name}.increase_by_times", times),
    )
