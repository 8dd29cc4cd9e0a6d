"""Packages that load their modules when one of the names in them is first used.

Most experiments need one searcher and one scheduler, and building the classes of all costs more than the rest of the
import. What data names is found all the same: the codec is told which module makes the values of a tag.
"""

from __future__ import annotations

import importlib
import sys
from collections.abc import Mapping
from importlib.util import find_spec
from types import FrameType, MappingProxyType, ModuleType
from typing import Any, Final

from tunedsl.base import codec
from tunedsl.base.suggestions import for_module, with_help

_lazy_modules: Final[dict[str, dict[str, str]]] = {}
"""By package and name, the module that the name comes from."""
_IMPORTLIB: Final = "<frozen importlib._bootstrap>"


class _LazyPackage(ModuleType):
    """A package with names that are loaded when they are first used."""

    def __getattr__(self, name: str) -> Any:
        module = _lazy_modules[self.__name__].get(name)
        if module is None:
            raise self._unknown(name, sys._getframe(1))
        loaded = importlib.import_module(module)
        submodule = (loaded,) if module == f"{self.__name__}.{name}" else ()
        found = self.__dict__[name] = getattr(loaded, name, *submodule)
        return found

    def _unknown(self, name: str, caller: FrameType) -> Exception:
        """The error for a name that is not there, with what to write instead."""
        text = f"module {self.__name__!r} has no attribute {name!r}"
        if name.startswith("_"):
            return AttributeError(text, name=name, obj=self)
        elsewhere = [package for package, names in _lazy_modules.items() if name in names]
        hint = f"it is in {elsewhere[0]}" if elsewhere else for_module(name, getattr(self, "__all__", ()))
        # `from package import name` asks for the attribute, then for a module, and then says what Python says.
        if hint and caller.f_code.co_filename == _IMPORTLIB and find_spec(f"{self.__name__}.{name}") is None:
            text = f"cannot import name {name!r} from {self.__name__!r}"
            return ImportError(with_help(text, hint), name=self.__name__)
        return AttributeError(with_help(text, hint), name=name, obj=None)

    def __setattr__(self, name: str, item: Any) -> None:
        # Importing `package.tpe` puts the module there by that name, which is the function's.
        if isinstance(item, ModuleType) and _lazy_modules[self.__name__].get(name) == item.__name__:
            item = getattr(item, name)
        super().__setattr__(name, item)

    def __dir__(self) -> list[str]:
        return sorted({*super().__dir__(), *_lazy_modules[self.__name__]})

    def __reduce__(self) -> tuple[Any, ...]:
        return importlib.import_module, (self.__name__,)


def lazy_attributes(
    package: str, names: Mapping[str, str], *, values: bool = False, tags: Mapping[str, str] = MappingProxyType({})
) -> None:
    """Makes a package load the modules that some of its names come from when one of them is first used.

    Args:
        package: the package's name, which calls this from its `__init__`.
        names: by module in the package, the names that it has from there, with spaces between them.
        values: whether the classes among them, which begin with a capital, are values that data may name.
        tags: the tags of those whose tag is not their name; see `codec.value`.

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
    """Loads all that a package would load late."""
    for module in sorted({*_lazy_modules.get(package, {}).values()}):
        importlib.import_module(module)
