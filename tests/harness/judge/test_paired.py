"""The interval of a median difference, and the decisions on it."""

import math
from itertools import product

import pytest

from ladder.judge.anytime import majority
from ladder.judge.paired import lies_above, lies_below, lower, median_interval

VALUES = [float(7 * i % 17) for i in range(1, 17)]  # 1 to 16, shuffled


@pytest.mark.parametrize(("level", "low", "high"), [(0.95, 3, 14), (0.5, 4, 13)])
def test_median_interval(level, low, high):
    """The interval of a median of sixteen values has the expected ranks at two levels."""
    assert median_interval(VALUES, level) == (8.5, low, high, level)


@pytest.mark.parametrize("n", [7, 10, 16, 31, 64])
def test_interval_and_decisions(n):
    """A margin is outside the interval exactly if the median lies above or below it by a majority, ties included."""
    values = [float(i // 2) for i in range(n)]
    _, low, high, _ = median_interval(values, 0.95)
    for margin in [i / 4 for i in range(-4, 2 * n + 4)]:
        assert lies_above(values, margin, 0.025) == (margin < low)
        assert lies_below(values, margin, 0.025) == (margin > high)


def test_decision_by_count():
    """The median lies above the margin if a majority of differences does; differences at the margin count for neither."""
    needed = majority(16, 0.01)
    for above, at in product(range(17), range(2)):
        differences = [1.0] * above + [0.0] * min(at, 16 - above) + [-1.0] * (16 - above - min(at, 16 - above))
        assert lies_above(differences, 0.0, 0.01) == (above >= needed)


def test_median_interval_of_few_values():
    """The interval of a median is infinite for too few values, and has no median without any."""
    assert median_interval([3.0, 1.0, 2.0], 0.95) == (2.0, -math.inf, math.inf, 0.95)
    median, *ends = median_interval([], 0.95)
    assert math.isnan(median)
    assert ends == [-math.inf, math.inf, 0.95]


def test_median_interval_with_infinite_values():
    """Infinite values beyond the ranks do not affect the interval of a median."""
    assert median_interval([math.inf] * 2 + [1.0] * 14, 0.95)[:3] == (1.0, 1.0, 1.0)


@pytest.mark.parametrize("level", [0.0, 1.0, math.nan])
def test_invalid_median_interval(level):
    """A level outside (0, 1) raises an error."""
    with pytest.raises(ValueError, match=f"level={level}: choose a level in"):
        median_interval([1.0], level)


def test_probability_of_lower():
    """Only negative differences count as lower, with the interval of their probability."""
    k, n, low, high, level = lower([-1.0, -0.5, 0.0, 2.0], 0.95)
    assert (k, n, level) == (2, 4, 0.95)
    assert 0.0 < low < 0.5 < high < 1.0
