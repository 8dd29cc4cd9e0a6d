"""Digests by content: what is equal in every process, what differs, and what has no content to compare."""

from __future__ import annotations

import ast
import collections
import dataclasses
import datetime
import enum
import functools
import importlib
import json
import random
import subprocess
import sys
import textwrap
import threading
import types
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from attrs import frozen

from tunedsl.base.content import content_of, is_of_user, same_content
from tunedsl.base.dependencies import uses_of
from tunedsl.base.references import FunctionRef
from tunedsl.base.sources import dumped, node_of


def digest(item):
    return content_of(item).digest


def closing_over(item):
    return lambda trial_id, result: item


def with_default(item):
    def train(config, *, given=item):
        return given

    return train


class Colour(enum.Enum):
    RED = 1
    BLUE = 2


@frozen
class Options:
    depth: int
    names: tuple[str, ...] = ()


@dataclasses.dataclass
class Settings:
    rate: float = 0.1
    layers: list[int] = dataclasses.field(default_factory=list)


class Scale:
    def __init__(self, by):
        self.by = by

    def __call__(self, config):
        return config["x"] * self.by

    def scaled(self, config):
        return config["x"] * self.by


DATA = [
    1, 1.0, True, 1j, None, "1", b"1", ..., -0.0, 0.0, float("nan"), [1], (1,), {1}, {"a": 1}, {"a": 2}, {1: "a"},
    [1, [2]], [[1], 2], np.arange(3), np.arange(3.0), np.arange(3).reshape(3, 1), np.arange(3, dtype=">i8"),
    np.array(["a", None]), np.array(["a", "b"]), np.float32(1), np.float64(1), np.datetime64("2020-01-01"),
    np.ma.masked_array([1, 2], [0, 1]), np.ma.masked_array([1, 2], [1, 0]), np.zeros(0), np.array(3), range(3),
    slice(3),    Colour.RED, Colour.BLUE, Options(1), Options(2), Settings(0.1), Settings(0.2), Settings(layers=[1]),
    Scale(1), Scale(2),
    Scale(1).scaled, Scale(2).scaled, Scale, Options, Colour, int, np.tanh, max, Path("a"), Path("b"),
    datetime.date(2020, 1, 1), collections.OrderedDict(a=1), collections.defaultdict(list, a=[1]),
    functools.partial(int, base=2), functools.partial(int, base=8), bytearray(b"1"), random.Random(0), random.Random(1),
    np.random.default_rng(0), np.random.default_rng(1), pd.DataFrame({"a": [1, 2]}), pd.DataFrame({"a": [1.0, 2.0]}),
    pd.DataFrame({"b": [1, 2]}), pd.DataFrame({"a": [1, 2]}, index=[1, 2]), pd.DataFrame({"a": ["x", None]}),
    pd.DataFrame({"a": pd.Categorical(["x", "y"])}), pd.DataFrame({"a": [[1], [2]]}), pd.Series([1, 2]),
    pd.Series([1, 2], name="a"), pd.DataFrame({"a": pd.to_datetime(["2020-01-01", "2020-01-02"])}),
]  # fmt: skip


def test_different_data_have_different_digests_and_copies_the_same():
    import copy

    digests = [digest(item) for item in DATA]
    assert len(set(digests)) == len(DATA) and not any("~" in found for found in digests)
    assert [digest(copy.deepcopy(item)) for item in DATA] == digests


@pytest.mark.parametrize("held", [closing_over, with_default, lambda item: functools.partial(closing_over, item)])
def test_functions_have_the_content_of_closures_and_defaults(held):
    digests = [digest(held(item)) for item in DATA]
    assert len(set(digests)) == len(DATA)
    assert [digest(held(item)) for item in DATA] == digests


def test_order_in_dicts_and_sets_does_not_count():
    assert digest({"a": 1, "b": 2}) == digest({"b": 2, "a": 1})
    assert digest({"a", "b", "c"}) == digest({"c", "b", "a"})


def test_circles_end():
    a, b, other = [1], [1], [2]
    for item in (a, b, other):
        item.append({"again": item})
    assert digest(a) == digest(b) != digest(other)


