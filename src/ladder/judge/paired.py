"""Paired comparisons over seeds: differences of two rungs on the same seeds, and the interval of their median."""

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from ladder.declare.arrays import Float
from ladder.train.result import Trained


class Interval(NamedTuple):
    """A median with a distribution-free confidence interval; its ends are infinite if there are too few values for the level."""

    median: float
    low: float
    high: float
    level: float


def median_interval(values: Sequence[float], level: float) -> Interval:
    """Compute a confidence interval of the median by order statistics, with coverage of at least ``level``.

    >>> median_interval([3.0, 1.0, 4.0, 1.0, 5.0, 9.0, 2.0, 6.0], level=0.95)
    Interval(median=3.5, low=1.0, high=9.0, level=0.95)

    ``[x_(r), x_(n+1-r)]`` covers the median with probability ``1 - 2 P(Bin(n, 1/2) < r)``, whatever the
    distribution; ``r`` is the largest for which that is at least ``level``. Source: David and Nagaraja, *Order
    Statistics*, section 7.1.

    Raises:
        ValueError: for no values, or a level outside (0, 1).
    """
    if not values or not 0.0 < level < 1.0:
        raise ValueError(f"{len(values)} values at level {level}: give at least one value and a level in (0, 1)")
    x = sorted(values)
    n = len(x)
    median = 0.5 * (x[(n - 1) // 2] + x[n // 2])
    below, r = 0.5**n, 0  # below = P(Bin(n, 1/2) <= r)
    while 1.0 - 2.0 * below >= level:
        r += 1
        below += math.comb(n, r) * 0.5**n
    if r == 0:
        return Interval(median, -math.inf, math.inf, level)
    return Interval(median, x[r - 1], x[n - r], level)


def paired_differences(one: Trained, other: Trained, metric: str) -> list[float]:
    """Return the differences of a metric at the last epoch, ``one`` minus ``other``, for each seed that both have.

    A seed that is not finite on ``one`` counts as infinitely worse. One that is not finite on ``other`` cannot be compared
    and is left out.
    """
    n = min(one.seeds, other.seeds)
    mine, theirs = _last(one, metric)[:n], _last(other, metric)[:n]
    comparable = np.isfinite(theirs)
    mine = np.where(np.isfinite(mine), mine, np.inf)
    return [float(difference) for difference in mine[comparable] - theirs[comparable]]


def interval_of(differences: list[float], level: float) -> Interval:
    """Return the confidence interval of the median difference, which is unbounded without differences."""
    if not differences:
        return Interval(math.nan, -math.inf, math.inf, level)
    return median_interval(differences, level)


def lies_above(differences: list[float], margin: float, chance: float) -> bool:
    """Return whether the median difference lies above a margin, with an error probability of at most ``chance``."""
    level = 1.0 - 2.0 * chance
    return level < 1.0 and interval_of(differences, level).low > margin  # a chance below rounding would need certainty


def _last(trained: Trained, metric: str) -> Float[np.ndarray, " seed"]:
    return trained.curves[metric][:, -1]
