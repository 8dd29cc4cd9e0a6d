"""Faults of spaces: one case a code, with its message."""

import pytest

from tunedsl.base.codec import value
from tunedsl.spaces import (
    Space,
    choice,
    grid,
    lograndint,
    loguniform,
    qrandint,
    qrandn,
    quniform,
    randint,
    randn,
    ref,
    sample_from,
    uniform,
)
from tunedsl.spaces.check import CODES, diagnose_space
from tunedsl.spaces.expressions import Expr

nan, inf = float("nan"), float("inf")


def told(params, *constraints):
    space = Space.of(params) if isinstance(params, dict) else params
    for condition in constraints:
        space = space.where(condition)
    return [str(fault) for fault in diagnose_space(space)]


@pytest.mark.parametrize(
    ("domain", "said"),
    [
        (
            uniform(1, 0),
            "E011: space.x is uniform(1.0, 0.0), whose low is above its high.\n  help: did you mean uniform(0.0, 1.0)?",
        ),
        (
            qrandint(9, 1, 2),
            "E011: space.x is qrandint(9, 1, 2), whose low is above its high.\n  help: did you mean qrandint(1, 9, 2)?",
        ),
        (
            randint(3, 3),
            "E011: space.x is randint(3, 3), which has no values.\n  help: high is excluded; did you mean randint(3, 4)?",  # noqa: E501
        ),
        (
            lograndint(0, 9),
            "E012: space.x is lograndint(0, 9), whose low is not above 0.\n  help: did you mean lograndint(1, 9)?",
        ),
        (loguniform(-3, -1), "E012: space.x is loguniform(-3.0, -1.0), whose low is not above 0."),
        (
            randn(inf),
            "E013: space.x is randn(float('inf'), 1.0), whose mean or sd is not finite.\n  help: write finite numbers",
        ),
        (
            quniform(0, 1, 0),
            "E014: space.x is quniform(0.0, 1.0, 0.0), whose step q is not a finite number above 0.\n  help: write a q above 0",  # noqa: E501
        ),
        (
            quniform(0, 1, 2),
            "E014: space.x is quniform(0.0, 1.0, 2.0), whose step q is larger than high - low = 1.0.\n"
            "  help: use a smaller q, or wider bounds",
        ),
        (
            qrandn(0, 1, nan),
            "E014: space.x is qrandn(0.0, 1.0, float('nan')), whose step q is not a finite number above 0.\n  help: write a q above 0",  # noqa: E501
        ),
        (randn(0, -1), "E015: space.x is randn(0.0, -1.0), whose sd is not above 0.\n  help: did you mean sd=1.0?"),
        (choice([]), "E016: space.x is choice([]), which has no options.\n  help: write at least one option"),
        (choice({}), "E016: space.x is choice({}), which has no options.\n  help: write at least one option"),
        (grid([]), "E017: space.x is grid([]), which has no values.\n  help: write at least one value"),
        (
            qrandn(0, 1, 1e-300),
            "E019: space.x is qrandn(0.0, 1.0, 1e-300), whose values can be more than 2**53 steps from 0.\n  help: use a larger q",  # noqa: E501
        ),
    ],
)
def test_single_domains(domain, said):
    assert told({"x": domain}) == [said]


@pytest.mark.parametrize(
    ("domain", "code"),
    [
        (uniform(nan, 1), "E013"),
        (uniform(0, inf), "E013"),
        (uniform(-1.7e308, 1.7e308), "E013"),
        (randint(0, 2**60), "E019"),
        (quniform(0, 1e300, 1.0), "E019"),
        (quniform(0, 1, -0.1), "E014"),
    ],
)
def test_more_single_domains(domain, code):
    assert [fault.code for fault in diagnose_space(Space.of({"x": domain}))] == [code]


def test_all_faults_are_told_at_once_with_their_paths():
    space = Space.of(
        {
            "a": uniform(1, 0),
            "optim": {"lr": loguniform(0, 1), "deep": {"n": choice([])}},
            "model": choice({"svm": {"c": randn(0, 0)}}),
            "b": uniform(0, 1).when(ref("aa") > 1),
        }
    )
    assert [(fault.code, fault.subject) for fault in diagnose_space(space)] == [
        ("E011", "space.a"),
        ("E012", "space.optim.lr"),
        ("E016", "space.optim.deep.n"),
        ("E015", "space.model.svm.c"),
        ("E020", "space.b"),
    ]


@pytest.mark.parametrize("name", ["a-b", "a.b", "$a", "1a", "ä", "nul", "a b"])
def test_names(name):
    (fault,) = diagnose_space(Space.of({name: uniform(0, 1)}))
    assert fault.code == "E010"
    assert fault.message == f"The parameter's name {name!r} is not a portable identifier."
    (fault,) = diagnose_space(Space.of({"x": choice({name: {}})}))
    assert fault.message == f"The option's name {name!r} is not a portable identifier."
    (fault,) = diagnose_space(Space.of({"x": {name: uniform(0, 1)}}))
    assert fault.subject == f"space.x.{name}"


def test_references_to_nothing():
    assert told({"width": uniform(0, 1), "y": ref("widht") * 2}) == [
        "E020: space.y refers to 'widht', which is not a parameter.\n  help: did you mean 'width'?"
    ]
    assert told({"m": {"n": uniform(0, 1)}}, ref("m") > 1) == [
        "E020: space.where refers to 'm', which is not a parameter.\n  help: m is a space; refer to one of m.n"
    ]


