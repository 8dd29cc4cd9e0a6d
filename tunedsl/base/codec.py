"""Writes values as canonical JSON, reads them back, and computes their digests.

Reading calls only the constructors of registered values, and imports only this package's modules from
`register_lazy_values`.
Forms beyond plain JSON are objects with one key that begins with `$`:
`$tuple`, `$set`, `$frozenset`, `$map` (any other dict), `$float` (nan, inf, -inf), `$object` (named by reference),
`$value` (a registered frozen class), and those of `standard_types` (`$datetime`, `$bytes`, ...).
"""

from __future__ import annotations

import functools
import hashlib
import importlib
import math
import operator
import sys
import types
from collections.abc import Callable, Mapping
from enum import Enum
from pathlib import Path
from typing import Any, TypeVar, dataclass_transform, overload

import attrs
import msgspec
import numpy as np

from tunedsl.base import standard_types
from tunedsl.base.diagnostics import reason
from tunedsl.base.errors import CodecError
from tunedsl.base.types import Json

C = TypeVar("C", bound=type)

_value_classes: dict[str, type] = {}
_tags: dict[type, str] = {}
"""The tags of the classes whose tag is not their name."""
_modules_of_tags: dict[str, str] = {}
_encode_json = msgspec.json.Encoder(order="sorted").encode
_SCALARS = frozenset((bool, int, str, type(None)))  # the fast path for configurations


@overload
@dataclass_transform(frozen_default=True, field_specifiers=(attrs.field,))
def value(cls: C) -> C: ...
@overload
@dataclass_transform(frozen_default=True, field_specifiers=(attrs.field,))
def value(*, tag: str | None = None, eq: bool | None = None, repr: bool | None = None) -> Callable[[C], C]: ...
def value(cls: Any = None, *, tag: str | None = None, eq: bool | None = None, repr: bool | None = None) -> Any:
    """Makes a class a frozen attrs value that the codec can write and read by its fields.

    Fields with `metadata={"live": True}` are neither written nor compared. Classes of this
    package are tagged by their name, those of users by module and name. `tag` is the name in
    data of a class that was renamed. `eq=False` and `repr=False` keep the comparison, hash and
    repr that the class inherits.
    """
    if cls is None:
        return functools.partial(value, tag=tag, eq=eq, repr=repr)
    frozen = attrs.frozen(cls, eq=eq, repr=repr)  # type: ignore[arg-type]  # None: as attrs finds
    if tag is not None:
        _tags[frozen] = tag
    _value_classes[_tag(frozen)] = frozen
    return frozen


def register_lazy_values(module: str, *tags: str) -> None:
    """Registers a module of this package that defines values; reading one of their tags imports it."""
    _modules_of_tags.update(dict.fromkeys(tags, module))


def transient_field(default: Any = None) -> Any:
    """A field for objects that are not data, such as functions: outside equality and the codec."""
    return attrs.field(default=default, eq=False, repr=False, metadata={"live": True})


def omit_default_field(default: Any) -> Any:
    """A field that was added later: data omits it if it has its default value.

    So data from before the field existed keeps its meaning and its digest.
    """
    return attrs.field(default=default, metadata={"later": True})


def _tag(cls: type) -> str:
    if cls in _tags:
        return _tags[cls]
    own = cls.__module__.startswith("tunedsl.")
    return cls.__qualname__ if own else f"{module_name(cls.__module__)}:{cls.__qualname__}"


def module_name(module: str) -> str:
    """The name of a module in data; for the running script, the name of its file.

    So `python digits.py` and `import digits` use the same names.
    """
    if module != "__main__":
        return module
    main = sys.modules.get("__main__")
    spec, file = getattr(main, "__spec__", None), getattr(main, "__file__", None)
    if spec is not None:
        return str(spec.name)  # python -m package.module
    return Path(file).stem if file else module


def data_fields(cls: type) -> tuple[attrs.Attribute[Any], ...]:
    """The data fields of a value class; any other class has none."""
    return _data_fields(cls)


