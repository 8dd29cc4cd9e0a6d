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

from tunedsl.base import codec, keys, literals
from tunedsl.base.diagnostics import Diagnostic
from tunedsl.base.errors import ArgumentError, CodecError, SpaceError
from tunedsl.base.literals import import_reference, show
from tunedsl.base.names import did_you_mean, nearest
from tunedsl.base.objective import Objective
from tunedsl.base.packages import Package as Package  # adapters have it from here
from tunedsl.base.vocabulary import Config, Json
from tunedsl.search.contract import Answer, Observation, Proposal, Searcher, Takes, Wait, enrol
from tunedsl.space.layout import Layout, lower
from tunedsl.space.space import Space

Options = tuple[tuple[str, literals.Literal], ...]

_MOST_TRIED: Final = 50

SEEDS: Final = 2**31 - 1
"""Seeds below this suit every library."""


@attrs.frozen
class Setting:
    """What a library's object is made for."""

    layout: Layout
    objectives: tuple[Objective, ...]
    key: int

    @property
    def seed(self) -> int:
        """The seed for libraries, which take 31 bits."""
        return keys.key(self.key, "library") % SEEDS


class Live(Protocol):
    """A library's object at work; its calls change it.

    One that can come to wait has a `waits()` beside these, which changes nothing: whether it can answer nothing before
    it is told of another trial.
    """

    def ask(self, trial: int) -> Proposal:
        """A proposal for a trial."""

    def tell(self, trial: int, observation: Observation) -> None:
        """What became of a trial; of one that was never asked for or adopted, nothing."""

    def adopt(self, trial: int, config: Config) -> None:
        """The trial runs this configuration, whatever was answered."""


@attrs.frozen
class Library:
    """One library, as its adapter gives it.

    Attributes:
        name: the function by which users write its spec.
        packages: what it needs.
        install: how to get that.
        takes: what it can take.
        start: makes its object of a spec's options and a setting.
        accepts: the names of the options that a spec may have; imports the library.
        fenced: whether it draws from the process's global generators.
        noisy: when it warns of what its user knows.
        check: further faults of a spec; called where the library is installed.
        fits: `(spec, space, objectives) -> diagnostics`, what beyond `takes` does not go together.
        tried: by how many asks options are tried on the library ahead of the run; none where that takes a second.
    """

    name: str
    packages: tuple[Package, ...]
    install: str
    takes: Takes
    start: Callable[[Any, Setting], Live]
    accepts: Callable[[Any], Collection[str]]
    fenced: bool = False
    noisy: Literal["", "at start", "throughout"] = ""
    check: Callable[[Any], Sequence[Diagnostic]] = lambda spec: ()
    fits: Callable[[Any, Space, tuple[Objective, ...]], Sequence[Diagnostic]] = lambda spec, space, objectives: ()
    tried: Callable[[Any], int] = lambda spec: 2


def options_of(face: str, given: Mapping[str, Any]) -> Options:
    """Options as data, sorted by name; `ArgumentError` for one that cannot be written."""
    found = []
    for name, item in sorted(given.items()):
        try:
            found.append((name, literals.Literal.of(item)))
        except CodecError as error:
            expected = "data, or something importable by its name"
            raise ArgumentError("E003", f"{face}.{name}", repr(item), expected, str(error)) from None
    return tuple(found)


def live_options(options: Options) -> dict[str, Any]:
    """Options as the library wants them."""
    return {name: codec.from_json(literal.text, import_reference) for name, literal in options}


def spelled(face: str, options: Options, **named: Any) -> str:
    """The call that makes a spec: `named` first, without those that are None."""
    parts = [f"{name}={show(item)}" for name, item in named.items() if item is not None]
    return f"{face}({', '.join([*parts, *(f'{name}={literal!r}' for name, literal in options)])})"


def parameters_of(function: Callable[..., Any], but: Collection[str] = ()) -> set[str]:
    """The keywords of a function of the library, without those that the adapter sets itself."""
    kinds = (inspect.Parameter.POSITIONAL_OR_KEYWORD, inspect.Parameter.KEYWORD_ONLY)
    found = {name for name, parameter in inspect.signature(function).parameters.items() if parameter.kind in kinds}
    return found - {"self", *but}


def until_modelled(spec: Any, option: str, default: int) -> int:
    """For `Library.tried`: so many asks that the model is at work, which begins after as many as an option says."""
    first = live_options(spec.options).get(option, default)
    return 2 + min(first, _MOST_TRIED) if isinstance(first, int) and first >= 0 else 2


def loss_of(value: float, objective: Objective) -> float:
    """A metric's value so that smaller is better."""
    return value if objective.mode == "min" else -value


def losses_of(observation: Observation, objectives: Sequence[Objective]) -> tuple[float, ...] | None:
    """The losses of a trial; None if it failed, or one of them is missing or not finite."""
    if observation.status == "failed" or not all(map(math.isfinite, observation.values)):
        return None
    if len(objectives) == 1:
        return observation.values if objectives[0].mode == "min" else (-observation.values[0],)
    return tuple(map(loss_of, observation.values, objectives))


