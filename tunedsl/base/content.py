"""Digests of objects by content: data, functions with their closures, classes, instances.

Equal content has an equal digest in every process. Objects that are not data, such as a lock, an open file or a
generator, have no content: the digest then ends in `~` and a token that is unique to the object and the process.
"""

from __future__ import annotations

import copyreg
import enum
import functools
import hashlib
import marshal
import os
import secrets
import sys
import types
import weakref
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import attrs
import numpy as np

from tunedsl.base.codec import alias, leads_back, module_name, named
from tunedsl.base.sources import changed_in, form_of_code, mixed

_SCALARS: Final = frozenset((bool, int, float, complex, str, bytes, type(None), type(...)))
_DESCRIPTORS: Final = (
    types.MemberDescriptorType, types.GetSetDescriptorType, types.WrapperDescriptorType, types.MethodDescriptorType,
    types.ClassMethodDescriptorType,
)  # fmt: skip
_IGNORED_ATTRIBUTES: Final = frozenset(
    (
        "__module__", "__qualname__", "__doc__", "__dict__", "__weakref__", "__annotations__", "__annotate__",
        "__annotate_func__", "__annotations_cache__", "__firstlineno__", "__static_attributes__", "__classcell__",
        "__classdictcell__", "__abstractmethods__", "_abc_impl", "__dataclass_fields__", "__dataclass_params__",
        "__attrs_attrs__", "__attrs_own_setattr__", "__attrs_props__", "__parameters__", "__orig_bases__",
    )
)  # fmt: skip
"""Attributes of classes that do not affect behaviour, or follow from other attributes."""
_GENERATED: Final = frozenset(
    (
        "__init__", "__repr__", "__eq__", "__ne__", "__lt__", "__le__", "__gt__", "__ge__", "__hash__", "__setattr__",
        "__delattr__", "__replace__", "__getstate__", "__setstate__",
    )
)  # fmt: skip
"""Methods that `dataclass` and `attrs` generate from the fields."""

_ARROW: Final = {("pyarrow.lib", name) for name in ("Table", "RecordBatch", "ChunkedArray", "Array")}
_ARROW_ROWS: Final = 2**16
"""Rows of an Arrow table that are digested at a time, so that at most these are copied."""


@attrs.frozen
class Content:
    """The content of an object.

    Attributes:
        digest: 32 hex digits, followed by `~` and a token if some part cannot be compared.
        opaque: these parts, as path and type.
        functions: the user's functions in it, whose globals matter too.
    """

    digest: str
    opaque: tuple[str, ...] = ()
    functions: tuple[types.FunctionType, ...] = ()


def content_of(item: Any, name: str = "") -> Content:
    """The content of an object; `name` is the start of the paths of opaque parts."""
    walk = _Walk()
    try:
        found = walk.named(name, item) if name else walk.of(item)
    except RecursionError:
        found = walk.opaque(item)
    token = f"~{mixed('tokens', *map(_token, walk.held)).hex()[:16]}" if walk.held else ""
    return Content(f"{found.hex()}{token}", tuple(walk.paths), tuple(walk.functions))


def same_content(one: str, other: str) -> bool | None:
    """Whether two digests are of equal content; None if unknown."""
    if one == other:
        return True
    return None if "~" in one and "~" in other and one.partition("~")[0] == other.partition("~")[0] else False


