"""Packages that import their modules when one of their names is first used.

Most experiments need one searcher and one scheduler, and importing all of them would take longer than the rest of the
import. The codec knows which module defines the values of a tag, so that reading data imports it.
"""

from __future__ import annotations

import importlib
import sys
from collections.abc import Mapping
from importlib.util import find_spec
from types import FrameType, MappingProxyType, ModuleType
from typing import Any, Final

from tunedsl.base import codec
from tunedsl.base.diagnostics import with_help
from tunedsl.base.suggestions import for_module

_lazy_modules: Final[dict[str, dict[str, str]]] = {}
"""By package and name, the module that the name comes from."""
_IMPORTLIB: Final = "<frozen importlib._bootstrap>"


class _LazyPackage(ModuleType):
    """A package with names that are imported when they are first used."""

    def __getattr__(self, name: str) -> Any:
        module = _lazy_modules[self.__name__].get(name)
        if module is None:
            raise self._unknown(name, sys._getframe(1))
        loaded = importlib.import_module(module)
        submodule = (loaded,) if module == f"{self.__name__}.{name}" else ()
        found = self.__dict__[name] = getattr(loaded, name, *submodule)
        return found

    def _unknown(self, name: str, caller: FrameType) -> Exception:
        """The error for an unknown name, with a hint what to write instead."""
        text = f"module {self.__name__!r} has no attribute {name!r}"
        if name.startswith("_"):
            return AttributeError(text, name=name, obj=self)
        elsewhere = [package for package, names in _lazy_modules.items() if name in names]
        hint = f"it is in {elsewhere[0]}" if elsewhere else for_module(name, getattr(self, "__all__", ()))
        # `from package import name` looks up the attribute, then a module, and then raises Python's own error.
        if hint and caller.f_code.co_filename == _IMPORTLIB and find_spec(f"{self.__name__}.{name}") is None:
            text = f"cannot import name {name!r} from {self.__name__!r}"
            return ImportError(with_help(text, hint), name=self.__name__)
        return AttributeError(with_help(text, hint), name=name, obj=None)

    def __setattr__(self, name: str, item: Any) -> None:
        # Importing the module `package.tpe` assigns it to the name of the function `tpe`.
        if isinstance(item, ModuleType) and _lazy_modules[self.__name__].get(name) == item.__name__:
            item = getattr(item, name, item)
        super().__setattr__(name, item)

    def __dir__(self) -> list[str]:
        return sorted({*super().__dir__(), *_lazy_modules[self.__name__]})

    def __reduce__(self) -> tuple[Any, ...]:
        return importlib.import_module, (self.__name__,)


def lazy_attributes(
    package: str, names: Mapping[str, str], *, values: bool = False, tags: Mapping[str, str] = MappingProxyType({})
) -> None:
    """Makes a package import modules when one of their names is first used.

    Args:
        package: the name of the package, which calls this in its `__init__`.
        names: for each module in the package, its public names, separated by spaces.
        values: whether capitalised names are value classes that data may refer to.
        tags: the tags of the value classes whose tag is not their name; see `codec.value`.

    Example:
        >>> lazy_attributes("tunedsl.schedulers", {"fifo": "Fifo fifo"}, values=True)
        >>> codec.from_json('{"$value":["Fifo",{}]}')
        fifo()
    """
    modules = _lazy_modules.setdefault(package, {})
    for module, listed in names.items():
        for name in listed.split():
            modules[name] = f"{package}.{module}"
            if values and name[0].isupper():
                codec.register_lazy_values(modules[name], tags.get(name, name))
    sys.modules[package].__class__ = _LazyPackage


def load(package: str) -> None:
    """Imports all modules that a package would import lazily."""
    for module in sorted({*_lazy_modules.get(package, {}).values()}):
        importlib.import_module(module)
