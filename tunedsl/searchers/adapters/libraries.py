"""What the adapters share: their spec's options, their library's presence, and a state that can be kept.

A library's object changes in place, and a searcher's state must not. So a state here is a tape of what was asked
and told, and how much of it belongs to this state; the library's object stands at the tape's end. Going on from
an older state plays its part of the tape to a new object.
"""

from __future__ import annotations

import contextlib
import importlib
import inspect
import math
import warnings
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from typing import Any, Final, Literal, Protocol

import attrs
import msgspec

from tunedsl.base import codec, keys
from tunedsl.base import references as literals
from tunedsl.base.diagnostics import Diagnostic
from tunedsl.base.errors import ArgumentError, CodecError, SpaceError
from tunedsl.base.objective import Objective
from tunedsl.base.references import import_reference, source_repr
from tunedsl.base.requirements import PackageRequirement as PackageRequirement  # adapters have it from here
from tunedsl.base.suggestions import for_keyword
from tunedsl.base.types import Config, Json
from tunedsl.searchers.contract import Answer, Observation, Proposal, Searcher, Supports, Wait, register_searcher
from tunedsl.spaces.layout import Layout, resolve_space
from tunedsl.spaces.space import Space

Options = tuple[tuple[str, literals.Literal], ...]

_MAX_PROBES: Final = 50

MAX_SEED: Final = 2**31 - 1
"""Seeds below this suit every library."""


@attrs.frozen
class LibraryContext:
    """What a library's object is made for."""

    layout: Layout
    objectives: tuple[Objective, ...]
    key: int

    @property
    def seed(self) -> int:
        """The seed for libraries, which take 31 bits."""
        return keys.key(self.key, "library") % MAX_SEED


class ExternalOptimizer(Protocol):
    """A library's object at work; its calls change it.

    One that can come to wait has a `waits()` beside these, which changes nothing: whether it can answer nothing before
    it is told of another trial.
    """

    def ask(self, trial: int) -> Proposal:
        """A proposal for a trial."""

    def tell(self, trial: int, observation: Observation) -> None:
        """What became of a trial; of one that was never asked for or adopted, nothing."""

    def force(self, trial: int, config: Config) -> None:
        """The trial runs this configuration, whatever was answered."""


@attrs.frozen
class Library:
    """One library, as its adapter gives it.

    Attributes:
        name: the function by which users write its spec.
        packages: what it needs.
        install: how to get that.
        supports: what it can take.
        start: makes its object of a spec's options and a setting.
        option_names: the names of the options that a spec may have; imports the library.
        is_isolated: whether it draws from the process's global generators.
        noisy: when it warns of what its user knows.
        validate: further faults of a spec; called where the library is installed.
        check_compatibility: `(spec, space, objectives) -> diagnostics`, what beyond `supports` does not go together.
        probe_count: by how many asks options are tried on the library ahead of the run; none where that takes a second.
    """

    name: str
    packages: tuple[PackageRequirement, ...]
    install: str
    supports: Supports
    start: Callable[[Any, LibraryContext], ExternalOptimizer]
    option_names: Callable[[Any], Collection[str]]
    is_isolated: bool = False
    noisy: Literal["", "at start", "throughout"] = ""
    validate: Callable[[Any], Sequence[Diagnostic]] = lambda spec: ()
    check_compatibility: Callable[[Any, Space, tuple[Objective, ...]], Sequence[Diagnostic]] = (
        lambda spec, space, objectives: ()
    )
    probe_count: Callable[[Any], int] = lambda spec: 2


def encode_options(constructor: str, options: Mapping[str, Any]) -> Options:
    """Options as data, sorted by name; `ArgumentError` for one that cannot be written."""
    found = []
    for name, item in sorted(options.items()):
        try:
            found.append((name, literals.Literal.of(item)))
        except CodecError as error:
            expected = "data, or something importable by its name"
            raise ArgumentError("E003", f"{constructor}.{name}", repr(item), expected, str(error)) from None
    return tuple(found)