class _Walk:
    """One pass over an object that digests each part once."""

    def __init__(self) -> None:
        self.held: list[Any] = []
        self.paths: list[str] = []
        self.functions: list[types.FunctionType] = []
        self._path: list[str] = []
        self._known: dict[int, bytes] = {}
        self._kept: list[Any] = []  # keeps the object alive, so that its id is not reused

    def named(self, name: str, item: Any) -> bytes:
        self._path.append(name)
        try:
            return self.of(item)
        finally:
            self._path.pop()

    def of(self, item: Any) -> bytes:
        kind = type(item)
        if kind in _SCALARS:
            return _scalar(item)
        known = self._known.get(id(item))
        if known is not None:
            return known
        self._kept.append(item)
        self._known[id(item)] = mixed("cycle", str(len(self._path)).encode())
        held, paths = len(self.held), len(self.paths)
        try:
            found = self._compound(item)
        except RecursionError:
            raise
        except Exception:  # a user's object may raise anything
            del self.held[held:], self.paths[paths:]
            found = self.opaque(item)
        self._known[id(item)] = found
        return found

    def all(self, items: Any) -> list[bytes]:
        return [self.of(part) for part in items]

    def opaque(self, item: Any) -> bytes:
        self.held.append(item)
        where = ".".join(filter(None, self._path))
        kind = f"{type(item).__module__}.{type(item).__qualname__}".removeprefix("builtins.")
        self.paths.append(f"{where} ({kind})" if where else kind)
        return mixed("opaque", kind.encode())

    def _compound(self, item: Any) -> bytes:
        kind = type(item)
        if kind in (list, tuple):
            plain = _SCALARS.issuperset(map(type, item))
            return mixed(kind.__name__, marshal.dumps(item, 2)) if plain else mixed(kind.__name__, *self.all(item))
        if kind in (dict, types.MappingProxyType):
            pairs = [mixed("pair", self.of(name), self.named(_shown(name), part)) for name, part in item.items()]
            return mixed("dict", *sorted(pairs))
        if kind in (set, frozenset):
            return mixed(kind.__name__, *sorted(self.all(item)))
        if isinstance(item, np.ndarray) and (kind is np.ndarray or kind is np.memmap):
            return self._array(item)
        if isinstance(item, np.generic):
            return mixed("number", repr(item.dtype).encode(), item.tobytes())
        if isinstance(item, type):
            return self._class(item)
        if isinstance(item, enum.Enum):
            return mixed("enum", self.of(kind), str(item.name).encode(), self.of(item.value))
        if isinstance(item, types.ModuleType):
            return mixed("module", item.__name__.encode())
        if kind.__module__.partition(".")[0] == "ray":
            return self.opaque(item)  # pickling handles of a cluster has side effects
        if kind.__module__.partition(".")[0] == "pandas" and hasattr(item, "index") and hasattr(item, "dtypes"):
            return self._frame(item)
        if any((base.__module__, base.__name__) in _ARROW for base in kind.__mro__):
            return _arrow(item)
        if any(base.__module__ == "torch" and base.__name__ == "Tensor" for base in kind.__mro__):
            return _tensor(item)
        return self._called(item)

    def _called(self, item: Any) -> bytes:
        """Functions and objects built from them, then all other objects."""
        match item:
            case types.FunctionType():
                return self._function(item)
            case types.MethodType() | types.BuiltinMethodType() if place := _place_in_library(item):
                return mixed("named", place.encode())
            case types.MethodType():
                return mixed("method", self.named("__self__", item.__self__), self.of(item.__func__))
            case functools.partial():
                return mixed("partial", self.of(item.func), self.of(item.args), self.named("partial", item.keywords))
            case staticmethod() | classmethod():
                return mixed(type(item).__name__, self.of(item.__func__))
            case property():
                return mixed("property", *self.all((item.fget, item.fset, item.fdel)))
            case types.BuiltinFunctionType() | types.MethodWrapperType():
                owner = item.__self__
                own = b"" if owner is None or isinstance(owner, types.ModuleType) else self.of(owner)
                return mixed("builtin", f"{item.__module__}:{item.__qualname__}".encode(), own)
            case types.CodeType():
                return form_of_code(item)
        if isinstance(item, _DESCRIPTORS):
            return mixed("descriptor", item.__qualname__.encode())
        if isinstance(item, functools.cached_property):
            return mixed("property", self.of(item.func))
        wrapped = getattr(item, "__wrapped__", None) if callable(item) else None
        return self._instance(item) if wrapped is None else mixed("wrapping", _kind(item), self.of(wrapped))

    def _function(self, function: types.FunctionType) -> bytes:
        code = function.__code__
        if is_of_library(function):
            return mixed("named", _name_of(function))
        registry = getattr(function, "registry", None)
        if isinstance(registry, types.MappingProxyType) and code.co_filename == functools.__file__:
            return mixed("dispatch", self.of(registry))  # of `singledispatch`, which has caches
        self.functions.append(function)
        changed = changed_in(code) if function.__closure__ else frozenset()
        cells = []
        for name, cell in zip(code.co_freevars, function.__closure__ or (), strict=True):
            try:
                held = cell.cell_contents
            except ValueError:  # a name that has no value yet
                cells.append(mixed("empty"))
                continue
            cells.append(mixed("state", _kind(held)) if name in changed else self.named(name, held))
        defaults = self.named("default", (function.__defaults__, function.__kwdefaults__))
        return mixed("function", form_of_code(code), defaults, *cells)

    def _class(self, cls: type) -> bytes:
        if is_of_library(cls):
            return mixed("named", _kind_of(cls))
        fields: Any = vars(cls).get("__dataclass_fields__") or {}
        listed = [*(fields.values() if isinstance(fields, dict) else ()), *vars(cls).get("__attrs_attrs__", ())]
        parts = [self.all(cls.__bases__), self.all(vars(cls).get("__annotations__", ()))]
        described = ("name", "default", "default_factory", "validator", "converter")
        parts.append(self.all([getattr(each, name, None) for name in described] for each in listed))
        methods = (getattr(held, "__func__", held) for held in vars(cls).values())
        codes = [each.__code__ for each in methods if isinstance(each, types.FunctionType)]
        changed: frozenset[str] = frozenset().union(*map(changed_in, codes))
        for name, held in sorted(vars(cls).items()):
            generated = bool(listed) and name in _GENERATED and _is_generated(held)
            is_relevant = name not in _IGNORED_ATTRIBUTES and not (name.startswith("__pydantic") or generated)
            if is_relevant and not isinstance(held, _DESCRIPTORS):
                parts.append([name.encode(), mixed("state") if name in changed else self.named(name, held)])
        return mixed("class", cls.__name__.encode(), *(mixed("part", *part) for part in parts))

    def _instance(self, item: Any) -> bytes:
        """The state of an object that pickle would write."""
        reducer: Any = copyreg.dispatch_table.get(type(item))
        form = reducer(item) if reducer is not None else item.__reduce_ex__(4)
        if isinstance(form, str):
            return mixed("global", f"{getattr(item, '__module__', '')}:{form}".encode())
        constructor, arguments, state, items, pairs = (*form, None, None, None)[:5]
        inside = [mixed("pair", *self.all(pair)) for pair in pairs or ()]
        return mixed("object", *self.all((constructor, arguments, state, list(items or ()))), *sorted(inside))

    def _array(self, item: np.ndarray[Any, Any]) -> bytes:
        described = f"{item.dtype!r} {item.shape}".encode()
        if item.dtype.hasobject:
            return mixed("objects", described, *self.all(item.ravel().tolist()))
        flat = np.ascontiguousarray(item).reshape(-1)
        return mixed("array", described, flat.view(np.uint8).data if flat.nbytes else b"")

    def _frame(self, item: Any) -> bytes:
        """A pandas frame or series: its axes, types and columns."""
        hashed = sys.modules["pandas"].util.hash_pandas_object
        columns = [item.iloc[:, at] for at in range(item.shape[1])] if item.ndim == 2 else [item]
        labels = list(item.columns) if item.ndim == 2 else item.name
        axes = [_kind(item), *self.all((labels, list(item.index.names), hashed(item.index).to_numpy()))]
        for column in columns:
            numeric = isinstance(column.dtype, np.dtype) and column.dtype.kind in "biufcmM"
            found = column.to_numpy() if numeric else None
            if found is None:
                try:
                    found = hashed(column, index=False).to_numpy()
                except TypeError:  # unhashable objects
                    found = list(column)
            axes += [str(column.dtype).encode(), self.of(found)]
        return mixed("frame", *axes)


