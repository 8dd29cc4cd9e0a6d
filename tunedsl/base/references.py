"""Constants and functions in frozen values: compared as data, with the live object as a transient field."""

from __future__ import annotations

import contextlib
import hashlib
import importlib
import inspect
import operator
import os
import sys
import textwrap
from collections.abc import Callable, Iterator, Mapping
from contextvars import ContextVar
from enum import Enum
from pathlib import Path
from types import ModuleType
from typing import Any

import attrs

from tunedsl.base import codec
from tunedsl.base.codec import UnresolvedObject, omit_default_field, transient_field, value
from tunedsl.base.content import content_of, same_content
from tunedsl.base.diagnostics import reason
from tunedsl.base.errors import CodecError
from tunedsl.base.standard_types import scalar


@value
class Literal:
    """A user's constant: a number, string, list, dict, or an object named by reference.

    Attributes:
        text: its canonical JSON, by which it is compared.
        object: the live object; after reading from data, the value of the text.
    """

    text: str
    object: Any = transient_field()

    @staticmethod
    def of(item: Any) -> Literal:
        """The literal of `item`; raises `CodecError` if it is not data and has no name."""
        item = item if isinstance(item, Enum) else scalar(item)
        return Literal(codec.to_json(item), item)

    def __attrs_post_init__(self) -> None:
        if self.object is None and self.text != "null":
            object.__setattr__(self, "object", codec.from_json(self.text))

    def __repr__(self) -> str:
        return source_repr(self.object)

    def copy(self) -> Any:
        """The constant, with copies of lists and dicts, so that trials do not share them."""
        if isinstance(self.object, (list, dict, tuple)):
            return _deep_copy(self.object)
        return self.object


def _deep_copy(item: Any) -> Any:
    if isinstance(item, (list, tuple)):
        return type(item)([_deep_copy(part) for part in item]) if type(item) in (list, tuple) else item
    if type(item) is dict:
        return {name: _deep_copy(part) for name, part in item.items()}
    return item


@value
class FunctionRef:
    """A user's function, class or other callable: its name, and a digest of its content.

    References are equal if names and digests are; code, defaults and closures count. See `base.content`.

    Attributes:
        reference: `module:qualname`.
        digest: the digest of the content. A digest of 16 digits is from an old journal, and is of the source text only.
        importable: whether importing the reference gives the same object. Otherwise the object is pickled, and the
            journal alone is not enough to run it.
        object: the live object.
    """

    reference: str
    digest: str
    importable: bool = omit_default_field(True)
    object: Any = transient_field()

    @staticmethod
    def of(function: Callable[..., Any]) -> FunctionRef:
        """The reference of a callable; raises `CodecError` for one without a name."""
        return FunctionRef(*_named(function), function)

    def settled(self) -> FunctionRef:
        """The same with the current name of the live object, since its module may have changed."""
        if self.object is None:
            return self
        named, _, importable = _named(self.object, self.digest)
        if (named, importable) == (self.reference, self.importable):
            return self
        return FunctionRef(named, self.digest, importable, self.object)

    def __repr__(self) -> str:
        return self.reference.partition(":")[2]

    @property
    def name(self) -> str:
        return self.reference.rpartition(".")[2].rpartition(":")[2]

    def is_of(self, function: Any) -> bool | None:
        """Whether a callable has the same content as this one; None if unknown."""
        if is_legacy(self.digest):
            return legacy_digest(function) == self.digest
        return same_content(self.digest, content_of(function).digest)

    def resolve(self) -> Callable[..., Any]:
        """The live function, imported by its reference when this came from data.

        Raises:
            CodecError: if it cannot be imported, or has changed.
        """
        if self.object is not None:
            return self.object  # type: ignore[no-any-return]
        if not self.importable:
            raise CodecError(f"{self.reference} cannot be imported: the run used an object without an importable name.")
        self._check_is_users()
        found = import_reference(self.reference)
        if self.is_of(found) is False:
            raise CodecError(f"{self.reference} has changed since the run stored it.")
        object.__setattr__(self, "object", found)
        return found  # type: ignore[no-any-return]

    def current(self) -> FunctionRef:
        """The same function with its current content.

        Raises:
            CodecError: if it cannot be imported.
        """
        if self.object is not None:
            return self
        self._check_is_users()
        return FunctionRef.of(import_reference(self.reference))

    def _check_is_users(self) -> None:
        if _is_stdlib(self.reference):
            raise CodecError(f"{self.reference} is part of Python, and data may not call it.")


def _named(function: Any, digest: str = "") -> tuple[str, str, bool]:
    """The name, the digest, and whether importing the name gives the same object."""
    digest = digest or content_of(function).digest
    try:
        return codec.reference_to(function), digest, True
    except CodecError:
        module, name = codec.named(function)
        place = codec.alias(function) if callable(function) else ""
        if not place and (not module or not name):
            raise
        return place or f"{codec.module_name(module or '')}:{name}", digest, bool(place)


def is_legacy(digest: str) -> bool:
    """Whether a digest has the form of old journals, which compared functions by source text."""
    return len(digest) == 16


_may_import: ContextVar[bool] = ContextVar("importing", default=True)


@contextlib.contextmanager
def forbid_imports() -> Iterator[None]:
    """Forbids imports while data is read; only objects of loaded modules are found."""
    token = _may_import.set(False)
    try:
        yield
    finally:
        _may_import.reset(token)


