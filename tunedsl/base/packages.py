"""Packages that a part of this one needs and does not bring along: whether they are there, in a version that serves."""

from __future__ import annotations

import importlib.util

import attrs


@attrs.frozen
class Package:
    """A package that something needs: its module, its distribution and the versions that serve."""

    module: str
    distribution: str
    least: str = "0"
    below: str = ""

    def missing(self) -> str:
        """What stands in its place, if not a version that serves."""
        from importlib import metadata  # slow to import, and seldom needed

        if importlib.util.find_spec(self.module) is None:
            return f"the package {self.distribution} is not installed"
        try:
            version = metadata.version(self.distribution)
        except metadata.PackageNotFoundError:
            return ""
        if _numbers(version) < _numbers(self.least) or (self.below and _numbers(version) >= _numbers(self.below)):
            return f"{self.distribution} {version} is installed"
        return ""

    def __str__(self) -> str:
        least = f">={self.least}" if self.least != "0" else ""
        below = f"<{self.below}" if self.below else ""
        return self.distribution + ",".join(bound for bound in (least, below) if bound)


def _numbers(version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in version.split(".") if part.isdigit())