def decode_options(options: Options) -> dict[str, Any]:
    """Options as the library wants them."""
    return {name: codec.from_json(literal.text, import_reference) for name, literal in options}


def library_call_repr(constructor: str, options: Options, **named: Any) -> str:
    """The call that makes a spec: `named` first, without those that are None."""
    parts = [f"{name}={source_repr(item)}" for name, item in named.items() if item is not None]
    return f"{constructor}({', '.join([*parts, *(f'{name}={literal!r}' for name, literal in options)])})"


def keyword_names(function: Callable[..., Any], exclude: Collection[str] = ()) -> set[str]:
    """The keywords of a function of the library, without those that the adapter sets itself."""
    kinds = (inspect.Parameter.POSITIONAL_OR_KEYWORD, inspect.Parameter.KEYWORD_ONLY)
    found = {name for name, parameter in inspect.signature(function).parameters.items() if parameter.kind in kinds}
    return found - {"self", *exclude}


def probes_until_model(spec: Any, option: str, default: int) -> int:
    """For `Library.probe_count`: so many asks that the model is at work, which begins after as many as an option says."""
    first = decode_options(spec.options).get(option, default)
    return 2 + min(first, _MAX_PROBES) if isinstance(first, int) and first >= 0 else 2


def to_loss(value: float, objective: Objective) -> float:
    """A metric's value so that smaller is better."""
    return value if objective.mode == "min" else -value


def to_losses(observation: Observation, objectives: Sequence[Objective]) -> tuple[float, ...] | None:
    """The losses of a trial; None if it failed, or one of them is missing or not finite."""
    if observation.status == "failed" or not all(map(math.isfinite, observation.values)):
        return None
    if len(objectives) == 1:
        return observation.values if objectives[0].mode == "min" else (-observation.values[0],)
    return tuple(map(to_loss, observation.values, objectives))


def register_library(spec: type, library: Library) -> None:
    """Makes `library` the searcher of a class of specs, which have `options`."""

    def validate(written: Any) -> list[Diagnostic]:
        return _diagnose_library(library, written)

    def init(written: Any, space: Space, objectives: tuple[Objective, ...], key: int) -> _LibraryState:
        return _LibraryState(_ReplayLog(library, written, LibraryContext(resolve_space(space), objectives, key)), 0)

    def check_compatibility(written: Any, space: Space, objectives: tuple[Objective, ...]) -> list[Diagnostic]:
        if _diagnose_library(library, written):
            return []  # `validate` tells of them
        return list(library.check_compatibility(written, space, objectives)) or _probe_options(
            library, written, space, objectives
        )

    searcher = Searcher(
        library.name,
        library.supports,
        init,
        _ask,
        _tell,
        force=_force,
        validate=validate,
        check_compatibility=check_compatibility,
        install=library.install,
    )
    register_searcher(spec, searcher)


def _diagnose_library(library: Library, spec: Any) -> list[Diagnostic]:
    for package in library.packages:
        problem = package.unmet_reason()
        if problem:
            return [Diagnostic("E049", "searcher", f"{spec!r}: {problem}", str(package), library.install)]
    with isolate_globals(library, 0):
        known = library.option_names(spec)
        found = [
            Diagnostic(
                "E001",
                "searcher",
                f"{library.name} has no option {name!r}",
                f"one of {', '.join(sorted(known))}" if known else "no options",
                for_keyword(library.name, name, known),
            )
            for name, _ in spec.options
            if name not in known
        ]
        return found or list(library.validate(spec))


