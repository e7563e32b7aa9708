"""The tests, which are valid however many values are tied, and the correction for testing many rungs."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import scipy  # type: ignore[import-untyped]

EXACT = 256  # values in total: up to here every arrangement is counted, in about a second at most
DECIDES = 0.1  # two-sided: a larger p-value is nothing, whatever the number of tests


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


def either(before: Sequence[float], after: Sequence[float]) -> float:
    """Return the two-sided p-value of the rank-sum test, exact where it may decide something.

    A p-value above ``DECIDES`` is left approximated: to count the arrangements of every sample that did not change takes minutes.
    """
    ranks = scipy.stats.rankdata([*before, *after])
    if ranks.min() == ranks.max():
        return 1.0
    p = float(scipy.stats.mannwhitneyu(ranks[len(before) :], ranks[: len(before)], method="asymptotic").pvalue)
    return p if p > DECIDES else shift(before, after).either


def simes(ps: Sequence[float]) -> float:
    """Return one p-value of several hypotheses together: the smallest of ``len(ps) p_(i) / i``, ``p_(i)`` the i-th smallest.

    Its error rate is that of its level for independent p-values, and for positively dependent ones such as those of the epochs
    of a curve. Unlike the smallest p-value times their number it loses nothing if all are alike.
    Source: Simes, *An improved Bonferroni procedure for multiple tests of significance* (1986); Sarkar (1998) for dependence.
    """
    ordered = np.sort(np.asarray(ps))
    return min(1.0, float(np.min(ordered * len(ps) / np.arange(1, len(ps) + 1))))


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


def signed_ranks(differences: Sequence[float]) -> float:
    """Return the two-sided p-value of the signed-rank test of Wilcoxon (1945), conditional on the ties; zeros are left out.

    It tests whether differences of pairs are as likely positive as negative, size by size. Up to ``EXACT`` of them the p-value
    is exact: the share of all assignments of signs to the midranks with a sum at least as extreme. Infinite differences are the
    largest.
    """
    nonzero = np.array([difference for difference in differences if difference != 0.0])
    if not nonzero.size:
        return 1.0
    if nonzero.size > EXACT:
        ranks = np.sign(nonzero) * scipy.stats.rankdata(np.abs(nonzero))
        return float(scipy.stats.wilcoxon(ranks, method="asymptotic").pvalue)
    doubled = np.rint(2.0 * scipy.stats.rankdata(np.abs(nonzero))).astype(np.int64)
    positive = int(doubled[nonzero > 0.0].sum())
    least = min(positive, int(doubled.sum()) - positive)
    # ways[s] is the share of the assignments so far in which the ranks with a plus sum to s.
    ways = np.zeros(least + 1)
    ways[0] = 1.0
    for rank in doubled.tolist():
        ways *= 0.5
        if rank <= least:
            ways[rank:] += ways[: least + 1 - rank].copy()
    return min(1.0, 2.0 * float(ways.sum()))


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
