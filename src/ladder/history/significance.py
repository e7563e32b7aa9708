"""Tests that hold however many values are tied, and the correction for asking of many rungs."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from scipy import stats  # type: ignore[import-untyped]

EXACT = 256  # values in all: up to here every arrangement is counted, in well under a second


class Shift(NamedTuple):
    """How two samples lie: the p-values of ``after`` being larger and smaller, and how often a value of it is larger.

    ``chance`` is that of a value of ``after`` exceeding one of ``before``, ties for half: 1/2 where nothing changed. Source:
    Vargha and Delaney, *A critique and improvement of the CL common language effect size statistics* (2000): A.
    """

    larger: float
    smaller: float
    chance: float

    @property
    def either(self) -> float:
        """The two-sided p-value: twice the smaller one."""
        return min(1.0, 2.0 * min(self.larger, self.smaller))


def shift(before: Sequence[float], after: Sequence[float]) -> Shift:
    """The rank-sum test of Mann and Whitney (1947), given the ties; infinite values are the largest.

    Up to ``EXACT`` values the p-values are exact: the share of all ways to deal the pooled midranks out that give a rank sum at
    least as extreme. A normal approximation is not: 3 of 64 seeds that never got there against none have p = 0.12, and it says
    0.04. Source of the count: Streitberg and Röhmel, *Exact distributions for permutation and rank tests* (1986).

    Raises:
        ValueError: for an empty sample.
    """
    n, m = len(before), len(after)
    if not n or not m:
        raise ValueError(f"{n} values before and {m} after: give at least one of each")
    ranks = stats.rankdata([*before, *after])  # midranks; of infinite values too
    how_often = chance(before, after)
    if n + m > EXACT:
        larger, smaller = (
            float(stats.mannwhitneyu(ranks[n:], ranks[:n], alternative=side, method="asymptotic").pvalue)
            for side in ("greater", "less")
        )
        return Shift(larger, smaller, how_often)
    doubled = np.rint(2.0 * ranks).astype(np.int64)
    if how_often > 0.5:
        larger, equal = _tail(doubled.max() - doubled, n)
        return Shift(larger, min(1.0, 1.0 - larger + equal), how_often)
    smaller, equal = _tail(doubled - doubled.min(), n)
    return Shift(min(1.0, 1.0 - smaller + equal), smaller, how_often)


def _tail(scores: np.ndarray, first: int) -> tuple[float, float]:
    """Of all ways to deal out as many scores as lie from ``first`` on: the shares with at most their sum, and with just it."""
    step = int(np.gcd.reduce(scores)) or 1  # ties leave few different sums
    scores = scores // step
    dealt, most = len(scores) - first, int(scores[first:].sum())
    ways = np.zeros((dealt + 1, most + 1))
    ways[0, 0] = 1.0
    for count, score in enumerate(scores.tolist(), start=1):
        if score <= most:
            top = min(count, dealt)
            ways[1 : top + 1, score:] += ways[:top, : most + 1 - score]
    shares = ways[dealt] / _ways(len(scores), dealt)
    return min(1.0, float(shares.sum())), float(shares[-1])


def _ways(n: int, k: int) -> float:
    ways = 1.0
    for i in range(1, k + 1):
        ways *= (n - k + i) / i
    return ways


def chance(before: Sequence[float], after: Sequence[float]) -> float:
    """How often a value of ``after`` is larger than one of ``before``, ties for half; without the p-values, for any size."""
    n, m = len(before), len(after)
    total = float(stats.rankdata([*before, *after])[n:].sum())
    return (total - m * (m + 1) / 2.0) / (n * m)


def fewer(before: tuple[int, int], after: tuple[int, int]) -> float:
    """Fisher's exact p-value of a smaller share after: of ``k`` of ``n`` each, given how many there are of both in all."""
    (k, n), (j, m) = before, after
    return float(stats.fisher_exact([[k, n - k], [j, m - j]], alternative="greater").pvalue)


def corrected(ps: Sequence[float]) -> list[float]:
    """Each p-value corrected for the number of them: those at most alpha are wrong with a chance of at most alpha in all.

    Source: Holm, *A simple sequentially rejective multiple test procedure* (1979); it asks for no independence.
    """
    order = np.argsort(np.asarray(ps), kind="stable")
    found = np.ones(len(ps))
    found[order] = np.minimum(1.0, np.maximum.accumulate(np.asarray(ps)[order] * (len(ps) - np.arange(len(ps)))))
    return [float(p) for p in found]