@functools.lru_cache(maxsize=1024)
def _data_fields(cls: type) -> tuple[attrs.Attribute[Any], ...]:
    return tuple(field for field in attrs.fields(cls) if not field.metadata.get("live")) if attrs.has(cls) else ()


def encode(item: Any) -> Json:
    """`item` as plain JSON data.

    Raises:
        CodecError: for an object that is neither data nor has an importable name.
    """
    kind = type(item)
    if kind in _SCALARS or (kind is float and math.isfinite(item)):
        return item
    if kind is dict:
        plain = {}
        for name, part in item.items():
            if type(name) is not str or name[:1] == "$":
                break
            kind = type(part)
            plain[name] = part if kind in _SCALARS or (kind is float and math.isfinite(part)) else encode(part)
        else:
            return plain
    if isinstance(item, Enum):  # also members that are text or numbers, so that they are read back as members
        return {"$object": reference_to(item)}
    if isinstance(item, (np.generic, str, int, float)):
        found = standard_types.scalar(item)
        if isinstance(found, float) and not math.isfinite(found):
            return {"$float": repr(found)}
        return found if type(found) in _SCALARS or type(found) is float else encode(found)
    if isinstance(item, list):
        return [encode(part) for part in item]
    if isinstance(item, tuple):
        return {"$tuple": [encode(part) for part in item]}
    if isinstance(item, (set, frozenset)):
        parts = sorted(map(encode, item), key=_encode_json)
        return {"$frozenset" if isinstance(item, frozenset) else "$set": parts}
    if isinstance(item, Mapping):
        if all(isinstance(name, str) and not name.startswith("$") for name in item):
            return {str.__str__(name): encode(part) for name, part in item.items()}
        return {"$map": [[encode(name), encode(part)] for name, part in item.items()]}
    if isinstance(item, UnresolvedObject):
        return {"$object": item.reference}
    if _value_classes.get(_tag(type(item))) is type(item):
        fields = {
            field.name: encode(found)
            for field in data_fields(type(item))
            if (found := getattr(item, field.name)) != field.default or not field.metadata.get("later")
        }
        return {"$value": [_tag(type(item)), fields]}
    return standard_types.write(item) or {"$object": reference_to(item)}


def decode(data: Json, resolve: Callable[[str], Any] | None = None) -> Any:
    """The value that `data` was written from.

    Args:
        data: JSON data from `encode`.
        resolve: returns the live object of a reference; without it, an `UnresolvedObject` replaces the object.

    Raises:
        CodecError: for an unknown form or class.
    """
    if isinstance(data, list):
        return [decode(part, resolve) for part in data]
    if not isinstance(data, dict):
        return data
    if len(data) != 1 or not next(iter(data)).startswith("$"):
        return {name: decode(part, resolve) for name, part in data.items()}
    ((form, body),) = data.items()
    try:
        if form == "$tuple":
            return tuple(decode(part, resolve) for part in body)
        if form in ("$set", "$frozenset"):
            return (set if form == "$set" else frozenset)(decode(part, resolve) for part in body)
        if form == "$map":
            return {decode(name, resolve): decode(part, resolve) for name, part in body}
        if form == "$float":
            return {"nan": math.nan, "inf": math.inf, "-inf": -math.inf}[body]
        if form == "$object":
            return resolve(body) if resolve else UnresolvedObject(body)
        if form == "$value":
            tag, fields = body
            if tag not in _value_classes and tag in _modules_of_tags:
                importlib.import_module(_modules_of_tags[tag])
            if tag not in _value_classes:
                raise CodecError(f"The class {tag!r} is unknown.\n  help: import the module that defines it")
            return _value_classes[tag](**{name.lstrip("_"): decode(part, resolve) for name, part in fields.items()})
        if standard_types.is_form(form):
            return standard_types.read(form, body)
    except CodecError:
        raise
    except Exception as error:
        raise CodecError(f"The data has a malformed {form}: {reason(error)}.") from error
    raise CodecError(f"The data has the unknown form {form!r}.")


