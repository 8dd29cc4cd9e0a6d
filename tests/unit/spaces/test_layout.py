"""Resolving a space: order of evaluation, references, positions in the unit cube, the grid's cells."""

import pytest

from tunedsl.base.errors import SpaceError
from tunedsl.spaces import Space, cell_count, choice, grid, ref, resolve_space, sample, sample_from, uniform
from tunedsl.spaces.layout import resolve_path, topological_order


def identity(config):
    return dict(config)


def order(space):
    return [leaf.name for leaf in resolve_space(space).params]


def test_parameters_come_after_what_they_refer_to():
    space = Space.of({"c": ref("b") + ref("a"), "b": ref("a") * 2, "a": uniform(0, 1), "z": uniform(0, 1)})
    assert order(space) == ["a", "b", "c", "z"]


def test_functions_come_after_all_that_does_not_hang_on_them():
    space = Space.of({"f": sample_from(identity), "g": ref("f"), "a": uniform(0, 1), "h": sample_from(identity)})
    assert order(space) == ["a", "f", "g", "h"]


def test_ordered_leaves_out_circles_and_what_hangs_on_them():
    assert topological_order({"a": ["b"], "b": ["a"], "c": ["a"], "d": []}, ()) == ["d"]


@pytest.mark.parametrize(
    ("path", "scope", "found"),
    [
        ("x", ("m", "svm"), "m.svm.x"),
        ("y", ("m", "svm"), "m.y"),
        ("z", ("m", "svm"), "z"),
        ("svm.x", ("m",), "m.svm.x"),
        ("m.svm.x", (), "m.svm.x"),
        ("x", (), None),
    ],
)
def test_references_are_looked_up_from_the_inside_out(path, scope, found):
    assert resolve_path(path, scope, {"m.svm.x", "m.y", "z"}) == found


def test_the_own_scope_wins():
    space = Space.of({"x": 1, "inner": {"x": 2, "seen": ref("x")}, "outer": ref("x"), "far": ref("inner.x")})
    assert sample(resolve_space(space), 0, [0])[0] == {"x": 1, "inner": {"x": 2, "seen": 2}, "outer": 1, "far": 2}


def test_columns_of_the_cube_are_in_the_order_written():
    layout = resolve_space(
        Space.of({"b": uniform(0, 1).when(ref("a") > 0), "k": 3, "g": grid([1]), "a": uniform(0, 1)})
    )
    assert [leaf.name for leaf in layout.cube_params] == ["b", "a"]
    assert layout.dims == 2


def test_lowering_is_kept_by_identity_and_spaces_of_other_functions_differ():
    space = Space.of({"a": uniform(0, 1)})
    assert resolve_space(space) is resolve_space(space)

    def scaled(factor):
        return Space.of({"a": 1, "b": sample_from(lambda config: factor * config["a"])})

    two, three = scaled(2), scaled(3)
    assert two == scaled(2) != three
    assert [sample(resolve_space(each), 0, [0])[0]["b"] for each in (two, three)] == [2, 3]


def test_broken_spaces_are_refused():
    told = r"ref\('b'\) in ref\('b'\) \* 2 is not a parameter of the space\.\n  help: the only name is a"
    with pytest.raises(SpaceError, match=told):
        resolve_space(Space.of({"a": ref("b") * 2}))
    with pytest.raises(SpaceError, match="parameters a, b depend on each other in a cycle"):
        resolve_space(Space.of({"a": ref("b"), "b": ref("a")}))


def test_grids_are_crossed_with_the_first_varying_slowest():
    layout = resolve_space(Space.of({"a": grid([1, 2]), "inner": {"b": grid(["x", "y", "z"])}}))
    assert cell_count(layout) == 6
    found = [(config["a"], config["inner"]["b"]) for config in sample(layout, 0, range(7))]
    assert found == [(1, "x"), (1, "y"), (1, "z"), (2, "x"), (2, "y"), (2, "z"), (1, "x")]


def test_constraints_over_grids_alone_leave_out_cells():
    space = Space.of({"a": grid([1, 2, 3]), "b": grid([1, 2, 3]), "limit": 5, "sum": ref("a") + ref("b")})
    layout = resolve_space(space.where(ref("a") < ref("b")).where(ref("sum") < ref("limit")))
    assert cell_count(layout) == 2
    assert [(config["a"], config["b"]) for config in sample(layout, 0, range(3))] == [(1, 2), (1, 3), (1, 2)]
    assert layout.constraints == ()


def test_constraints_over_more_than_grids_are_drawn_for():
    layout = resolve_space(Space.of({"a": grid([0.2, 0.8]), "x": uniform(0, 1)}).where(ref("x") < ref("a")))
    assert cell_count(layout) == 2
    assert len(layout.constraints) == 1
    assert all(config["x"] < config["a"] for config in sample(layout, 0, range(50)))


def test_a_grid_may_hold_none():
    layout = resolve_space(Space.of({"a": grid([None, 1])}).where(ref("a") == None))  # noqa: E711
    assert sample(layout, 0, range(2)) == [{"a": None}, {"a": None}]


def test_a_grid_without_cells_cannot_be_sampled():
    layout = resolve_space(Space.of({"a": grid([1, 2])}).where(ref("a") > 2))
    assert cell_count(layout) == 0
    with pytest.raises(SpaceError, match="No cell of the grid meets the constraints"):
        sample(layout, 0, [0])


def test_branches_nest():
    inner = choice({"x": {"p": uniform(0, 1)}, "y": {}})
    space = Space.of({"outer": choice({"a": {"inner": inner}, "b": {"q": ref("outer")}})})
    shapes = {str(config).split("0.")[0] for config in sample(resolve_space(space), 0, range(60))}
    assert shapes == {
        "{'outer': {'a': {'inner': {'x': {'p': ",
        "{'outer': {'a': {'inner': {'y': {}}}}}",
        "{'outer': {'b': {'q': 'b'}}}",
    }
