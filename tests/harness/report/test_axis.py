"""The numbers of an axis."""

import math

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from ladder.report.axis import LARGEST, Axis

VALUES = st.lists(st.floats(allow_nan=True, allow_infinity=True), max_size=8).map(np.array)
AXES = st.builds(Axis.around, VALUES, margin=st.sampled_from([0.0, 0.06]), ratio=st.sampled_from([10.0, 30.0]))


@given(VALUES, st.sampled_from([0.0, 0.06]), st.sampled_from([1.0, 10.0, math.inf]))
@example(np.array([2 * LARGEST]), 0.0, math.inf)
def test_values_lie_within_the_axis(values, margin, ratio):
    """Every finite value of at least the smallest normal number lies within the axis."""
    axis = Axis.around(values, margin=margin, ratio=ratio)
    places = axis.place(values[np.isfinite(values) & ~(np.abs(values) < 1e-300)], 0.0, 1.0)
    assert axis.low <= axis.high
    assert np.all((places >= -1e-9) & (places <= 1.0 + 1e-9))


@pytest.mark.parametrize(
    ("values", "logarithmic"),
    [
        ([1.0, 10.0], False),
        ([1.0, 10.1], True),
        ([1.0, np.nan, 100.0, np.inf], True),
        ([0.0, 100.0], False),
        ([-1.0, 100.0], False),
        ([], False),
    ],
)
def test_scale(values, logarithmic):
    """An axis is logarithmic if all finite values are positive and further apart than the ratio."""
    assert Axis.around(np.array(values), margin=0.1, ratio=10.0).logarithmic is logarithmic


def test_margin():
    """The margin is a share of the values' range, on a logarithmic axis of the range of their logarithms."""
    assert Axis.around(np.array([1.0, 3.0]), margin=0.1) == Axis(0.8, pytest.approx(3.2))
    axis = Axis.around(np.array([1.0, 100.0]), margin=0.5, ratio=10.0)
    assert (axis.low, axis.high) == (pytest.approx(0.1), pytest.approx(1000.0))


def test_zero():
    """Zero lies on a linear axis if it must, and never makes an axis linear."""
    assert Axis.around(np.array([1.0, 2.0]), margin=0.0, ratio=10.0, zero=True).low == 0.0
    assert Axis.around(np.array([1.0, 20.0]), margin=0.0, ratio=10.0, zero=True).logarithmic


@pytest.mark.parametrize("values", [[4.0, 4.0], [4.0, 4.0 + 1e-12]])
def test_equal_values(values):
    """Values that are equal, but for rounding, lie in the middle of an axis with a length."""
    for half, low, high in ((None, 2.0, 6.0), (0.5, 3.5, 4.5)):
        axis = Axis.around(np.array(values), margin=0.1, half=half)
        assert (axis.low, axis.high) == (pytest.approx(low), pytest.approx(high))
    assert Axis.around(np.zeros(2), margin=0.1) == Axis(-1.0, 1.0)


def test_places():
    """A place is in proportion to the value, or to its logarithm; NaN for what the axis lacks, the middle without a length."""
    assert Axis(2.0, 4.0).place([2.0, 3.0, 5.0], 100.0, 0.0).tolist() == [100.0, 50.0, -50.0]
    places = Axis(1.0, 100.0, logarithmic=True).place([1.0, 10.0, 0.0, -1.0, np.nan], 0.0, 1.0)
    np.testing.assert_allclose(places, [0.0, 0.5, np.nan, np.nan, np.nan])
    np.testing.assert_array_equal(Axis(3, 3).place([3, np.nan], 10.0, 30.0), [20.0, np.nan])
    assert Axis(-LARGEST, LARGEST).place(np.inf, 0.0, 1.0) == 1.0


@given(AXES)
def test_ticks(axis):
    """Ticks ascend within the axis, and there are neither too few to read it nor too many to print."""
    ticks = axis.ticks()
    assert ticks == sorted(ticks)
    assert len(ticks) <= 14
    assert all(axis.low <= tick <= axis.high for tick in ticks)


@pytest.mark.parametrize(
    ("axis", "ticks"),
    [
        (Axis(0.0, 1.0), [0.0, 0.2, 0.4, 0.6, 0.8, 1.0]),
        (Axis(-0.3, 2.9), [0.0, 0.5, 1.0, 1.5, 2.0, 2.5]),
        (Axis(0.02, 30.0, logarithmic=True), [0.1, 1.0, 10.0]),
        (Axis(0.9, 31.0, logarithmic=True), [1.0, 2.0, 5.0, 10.0, 20.0]),
        (Axis(1e-12, 1e12, logarithmic=True), [1e-12, 1e-8, 1e-4, 1.0, 1e4, 1e8, 1e12]),
    ],
)
def test_round_ticks(axis, ticks):
    """Ticks are round numbers: powers of ten, every few where there are many, or 1, 2 and 5 times them."""
    assert axis.ticks() == pytest.approx(ticks)


@pytest.mark.parametrize(
    ("first", "last", "ticks"),
    [(1, 1, [1]), (1, 3, [1, 2, 3]), (1, 24, [1, 5, 10, 15, 20]), (4, 10, [4, 5, 6, 7, 8, 9, 10])],
)
def test_ticks_of_epochs(first, last, ticks):
    """Ticks of epochs are whole, the first epoch among them."""
    assert Axis(first, last).whole_ticks() == ticks
