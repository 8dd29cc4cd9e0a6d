"""The base of the adapters of other libraries: specs with options, checks of the library, and states that can be kept.

A library's optimizer changes in place, but a searcher's state must not. So a state is a log of calls and the number of
calls that belong to the state; the optimizer has made all calls of the log. To continue from an older state, its part
of the log is replayed on a new optimizer.
"""

from __future__ import annotations

import contextlib
import importlib
import inspect
import math
import operator
import warnings
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from typing import Any, Final, Literal, Protocol

import attrs
import msgspec

from tunedsl.base import codec, keys
from tunedsl.base import references as literals
from tunedsl.base.diagnostics import Diagnostic, reason, shorten
from tunedsl.base.errors import ArgumentError, CodecError, SpaceError, wrong_value
from tunedsl.base.names import did_you_mean
from tunedsl.base.objective import Objective
from tunedsl.base.references import import_reference, source_repr
from tunedsl.base.requirements import PackageRequirement as PackageRequirement  # adapters have it from here
from tunedsl.base.suggestions import for_keyword
from tunedsl.base.types import Config, Json
from tunedsl.searchers.contract import (
    Answer,
    CheckCompatibility,
    Observation,
    Proposal,
    Searcher,
    Supports,
    Validate,
    Wait,
    register_searcher,
)
from tunedsl.spaces.layout import Layout, resolve_space
from tunedsl.spaces.space import Space

Options = tuple[tuple[str, literals.Literal], ...]

_MAX_PROBES: Final = 50

MAX_SEED: Final = 2**31 - 1
"""Seeds below this limit are valid for every library."""


class LibrarySpec:
    """The base of the specs of libraries' searchers: its repr is the call that writes the spec.

    The function is named as the class, in lower case. The last field is `options`.
    """

    __slots__ = ()

    options: Options

    def __repr__(self) -> str:
        names = [field.name for field in codec.data_fields(type(self)) if field.name != "options"]
        parts = [f"{name}={source_repr(getattr(self, name))}" for name in names]
        parts += [f"{name}={literal!r}" for name, literal in self.options]
        return f"{type(self).__name__.lower()}({', '.join(parts)})"


@attrs.frozen
class LibraryContext:
    """What a library optimizes."""

    layout: Layout
    objectives: tuple[Objective, ...]
    key: int

    @property
    def seed(self) -> int:
        """The seed for libraries, which take 31 bits."""
        return keys.key(self.key, "library") % MAX_SEED


class ExternalOptimizer(Protocol):
    """A library's optimizer; its calls change it. Adapters inherit from this class."""

    def ask(self, trial: int) -> Proposal:
        """A proposal for a trial."""
        ...

    def tell(self, trial: int, observation: Observation) -> None:
        """Learns the result of a trial; ignores trials that it neither proposed nor was forced to run."""
        ...

    def force(self, trial: int, config: Config) -> None:
        """Records that the trial runs this configuration instead of the proposed one."""
        ...

    def waits(self) -> bool:
        """Whether it cannot propose before the next `tell`; changes nothing."""
        return False


class StartOptimizer(Protocol):
    """Makes the optimizer for a spec."""

    def __call__(self, spec: Any, context: LibraryContext, /) -> ExternalOptimizer: ...


class OptionNames(Protocol):
    """Returns the names of the options that a spec may have; may import the library."""

    def __call__(self, spec: Any, /) -> Collection[str]: ...


class ProbeCount(Protocol):
    """Returns how many asks are needed to try a spec's options before the run; 0 if that takes a second or more."""

    def __call__(self, spec: Any, /) -> int: ...


@attrs.frozen
class Library:
    """A library as its adapter describes it.

    Attributes:
        name: the function with which users write its spec.
        packages: the packages that it needs.
        install: the command that installs them.
        supports: what it can handle.
        start: makes its optimizer.
        option_names: returns the names of valid options.
        is_isolated: whether it draws from the process's global generators.
        noisy: when it prints warnings that its user cannot act on.
        validate: returns further diagnostics of a spec; called only where the library is installed.
        check_compatibility: returns what of a space and objectives it cannot handle, beyond `supports`.
        probe_count: returns the number of asks that try the options before the run.
    """

    name: str
    packages: tuple[PackageRequirement, ...]
    install: str
    supports: Supports
    start: StartOptimizer
    option_names: OptionNames = lambda spec: ()
    is_isolated: bool = False
    noisy: Literal["", "at start", "throughout"] = ""
    validate: Validate = lambda spec: ()
    check_compatibility: CheckCompatibility = lambda spec, space, objectives: ()
    probe_count: ProbeCount = lambda spec: 2


