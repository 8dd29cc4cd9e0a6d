"""The hypervolume: exact volumes, its rise over time, and its picture."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import pytest

from tunedsl import ArgumentError, grid, report, space
from tunedsl.base.errors import NoResult
from tunedsl.base.hypervolume import hypervolume


def below(figure: Any) -> str:
    """All texts of a figure that are no axis."""
    return str(figure.layout.title.text) + str(figure.layout.title.subtitle.text)


POINTS = [(1.0, 5.0), (2.0, 2.0), (3.0, 3.0), (5.0, 1.0), (6.0, 6.0)]


def by_cells(losses: Any, reference: Any) -> float:
    """The volume of the cells of the points' grid that some point dominates."""
    edges = [sorted({*losses[:, dim].tolist(), reference[dim]}) for dim in range(len(reference))]
    total = 0.0
    for cell in itertools.product(*(range(len(each) - 1) for each in edges)):
        low = np.array([edges[dim][at] for dim, at in enumerate(cell)])
        high = np.array([edges[dim][at + 1] for dim, at in enumerate(cell)])
        if (high <= reference).all() and (losses <= low).all(axis=1).any():
            total += float(np.prod(high - low))
    return total


@pytest.mark.parametrize("width", [1, 2, 3, 4])
def test_the_volume_is_that_of_the_cells(width: int) -> None:
    draws = np.random.default_rng(width)
    for count in (0, 1, 2, 7):
        for _ in range(5):
            losses = draws.integers(0, 5, (count, width)).astype(float)
            reference = np.full(width, 3.5)
            assert hypervolume(losses, reference) == pytest.approx(by_cells(losses, reference))


def test_a_nan_and_a_point_outside_add_nothing() -> None:
    losses = np.array([[1.0, 1.0], [np.nan, 0.0], [9.0, 0.0], [0.0, np.inf]])
    assert hypervolume(losses, np.array([3.0, 3.0])) == 4.0


def train(config: dict[str, Any]) -> None:
    loss, size = POINTS[config["row"]]
    report(loss=loss, accuracy=-size)


def results(tmp_path: Any) -> Any:
    e = space(row=grid([0, 1, 2, 3, 4])).trainable(train).minimize("loss").maximize("accuracy").parallel(1)
    return e.store(tmp_path).run("inline", quiet=True)


def test_it_rises_with_each_trial_on_the_front(tmp_path: Any) -> None:
    found = results(tmp_path).hypervolume({"loss": 10, "accuracy": -10})
    expected = [hypervolume(np.array(POINTS[:count]), np.array([10.0, 10.0])) for count in range(1, 6)]
    assert found["hypervolume"].tolist() == expected
    assert found["seconds"].is_monotonic_increasing and list(found.columns) == ["trial", "seconds", "hypervolume"]
    assert results(tmp_path).hypervolume()["hypervolume"].iloc[-1] == hypervolume(
        np.array(POINTS), np.array([6.0, 6.0])
    )


def test_the_picture_shows_the_steps_and_the_reference(tmp_path: Any) -> None:
    figure = results(tmp_path).plot.hypervolume({"loss": 10, "accuracy": -10})
    assert list(figure.data[0].y)[-1] == hypervolume(np.array(POINTS), np.array([10.0, 10.0]))
    assert "measured from loss 10, accuracy -10" in below(figure)


def test_a_wrong_reference_and_a_single_objective_are_refused(tmp_path: Any) -> None:
    with pytest.raises(ArgumentError, match="a finite number for each of loss, accuracy"):
        results(tmp_path).hypervolume({"loss": 1})
    e = space(row=grid([0])).trainable(train).minimize("loss").store(tmp_path).run("inline", quiet=True)
    with pytest.raises(NoResult, match="needs two objectives"):
        e.hypervolume()