def enrol_library(spec: type, library: Library) -> None:
    """Makes `library` the searcher of a class of specs, which have `options`."""

    def validate(written: Any) -> list[Diagnostic]:
        return _faults(library, written)

    def init(written: Any, space: Space, objectives: tuple[Objective, ...], key: int) -> _State:
        return _State(_Tape(library, written, Setting(lower(space), objectives, key)), 0)

    def fits(written: Any, space: Space, objectives: tuple[Objective, ...]) -> list[Diagnostic]:
        if _faults(library, written):
            return []  # `validate` tells of them
        return list(library.fits(written, space, objectives)) or _refusals(library, written, space, objectives)

    searcher = Searcher(
        library.name,
        library.takes,
        init,
        _ask,
        _tell,
        adopt=_adopt,
        validate=validate,
        fits=fits,
        install=library.install,
    )
    enrol(spec, searcher)


def _faults(library: Library, spec: Any) -> list[Diagnostic]:
    for package in library.packages:
        problem = package.missing()
        if problem:
            return [Diagnostic("E049", "searcher", f"{spec!r}: {problem}", str(package), library.install)]
    with fence(library, 0):
        known = library.accepts(spec)
        found = [
            Diagnostic(
                "E001",
                "searcher",
                f"{library.name} has no option {name!r}",
                f"one of {', '.join(sorted(known))}" if known else "no options",
                did_you_mean(name, known) if nearest(name, known) else "",
            )
            for name, _ in spec.options
            if name not in known
        ]
        return found or list(library.check(spec))


def _refusals(library: Library, spec: Any, space: Space, objectives: tuple[Objective, ...]) -> list[Diagnostic]:
    """What the library says to options when it is made, asked and told."""
    asks = library.tried(spec) if spec.options else 0
    if not asks:
        return []
    setting = Setting(lower(space), objectives, 0)
    try:
        with fence(library, 0):
            live = library.start(spec, setting)
            if not setting.layout.constraints:  # with some it may be asked a hundred times
                for trial in range(asks):
                    live.ask(trial)
                    live.tell(trial, Observation("done", 1, (0.5 + trial,) * len(objectives)))
    except SpaceError:
        return []  # a function of the user's fails: that is told of where it stands
    except Exception as error:
        said = f"{type(error).__name__}: {error}".partition("\n")[0]
        return [Diagnostic("E080", "searcher", f"{spec!r}: {said}", f"options that {library.name} can start with")]
    return []


@contextlib.contextmanager
def fence(library: Library, key: int) -> Iterator[None]:
    """Keeps a library's global draws and its warnings to itself."""
    with contextlib.ExitStack() as stack:
        if library.fenced:
            if any(package.module == "torch" for package in library.packages):
                importlib.import_module("torch")  # a fence is round what is loaded
            stack.enter_context(keys.fenced(key))
        if library.noisy:
            stack.enter_context(warnings.catch_warnings())
            warnings.simplefilter("ignore")
        yield


class _Tape:
    """A library's object and the moves that brought it to where it stands: function's name, trial, what it is given."""

    __slots__ = ("library", "live", "moves", "quiet", "setting", "spec", "waits")

    def __init__(self, library: Library, spec: Any, setting: Setting) -> None:
        self.library = library
        self.spec = spec
        self.setting = setting
        self.moves: list[tuple[Literal["ask", "tell", "adopt"], int, Any]] = []
        self.quiet = not library.fenced and library.noisy != "throughout"
        with fence(library, setting.seed):
            self.live = library.start(spec, setting)
        self.waits: Callable[[], bool] | None = getattr(self.live, "waits", None)

    def ask(self, trial: int) -> Proposal:
        """One move: a proposal for a trial."""
        self.moves.append(("ask", trial, None))
        if self.quiet:
            return self.live.ask(trial)
        with fence(self.library, self.setting.key + len(self.moves) - 1):
            return self.live.ask(trial)

    def told(self, verb: Literal["tell", "adopt"], trial: int, what: Any) -> None:
        """One move: what became of a trial, or the configuration that it runs."""
        self.moves.append((verb, trial, what))
        act = self.live.tell if verb == "tell" else self.live.adopt
        if self.quiet:
            act(trial, what)
            return
        with fence(self.library, self.setting.key + len(self.moves) - 1):
            act(trial, what)

    def until(self, length: int) -> _Tape:
        """A new tape of the first moves."""
        tape = _Tape(self.library, self.spec, self.setting)
        for verb, trial, what in self.moves[:length]:
            if verb == "ask":
                tape.ask(trial)
            else:
                tape.told(verb, trial, what)
        return tape


class _State(msgspec.Struct, frozen=True, eq=False):
    """The first moves of a tape."""

    tape: _Tape
    length: int


def _ask(spec: Any, state: _State, trial: int, key: int) -> tuple[_State, Answer]:
    tape, length = state.tape, state.length
    if len(tape.moves) != length:
        tape = tape.until(length)
    if tape.waits is not None and tape.waits():
        return state, Wait()
    proposal = tape.ask(trial)
    return _State(tape, length + 1), proposal


def _tell(spec: Any, state: _State, trial: int, observation: Observation) -> _State:
    return _moved(state, "tell", trial, observation)


def _adopt(spec: Any, state: _State, trial: int, config: Json, key: int) -> _State:
    return _moved(state, "adopt", trial, codec.decode(config))


def _moved(state: _State, verb: Literal["tell", "adopt"], trial: int, what: Any) -> _State:
    tape, length = state.tape, state.length
    if len(tape.moves) != length:
        tape = tape.until(length)
    tape.told(verb, trial, what)
    return _State(tape, length + 1)
