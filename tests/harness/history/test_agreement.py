"""Two reports of the same seeds: what is rounding, and which curves moved, by how much, in which seeds, from which epoch."""

import math

import numpy as np
import pytest
from nights import LATE, SOON, gate, report, rung, unmeasured

from ladder.history.agreement import FLOOR, TOLERANCE, compare_seed_by_seed, differs, relative_difference
from ladder.report.reading import ReportError

CURVES = np.array([[1.0 + 0.01 * i, 0.5, 0.25] for i in range(16)])


def climbed(loss=CURVES, *, reached=SOON, root=3, **others):
    """Return a report of one rung with these curves at epochs 1, 6 and 12, and other metrics at epochs 1 and 12."""
    told = {
        name: {"median": [], "low": [], "high": [], "epochs": [1, 12], "seeds": values.tolist()}
        for name, values in others.items()
    }
    return report(rung("rung1", (gate(reached),), curves={"loss": loss.tolist()}, others=told), root=root)


def changed(seeds, epoch, factor, curves=CURVES):
    """Return the curves with some values multiplied."""
    curves = curves.copy()
    curves[seeds, epoch] *= factor
    return curves


def test_rounding():
    """Differences within the tolerance are rounding, and their size is shown."""
    found = compare_seed_by_seed(climbed(), climbed(changed(slice(0, 16), 1, 1.0 + 0.5 * TOLERANCE)))
    assert not found.moved
    assert found.headline == "the same curves, to 0.5 %, in rung1"
    assert found.rows[0].description == "the same to 0.5 % in 16 seeds"
    assert compare_seed_by_seed(climbed(), climbed()).headline == "the same curves, to 0 %, in rung1"


def test_moved_curves():
    """A rung that moved is described by its largest difference, its seeds, and the first epoch and metric that part."""
    spread = np.ones((16, 2))
    after = climbed(changed([2, 5], 2, 1.25), spread=changed([5], 0, 0.98, spread))
    found = compare_seed_by_seed(climbed(spread=spread), after)
    (row,) = found.moved
    assert [(each.metric, each.seeds, each.epoch) for each in row.moved] == [("loss", 2, 12), ("spread", 1, 1)]
    assert row.moved[0].largest == pytest.approx(0.2)
    assert row.description == "up to 20 % in loss, 2 of 16 seeds, from epoch 1 (spread); and 1 other metric"
    assert found.headline == f"MOVED: rung1 {row.description}"
    assert not compare_seed_by_seed(climbed(spread=spread), after, tolerance=0.21).moved


def test_numbers_of_seeds():
    """Seeds that only one report has are left out."""
    found = compare_seed_by_seed(climbed(CURVES[:10]), climbed(changed([3, 12], 0, 2.0)))
    assert (found.rows[0].seeds, found.rows[0].moved[0].seeds) == (10, 1)


def test_lost_values():
    """A value that is finite in one report only differs without bound, and one that is finite in neither does not."""
    bad = changed([0], 2, math.nan)
    assert compare_seed_by_seed(climbed(), climbed(bad)).rows[0].moved[0].largest == math.inf
    assert not compare_seed_by_seed(climbed(bad), climbed(bad)).moved


def test_size():
    """A difference is relative to the larger value, whichever report has it; one of a few units in the last place is none."""
    one, other = np.array([1.0, -2.0, 0.0, 1e-7, 3e-7]), np.array([1.25, -1.0, 0.1, -FLOOR / 2.0, 0.0])
    assert relative_difference(one, other) == pytest.approx([0.2, 0.5, 1.0, 0.0, 0.0])
    assert np.array_equal(relative_difference(one, other), relative_difference(other, one))
    assert differs(one, other).tolist() == [True, True, True, False, False]


def test_other_seeds():
    """Reports of different seeds are refused, with both roots and what to do."""
    with pytest.raises(
        ReportError, match=r"of roots 3 and 4: climb again with --ladder-seed-root=3, or compare them w"
    ):
        compare_seed_by_seed(climbed(), climbed(root=4))


def test_rungs_without_curves():
    """Rungs that one report lacks, or has no curves of, are not compared; the verdicts of the others are."""
    alone = rung("rung2", (gate(SOON),), curves={"loss": CURVES.tolist()})
    before, after = climbed(), climbed(reached=[None] * 16)
    before["rungs"] += [alone, rung("rung3", (gate(SOON),), curves={"loss": CURVES.tolist()})]
    before["rungs"].append(unmeasured("rung4", "BLOCKED"))
    after["rungs"] += [unmeasured("rung3"), unmeasured("rung4", "BLOCKED")]
    found = compare_seed_by_seed(before, after)
    assert found.headline == (
        "the same curves, to 0 %, in rung1; other verdicts: rung1, rung3; not compared: rung3, rung4, rung2"
    )
    without = "no curves in both reports"
    assert [row.note for row in found.rows] == ["", without, without, "not in the later report"]
    assert [row.id for row in found.missing] == ["rung3", "rung2"], "rung4 was blocked before too"
    nothing = compare_seed_by_seed(report(alone, root=0), report(unmeasured("rung2"), root=0))
    assert nothing.headline.startswith("NOTHING TO COMPARE")


def test_metric_of_one_report():
    """A metric that one report lacks is named; if the later one lacks it, the reports differ."""
    more = climbed(spread=np.ones((16, 2)))
    added, lost = compare_seed_by_seed(climbed(), more), compare_seed_by_seed(more, climbed())
    assert added.rows[0].description == lost.rows[0].description == "in one report only: spread"
    assert (added.differing, lost.differing) == ([], list(lost.rows))
    assert not compare_seed_by_seed(climbed(reached=SOON), climbed(reached=LATE)).moved
