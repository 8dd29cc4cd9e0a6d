"""The number of concurrent trials, compared with a search of all placements, and its laws."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tunedsl import ArgumentError
from tunedsl.plan import Resources
from tunedsl.plan.packing import DEVICES, UNIT, Packing, bundles_of, faults, fit_together, places, ray_amounts

Node = Mapping[str, float]

amounts = st.sampled_from([0.0, 0.1, 0.25, 0.3, 0.5, 0.6, 0.75, 1.0, 2.0, 3.0])
nodes = st.lists(
    st.fixed_dictionaries(
        {"CPU": st.integers(0, 4), "GPU": st.integers(0, 3), "slot": st.sampled_from([0.0, 0.5, 2.0])}
    ),
    min_size=1,
    max_size=3,
)
plain = st.builds(
    lambda cpu, gpu, slot: Resources.of(cpu=cpu, gpu=gpu, custom={"slot": slot}),
    st.sampled_from([0.5, 1.0, 1.5, 2.0]),
    amounts,
    st.sampled_from([0.0, 0.5, 1.0]),
)


def slices(need: float, devices: tuple[float, ...], name: str) -> Iterator[tuple[float, ...]]:
    """Every way to take an amount from one node's devices."""
    if not need:
        yield devices
    elif name not in DEVICES:
        if devices[0] >= need:
            yield (devices[0] - need,)
    elif need < UNIT:
        for at, room in enumerate(devices):
            if room >= need:
                yield (*devices[:at], room - need, *devices[at + 1 :])
    else:
        whole = [at for at, room in enumerate(devices) if room == UNIT][: int(need // UNIT)]
        if len(whole) * UNIT == need:
            yield tuple(0 if at in whole else room for at, room in enumerate(devices))


def most_on(node: Node, need: Node) -> int:
    """The number of trials that fit on one node, by trying every placement."""
    apart = {name: (UNIT,) * int(total) if name in DEVICES else (total * UNIT,) for name, total in node.items()}

    def search(left: Mapping[str, tuple[float, ...]]) -> int:
        states = [dict(left)]
        for name, amount in need.items():
            states = [
                {**state, name: after}
                for state in states
                for after in set(slices(round(amount * UNIT), tuple(sorted(state.get(name, ()))), name))
            ]
        unique = {tuple((name, tuple(sorted(rooms))) for name, rooms in sorted(state.items())) for state in states}
        return max((1 + search(dict(state)) for state in unique), default=0)

    return search(apart)


@given(nodes, plain)
def test_plain_amounts_fit_as_often_as_any_placement_allows(cluster, resources):
    (need,) = bundles_of(resources)
    exact = sum(most_on(node, need) for node in cluster)
    assert places(cluster, resources, 1000) == exact


@given(nodes, plain)
def test_placing_one_by_one_comes_to_the_same_number(cluster, resources):
    packing, count = Packing(cluster), 0
    while packing.add(resources):
        count += 1
    assert count == places(cluster, resources, 1000)
    assert fit_together(cluster, [resources] * count) and not fit_together(cluster, [resources] * (count + 1))


@given(
    nodes, st.lists(st.fixed_dictionaries({"cpu": st.sampled_from([0.5, 1.0]), "gpu": amounts}), min_size=1, max_size=3)
)
def test_a_strategy_that_forbids_more_never_gives_more(cluster, bundles):
    width = {
        strategy: places(cluster, Resources.of(bundles=bundles, strategy=strategy), 100) for strategy in STRATEGIES
    }
    total = {name: sum(node[name] for node in cluster) for name in ("CPU", "GPU")}
    for name, resource in (("cpu", "CPU"), ("gpu", "GPU")):
        wanted = sum(bundle[name] for bundle in bundles)
        assert all(count * wanted <= total[resource] + 1e-9 for count in width.values())
    if len(bundles) == 1:
        assert len(set(width.values())) == 1
    if width["STRICT_PACK"] or width["STRICT_SPREAD"]:
        assert width["PACK"] and width["SPREAD"]


STRATEGIES = ("PACK", "SPREAD", "STRICT_PACK", "STRICT_SPREAD")


@pytest.mark.parametrize(
    ("cluster", "resources", "width"),
    [
        ([{"CPU": 8, "GPU": 2}], Resources.of(gpu=0.6), 2),
        ([{"CPU": 8, "GPU": 2}], Resources.of(gpu=0.5), 4),
        ([{"CPU": 8, "GPU": 1}, {"CPU": 8, "GPU": 1}], Resources.of(gpu=2), 0),
        ([{"CPU": 8, "GPU": 3}], Resources.of(gpu=2), 1),
        ([{"CPU": 8, "GPU": 1}], Resources.of(gpu=1 / 3), 3),
        ([{"CPU": 3}, {"CPU": 3}], Resources.of(cpu=2), 2),
        ([{"CPU": 3}], Resources.of(cpu=1.5), 2),
        ([{"CPU": 8, "GPU": 2}], Resources.of(bundles=[{"cpu": 1, "gpu": 0.6}] * 3), 0),
        ([{"CPU": 8, "GPU": 2}], Resources.of(bundles=[{"cpu": 1, "gpu": 0.6}] * 2), 1),
        ([{"CPU": 2}, {"CPU": 2}], Resources.of(bundles=[{"cpu": 1}] * 3, strategy="STRICT_PACK"), 0),
        ([{"CPU": 2}, {"CPU": 2}], Resources.of(bundles=[{"cpu": 1}] * 2, strategy="STRICT_SPREAD"), 2),
        ([{"CPU": 4, "memory": 100}], Resources.of(memory=30), 3),
        ([{"CPU": 4}], Resources.of(cpu=0), 4),
    ],
)
def test_what_ray_places(cluster, resources, width):
    assert places(cluster, resources, 100) == width


def test_shapes_that_differ_fit_together_only_device_by_device():
    node = [{"CPU": 8, "GPU": 2}]
    small, large = Resources.of(gpu=0.5), Resources.of(gpu=0.6)
    assert fit_together(node, [small, large, Resources.of(gpu=0.4)])
    assert not fit_together(node, [large, large, small]), "1.7 of 2 devices, and no device has half of itself left"


def test_what_ray_gives_to_nobody_is_told_with_what_to_write():
    assert [(fault.subject, fault.hint) for fault in faults(Resources.of(gpu=1.5))] == [
        ("resources.gpu", "write gpu=1 or gpu=2")
    ]
    assert [fault.hint for fault in faults(Resources.of(custom={"CPU": 2}))] == ["write cpu=2"]
    assert not list(faults(Resources.of(gpu=2, cpu=1.5, memory="1GiB", custom={"licence": 0.5})))
    assert ray_amounts({"cpu": 1, "gpu": 2, "slot": 3}) == {"CPU": 1, "GPU": 2, "slot": 3}


@pytest.mark.parametrize("name", ["cpu", "gpu", "memory"])
def test_plain_resources_are_no_custom_ones(name):
    with pytest.raises(ArgumentError, match=rf"resources\.custom.*{name}"):
        Resources.of(custom={name: 1})


def test_no_bundles_are_no_resources():
    with pytest.raises(ArgumentError, match=r"resources\.bundles"):
        Resources.of(bundles=[])