def test_what_has_no_content_is_itself_alone():
    one, other = threading.Lock(), threading.Lock()
    assert digest(one) == digest(one) != digest(other)
    assert digest(closing_over(one)) == digest(closing_over(one)) != digest(closing_over(other))
    assert same_content(digest(one), digest(other)) is None
    assert same_content(digest(one), digest(threading.Event())) is False
    assert content_of({"deep": {"lock": one}}, "data.all").opaque == ("data.all.deep.lock (_thread.lock)",)
    assert digest(x for x in (1, 2)) != digest(x for x in (1, 2))


def test_lambdas_on_one_line_differ_however_they_are_nested():
    # fmt: off
    same, low, high = (lambda i, r: r["loss"] < 1e-3), (lambda i, r: r["loss"] < 1e-2), (lambda i, r: r["acc"] >= .1)
    outer = lambda: (lambda: 1, lambda: (lambda: 2, lambda x=3: x))  # noqa: E731
    again = lambda i, r: r[  "loss"  ] < 0.001  # noqa: E731
    # fmt: on
    one, (two, three) = outer()[0], outer()[1]()
    functions = [same, low, high, outer, outer()[1], one, two, three]
    assert all(node_of(function.__code__) for function in functions)
    assert len({digest(function) for function in functions}) == len(functions)
    assert digest(same) == digest(again)


def made(text, name="train", module="made_up"):
    """A function of a module that exists nowhere else, as `python -c` makes them: without a source."""
    scope = types.ModuleType(module)
    exec(compile(textwrap.dedent(text), "<string>", "exec"), vars(scope))
    return vars(scope)[name]


def test_without_a_source_the_code_counts():
    texts = [
        "def train(c): return c['x'] < 1",
        "def train(c): return c['x'] < 2",
        "def train(c): return c['y'] < 1",
        "def train(c): return c['x'] <= 1",
        "def train(c): return c['x'] in {'a', 'b'}",
        "def train(c): return c['x'] in {'a', 'c'}",
        "def train(c): return len(c)",
        "def train(c): return max(c)",
        "def train(c): return [x + 1 for x in c]",
        "def train(c): return [x + 2 for x in c]",
        "def train(c, *more): return 0",
        "def train(c, **more): return 0",
        "def train(c):\n try:\n  c()\n  c.x()\n except E:\n  pass",
        "def train(c):\n try:\n  c()\n except E:\n  pass\n c.x()",
    ]
    digests = [digest(made(text)) for text in texts]
    assert len(set(digests)) == len(texts)
    assert [digest(made(f"# a comment\n\n\n{text}  # another")) for text in texts] == digests


def module_of(tmp_path, monkeypatch, text, name="mine"):
    """The text as a module of that name, imported again."""
    (tmp_path / f"{name}.py").write_text(textwrap.dedent(text))
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    monkeypatch.setitem(sys.modules, name, None)  # restored after the test
    del sys.modules[name]
    importlib.invalidate_caches()
    return importlib.import_module(name)


TRAIN = """
    def train(config, rate=0.1):
        if config["x"] > 1:
            return {"loss": rate * (config["x"] + 1)}
        return {"loss": rate}
"""
REFORMATTED = '''
    # A comment.


    def train( config,
               rate = 0.10 ):
        """What it does."""
        if config['x'] > 1: return {
            "loss": (rate * (config['x'] + 1)),  # another
        }
        return {"loss": rate}
'''


@pytest.mark.parametrize(
    ("change", "same"),
    [(None, True), (("rate=0.1", "rate=0.2"), False), (("+ 1", "+ 2"), False), (("> 1", ">= 1"), False)],
)
def test_comments_layout_and_docstrings_do_not_count(tmp_path, monkeypatch, change, same):
    before = digest(module_of(tmp_path, monkeypatch, TRAIN).train)
    text = REFORMATTED if change is None else TRAIN.replace(*change)
    train = module_of(tmp_path, monkeypatch, text).train
    assert node_of(train.__code__) is not None
    assert (digest(train) == before) is same