def test_circles_show_their_path():
    assert told({"a": ref("b"), "b": ref("c"), "c": ref("b") * 2, "d": ref("a")}) == [
        "E021: The parameters b -> c -> b depend on each other in a cycle.\n"
        "  help: make one of them independent of the others"
    ]
    assert told({"a": uniform(0, 1).when(ref("a") > 1)}) == [
        "E021: The parameters a -> a depend on each other in a cycle.\n"
        "  help: make one of them independent of the others"
    ]
    circles = diagnose_space(Space.of({"a": ref("b"), "b": ref("a"), "c": ref("d"), "d": ref("c")}))
    assert [fault.message.split(" depend")[0] for fault in circles] == [
        "The parameters a -> b -> a",
        "The parameters c -> d -> c",
    ]


def test_grids_are_for_every_trial():
    params = {"k": choice({"x": {"g": grid([1])}}), "o": choice([1]), "w": grid([1]).when(ref("o") == 1)}
    assert [(fault.code, fault.subject) for fault in diagnose_space(Space.of(params))] == [
        ("E018", "space.k.x.g"),
        ("E018", "space.w"),
    ]
    assert told({"nested": {"g": grid([1, 2])}}) == []


@pytest.mark.parametrize(
    ("condition", "possible"),
    [
        (ref("opt") == "rmsprop", False),
        (ref("opt") == "adam", True),
        ((ref("opt") == "adam") & (ref("opt") == "sgd"), False),
        ((ref("opt") == "adam") | (ref("n") > 100), True),
        (ref("lr") > 1, False),
        (ref("lr") >= 1, True),
        (ref("lr") * 2 + 1 < 1, False),
        (-ref("lr") > 0, False),
        (abs(ref("wide")) < 0, False),
        (ref("half") > 0.5, False),
        (ref("q") == 0.35, False),
        (ref("q") == 0.3, True),
        (ref("n") == 10, False),
        (ref("n") == 9.0, True),
        (ref("n") == "9", False),
        (~(ref("n") < 100), False),
        (ref("model") == "tree", False),
        (ref("model.svm.c") > 2, False),
        (ref("const") != 3, False),
        (ref("opt") == None, False),  # noqa: E711
        (ref("bell") > 1e9, True),
        (ref("made") == 1, True),
        (1 / ref("wide") > 5, True),
        (ref("lr") / 2 > ref("n") + 1, False),
        (ref("lr") == ref("wide") + 3, False),
    ],
    ids=repr,
)
def test_conditions_that_can_never_hold(condition, possible):
    space = Space.of(
        {
            "opt": choice(["sgd", "adam"]),
            "lr": uniform(0, 1),
            "wide": uniform(-1, 1),
            "half": ref("lr") / 2,
            "q": quniform(0, 1, 0.1),
            "n": randint(0, 10),
            "model": choice({"svm": {"c": uniform(0, 1)}}),
            "const": 3,
            "bell": randn(),
            "made": sample_from(make_one),
            "x": uniform(0, 1).when(condition),
        }
    )
    found = [(fault.code, fault.subject, fault.message) for fault in diagnose_space(space)]
    assert found == (
        []
        if possible
        else [("E022", "space.x", f"space.x can never exist, because no configuration meets {condition!r}.")]
    )


def make_one(config):
    return 1


def fail(config):
    raise KeyError("oops")


def test_a_condition_against_its_own_branch():
    inside = {"v": uniform(0, 1).when(ref("k") == "x")}
    assert [fault.code for fault in diagnose_space(Space.of({"k": choice({"x": {}, "y": inside})}))] == ["E022"]


def test_constraints_that_no_configuration_meets():
    assert told({"a": uniform(0, 1), "b": uniform(2, 3)}, ref("a") > ref("b")) == [
        "E023: None of 2,000 random configurations meets ref('a') > ref('b').\n  help: relax where(...), or the domains"
    ]
    assert told({"a": grid([1, 2]), "b": grid([1, 2])}, ref("a") > ref("b") + 5) == [
        "E023: No cell of the grid meets ref('a') > (ref('b') + 5).\n  help: relax where(...), or the grid"
    ]


def test_constraints_that_few_configurations_meet_are_doubtful():
    (fault,) = diagnose_space(Space.of({"a": uniform(0, 1)}).where(ref("a") > 0.997))
    assert (fault.code, fault.severity) == ("W010", "warning")
    assert "Only 8 of 2,000 random configurations meet" in fault.message
    assert told({"a": uniform(0, 1)}, ref("a") > 0.9) == []


@pytest.mark.parametrize(
    ("params", "subject"),
    [
        ({"a": choice(["x", 1]), "b": ref("a") < 2}, "space.b"),
        ({"a": choice(["x", 1]), "b": uniform(0, 1).when(ref("a") < 2)}, "space.b"),
        ({"a": sample_from(fail)}, "space.a"),
    ],
)
def test_expressions_that_cannot_be_evaluated(params, subject):
    (fault,) = diagnose_space(Space.of(params))
    assert (fault.code, fault.subject) == ("E024", subject)
    assert fault.message.startswith(f"{subject} cannot be evaluated: ")
    assert fault.message.count(subject) == 1


def test_constraints_that_cannot_be_evaluated():
    (fault,) = diagnose_space(Space.of({"a": uniform(0, 1)}).where(ref("a") + "x" > 1))
    assert (fault.code, fault.subject) == ("E024", "space.where")


@value(eq=False)
class Later(Expr):
    """A leaf of another package, as in stop conditions."""


def test_what_is_known_only_later_has_no_place_in_a_space():
    assert told({"a": uniform(0, 1), "b": Later() * 2}) == [
        "E025: space.b uses Later(), but an expression of the space may refer only to parameters.\n"
        "  help: write ref('name'), or a constant"
    ]


def test_every_code_is_in_the_table():
    assert all(code[0] in "EW" and len(code) == 4 and title for code, title in CODES.items())
