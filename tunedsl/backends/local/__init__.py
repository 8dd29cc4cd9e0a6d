"""The local engine: pooled worker processes of this machine, without Ray."""

from tunedsl.backends.local.backend import LocalEngine

__all__ = ["LocalEngine"]