def test_a_file_that_was_edited_after_its_import_says_nothing_of_what_is_alive(tmp_path, monkeypatch):
    train = module_of(tmp_path, monkeypatch, TRAIN).train
    (tmp_path / "mine.py").write_text(textwrap.dedent(TRAIN).replace("> 1", "> 7"))
    assert node_of(train.__code__) is None
    edited = module_of(tmp_path, monkeypatch, TRAIN.replace("> 1", "> 7")).train
    assert node_of(edited.__code__) is not None and digest(edited) != digest(train)


def test_a_live_function_keeps_its_digest_when_its_file_is_edited(tmp_path, monkeypatch):
    train = module_of(tmp_path, monkeypatch, TRAIN).train
    before = digest(train)
    (tmp_path / "mine.py").write_text("")
    assert digest(train) == before


def test_trees_leave_out_what_versions_of_python_have_differently():
    function = ast.parse("def f(x): return x").body[0]
    assert dumped(function) == (
        "FunctionDef(name='f',args=arguments(args=[arg(arg='x')]),body=[Return(value=Name(id='x'))])"
    )


def test_what_a_function_changes_is_its_state_and_not_its_content():
    def counting():
        calls, total, rows = [], 0, {}

        def train(config):
            nonlocal total
            total += 1
            rows[total] = config
            calls.append(config)

        return train

    train = counting()
    before = digest(train)
    train({})
    assert digest(train) == before == digest(counting())


CLASS = """
    class Base:
        rate = 0.1

    class Net(Base):
        layers = [1, 2]

        @property
        def size(self): return 3

        @staticmethod
        def loss(x): return x

        @classmethod
        def build(cls): return cls()

        def step(self): return {"loss": self.rate}
"""


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("0.1", "0.2"),
        ("[1, 2]", "[1, 3]"),
        ("return 3", "return 4"),
        ("return x", "return -x"),
        ("cls()", "cls"),
        ("self.rate}", "-self.rate}"),
        ("class Net(Base)", "class Net"),
    ],
)
def test_classes_have_the_content_of_their_bases_methods_and_attributes(tmp_path, monkeypatch, old, new):
    before = module_of(tmp_path, monkeypatch, CLASS).Net
    assert digest(before) == digest(module_of(tmp_path, monkeypatch, f"    # a comment{CLASS}").Net)
    assert digest(before) != digest(module_of(tmp_path, monkeypatch, CLASS.replace(old, new)).Net)


def uses(*items):
    return uses_of(map(content_of, items))


HELPERS = """
    import os
    from random import uniform

    import numpy as np

    import other
    from other import twice as double

    K = 3
    SEEN = []
    TABLE = {"a": 1}
    WEIGHTS = np.arange(3)

    def third(x): return x + 1

    def helper(x): return third(x) * K

    class Net:
        def size(self): return double(2)

    def unused(): return 0

    def train(config):
        import late
        SEEN.append(1)
        return helper(config["x"]) + other.once(1) + Net().size() + TABLE["a"] + WEIGHTS[0] + uniform(0, os.getpid())
"""
OTHER = """
    BIAS = 1
    def once(x): return x + BIAS
    def twice(x): return 2 * x
    def never(x): return x
"""


@pytest.fixture
def project(tmp_path, monkeypatch):
    def texts(text=HELPERS, other=OTHER, late="VALUE = 1"):
        (tmp_path / "late.py").write_text(late)
        module_of(tmp_path, monkeypatch, other, "other")
        return uses(module_of(tmp_path, monkeypatch, text, "mine").train)

    return texts


def test_what_functions_use_is_found_across_modules(project):
    names = {"helper", "third", "K", "Net", "double", "SEEN", "TABLE", "WEIGHTS"}
    assert set(project()) == {*(f"mine:{name}" for name in names), "other:once", "other:BIAS", "late"}
    assert "late" not in sys.modules


