"""Methods of values that upper layers implement, such as `Plan.run` and `Results.rerun`.

Packages register their implementations here when they are imported. So a value in a lower layer has the method that
users expect, and no lower layer imports an upper one.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable
from typing import Any, Final

_implementations: Final[dict[str, str]] = {}


def provide(**implementations: str) -> None:
    """Registers where verbs are implemented: `name="module:function"`."""
    _implementations.update(implementations)


def verb(name: str) -> Callable[..., Any]:
    """The implementation of a verb, imported when it is first called."""
    module, _, function = _implementations[name].partition(":")
    implementation: Callable[..., Any] = getattr(importlib.import_module(module), function)
    return implementation
