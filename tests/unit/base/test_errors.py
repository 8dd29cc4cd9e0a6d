"""Errors reach other processes whole: type, message and attributes survive pickling and copying."""

import copy
import importlib
import pickle
import re
from pathlib import Path

import pytest

from tunedsl import space, uniform
from tunedsl.base import errors
from tunedsl.base.diagnostics import Diagnostic
from tunedsl.base.errors import (
    ArgumentError,
    CodeError,
    CompileError,
    Divergence,
    Interrupted,
    JournalError,
    Paused,
    SpaceError,
    TunedslError,
)
from tunedsl.kernel import Finish
from tunedsl.kernel.transitions import IllegalMove
from tunedsl.plan.amending import AmendError, check_amendment
from tunedsl.testing.invariants import InvariantViolated

PACKAGE = Path(errors.__file__).parents[1]


def subclasses(kind: type) -> set[type]:
    """The subclasses of a class that this package defines."""
    inner = {each for sub in kind.__subclasses__() for each in (sub, *subclasses(sub))}
    return {each for each in inner if each.__module__.startswith("tunedsl.")}


def error_classes() -> list[type[TunedslError]]:
    for file in sorted(PACKAGE.rglob("*.py")):
        if re.search(r"(?m)^class \w+\(\w*Error\b", file.read_text()):
            importlib.import_module(".".join(["tunedsl", *file.relative_to(PACKAGE).with_suffix("").parts]))
    return sorted({TunedslError, *subclasses(TunedslError)}, key=lambda each: each.__name__)


def example(kind: type[BaseException]) -> BaseException:
    if kind is AmendError:
        before = space(x=uniform(0, 1)).trainable(len).seed(0).samples(1)
        with pytest.raises(AmendError) as caught:
            check_amendment("/run", before.compile(), before.samples(2).seed(1).compile(), amend=False)
        return caught.value
    if issubclass(kind, JournalError):
        return kind("/run", "The journal has no record.", 3, "tunedsl list /")
    if issubclass(kind, CodeError):
        return kind("The searcher mine()", "proposed", 3, "ValueError: bad", "Traceback ...")
    arguments = {
        ArgumentError: ("E003", "samples", "samples.n must be a whole number, not 'x'.", "write 5"),
        CompileError: ([Diagnostic("E003", "samples", "It is wrong.", "write 5")],),
        Divergence: (7, (Finish("done"),), (), "[0]"),
        IllegalMove: (1, "RUNNING", "launch"),
        Interrupted: ("/run", "tunedsl resume /run --amend"),
        InvariantViolated: ("trials_end", "trial 1 runs", 5),
        Paused: ("/run",),
        SpaceError: ("The parameter lr is missing.", "space.lr", "did you mean 'lr' by 'lrr'?"),
    }
    return kind(*arguments.get(kind, ("The message.",)))


@pytest.mark.parametrize("kind", [*error_classes(), Interrupted, Paused])
def test_errors_are_pickled_and_copied_whole(kind):
    error = example(kind)
    error.add_note("a note")
    for other in (pickle.loads(pickle.dumps(error)), copy.copy(error), copy.deepcopy(error)):
        assert type(other) is kind and str(other) == str(error)
        if isinstance(error, TunedslError):
            assert vars(other) == vars(error) and other.args == error.args


def test_a_subclass_of_a_user_is_pickled_too():
    error = pickle.loads(pickle.dumps(UsersError("a", "b")))
    assert type(error) is UsersError and (error.one, error.two, str(error)) == ("a", "b", "a b")


class UsersError(TunedslError):
    def __init__(self, one: str, two: str) -> None:
        self.one, self.two = one, two
        super().__init__(f"{one} {two}")


def test_the_message_of_an_amendment_shows_changes_then_place_then_help():
    before = space(x=uniform(0, 1)).trainable(len).seed(0).samples(1)
    with pytest.raises(AmendError) as caught:
        check_amendment("/run", before.compile(), before.samples(2).compile(), amend=False)
    first, *changes, place, hint = str(caught.value).splitlines()
    assert first == "The experiment has changed since this run started:"
    assert any("samples" in change for change in changes) and place == "  at /run"
    assert hint == "  help: resume('/run', amend=True) or --amend continues the run with these changes"
    assert "E006" in str(example(AmendError)).partition("  at /run\n")[2], "what cannot be amended follows the place"