@pytest.mark.parametrize(
    ("where", "old", "new", "changed"),
    [
        ("text", "x + 1", "x + 2", {"mine:third"}),
        ("text", "* K", "- K", {"mine:helper"}),
        ("text", "K = 3", "K = 4", {"mine:K"}),
        ("text", "SEEN = []", "SEEN = [1]", {"mine:SEEN"}),
        ("text", '{"a": 1}', '{"a": 2}', {"mine:TABLE"}),
        ("text", "np.arange(3)", "np.arange(4)", {"mine:WEIGHTS"}),
        ("text", "double(2)", "double(3)", {"mine:Net"}),
        ("text", "return 0", "return 1", set()),
        ("text", "K = 3", "K = 3  # three\n    # and no more", set()),
        ("other", "x + BIAS", "x - BIAS", {"other:once"}),
        ("other", "BIAS = 1", "BIAS = 2", {"other:BIAS"}),
        ("other", "2 * x", "3 * x", {"mine:double"}),
        ("other", "return x\n", "return 9\n", set()),
        ("late", "VALUE = 1", "VALUE = 2", {"late"}),
        ("late", "VALUE = 1", "VALUE = 1  # one", set()),
    ],
)
def test_a_change_of_what_is_used_is_seen_and_a_comment_is_not(project, where, old, new, changed):
    texts = {"text": HELPERS, "other": OTHER, "late": "VALUE = 1"}
    before, after = project(), project(**{where: texts[where].replace(old, new)})
    assert {name for name in {**before, **after} if before.get(name) != after.get(name)} == changed


def test_globals_that_can_change_meanwhile_are_told_from_others_that_were_written_otherwise(tmp_path, monkeypatch):
    text = "STATE = {'on': %s}\ndef train(config): return STATE['on']"
    mine = module_of(tmp_path, monkeypatch, text % "True")
    before = uses(mine.train)["mine:STATE"]
    mine.STATE["on"] = False
    assert same_content(before, uses(mine.train)["mine:STATE"]) is None
    other = module_of(tmp_path, monkeypatch, text % "False")
    assert same_content(before, uses(other.train)["mine:STATE"]) is False


DECORATED = """
    import functools, threading

    class Compiled:
        def __init__(self, function):
            functools.update_wrapper(self, function)
            self.lock = threading.Lock()

        def __call__(self, x): return self.__wrapped__(x)

    class Awkward:
        @property
        def __class__(self): raise RuntimeError("out of reach")

    awkward = Awkward()

    @Compiled
    def compiled(x): return x + 1

    @functools.cache
    def cached(x): return x + 2

    @functools.singledispatch
    def by_type(x): return x + 3

    class Lazy:
        @functools.cached_property
        def size(self): return 4

    def train(config): return compiled(1) + cached(2) + by_type(3) + Lazy().size + (None is awkward)
"""


@pytest.mark.parametrize(("old", "name"), [("1", "compiled"), ("2", "cached"), ("3", "by_type"), ("4", "Lazy")])
def test_what_decorators_make_of_a_function_counts_by_the_function(tmp_path, monkeypatch, old, name):
    before = uses(module_of(tmp_path, monkeypatch, DECORATED).train)
    assert before == uses(module_of(tmp_path, monkeypatch, DECORATED).train)
    after = uses(
        module_of(
            tmp_path,
            monkeypatch,
            DECORATED.replace(f"return x + {old}", "return 9").replace(f"return {old}", "return 9"),
        ).train
    )
    assert {key for key in before if same_content(before[key], after[key]) is False} == {f"mine:{name}"}


PROGRAM = """
import json, random, sys
from tunedsl.base.content import content_of
from tunedsl.base.dependencies import uses_of
from tunedsl.base.references import FunctionRef
K = 2
def helper(x): return x in {"a", "b", "c", K}
def make(names):
    def train(config, given=frozenset("xyz")): return helper(config["x"]), names, {"a", "b"}
    return train
class Net:
    names = {"a", "b", "c"}
    def step(self): return helper(1)
items = make({"p", "q", "r"}), Net, Net(), {"a": {1, "b"}}, lambda i, r: {"a", "b"}
found = [content_of(item).digest for item in items]
print(json.dumps([found, sorted(uses_of(map(content_of, (make(1), Net))).values()), FunctionRef.of(Net).digest]))
"""


