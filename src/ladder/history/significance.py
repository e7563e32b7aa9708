"""The tests, which are valid however many values are tied, and the correction for testing many rungs."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import scipy  # type: ignore[import-untyped]

EXACT = 256  # values in total: up to here every arrangement is counted, in well under a second


class Shift(NamedTuple):
    """A shift between two samples: the p-values of ``after`` being larger and of its being smaller, and its size.

    ``chance`` is the probability that a value of ``after`` exceeds one of ``before``, ties count half: 1/2 if nothing changed.
    Source: Vargha and Delaney, *A critique and improvement of the CL common language effect size statistics* (2000): A.
    """

    larger: float
    smaller: float
    chance: float

    @property
    def either(self) -> float:
        """The two-sided p-value: twice the smaller one."""
        return min(1.0, 2.0 * min(self.larger, self.smaller))


def shift(before: Sequence[float], after: Sequence[float]) -> Shift:
    """Return the rank-sum test of Mann and Whitney (1947), conditional on the ties; infinite values are the largest.

    Up to ``EXACT`` values the p-values are exact: the share of all ways to assign the pooled midranks that give a rank sum at
    least as extreme. A normal approximation is not: 3 of 64 seeds that never got there against none have p = 0.12, and it says
    0.04. Source of the count: Streitberg and Röhmel, *Exact distributions for permutation and rank tests* (1986).

    Raises:
        ValueError: if a sample is empty.
    """
    n, m = len(before), len(after)
    if not n or not m:
        raise ValueError(f"{n} values before and {m} after: give at least one of each")
    ranks = scipy.stats.rankdata([*before, *after])  # midranks; of infinite values too
    probability = chance(before, after)
    if n + m > EXACT:
        larger, smaller = (
            float(scipy.stats.mannwhitneyu(ranks[n:], ranks[:n], alternative=side, method="asymptotic").pvalue)
            for side in ("greater", "less")
        )
        return Shift(larger, smaller, probability)
    doubled = np.rint(2.0 * ranks).astype(np.int64)
    if probability > 0.5:
        larger, equal = _tail(doubled.max() - doubled, n)
        return Shift(larger, min(1.0, 1.0 - larger + equal), probability)
    smaller, equal = _tail(doubled - doubled.min(), n)
    return Shift(min(1.0, 1.0 - smaller + equal), smaller, probability)


def _tail(scores: np.ndarray, first: int) -> tuple[float, float]:
    """Return the shares of the ways to choose as many scores as lie from ``first`` on: with at most their sum, and with it."""
    step = int(np.gcd.reduce(scores)) or 1  # with ties there are few different sums
    scores = scores // step
    chosen, most = len(scores) - first, int(scores[first:].sum())
    # ways[k, s] counts the choices of k of the scores so far whose sum is s.
    ways = np.zeros((chosen + 1, most + 1))
    ways[0, 0] = 1.0
    for count, score in enumerate(scores.tolist(), start=1):
        if score <= most:
            top = min(count, chosen)
            ways[1 : top + 1, score:] += ways[:top, : most + 1 - score]
    shares = ways[chosen] / _ways(len(scores), chosen)
    return min(1.0, float(shares.sum())), float(shares[-1])


def _ways(n: int, k: int) -> float:
    ways = 1.0
    for i in range(1, k + 1):
        ways *= (n - k + i) / i
    return ways


def chance(before: Sequence[float], after: Sequence[float]) -> float:
    """Return how often a value of ``after`` is larger than one of ``before``, ties count half; for samples of any size."""
    n, m = len(before), len(after)
    total = float(scipy.stats.rankdata([*before, *after])[n:].sum())
    return (total - m * (m + 1) / 2.0) / (n * m)


def fewer(before: tuple[int, int], after: tuple[int, int]) -> float:
    """Return Fisher's exact p-value of a smaller share after, given the totals; each sample is ``k`` of ``n``."""
    (k, n), (j, m) = before, after
    return float(scipy.stats.fisher_exact([[k, n - k], [j, m - j]], alternative="greater").pvalue)


def corrected(ps: Sequence[float]) -> list[float]:
    """Return the p-values corrected for their number: the chance that any of those at most alpha is wrong is at most alpha.

    Source: Holm, *A simple sequentially rejective multiple test procedure* (1979); it does not require independence.
    """
    order = np.argsort(np.asarray(ps), kind="stable")
    adjusted = np.ones(len(ps))
    adjusted[order] = np.minimum(1.0, np.maximum.accumulate(np.asarray(ps)[order] * (len(ps) - np.arange(len(ps)))))
    return [float(p) for p in adjusted]