def _arrow(item: Any) -> bytes:
    """An Arrow table or array: its schema and rows, however they are divided into chunks or sliced."""
    arrow = sys.modules["pyarrow"]
    if isinstance(item, arrow.RecordBatch):
        table = arrow.Table.from_batches([item])
    else:
        table = item if isinstance(item, arrow.Table) else arrow.table({"": item})
    state = hashlib.blake2b(digest_size=16)
    for start in range(0, table.num_rows, _ARROW_ROWS):
        part = table.slice(start, _ARROW_ROWS)
        part = part.take(np.arange(part.num_rows)).combine_chunks()  # new arrays, without the offsets of slices
        for batch in part.to_batches():
            state.update(batch.serialize())
    return mixed("arrow", _kind(item), table.schema.serialize(), state.digest())


def _scalar(item: Any) -> bytes:
    kind = type(item)
    if kind is str:
        return mixed("str", item.encode("utf-8", "surrogatepass"))
    return mixed(kind.__name__, item if kind is bytes else repr(item).encode())


def _tensor(item: Any) -> bytes:
    flat = item.detach().cpu().contiguous().reshape(-1)
    data = flat.view(sys.modules["torch"].uint8).numpy()
    return mixed("tensor", f"{item.dtype} {tuple(item.shape)}".encode(), data.data if data.nbytes else b"")


