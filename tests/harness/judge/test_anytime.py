"""E-values of a rate: their error at any time, by exact counting, and the bounds that they give."""

import math
import re
from functools import partial
from itertools import pairwise
from pathlib import Path

import pytest
from scipy.integrate import quad
from scipy.stats import beta

from ladder.judge.anytime import at_least, at_most, log_e, majority, rate_interval
from ladder.judge.sequential import SequentialTest

EVERY = range(1, 201)


def ever(crosses, rate, looks=EVERY):
    """Return the probability that ``crosses(k, n)`` at any look, by counting paths."""
    chances, crossed = [1.0], 0.0
    for n in range(1, max(looks, default=0) + 1):
        chances = [rate * a + (1 - rate) * b for a, b in zip([0.0, *chances], [*chances, 0.0], strict=True)]
        if n in looks:
            for k in range(n + 1):
                if chances[k] and crosses(k, n):
                    crossed += chances[k]
                    chances[k] = 0.0
    return crossed


@pytest.mark.parametrize("rate", [0.5, 0.7])
@pytest.mark.parametrize(("k", "n"), [(0, 1), (8, 8), (7, 10), (3, 10), (45, 64)])
def test_mixture(k, n, rate):
    """The e-value is the mean likelihood ratio over the prior above the rate."""
    prior = beta(0.5, 0.5)

    def weighted(p):
        return prior.pdf(p) * math.exp(k * math.log(p / rate) + (n - k) * math.log((1 - p) / (1 - rate)))

    mean = quad(weighted, rate, 1.0)[0] / (1.0 - prior.cdf(rate))
    assert log_e(k, n, rate) == pytest.approx(math.log(mean), rel=1e-5)


@pytest.mark.parametrize("rate", [0.05, 0.5, 0.7, 0.95])
@pytest.mark.parametrize("error", [0.05, 0.01])
def test_error_of_bounds(rate, error):
    """Looked at after every seed, a bound is ever wrong with at most its error, and not by caution alone."""
    for wrong in (lambda k, n: at_least(k, n, error) > rate, lambda k, n: at_most(k, n, error) < rate):
        assert 0.05 * error < ever(wrong, rate) <= error


@pytest.mark.parametrize("error", [0.025, 0.01, 0.01 / 60])
def test_error_of_a_majority(error):
    """At a rate of 1/2, a majority is ever reached with at most its error; twice the error would not do."""

    def reached(k, n, error):
        needed = majority(n, error)
        return needed is not None and k >= needed

    assert ever(partial(reached, error=error), 0.5) <= error < ever(partial(reached, error=2.0 * error), 0.5)


@pytest.mark.parametrize(
    ("k", "n", "low"), [(16, 16, 0.79), (10, 10, 0.69), (15, 16, 0.65), (57, 64, 0.75), (0, 4, 0.0)]
)
def test_bounds(k, n, low):
    """Bounds are those of the documentation, and those of failures mirror those of successes."""
    assert at_least(k, n, 0.05) == pytest.approx(low, abs=0.005)
    assert at_most(n - k, n, 0.05) == 1.0 - at_least(k, n, 0.05)
    assert log_e(k, n, at_least(k, n, 0.05) + 2e-4) < math.log(20)
    assert low == 0.0 or log_e(k, n, at_least(k, n, 0.05)) >= math.log(20)


def test_rate_interval():
    """An interval gives half of its error to each side; without outcomes it is the whole range."""
    assert rate_interval(14, 16, 0.95) == (14, 16, at_least(14, 16, 0.025), at_most(14, 16, 0.025), 0.95)
    assert rate_interval(0, 0, 0.95) == (0, 0, 0.0, 1.0, 0.95)


def test_clear_majorities():
    """A clear effect is decided on 7 to 10 pairs: 7 alike at an error of 0.025, 8 at 0.01."""
    assert [next(n for n in EVERY if majority(n, error) is not None) for error in (0.05, 0.025, 0.01)] == [6, 7, 8]
    needed = [majority(n, 0.025) for n in range(7, 100)]
    assert all(b - a in (0, 1) for a, b in pairwise(needed))


@pytest.mark.parametrize("error", [0.0, 1e-300])
def test_majority_beyond_rounding(error):
    """An error that no count can reach has no majority."""
    assert majority(64, error) is None


def test_documented_tables(monkeypatch):
    """The tables of bounds, majorities and error rates on the documentation page are those of the code."""
    page = (Path(__file__).parents[3] / "docs" / "verdict.md").read_text()
    test, errors = SequentialTest(), (0.025, 0.01, 0.01 / 60)
    needed = {n: [majority(n, error) or "–" for error in errors] for n in test.looks if majority(n, 0.025)}
    rows = [f"| n = {n} | {' | '.join(map(str, counts))} |" for n, counts in needed.items()]
    for p in (0.5, 0.6, 0.7, 0.8, 0.9, 1.0):
        cells = []
        for error in errors[:2]:
            by_look = [
                ever(lambda k, n, error=error: n in needed and k >= majority(n, error), p, test.looks[:last])
                for last in range(len(test.looks) + 1)
            ]
            gaps = [later - sooner for sooner, later in pairwise((0, *test.looks))]
            pairs = sum(gap * (1.0 - crossed) for gap, crossed in zip(gaps, by_look, strict=False))
            cells += [f"{by_look[-1]:.4f}", f"{pairs:.1f}"]
        rows.append(f"| p = {p:.2f} | {' | '.join(cells)} |")
    assert re.findall(r"^\| [np] = .*$", page, re.M) == rows
    for name, prior in (("1", 1.0), ("1/2", 0.5), ("1/4", 0.25), ("1/10", 0.1)):
        monkeypatch.setattr("ladder.judge.anytime.PRIOR", prior)
        bounds = [at_least.__wrapped__(k, n, 0.05) for k, n in ((10, 10), (16, 16), (15, 16), (29, 32), (57, 64))]
        assert f"| Beta({name}, {name}) | {' | '.join(f'{bound:.2f}' for bound in bounds)} |" in page
