"""The tests for ordered values and for counts, and their correction."""

import itertools
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from ladder.history.significance import DECIDES, EXACT, chance, corrected, either, fewer, shift, signed_ranks, simes

EPOCHS = st.lists(st.sampled_from([1, 2, 3, 4, 5, math.inf]), min_size=1, max_size=12)


@given(EPOCHS, EPOCHS)
def test_every_arrangement(before, after):
    """The p-values are the shares of all arrangements of the seeds with a rank sum at least as extreme."""
    before, after = before[:5], after[:5]
    ranks = stats.rankdata([*before, *after])
    sums = np.array([sum(dealt) for dealt in itertools.combinations(ranks, len(after))])
    seen, found = sum(ranks[len(before) :]), shift(before, after)
    assert found.larger == pytest.approx(np.mean(sums >= seen - 1e-9))
    assert found.smaller == pytest.approx(np.mean(sums <= seen + 1e-9))
    pairs = [(a > b) + 0.5 * (a == b) for a in after for b in before]
    assert found.chance == pytest.approx(np.mean(pairs)) == pytest.approx(chance(before, after))


@pytest.mark.parametrize("n", [5, 64])
def test_without_ties(n):
    """The p-values are those of SciPy's exact test if there are no ties."""
    rng = np.random.default_rng(n)
    before, after = rng.normal(size=n).tolist(), (rng.normal(size=n + 3) + 0.4).tolist()
    found = shift(before, after)
    for p, side in ((found.larger, "greater"), (found.smaller, "less"), (found.either, "two-sided")):
        assert p == pytest.approx(stats.mannwhitneyu(after, before, alternative=side, method="exact").pvalue)


def test_ties():
    """The p-value is Fisher's if most values are tied; that of a normal approximation would be too small."""
    before, after = [3.0] * 64, [3.0] * 61 + [math.inf] * 3
    assert shift(before, after).larger == pytest.approx(fewer((64, 64), (61, 64))) == pytest.approx(0.122, abs=1e-3)
    finite = [3.0] * 61 + [99.0] * 3
    assert stats.mannwhitneyu(finite, before, alternative="greater", method="asymptotic").pvalue < 0.05


def test_many_values():
    """More values than can be counted are approximated; empty samples are refused."""
    rng = np.random.default_rng(0)
    before, after = rng.normal(size=EXACT).tolist(), (rng.normal(size=EXACT) + 0.2).tolist()
    expected = stats.mannwhitneyu(after, before, alternative="greater", method="asymptotic").pvalue
    assert shift(before, after).larger == pytest.approx(expected)
    with pytest.raises(ValueError, match="at least one"):
        shift([], [1.0])


@given(EPOCHS, EPOCHS)
def test_swapped_samples(before, after):
    """The sides of the test are swapped with the samples."""
    there, back = shift(before, after), shift(after, before)
    assert (there.larger, there.chance) == (pytest.approx(back.smaller), pytest.approx(1.0 - back.chance))


@given(st.lists(st.sampled_from([-2.0, -1.0, -0.5, 0.0, 0.5, 1.0, 3.0, math.inf, -math.inf]), min_size=1, max_size=9))
def test_every_sign(differences):
    """The p-value of pairs is the share of all assignments of signs with a sum of ranks at least as extreme."""
    nonzero = [d for d in differences if d]
    ranks = stats.rankdata(np.abs(nonzero)) if nonzero else np.zeros(0)
    sums = [np.dot(signs, ranks) for signs in itertools.product([-1, 1], repeat=len(nonzero))]
    seen = np.dot(np.sign(nonzero), ranks)
    expected = np.mean(np.abs(sums) >= abs(seen) - 1e-9)
    assert signed_ranks(differences) == pytest.approx(expected)
    assert signed_ranks([-d for d in differences]) == pytest.approx(expected)


@pytest.mark.parametrize("n", [16, EXACT, EXACT + 1])
def test_pairs_without_ties(n):
    """The p-value of pairs is SciPy's, exact or, of very many, approximated."""
    differences = np.random.default_rng(n).normal(size=n) + 0.1
    method = "exact" if n <= EXACT else "asymptotic"
    assert signed_ranks(differences.tolist()) == pytest.approx(stats.wilcoxon(differences, method=method).pvalue)


@given(EPOCHS, EPOCHS)
def test_either(before, after):
    """The two-sided p-value is exact wherever it may decide something."""
    p, exact = either(before, after), shift(before, after).either
    assert p == exact or min(p, exact) > DECIDES / 4.0


def test_simes():
    """One p-value of several is the smallest of them times their number over its rank; equal ones lose nothing."""
    assert simes([0.03]) == 0.03
    assert simes([0.02, 0.02, 0.02]) == pytest.approx(0.02)
    assert simes([0.01, 0.5, 0.9]) == pytest.approx(0.03)
    assert simes([0.4, 0.02, 0.03]) == pytest.approx(0.045)
    assert simes([1.0, 1.0]) == 1.0


def test_holm():
    """Corrected p-values are those of Holm."""
    assert corrected([0.01, 0.04, 0.03]) == pytest.approx([0.03, 0.06, 0.06])
    assert corrected([0.6, 0.9]) == [1.0, 1.0]
    assert corrected([]) == []


@pytest.mark.nightly
def test_rate_of_error():
    """Unchanged samples differ no more often than the level says."""
    rng = np.random.default_rng(1)
    for n, trials in ((16, 20_000), (64, 4_000)):
        for values in ([3, 3, 4, 3, 4, math.inf], [3] * 49 + [math.inf], [3] * 24 + [4]):
            rate = np.mean(
                [
                    shift(rng.choice(values, n).tolist(), rng.choice(values, n).tolist()).larger <= 0.05
                    for _ in range(trials)
                ]
            )
            print(f"{n} seeds of {len(values)} values: {rate:.4f} of {trials} at level 0.05")
            assert rate <= 0.05 + 3.0 * math.sqrt(0.05 * 0.95 / trials)
