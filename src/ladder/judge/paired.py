"""Paired comparisons over seeds: differences of two rungs on the same seeds, and the interval of their median."""

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from ladder.declare.arrays import Float
from ladder.judge.anytime import RateInterval, is_majority, majority, rate_interval
from ladder.train.result import Trained


class Interval(NamedTuple):
    """A median with a distribution-free confidence interval; its ends are infinite if there are too few values for the level."""

    median: float
    low: float
    high: float
    level: float


def median_interval(values: Sequence[float], level: float) -> Interval:
    """Compute an interval of the median by order statistics that holds whenever one looks, at this level.

    >>> median_interval([3.0, 1.0, 4.0, 1.0, 5.0, 9.0, 2.0, 6.0], level=0.95)
    Interval(median=3.5, low=1.0, high=9.0, level=0.95)

    A number below the median is exceeded by a value with probability 1/2 or more. So the interval leaves out the numbers that
    :func:`~ladder.judge.anytime.majority` of the values exceed, with half of the error, and those that so many lie below.
    Without values it is unbounded. Source: Howard and Ramdas, *Sequential estimation of quantiles with applications to A/B
    testing and best-arm identification* (2022).

    Raises:
        ValueError: for a level outside (0, 1).
    """
    if not 0.0 < level < 1.0:
        raise ValueError(f"level={level}: choose a level in (0, 1)")
    x = sorted(values)
    n = len(x)
    median = 0.5 * (x[(n - 1) // 2] + x[n // 2]) if n else math.nan
    needed = majority(n, 0.5 * (1.0 - level))
    if needed is None:
        return Interval(median, -math.inf, math.inf, level)
    return Interval(median, x[n - needed], x[needed - 1], level)


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


def lies_above(differences: Sequence[float], margin: float, error: float) -> bool:
    """Return whether the median difference lies above a margin, with an error probability of at most ``error`` at any time."""
    return is_majority(sum(difference > margin for difference in differences), len(differences), error)


def lies_below(differences: Sequence[float], margin: float, error: float) -> bool:
    """Return whether the median difference lies below a margin, with an error probability of at most ``error`` at any time."""
    return lies_above([-difference for difference in differences], -margin, error)


def lower(differences: Sequence[float], level: float) -> RateInterval:
    """Return how many differences are negative, and the interval of the probability that one is."""
    return rate_interval(sum(difference < 0.0 for difference in differences), len(differences), level)


def _last(trained: Trained, metric: str) -> Float[np.ndarray, " seed"]:
    return trained.curves[metric][:, -1]
