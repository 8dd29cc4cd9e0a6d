"""Rungs: quantiles equal NumPy's to the last bit, and earlier versions stay valid."""

import warnings
from array import array

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tunedsl.schedulers.rung import _CHUNK_SIZE, Rung, quantile, record


def rung_of(values):
    rung = Rung()
    for value in values:
        rung = record(rung, value)
    return rung


@given(st.lists(st.floats(), max_size=40), st.sampled_from([1.5, 2, 3, 4, np.e, 10]))
def test_quantiles_are_those_of_numpy_bit_for_bit(values, factor):
    q = (1 - 1 / factor) * 100
    with warnings.catch_warnings(), np.errstate(all="ignore"):
        warnings.simplefilter("ignore")
        expected = np.nanpercentile(values, q) if values else np.nan
    np.testing.assert_array_equal(quantile(rung_of(values), q / 100), expected)


def test_many_values_stay_sorted_across_chunks():
    rng = np.random.default_rng(0)
    values = np.round(rng.normal(size=5 * _CHUNK_SIZE), 1).tolist()
    rung = rung_of(values)
    assert len(rung.chunks) > 1
    assert [value for chunk in rung.chunks for value in chunk] == sorted(values)
    assert [quantile(rung, q) for q in np.linspace(0, 1, 101)] == np.quantile(values, np.linspace(0, 1, 101)).tolist()


def test_recording_leaves_earlier_versions_as_they_are():
    first = rung_of([1.0, 3.0])
    second = record(first, 2.0)
    assert first.chunks == (array("d", [1.0, 3.0]),)
    assert second.chunks == (array("d", [1.0, 2.0, 3.0]),)


def test_nan_takes_no_place():
    assert record(Rung(), float("nan")) == Rung()


@pytest.mark.parametrize("size", [1, 2])
def test_a_cut_among_equal_values_is_that_value(size):
    assert quantile(rung_of([2.0] * size), 2 / 3) == 2.0
