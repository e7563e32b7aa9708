"""The series of a rung: its quantities, its faults, and what of earlier reports can be compared."""

import pytest
from nights import LATE, SOON, comparison, gate, of_one_rung, report, rung, unmeasured

from ladder.history.series import EPOCHS, LEARNING


def test_quantities(history_of):
    """A gate has three quantities, a control by criteria only its epochs, a comparison only its differences."""
    rungs = (
        rung("rung1", (gate(SOON),), values=[0.1] * 16),
        rung("rung1[p=0.0]", (gate(SOON),), role="control", values=[0.1] * 16),
        rung("rung2", (comparison([0.1] * 16),)),
    )
    series = history_of(report(*rungs)).series
    assert [each.signs for each in series] == [
        {EPOCHS: 1, "loss at epoch 6": 1, LEARNING: -1},
        {EPOCHS: -1},
        {"loss against rung1": 1},
    ]
    assert [each.main_quantity for each in series] == [EPOCHS, EPOCHS, "loss against rung1"]


def test_main_quantity(history_of):
    """Epochs to target that were never finite do not represent a rung."""
    (series,) = history_of(*of_one_rung([[None] * 16] * 2, values=[0.7] * 16)).series
    assert series.main_quantity == "loss at epoch 6"


def test_changed_limit(history_of):
    """Reports with another limit have no epochs to compare."""
    reports = [report(rung("rung1", (gate(SOON),)), night=night) for night in range(5)]
    reports += [report(rung("rung1", (gate(LATE, limit=0.4),)), night=night) for night in range(5, 10)]
    (series,) = history_of(*reports).series
    assert [EPOCHS in record.values for record in series.records] == [False] * 5 + [True] * 5
    assert not series.changes


def test_changed_role(history_of):
    """Reports in which the rung had another role have no values to compare."""
    reports = [report(rung("rung1", (gate(SOON),), role=role), night=n) for n, role in enumerate(["control", "gate"])]
    (series,) = history_of(*reports).series
    assert [bool(record.values) for record in series.records] == [False, True]


def test_crash(history_of):
    """A rung that was measured and crashes now is worse without statistics."""
    crashed = [report(unmeasured("rung1", error="MemoryError()"), night=night) for night in (3, 4)]
    (series,) = history_of(*of_one_rung([SOON] * 3), *crashed).series
    assert series.worse
    assert series.fault == "CRASHED since 2026-10-19, commit 000000000003: MemoryError()"


@pytest.mark.parametrize(
    "reports",
    [
        [report(unmeasured("rung1"), night=night) for night in range(3)],
        [report(unmeasured("rung1"), night=0), *of_one_rung([SOON, SOON])[1:]],
        [*of_one_rung([SOON]), report(unmeasured("rung1", "BLOCKED", blocked_by=["rung0"]), night=1)],
    ],
    ids=["always crashed", "recovered", "blocked"],
)
def test_no_fault(reports, history_of):
    """A rung that always crashed, recovered or is blocked did not become worse."""
    assert not history_of(*reports).worse