def _probe_options(library: Library, spec: Any, space: Space, objectives: tuple[Objective, ...]) -> list[Diagnostic]:
    """What the library says to options when it is made, asked and told."""
    probes = library.probe_count(spec) if spec.options else 0
    if not probes:
        return []
    context = LibraryContext(resolve_space(space), objectives, 0)
    try:
        with isolate_globals(library, 0):
            live = library.start(spec, context)
            if not context.layout.constraints:  # with some it may be asked a hundred times
                for trial in range(probes):
                    live.ask(trial)
                    live.tell(trial, Observation("done", 1, (0.5 + trial,) * len(objectives)))
    except SpaceError:
        return []  # a function of the user's fails: that is told of where it stands
    except Exception as error:
        said = f"{type(error).__name__}: {error}".partition("\n")[0]
        return [Diagnostic("E080", "searcher", f"{spec!r}: {said}", f"options that {library.name} can start with")]
    return []


@contextlib.contextmanager
def isolate_globals(library: Library, key: int) -> Iterator[None]:
    """Keeps a library's global draws and its warnings to itself."""
    with contextlib.ExitStack() as stack:
        if library.is_isolated:
            if any(package.module == "torch" for package in library.packages):
                importlib.import_module("torch")  # a fence is round what is loaded
            stack.enter_context(keys.seeded_globals(key))
        if library.noisy:
            stack.enter_context(warnings.catch_warnings())
            warnings.simplefilter("ignore")
        yield


class _ReplayLog:
    """A library's object and the moves that brought it to where it stands: function's name, trial, what it is given."""

    __slots__ = ("context", "library", "moves", "optimizer", "quiet", "spec", "waits")

    def __init__(self, library: Library, spec: Any, context: LibraryContext) -> None:
        self.library = library
        self.spec = spec
        self.context = context
        self.moves: list[tuple[Literal["ask", "tell", "force"], int, Any]] = []
        self.quiet = not library.is_isolated and library.noisy != "throughout"
        with isolate_globals(library, context.seed):
            self.optimizer = library.start(spec, context)
        self.waits: Callable[[], bool] | None = getattr(self.optimizer, "waits", None)

    def ask(self, trial: int) -> Proposal:
        """One move: a proposal for a trial."""
        self.moves.append(("ask", trial, None))
        if self.quiet:
            return self.optimizer.ask(trial)
        with isolate_globals(self.library, self.context.key + len(self.moves) - 1):
            return self.optimizer.ask(trial)

    def apply(self, method: Literal["tell", "force"], trial: int, argument: Any) -> None:
        """One move: what became of a trial, or the configuration that it runs."""
        self.moves.append((method, trial, argument))
        act = self.optimizer.tell if method == "tell" else self.optimizer.force
        if self.quiet:
            act(trial, argument)
            return
        with isolate_globals(self.library, self.context.key + len(self.moves) - 1):
            act(trial, argument)

    def replay(self, length: int) -> _ReplayLog:
        """A new tape of the first moves."""
        log = _ReplayLog(self.library, self.spec, self.context)
        for verb, trial, what in self.moves[:length]:
            if verb == "ask":
                log.ask(trial)
            else:
                log.apply(verb, trial, what)
        return log


class _LibraryState(msgspec.Struct, frozen=True, eq=False):
    """The first moves of a tape."""

    log: _ReplayLog
    length: int


def _ask(spec: Any, state: _LibraryState, trial: int, key: int) -> tuple[_LibraryState, Answer]:
    log, length = state.log, state.length
    if len(log.moves) != length:
        log = log.replay(length)
    if log.waits is not None and log.waits():
        return state, Wait()
    proposal = log.ask(trial)
    return _LibraryState(log, length + 1), proposal


def _tell(spec: Any, state: _LibraryState, trial: int, observation: Observation) -> _LibraryState:
    return _apply(state, "tell", trial, observation)


def _force(spec: Any, state: _LibraryState, trial: int, config: Json, key: int) -> _LibraryState:
    return _apply(state, "force", trial, codec.decode(config))


def _apply(state: _LibraryState, method: Literal["tell", "force"], trial: int, argument: Any) -> _LibraryState:
    log, length = state.log, state.length
    if len(log.moves) != length:
        log = log.replay(length)
    log.apply(method, trial, argument)
    return _LibraryState(log, length + 1)