def encode_options(constructor: str, options: Mapping[str, Any]) -> Options:
    """Options as data, sorted by name.

    Raises:
        ArgumentError: for an option that is not data.
    """
    encoded = []
    for name, item in sorted(options.items()):
        try:
            encoded.append((name, literals.Literal.of(item)))
        except CodecError as error:
            subject = f"{constructor}.{name}"
            message = f"The plan cannot store {subject}: {reason(error)}."
            raise ArgumentError(
                "E003", subject, message, "pass data, or a function or class that can be imported"
            ) from None
    return tuple(encoded)


def as_option(subject: str, item: Any, options: Collection[str]) -> str:
    """`item` if it is one of the words, else `ArgumentError` with the nearest one."""
    if item not in options:
        expected, hint = f"one of {', '.join(options)}", did_you_mean(str(item), options)
        raise wrong_value(subject, item, expected, hint)
    return str(item)


def decode_options(options: Options) -> dict[str, Any]:
    """Options as live values."""
    return {name: codec.from_json(literal.text, import_reference) for name, literal in options}


def keyword_names(function: Callable[..., Any], exclude: Collection[str] = ()) -> set[str]:
    """The keywords of a library's function, without those that the adapter sets itself."""
    kinds = (inspect.Parameter.POSITIONAL_OR_KEYWORD, inspect.Parameter.KEYWORD_ONLY)
    parameters = inspect.signature(function).parameters.items()
    return {name for name, parameter in parameters if parameter.kind in kinds} - {"self", *exclude}


def options_of(reference: str, *exclude: str) -> OptionNames:
    """For `Library.option_names`: the keywords of the function `module:name`, which is imported when first needed."""

    def option_names(spec: Any) -> set[str]:
        module, _, name = reference.partition(":")
        return keyword_names(operator.attrgetter(name)(importlib.import_module(module)), exclude)

    return option_names


def probes_until_model(spec: Any, option: str, default: int) -> int:
    """For `Library.probe_count`: enough asks to use the model, which starts after the number of asks in an option."""
    first = decode_options(spec.options).get(option, default)
    return 2 + min(first, _MAX_PROBES) if isinstance(first, int) and first >= 0 else 2


def to_loss(value: float, objective: Objective) -> float:
    """A metric's value with its sign set so that smaller is better."""
    return value if objective.mode == "min" else -value


def to_losses(observation: Observation, objectives: Sequence[Objective]) -> tuple[float, ...] | None:
    """The losses of a trial; None if it failed or a loss is not finite."""
    if observation.status == "failed" or not all(map(math.isfinite, observation.values)):
        return None
    if len(objectives) == 1:
        return observation.values if objectives[0].mode == "min" else (-observation.values[0],)
    return tuple(map(to_loss, observation.values, objectives))


def register_library(spec: type, library: Library) -> None:
    """Registers `library` as the searcher for a class of specs that have `options`."""

    def validate(written: Any) -> list[Diagnostic]:
        return _diagnose_library(library, written)

    def init(written: Any, space: Space, objectives: tuple[Objective, ...], key: int) -> _LibraryState:
        return _LibraryState(_ReplayLog(library, written, LibraryContext(resolve_space(space), objectives, key)), 0)

    def check_compatibility(written: Any, space: Space, objectives: tuple[Objective, ...]) -> list[Diagnostic]:
        if _diagnose_library(library, written):
            return []  # `validate` reports these
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
            message = f"{library.name} needs {package}, but {problem}."
            return [Diagnostic("E049", "searcher", message, library.install)]
    with isolate_globals(library, 0):
        known = library.option_names(spec)
        unknown = [
            Diagnostic(
                "E001",
                "searcher",
                f"{library.name} has no option {name!r}.",
                for_keyword(library.name, name, known)
                or (f"the options are {', '.join(sorted(known))}" if known else f"write {library.name}()"),
            )
            for name, _ in spec.options
            if name not in known
        ]
        return unknown or list(library.validate(spec))


