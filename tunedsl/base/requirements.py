"""Optional packages: whether they are installed in a supported version."""

from __future__ import annotations

import importlib.util

import attrs


@attrs.frozen
class PackageRequirement:
    """An optional package: its module, its distribution and the supported versions."""

    module: str
    distribution: str
    minimum: str = "0"
    below: str = ""

    def unmet_reason(self) -> str:
        """Why no supported version is available; empty if one is."""
        from importlib import metadata  # slow to import, and rarely needed

        if importlib.util.find_spec(self.module) is None:
            return f"the package {self.distribution} is not installed"
        try:
            version = metadata.version(self.distribution)
        except metadata.PackageNotFoundError:
            return ""
        if _version_tuple(version) < _version_tuple(self.minimum) or (
            self.below and _version_tuple(version) >= _version_tuple(self.below)
        ):
            return f"{self.distribution} {version} is installed"
        return ""

    def __str__(self) -> str:
        least = f">={self.minimum}" if self.minimum != "0" else ""
        below = f"<{self.below}" if self.below else ""
        return self.distribution + ",".join(bound for bound in (least, below) if bound)


def _version_tuple(version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in version.split(".") if part.isdigit())