def unknown_tags(data: Json) -> list[str]:
    """The tags in `data` without a registered class, since their module is not imported."""
    if isinstance(data, dict):
        tag = data["$value"][0] if list(data) == ["$value"] else None
        own = [] if tag is None or tag in _value_classes or tag in _modules_of_tags else [tag]
        return own + [tag for part in data.values() for tag in unknown_tags(part)]
    return [tag for part in data for tag in unknown_tags(part)] if isinstance(data, list) else []


@attrs.frozen
class UnresolvedObject:
    """Replaces a live object that data names by reference (`module:qualname`)."""

    reference: str


def reference_to(item: Any) -> str:
    """`module:qualname` of a class, function, enum member or module-level object.

    Raises:
        CodecError: if no importable name refers to this object.
    """
    module, name = named(item)
    if not module or not name:
        if not (callable(item) and (hasattr(item, "__name__") or isinstance(item, functools.partial))):
            raise CodecError(f"{item!r:.120} ({type(item).__name__}) is not data and has no importable name.")
    elif leads_back(module, name, item):
        return f"{module_name(module)}:{name}"
    found = alias(item)
    if not found:
        raise CodecError(f"{item!r} cannot be written as data: {name or 'no name'} does not lead back to this object.")
    return found


def named(item: Any) -> tuple[str | None, str | None]:
    """The module and the qualified name of an object, by its attributes."""
    module, name = getattr(item, "__module__", None), getattr(item, "__qualname__", None)
    if hasattr(type(item), "__members__") and name is None:
        module, name = type(item).__module__, f"{type(item).__qualname__}.{item.name}"
    text = isinstance(module, str) and isinstance(name, str)
    return (module, name) if text else (None, None)


def leads_back(module: str | None, name: str | None, item: Any) -> bool:
    """Whether a name in a loaded module refers to this object."""
    try:
        found = operator.attrgetter(name or "")(sys.modules[module or ""])
    except Exception:  # a module may define its own lookup of names
        return False
    return _is_same(found, item)


def _is_same(found: Any, item: Any) -> bool:
    """Whether two lookups found the same object; each lookup of a method creates another one."""
    if found is item:
        return True
    bound = isinstance(item, (types.MethodType, types.BuiltinMethodType)) and type(found) is type(item)
    return bound and found.__self__ is item.__self__ and bool(found == item)


def alias(item: Any) -> str:
    """Another name that refers to this object; empty if none is found.

    It searches the running script, and the modules of the object, of a partial's function, of a decorated function and
    of a method's object.
    """
    owner = item.__self__ if isinstance(item, (types.MethodType, types.BuiltinMethodType)) else None
    inner = item.func if isinstance(item, functools.partial) else getattr(item, "__wrapped__", None)
    components = [part for part in (item, inner, owner) if part is not None]
    modules = [getattr(each, "__module__", None) for part in components for each in (part, type(part))]
    for module in dict.fromkeys([*(each for each in modules if isinstance(each, str)), "__main__"]):
        for name, found in list(vars(sys.modules.get(module) or object).items()):
            if name.isidentifier() and _is_same(found, item):
                return f"{module_name(module)}:{name}"
    if not isinstance(item, types.MethodType):
        return ""
    place = alias(owner)
    return f"{place}.{item.__name__}" if place and getattr(owner, item.__name__, None) == item else ""


def to_json(item: Any) -> str:
    """The canonical JSON text of a value: keys sorted, no spaces."""
    return _encode_json(encode(item)).decode()


def from_json(source: str | bytes, resolve: Callable[[str], Any] | None = None) -> Any:
    """The value that `to_json` wrote."""
    try:
        data = msgspec.json.decode(source)
    except (msgspec.DecodeError, RecursionError) as error:
        raise CodecError(f"The text is not JSON: {reason(error)}.") from error
    try:
        return decode(data, resolve)
    except RecursionError as error:
        raise CodecError("The data is nested too deeply.") from error


def digest(item: Any) -> str:
    """32 hex digits that are equal exactly for equal data, in any process."""
    return hashlib.blake2b(_encode_json(encode(item)), digest_size=16).hexdigest()
