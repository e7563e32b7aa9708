"""The numbers of every seed of a rung in a report."""

import math

import pytest
from nights import comparison, gate, rung

from ladder.history.samples import PATH, at_limit_of, measures, quantities, same, values_at_by


@pytest.mark.parametrize(
    ("kind", "expected"),
    [("below", [0.5, math.inf]), ("above", [-0.5, math.inf]), ("falls", [0.25, math.inf]), ("agrees", None)],
)
def test_values_at_by(kind, expected):
    """The numbers that a condition limits are those at its epoch, larger if worse, and infinite if they are not finite."""
    condition = gate([1, None]) | {"kind": kind, "since": 1 if kind == "falls" else None}
    entry = rung("rung1", (condition,)) | {"epochs": [1, 6], "curves": {"loss": [[2.0, 0.5], [2.0, None]]}}
    assert values_at_by(entry, condition) == expected


def test_differences():
    """A comparison limits its differences."""
    condition = comparison([0.1, None])
    assert values_at_by(rung("rung2", (condition,)), condition) == [0.1, math.inf]


def test_measures():
    """Conditions measure the same whatever their limits; an agreement is one of the same two metrics."""
    assert measures(gate([1])) == measures(gate([1], limit=0.4))
    assert not same(gate([1]), gate([1], limit=0.4))
    assert measures(gate([1])) != measures(gate([1], by=5))
    assert measures(comparison([0.1])) == measures(comparison([0.1], margin=0.3))
    assert not same(comparison([0.1]), comparison([0.1], margin=0.3))
    two, other, wider = (
        gate([1], kind="agrees") | {"text": f"mse and {name} within {within} by epoch 6"}
        for name, within in (("mse_again", 0.1), ("mse_twice", 0.1), ("mse_again", 0.2))
    )
    assert measures(two) != measures(other)
    assert measures(two) == measures(wider)


def test_another_limit():
    """Seeds are counted again at another limit, on the recorded curves; without them there is nothing to count."""
    condition = gate([1, 1, None])
    entry = rung("rung1", (condition,), curves={"loss": [[0.9, 0.3, 0.1], [0.9, 0.45, 0.1], [0.9, 0.45, 0.45]]})
    moved = at_limit_of(gate([1], limit=0.4), condition, entry)
    assert (moved["reached"], moved["passed"], moved["of"]) == ([6, 12, None], 1, 3)
    assert at_limit_of(gate([1], limit=0.4), condition, rung("rung1", (condition,))) is None


def test_quantities():
    """The quantities of a metric are its last value and its path at a few epochs that both reports have."""
    epochs = list(range(1, 41))
    before, after = (
        rung("rung1", (gate([1, 1], by=40),)) | {"epochs": epochs[::step], "curves": {"loss": [epochs[::step]] * 2}}
        for step in (1, 3)
    )
    (last, path), untested = quantities(before, after)
    assert (last.name, last.epochs, last.before, last.after) == (
        "loss at epoch 40",
        (40,),
        ([40.0] * 2,),
        ([40.0] * 2,),
    )
    assert (path.name, len(path.epochs), path.epochs[0]) == ("path of loss", PATH - 1, 1)
    assert set(path.epochs) < set(epochs[::3])
    assert path.before == path.after == tuple([float(epoch)] * 2 for epoch in path.epochs)
    assert untested == []
