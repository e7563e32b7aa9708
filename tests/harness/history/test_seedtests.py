"""The tests of a rung's quantities: which numbers are compared, pairs of the same seeds, and how often they err."""

import math

import numpy as np
import pytest
from nights import SOON, gate, report, rung

from ladder.history.agreement import TOLERANCE
from ladder.history.compare import compare
from ladder.history.seedtests import BETTER, CHANGED, WORSE

ROOTS = {"fresh seeds": (1, 2), "the same seeds": (1, 1)}


def learned(curves, others=(), id="rung1"):
    """Return a rung with these curves of the loss at epochs 1, 6 and 12, and others of metrics that judge nothing."""
    told = {
        f"other{i}": {"median": [], "low": [], "high": [], "epochs": [1, 6, 12], "seeds": np.asarray(values).tolist()}
        for i, values in enumerate(others)
    }
    return rung(id, (gate(SOON * (len(curves) // 16)),), curves={"loss": np.asarray(curves).tolist()}, others=told)


def changes(before, after, roots=(1, 2)):
    """Return the results named changed of one rung, by quantity."""
    (row,) = compare(report(before, root=roots[0]), report(after, root=roots[1])).rows
    return {test.quantity: test for test in row.tests_with(CHANGED)}


def curves(rng, seeds=16, spread=0.2):
    """Return curves of a loss that falls from 1, each seed by its own rate, with noise at every epoch."""
    rate = np.exp(spread * rng.standard_normal((seeds, 1)))
    return np.exp(-rate * np.array([0.1, 1.0, 2.0])) * np.exp(0.05 * rng.standard_normal((seeds, 3)))


def test_last_value():
    """The last value of a metric is tested two-sided, with its size."""
    before, after = curves(np.random.default_rng(0)), curves(np.random.default_rng(1))
    for factor, size in ((0.3, 0.0), (3.0, 1.0)):
        found = changes(learned(before), learned(after * [1.0, 1.0, factor]))
        assert list(found) == ["loss at epoch 12"]
        assert found["loss at epoch 12"].chance == pytest.approx(size, abs=0.01)


def test_path():
    """A curve that takes another way to the same end is a changed path, most at the epoch that changed."""
    before, after = curves(np.random.default_rng(0)), curves(np.random.default_rng(1))
    found = changes(learned(before), learned(after * [1.0, 0.4, 1.0]))
    assert list(found) == ["path of loss, most at epoch 6", "loss at epoch 6"]
    test = found["path of loss, most at epoch 6"]
    assert (test.before, test.after) == (np.median(before[:, 1]), pytest.approx(0.4 * np.median(after[:, 1])))


def test_metric_that_judges_nothing():
    """A metric without a gate is tested too."""
    rngs = [np.random.default_rng(i) for i in range(4)]
    judged = curves(rngs[0]), curves(rngs[1])
    other = curves(rngs[2]), curves(rngs[3]) * [1.0, 1.0, 3.0]
    assert list(changes(learned(judged[0], [other[0]]), learned(judged[1], [other[1]]))) == ["other0 at epoch 12"]


def test_limited_value():
    """The value that a criterion limits is tested at its epoch, whatever the limit."""
    rng = np.random.default_rng(0)
    before, after = (learned(curves(rng) * scale) for scale in ([1.0, 1.0, 1.0], [10.0, 1.0, 1.0]))
    for entry, limit in ((before, 0.5), (after, 0.51)):
        entry["gates"][0] |= {"kind": "falls", "since": 1, "limit": limit}
    assert "loss at epoch 6 of epoch 1's" in changes(before, after)


@pytest.mark.parametrize("seeds", [16, 64])
def test_pairs(seeds):
    """A shift of every seed that is small beside the spread of the seeds shows in pairs of the same seeds."""
    before = curves(np.random.default_rng(0), seeds=seeds, spread=1.0)
    after = before * [1.0, 1.0, 1.0 + 3.0 * TOLERANCE]
    assert list(changes(learned(before), learned(after), roots=(1, 1))) == ["loss at epoch 12"]
    assert not changes(learned(before), learned(after), roots=(1, 2))
    rounded = before * [1.0, 1.0, 1.0 + 0.5 * TOLERANCE]
    assert not changes(learned(before), learned(rounded), roots=(1, 1)), "rounding, though of one sign in every seed"


def test_lost_seeds():
    """Seeds without a finite value are the largest; pairs of which none is finite do not differ."""
    before = curves(np.random.default_rng(0))
    lost = before.copy()
    lost[:10, 2] = math.nan
    assert changes(learned(before), learned(lost), roots=(1, 1))["loss at epoch 12"].after == math.inf
    assert not changes(learned(lost), learned(lost), roots=(1, 1))


def test_unrecorded():
    """A metric of one report alone is named as not tested, as are those of a report that has no epoch in common."""
    before, after = curves(np.random.default_rng(0)), curves(np.random.default_rng(1))
    (row,) = compare(report(learned(before, [before])), report(learned(after))).rows
    assert row.untested == ("other0",)
    elsewhere = learned(after) | {"epochs": [2, 7, 11]}
    (row,) = compare(report(learned(before)), report(elsewhere)).rows
    assert row.untested == ("loss",)


def alarms(rng, roots, trials, seeds, change):
    """Return how often two reports of four rungs have any changed metric, and any regression or improvement, by ``change``."""
    changed = other = 0
    for _ in range(trials):
        before, after = [], []
        for i in range(4):
            first = [curves(rng, seeds) for _ in range(4)]
            again = [change(values, curves(rng, seeds)) for values in first]
            before.append(learned(first[0], first[1:], id=f"rung{i}"))
            after.append(learned(again[0], again[1:], id=f"rung{i}"))
        rows = compare(report(*before, root=roots[0]), report(*after, root=roots[1])).rows
        changed += any(row.tests_with(CHANGED) for row in rows)
        other += any(row.tests_with(WORSE + BETTER) for row in rows)
    return changed / trials, other / trials


def redrawn(rng, share):
    """Return a function that draws the curves of a share of the seeds anew."""
    return lambda values, new: np.where(rng.random((len(values), 1)) < share, new, values)


@pytest.mark.nightly
@pytest.mark.parametrize("seeds", [16, 64])
def test_rate_of_false_alarms(seeds):
    """Two reports of unchanged rungs have a changed metric no more often than alpha says, on fresh and on the same seeds."""
    rng = np.random.default_rng(0)
    trials = 400 if seeds == 16 else 150
    for name, roots, change in (
        ("fresh seeds", (1, 2), lambda values, new: new),
        ("the same seeds, all drawn anew", (1, 1), lambda values, new: new),
        ("the same seeds, one in four drawn anew", (1, 1), redrawn(rng, 0.25)),
        ("the same seeds, rounded", (1, 1), lambda values, new: values * (1.0 + 0.002 * rng.random(values.shape))),
    ):
        rate, other = alarms(rng, roots, trials, seeds, change)
        print(f"{name}, {seeds} seeds: {rate:.4f} of {trials} comparisons of 4 unchanged rungs have a changed metric")
        assert rate <= 0.05 + 3.0 * math.sqrt(0.05 * 0.95 / trials)
        assert other == 0.0