def _is_stdlib(reference: str) -> bool:
    """Whether a reference is to Python's standard library, not to a user's file of the same name."""
    module = reference.partition(":")[0]
    if module.partition(".")[0] not in sys.stdlib_module_names or module == "__main__":
        return False
    file = getattr(loaded_module(module), "__file__", None)
    return file is None or Path(file).resolve().is_relative_to(Path(os.__file__).resolve().parent)


def import_reference(reference: str) -> Any:
    """Imports the object that `module:qualname` names; raises `CodecError` if that fails."""
    module, _, name = reference.partition(":")
    if not _may_import.get() and loaded_module(module) is None:
        raise CodecError(f"{reference} is not loaded, and reading imports nothing.\n  help: import {module} first")
    try:
        return operator.attrgetter(name)(loaded_module(module) or importlib.import_module(module))
    except (ImportError, AttributeError) as error:
        raise CodecError(f"{reference} cannot be imported: {reason(error)}.") from error


def find_loaded(reference: str) -> Any:
    """The object that `module:qualname` names if its module is loaded, else an `UnresolvedObject`."""
    module, _, name = reference.partition(":")
    try:
        return operator.attrgetter(name)(loaded_module(module))
    except AttributeError:
        return UnresolvedObject(reference)


def loaded_module(module: str) -> ModuleType | None:
    """The loaded module with a name in data; the running script is not imported a second time."""
    return sys.modules.get("__main__" if module == codec.module_name("__main__") else module)


def legacy_digest(function: Any) -> str:
    """The digest of a function in old journals: of its source text, or of its bytecode without a source."""
    try:
        source = textwrap.dedent(inspect.getsource(function)).encode()
    except (OSError, TypeError):
        code = getattr(function, "__code__", None)
        source = repr((code.co_code, code.co_names)).encode() if code else repr(function).encode()
    return hashlib.blake2b(source, digest_size=8).hexdigest()


def source_repr(item: Any) -> str:
    """`repr` with classes and functions by their name, so that the text can be evaluated."""
    if isinstance(item, (list, tuple)) and type(item) in (list, tuple):
        inner = ", ".join(map(source_repr, item))
        if isinstance(item, list):
            return f"[{inner}]"
        return f"({inner},)" if len(item) == 1 else f"({inner})"
    if type(item) is dict:
        return "{" + ", ".join(f"{source_repr(name)}: {source_repr(part)}" for name, part in item.items()) + "}"
    if isinstance(item, (FunctionRef, Literal)):
        return repr(item)
    if isinstance(item, UnresolvedObject):
        return item.reference.partition(":")[2]
    if isinstance(item, Enum):
        return f"{type(item).__qualname__}.{item.name}"
    if isinstance(item, float) and (item != item or item in (float("inf"), float("-inf"))):
        return f"float({str(item)!r})"
    qualname = getattr(item, "__qualname__", None)
    return qualname if qualname is not None else repr(item)


def whole_as_int(number: Any) -> Any:
    """A whole float as an int; any other value unchanged.

    >>> whole_as_int(81.0), whole_as_int(0.5), whole_as_int(None)
    (81, 0.5, None)
    """
    return int(number) if isinstance(number, float) and number.is_integer() and abs(number) < 1e15 else number


def format_keywords(items: Mapping[str, Any], digits: int | None = None) -> str:
    """Names and values as keywords, with floats rounded to `digits` significant digits.

    >>> format_keywords({"lr": 0.123456, "optimizer": "sgd"}, digits=3)
    "lr=0.123, optimizer='sgd'"
    """
    return ", ".join(
        f"{name}={source_repr(_round_floats(item, digits) if digits else item)}" for name, item in items.items()
    )


def _round_floats(item: Any, digits: int) -> Any:
    if type(item) is dict:
        return {name: _round_floats(part, digits) for name, part in item.items()}
    if type(item) in (list, tuple):
        return type(item)(_round_floats(part, digits) for part in item)
    return float(f"{item:.{digits}g}") if isinstance(item, float) else item


def call_repr(name: str, item: Any, positional: int = 0, usual: Any = None) -> str:
    """The call of the constructor `name` that builds the value `item`.

    The first `positional` fields have no keyword; other fields are shown only if they differ from their default,
    or from those of `usual`, where the constructor has other defaults than the class.
    """
    parts = []
    for index, field in enumerate(codec.data_fields(type(item))):
        found = getattr(item, field.name)
        if index < positional:
            parts.append(source_repr(found))
        elif field.default is attrs.NOTHING or found != (getattr(usual, field.name) if usual else field.default):
            parts.append(f"{field.name}={source_repr(found)}")
    return f"{name}({', '.join(parts)})"


def referenced_objects(item: Any) -> dict[str, Any]:
    """The live objects in a value's constants, by reference."""
    found: dict[str, Any] = {}
    _collect_objects(item, found)
    return found


def _collect_objects(item: Any, found: dict[str, Any]) -> None:
    if isinstance(item, Literal):
        _collect_from_constant(item.object, found)
    elif isinstance(item, tuple):
        for part in item:
            _collect_objects(part, found)
    else:
        for field in codec.data_fields(type(item)):
            _collect_objects(getattr(item, field.name), found)


def _collect_from_constant(item: Any, found: dict[str, Any]) -> None:
    """Collects the objects in a user's constant."""
    if isinstance(item, (list, tuple)):
        for part in item:
            _collect_from_constant(part, found)
    elif isinstance(item, dict):
        for part in item.values():
            _collect_from_constant(part, found)
    elif isinstance(item, UnresolvedObject):
        found[item.reference] = import_reference(item.reference)
    else:
        form = codec.encode(item)
        if isinstance(form, dict) and "$object" in form:
            found[form["$object"]] = item
