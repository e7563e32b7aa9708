"""The numbers of every seed of a rung in a report."""

import math

import pytest
from nights import comparison, gate, rung

from ladder.history.samples import values_at_by


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
