"""The sequential test's boundaries and error rates."""

import math
import re
import subprocess
import sys
from itertools import product
from pathlib import Path

import pytest

from ladder.declare.verdict import Verdict
from ladder.judge.sequential import REPORT_SEEDS, Boundary, SequentialTest, chance_of_decision

PASS, FAIL, UNDECIDED = Verdict.PASS, Verdict.FAIL, Verdict.UNDECIDED


def binomial(k, n, p):
    return math.comb(n, k) * p**k * (1 - p) ** (n - k)


def exact_rates(test, p, tests=None):
    """What the test comes to where a seed learns with probability p, by convolution from look to look."""
    undecided, seeds, mean, rates = {0: 1.0}, 0, 0.0, {PASS: 0.0, FAIL: 0.0}
    for look in test.looks:
        reached = dict.fromkeys(range(look + 1), 0.0)
        for (k, mass), more in product(undecided.items(), range(look - seeds + 1)):
            reached[k + more] += mass * binomial(more, look - seeds, p)
        for k in list(reached):
            verdict = test.verdict(k, look)
            weak = verdict is FAIL and tests and look < test.looks[-1] and not test.names_culprit(k, look, tests)
            if verdict is not UNDECIDED and not weak:
                mean += look * reached[k]
                rates[verdict] += reached.pop(k)
        undecided, seeds = reached, look
    rates[UNDECIDED] = sum(undecided.values())
    assert sum(rates.values()) == pytest.approx(1.0)
    return rates | {"seeds": mean + seeds * rates[UNDECIDED]}


settings = pytest.mark.parametrize(
    "test",
    [
        SequentialTest(),
        SequentialTest(looks=(10,)),
        SequentialTest(looks=(10, 11, 12, 13, 14, 15, 16, 20, 40, 80)),
        SequentialTest(p0=0.5, p1=0.8, alpha=0.01, beta=0.05, looks=(20, 60)),
    ],
    ids=lambda test: "-".join(map(str, test.looks)),
)


@pytest.mark.parametrize(
    ("seeds", "pass_at", "fail_at", "culprit_at"),
    [(10, 10, 6, 5), (16, 16, 11, 10), (32, 29, 25, 24), (64, 57, 52, 51)],
)
def test_boundaries(seeds, pass_at, fail_at, culprit_at):
    """The boundaries of the default test give the verdict on every count of seeds."""
    test = SequentialTest()
    assert test.boundary(seeds) == Boundary(seeds, pass_at, fail_at)
    for k in range(seeds + 1):
        assert test.verdict(k, seeds) is (PASS if k >= pass_at else FAIL if k <= fail_at else UNDECIDED)
        assert test.names_culprit(k, seeds, tests=10) == (k <= culprit_at)


def test_boundary_without_decision():
    """A look at which no count decides has no boundaries."""
    assert SequentialTest().boundary(1) == Boundary(1, None, None)


@settings
def test_error_rates(test):
    """The error rates are at most alpha and beta over all looks."""
    for worse in (0.0, 0.2, 0.4):
        assert exact_rates(test, test.p0 - worse)[PASS] <= test.alpha
    for better in (0.0, 0.5, 1.0):
        assert exact_rates(test, test.p1 + better * (1 - test.p1))[FAIL] <= test.beta


@settings
@pytest.mark.parametrize("rate", [0.0, 0.5, 0.7, 0.85, 0.95, 0.99, 1.0])
@pytest.mark.parametrize("tests", [None, 60])
def test_operating_characteristics(test, rate, tests):
    """The operating characteristics equal those of an exact convolution, also if a FAIL goes on until it names a culprit."""
    found, rates = test.operating_characteristics(rate, tests), exact_rates(test, rate, tests)
    assert found == pytest.approx((rates[PASS], rates[FAIL], rates[UNDECIDED], rates["seeds"]), rel=1e-9, abs=1e-15)


def test_operating_characteristics_by_hand():
    """Looks at 1 and 2 seeds: 1 of 1 passes, 0 of 2 fails, 1 of 2 is undecided."""
    test = SequentialTest(p0=0.1, p1=0.9, alpha=0.12, beta=0.1, looks=(1, 2))
    assert test.operating_characteristics(0.75) == (0.75, 0.0625, 0.1875, 1.25)


@pytest.mark.parametrize(("rate", "seeds"), [(0.0, 4.0), (0.5, 9.4), (0.99, 11.4)])
def test_seeds_of_early_looks(rate, seeds):
    """Early looks decide clear cases on few seeds, with the error rates of late ones."""
    test, late = SequentialTest(), SequentialTest(looks=(16, 32, 64))
    assert test.operating_characteristics(rate).seeds == pytest.approx(seeds, abs=0.05)
    assert test.operating_characteristics(rate).seeds < late.operating_characteristics(rate).seeds - 5.0
    assert test.operating_characteristics(test.p0).passes <= test.alpha
    assert test.operating_characteristics(test.p1).fails <= test.beta


