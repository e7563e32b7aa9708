"""Tests and bounds of a rate that hold whenever one looks, from a mixture of likelihood ratios.

Of ``n`` independent outcomes ``k`` are successes, such as seeds that learn, or pairs in which one rung is the lower. Against
"the rate is at most ``r``" each larger rate ``p`` bets ``(p/r)^k ((1-p)/(1-r))^(n-k)``, whose expectation is at most 1 while
the rate is at most ``r``. The mean of these bets over a prior of ``p`` in ``(r, 1)`` is an e-value ``E``, and by Ville's
inequality ``E >= 1/error`` happens at any time with probability at most ``error``. The prior is Jeffreys', ``Beta(1/2, 1/2)``,
cut off below ``r``. ``docs/verdict.md`` compares it with others.

Source: Ville (1939); Robbins, *Statistical methods related to the law of the iterated logarithm* (1970), for the mixture;
Krichevsky and Trofimov (1981) for the prior; Howard et al., *Time-uniform, nonparametric, nonasymptotic confidence sequences*
(2021).
"""

import math
from bisect import bisect_left
from functools import cache
from typing import NamedTuple

from scipy.special import betaincc, betaln  # type: ignore[import-untyped]

PRIOR = 0.5  # both parameters of the beta distribution
STEPS = 10_000  # bounds are rounded outwards to a multiple of its inverse


class RateInterval(NamedTuple):
    """A rate seen ``k`` times in ``n``, with a two-sided interval of this level that holds whenever one looks."""

    k: int
    n: int
    low: float
    high: float
    level: float


def log_e(k: int, n: int, rate: float) -> float:
    """Compute the natural logarithm of the e-value of ``k`` successes in ``n`` against a rate of at most ``rate``.

    >>> round(math.exp(log_e(8, 8, 0.5)), 1)
    100.5

    Args:
        k: The number of successes.
        n: The number of outcomes.
        rate: The rate to test, in (0, 1).
    """
    a, b = k + PRIOR, n - k + PRIOR
    mixed = betaincc(a, b, rate)
    if mixed <= 0.0:  # all but nothing of the posterior lies above the rate
        return -math.inf
    mixture = betaln(a, b) + math.log(mixed) - betaln(PRIOR, PRIOR) - math.log(betaincc(PRIOR, PRIOR, rate))
    return float(mixture - k * math.log(rate) - (n - k) * math.log1p(-rate))


@cache
def at_least(k: int, n: int, error: float) -> float:
    """Return a lower bound of the rate that is wrong at any time with probability at most ``error``.

    >>> at_least(16, 16, error=0.05)
    0.7898
    """
    # The e-value falls as the rate grows to k/n, and is below 1 from there on.
    tested = range(1, math.ceil(STEPS * k / n)) if n else range(0)
    return bisect_left(tested, True, key=lambda step: log_e(k, n, step / STEPS) < -math.log(error)) / STEPS


def at_most(k: int, n: int, error: float) -> float:
    """Return an upper bound of the rate that is wrong at any time with probability at most ``error``."""
    return 1.0 - at_least(n - k, n, error)


def rate_interval(k: int, n: int, level: float) -> RateInterval:
    """Return the interval of a rate between its two bounds, each with half of the error."""
    error = 0.5 * (1.0 - level)
    return RateInterval(k, n, at_least(k, n, error), at_most(k, n, error), level)


@cache
def majority(n: int, error: float) -> int | None:
    """Return how many of ``n`` outcomes must be successes for a rate above 1/2, with probability of error at most ``error``.

    >>> [majority(n, error=0.025) for n in (4, 10, 16, 32, 64)]
    [None, 10, 14, 25, 45]
    """
    counts = range(n + 1)
    needed = bisect_left(counts, True, key=lambda k: log_e(k, n, 0.5) >= -math.log(error)) if error > 0.0 else n + 1
    return needed if needed <= n else None


def is_majority(k: int, n: int, error: float) -> bool:
    """Return whether ``k`` of ``n`` successes are a :func:`majority`."""
    needed = majority(n, error)
    return needed is not None and k >= needed