def _kind(item: Any) -> bytes:
    return _kind_of(type(item))


def _kind_of(cls: type) -> bytes:
    return _name_of(cls)


def _name_of(item: Any) -> bytes:
    """The module and name of a class or function; only the name for this package, whose modules may move."""
    own = item.__module__.partition(".")[0] == "tunedsl"
    return f"{'tunedsl' if own else item.__module__}:{item.__qualname__}".encode()


def _shown(name: Any) -> str:
    return name if isinstance(name, str) else repr(name)[:40]


def _is_generated(held: Any) -> bool:
    """Whether a method was generated, so that no file has its source."""
    return isinstance(held, types.FunctionType) and held.__code__.co_filename.startswith("<")


# Code of users and of libraries

_OWN: Final = frozenset(("tunedsl", "attr", "attrs", "numpy", "ray", "cloudpickle"))


@functools.cache
def _library() -> tuple[str, ...]:
    return tuple({os.path.realpath(Path(os.__file__).parent), str(Path(os.__file__).parent)})


def is_library_file(file: str) -> bool:
    """Whether a file is part of Python or of an installed package."""
    parts = Path(file).parts
    return "site-packages" in parts or "dist-packages" in parts or file.startswith(_library())


def is_of_user(module: str | None) -> bool:
    """Whether a loaded module is the user's code, not part of Python, this package or an installed package."""
    top = (module or "").partition(".")[0]
    if top == "__main__":
        return True
    found = sys.modules.get(module or "")
    if found is None or top in _OWN:
        return False
    file = getattr(found, "__file__", None)
    if file is None:
        return top not in sys.stdlib_module_names and getattr(found, "__spec__", None) is None
    return not is_library_file(file)


def is_of_library(item: Any) -> bool:
    """Whether this is a function or class of an installed package, so that its name identifies it."""
    kind = type(item)  # `type` also works for proxies
    if issubclass(kind, (types.MethodType, types.BuiltinMethodType)) and _place_in_library(item):
        return True
    kinds = (type, types.FunctionType, types.BuiltinFunctionType)
    return issubclass(kind, kinds) and not is_of_user(item.__module__) and leads_back(*named(item), item)


def _place_in_library(method: Any) -> str:
    """The name of a bound method in its package, such as `random.uniform`; empty for other methods."""
    place = alias(method)
    module = place.partition(":")[0]
    return "" if is_of_user(module) or module == module_name("__main__") else place


# Objects without content

_tokens: dict[int, tuple[Callable[[], Any], bytes]] = {}


def _token(item: Any) -> bytes:
    """A token that is unique to one object in this process, also after the object is deleted."""
    known = _tokens.get(id(item))
    if known is not None and known[0]() is item:
        return known[1]
    token, key = secrets.token_bytes(8), id(item)
    try:
        alive: Callable[[], Any] = weakref.ref(item, lambda _: _tokens.pop(key, None))
    except TypeError:  # keeps the object alive, so that its id is not reused
        alive = functools.partial(_itself, item)
    _tokens[key] = alive, token
    return token


def _itself(item: Any) -> Any:
    return item