def test_chance_of_decision():
    """The chance that a test decides after more seeds is that of a test that starts where it stands."""
    test = SequentialTest(looks=(16, 32, 64))

    def decides(k, n):
        return test.verdict(k, n) is not UNDECIDED

    chances = chance_of_decision(55, 64, [65, 96], decides)
    by_hand = sum(
        binomial(k, 31, 55 / 64) * first
        for first, learned in ((55 / 64, 56), (9 / 64, 55))
        for k in range(32)
        if not decides(learned, 65) and decides(learned + k, 96)
    )
    assert chances[0] == pytest.approx(9 / 64 * decides(55, 65) + 55 / 64 * decides(56, 65))
    assert chances[1] == pytest.approx(chances[0] + by_hand)


def test_documented_tables():
    """The tables and defaults on the documentation page are those of the default test."""
    test = SequentialTest()
    decisions = [
        f"| {seeds} | {'–' if pass_at is None else pass_at} | {fail_at} | "
        f"{'–' if (culprit := test.boundary(seeds, test.beta / 10).fail_at) is None else culprit} |"
        for seeds, pass_at, fail_at in map(test.boundary, test.looks)
    ]
    rates = [0.50, 0.60, 0.70, 0.80, 0.85, 0.90, 0.95, 0.97, 0.99]
    characteristics = [
        f"| {rate:.2f} | {found.passes:.4f} | {found.fails:.4f} | {found.undecided:.4f} | {found.seeds:.1f} | "
        f"{gated.undecided:.4f} | {gated.seeds:.1f} |"
        for rate in rates
        for found, gated in [(test.operating_characteristics(rate), test.operating_characteristics(rate, 10))]
    ]
    page = (Path(__file__).parents[3] / "docs" / "verdict.md").read_text()
    assert re.findall(r"^\| [0-9].*$", page, re.M) == [*decisions, *characteristics]
    defaults = dict(re.findall(r"^\| `ladder_(\w+)` \| `(.+?)`", page, re.M))
    looks = tuple(map(int, defaults.pop("seeds").split(",")))
    assert int(defaults.pop("report_seeds")) == REPORT_SEEDS
    assert SequentialTest(**{name: float(value) for name, value in defaults.items()}, looks=looks) == test
    assert len(defaults) == 4


@pytest.mark.parametrize("rate", [-0.1, 1.1, math.nan])
def test_invalid_rate(rate):
    """A rate that is not a probability raises an error."""
    with pytest.raises(ValueError, match=f"rate={rate}: choose a probability"):
        SequentialTest().operating_characteristics(rate)


def test_power():
    """A healthy rung usually passes, and a broken one usually fails."""
    assert exact_rates(SequentialTest(), 0.95)[PASS] > 0.85
    assert exact_rates(SequentialTest(), 0.60)[FAIL] > 0.95


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ({"p0": 0.95, "p1": 0.95}, r"p0=0.95, p1=0.95: choose 0 < p0 < p1 < 1"),
        ({"p0": 0.99}, "p0=0.99"),
        ({"p0": 0.0}, "p0=0.0"),
        ({"p1": 1.0}, "p1=1.0"),
        ({"p0": math.nan}, "p0=nan"),
        ({"alpha": 0.0}, "alpha=0.0: choose a probability"),
        ({"alpha": 1.0}, "alpha=1.0"),
        ({"beta": 1.5}, "beta=1.5"),
        ({"beta": 0.5}, "beta=0.5: choose less than 1/2"),
        ({"looks": ()}, r"seeds \(none\): choose increasing"),
        ({"looks": (0, 16)}, "seeds 0,16"),
        ({"looks": (16, 16)}, "seeds 16,16"),
        ({"looks": (32, 16)}, "seeds 32,16"),
        ({"looks": (4, 9)}, "seeds 4,9: even if every seed learns, a PASS at alpha=0.05 needs 10 seeds"),
    ],
)
def test_invalid_setting(setting, message):
    """A setting that is out of range raises an error that names it."""
    with pytest.raises(ValueError, match=message):
        SequentialTest(**setting)


def test_smallest_sample():
    """The smallest number of seeds that can pass is accepted."""
    assert SequentialTest(looks=(10,)).verdict(10, 10) is PASS


@pytest.mark.parametrize(
    ("parts", "whole"),
    [
        ([PASS, PASS], PASS),
        ([PASS, UNDECIDED], UNDECIDED),
        ([UNDECIDED, FAIL], FAIL),
        ([PASS, Verdict.BLOCKED], UNDECIDED),
        ([], PASS),
    ],
)
def test_all_of(parts, whole):
    """All parts must pass for a PASS, one FAIL makes a FAIL, and else the whole is undecided."""
    assert Verdict.all_of(parts) is whole


@pytest.mark.parametrize("module", ["ladder", "ladder.judge.sequential", "ladder.plugin"])
def test_imports(module):
    """The modules for declaration and judgement import neither JAX nor NumPy."""
    code = f"import sys, {module}; assert not {{'jax', 'numpy'}} & set(sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