def _probe_options(library: Library, spec: Any, space: Space, objectives: tuple[Objective, ...]) -> list[Diagnostic]:
    """The error, if the library refuses the options at its start or in its first asks and tells."""
    probes = library.probe_count(spec) if spec.options else 0
    if not probes:
        return []
    context = LibraryContext(resolve_space(space), objectives, 0)
    try:
        with isolate_globals(library, 0):
            optimizer = library.start(spec, context)
            if not context.layout.constraints:  # one ask may take a hundred suggestions where there are some
                for trial in range(probes):
                    optimizer.ask(trial)
                    optimizer.tell(trial, Observation("done", 1, (0.5 + trial,) * len(objectives)))
    except SpaceError:
        return []  # a function of the user fails; the check of the space reports it
    except Exception as error:
        message = f"{library.name} does not accept the options of {shorten(repr(spec))}."
        return [Diagnostic("E080", "searcher", message, f"it raised {type(error).__name__}: {reason(error)}")]
    return []


@contextlib.contextmanager
def isolate_globals(library: Library, key: int) -> Iterator[None]:
    """Seeds the global generators for a library and restores them; hides its warnings."""
    with contextlib.ExitStack() as stack:
        if library.is_isolated:
            if any(package.module == "torch" for package in library.packages):
                importlib.import_module("torch")  # only loaded generators are seeded
            stack.enter_context(keys.seeded_globals(key))
        if library.noisy:
            stack.enter_context(warnings.catch_warnings())
            warnings.simplefilter("ignore")
        yield


class _ReplayLog:
    """A library's optimizer, and the calls that it has received: method, trial and argument."""

    __slots__ = ("calls", "context", "library", "optimizer", "quiet", "spec")

    def __init__(self, library: Library, spec: Any, context: LibraryContext) -> None:
        self.library = library
        self.spec = spec
        self.context = context
        self.calls: list[tuple[Literal["ask", "tell", "force"], int, Any]] = []
        self.quiet = not library.is_isolated and library.noisy != "throughout"
        with isolate_globals(library, context.seed):
            self.optimizer = library.start(spec, context)

    def ask(self, trial: int) -> Proposal:
        """Logs and makes a call of `ask`."""
        self.calls.append(("ask", trial, None))
        if self.quiet:
            return self.optimizer.ask(trial)
        with isolate_globals(self.library, self.context.key + len(self.calls) - 1):
            return self.optimizer.ask(trial)

    def apply(self, method: Literal["tell", "force"], trial: int, argument: Any) -> None:
        """Logs and makes a call of `tell` or `force`."""
        self.calls.append((method, trial, argument))
        act = self.optimizer.tell if method == "tell" else self.optimizer.force
        if self.quiet:
            act(trial, argument)
            return
        with isolate_globals(self.library, self.context.key + len(self.calls) - 1):
            act(trial, argument)

    def replay(self, length: int) -> _ReplayLog:
        """A new log whose optimizer has received the first calls."""
        log = _ReplayLog(self.library, self.spec, self.context)
        for method, trial, argument in self.calls[:length]:
            if method == "ask":
                log.ask(trial)
            else:
                log.apply(method, trial, argument)
        return log


class _LibraryState(msgspec.Struct, frozen=True, eq=False):
    """The first calls of a log."""

    log: _ReplayLog
    length: int

    def current_log(self) -> _ReplayLog:
        """A log with exactly the calls of this state."""
        return self.log if len(self.log.calls) == self.length else self.log.replay(self.length)


def _ask(spec: Any, state: _LibraryState, trial: int, key: int) -> tuple[_LibraryState, Answer]:
    log = state.current_log()
    if log.optimizer.waits():
        return state, Wait()
    proposal = log.ask(trial)
    return _LibraryState(log, state.length + 1), proposal


def _tell(spec: Any, state: _LibraryState, trial: int, observation: Observation) -> _LibraryState:
    return _apply(state, "tell", trial, observation)


def _force(spec: Any, state: _LibraryState, trial: int, config: Json, key: int) -> _LibraryState:
    return _apply(state, "force", trial, codec.decode(config))


def _apply(state: _LibraryState, method: Literal["tell", "force"], trial: int, argument: Any) -> _LibraryState:
    log = state.current_log()
    log.apply(method, trial, argument)
    return _LibraryState(log, state.length + 1)
