"""Criteria applied to the curves of a report, against those applied to the curves of the training."""

import math

import numpy as np
import pytest

from ladder import above, agrees, below, falls
from ladder.report import recorded

CURVES = np.array(
    [[2.0, 0.9, 0.4, 0.3, 0.2], [2.0, 1.0, 0.2, 0.9, 0.1], [0.0, 0.5, 0.1, 0.1, 0.1], [1.0, 0.2] + [np.nan] * 3]
)
CRITERIA = [
    below("loss", 0.5, by=3, source="made up"),
    below("loss", -0.5, by=3, source="made up", signed=True),
    above("loss", 0.15, by=4, source="made up"),
    falls("loss", 0.5, by=3, source="made up"),
    falls("loss", 0.3, by=5, since=2, source="made up"),
]


def recorded_at(epochs, criterion):
    """The condition and the entry of a report that records the curves at these epochs."""
    curves = [[None if math.isnan(seed[epoch - 1]) else seed[epoch - 1] for epoch in epochs] for seed in CURVES]
    names = ("kind", "metric", "limit", "by", "source")
    condition = {name: getattr(criterion, name) for name in names} | {"since": getattr(criterion, "since", None)}
    return condition, {"epochs": epochs, "curves": {"loss": curves}, "seeds": {"non_finite": [{"seed": 3}]}}


@pytest.mark.parametrize("criterion", CRITERIA, ids=str)
def test_all_epochs(criterion):
    """From complete curves a criterion gives the numbers that it gave when it was judged."""
    condition, entry = recorded_at([1, 2, 3, 4, 5], criterion)
    expected = criterion.series({"loss": CURVES})[:, criterion.by - 1]
    np.testing.assert_array_equal(recorded.values_at_by(condition, entry), expected)
    reached = [epoch if math.isfinite(epoch) else None for epoch in criterion.reached({"loss": CURVES})]
    assert recorded.reached(condition, entry) == reached


@pytest.mark.parametrize("criterion", CRITERIA, ids=str)
def test_some_epochs(criterion):
    """From curves at some epochs it gives the same numbers, and no epoch of which nothing is recorded."""
    epochs = sorted({getattr(criterion, "since", 1), criterion.by, 5})
    condition, entry = recorded_at(epochs, criterion)
    expected = criterion.series({"loss": CURVES})[:, criterion.by - 1]
    np.testing.assert_array_equal(recorded.values_at_by(condition, entry), expected)
    assert set(recorded.reached(condition, entry)) <= {*epochs, None}


def test_seed_with_non_finite_numbers():
    """A seed of which any number was not finite never meets a condition."""
    condition, entry = recorded_at([1, 2], below("loss", 0.95, by=2, source="made up"))
    assert recorded.reached(condition, entry) == [2, None, 1, None]
    assert recorded.reached(condition, entry | {"seeds": None}) == [2, None, 1, 2]


@pytest.mark.parametrize(
    "change",
    [{"by": 4}, {"since": 2}, {"metric": "mse"}, {"limit": 1.5}, {"kind": "agrees"}, {"since": 3}],
    ids=str,
)
def test_not_recorded(change):
    """Without the epochs, the metric or a limit that could be declared there are no numbers."""
    condition, entry = recorded_at([1, 3, 5], falls("loss", 0.5, by=3, source="made up"))
    assert recorded.values_at_by(condition, entry) is not None
    assert recorded.values_at_by(condition | change, entry) is None
    assert recorded.reached(condition | change, entry) is None


def test_agreement():
    """A report does not record the other metric of an agreement."""
    condition, entry = recorded_at([1, 3, 5], agrees("loss", "mse", within=0.1, by=3, source="made up"))
    assert recorded.criterion(condition, entry["epochs"]) is None