@pytest.mark.parametrize("way", ["file", "-c", "stdin"])
def test_digests_are_equal_in_every_process(tmp_path, way):
    (tmp_path / "program.py").write_text(PROGRAM)
    root = str(Path(__file__).resolve().parents[3])
    said = []
    for seed in ("0", "1", "77"):
        args = {"file": ["program.py"], "-c": ["-c", PROGRAM], "stdin": ["-"]}[way]
        env = {"PYTHONHASHSEED": seed, "PYTHONPATH": root}
        ran = subprocess.run(
            [sys.executable, *args], input=PROGRAM if way == "stdin" else None, text=True, capture_output=True,
            cwd=tmp_path, env=env, check=True,
        )  # fmt: skip
        said.append(json.loads(ran.stdout))
    assert said[0] == said[1] == said[2]
    assert not any("~" in found for found in said[0][0])


def test_packages_are_not_the_users_and_tests_are():
    assert not any(map(is_of_user, ("os", "numpy", "pandas", "tunedsl.experiment", "attrs", "no.such.module", None)))
    assert is_of_user(__name__) and is_of_user("__main__")


# References


def plain(config, k=1):
    """A trainable."""
    return {"loss": k}


part = functools.update_wrapper(functools.partial(plain, k=3), plain)
bare = functools.partial(plain, k=4)
scale = Scale(2)
is_done = lambda trial_id, result: True  # noqa: E731
other_name = plain


def twice(function):
    @functools.wraps(function)
    def wrapper(config):
        return {"loss": 2 * function(config)["loss"]}

    return wrapper


decorated = twice(plain)


class Ways:
    @classmethod
    def of_class(cls, config): ...

    @staticmethod
    def of_nothing(config): ...

    def of_one(self, config): ...


@pytest.mark.parametrize(
    ("function", "name"),
    [
        (plain, "plain"), (other_name, "plain"), (part, "part"), (bare, "bare"), (scale, "scale"),
        (scale.scaled, "scale.scaled"), (is_done, "is_done"), (decorated, "decorated"),
        (Ways.of_class, "Ways.of_class"),
        (Ways.of_nothing, "Ways.of_nothing"), (Ways.of_one, "Ways.of_one"), (Ways, "Ways"),
    ],
)  # fmt: skip
def test_a_name_that_leads_back_to_the_object_is_taken(function, name):
    found = FunctionRef.of(function)
    assert (found.reference, found.importable) == (f"{__name__}:{name}", True)
    back = FunctionRef(found.reference, found.digest).resolve()
    assert back is function or back == function


@pytest.mark.parametrize(
    "function",
    [
        functools.update_wrapper(functools.partial(plain, k=5), plain),
        twice(plain),
        Scale(3).scaled,
        Ways().of_one,
        lambda config: config,
    ],
)
def test_an_object_to_which_no_name_leads_is_not_taken_for_another(function):
    found = FunctionRef.of(function)
    assert not found.importable and found.resolve() is function
    assert found not in map(FunctionRef.of, (plain, part, bare, decorated, scale.scaled, Ways.of_one))


def test_names_are_looked_at_again_when_they_have_come_to_mean_another(monkeypatch):
    before = FunctionRef.of(plain)
    monkeypatch.setattr(sys.modules[__name__], "plain", part)
    monkeypatch.delattr(sys.modules[__name__], "other_name")
    after = before.settled()
    assert not after.importable and after.object is before.object
    assert FunctionRef.of(part).reference in (f"{__name__}:plain", f"{__name__}:part")


def test_arrow_tables_compare_by_rows_not_by_chunks():
    pa = pytest.importorskip("pyarrow")
    table = pa.table({"a": [1, None, 3], "s": ["x", "yy", None], "l": [[1], [], [2, 3]]})
    longer = pa.concat_tables([table.slice(2), table, table])
    for same in (longer.slice(1, 3), longer.slice(4), pa.concat_tables([table.slice(0, 1), table.slice(1)])):
        assert digest(same) == digest(table)
    for other in (table.slice(1), table.rename_columns(["b", "s", "l"]), table.set_column(0, "a", [[1, 2, 3]])):
        assert digest(other) != digest(table)
    assert digest(table["a"]) == digest(longer["a"].slice(1, 3)) != digest(table["s"])
    assert not content_of({"rows": table}).opaque
