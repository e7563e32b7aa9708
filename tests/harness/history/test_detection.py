"""The detection of changes: where steps and trends are, what is noise, and how often that errs."""

import math
from datetime import timedelta
from pathlib import Path

import numpy as np
import pytest
from nights import LATE, NEVER, SOON, START, comparison, gate, learning, of_one_rung, report, rung

from ladder.history.history import history
from ladder.history.reports import Report
from ladder.history.series import EPOCHS, LEARNING


def changes(history, quantity=EPOCHS):
    """Return the changes of one quantity of the only rung."""
    (series,) = history.series
    return [change for change in series.changes if change.quantity == quantity]


@pytest.mark.parametrize(
    ("reached", "worse", "expected"),
    [
        ([SOON] * 3 + [SOON[::-1]] * 3, False, []),
        ([SOON] * 9 + [LATE], True, [("step", True, True, 9)]),
        ([SOON] * 5 + [LATE] * 5, True, [("step", True, True, 5)]),
        ([SOON] * 5 + [NEVER] * 5, True, [("step", True, True, 5)]),
        ([LATE] * 5 + [SOON] * 5, False, [("step", False, True, 5)]),
        ([SOON] * 5 + [LATE] * 5 + [SOON] * 5, False, [("step", True, False, 5), ("step", False, True, 10)]),
        ([SOON] * 3 + [LATE] * 2 + [NEVER] * 10, True, [("step", True, True, 3), ("step", True, True, 5)]),
        ([[2 + night // 4] * 8 + [3 + night // 4] * 8 for night in range(12)], True, None),
        ([SOON], False, []),
        ([SOON, LATE], True, [("step", True, True, 1)]),
    ],
)
def test_step(reached, worse, expected, history_of):
    """A step is found where it is, and the rung is worse only while the step persists."""
    history = history_of(*of_one_rung(reached))
    assert bool(history.worse) == worse
    if expected is not None:
        assert [(c.kind, c.worse, c.persists, c.index) for c in changes(history)] == expected


def test_trend(history_of):
    """A steady drift is a trend, with its slope per report."""
    paces = [[min(12, epoch + (night * 16 + seed) // 40) for seed, epoch in enumerate(SOON)] for night in range(16)]
    (change,) = changes(history_of(*of_one_rung(paces)))
    assert (change.kind, change.worse, change.persists) == ("trend", True, True)
    assert change.slope == pytest.approx(0.4, abs=0.1)


def test_seeds_that_learn(history_of):
    """More seeds that never learn are found even where they are lost among the epochs of the others."""
    rng = np.random.default_rng(4)

    def noisy(broken):
        return [None if rng.random() < broken else int(rng.integers(1, 7)) for _ in range(64)]

    history = history_of(*of_one_rung([noisy(0.0 if night < 5 else 0.12) for night in range(10)]))
    (change,) = changes(history, LEARNING)
    assert (change.kind, change.worse, change.index, change.before) == ("step", True, 5, 1.0)
    assert 0.8 < change.after < 0.9


def test_control(history_of):
    """A control is worse when its seeds reach the target."""
    (change,) = changes(history_of(*of_one_rung([NEVER] * 5 + [SOON] * 5, role="control")))
    assert (change.worse, change.before, change.after) == (True, math.inf, 2.5)


@pytest.mark.parametrize(("kind", "worse"), [("below", True), ("above", False)])
def test_direction(kind, worse, history_of):
    """A larger value is worse if it must stay below a limit, and better if it must stay above one."""
    rng = np.random.default_rng(0)
    values = [(rng.random(16) + (3.0 if night >= 5 else 0.0)).tolist() for night in range(10)]
    reports = [report(rung("rung1", (gate(SOON, kind=kind),), values=v), night=n) for n, v in enumerate(values)]
    (change,) = changes(history_of(*reports), "loss at epoch 6")
    assert change.worse == worse
    assert 0.0 < change.before < 1.0
    assert 3.0 < change.after < 4.0


def test_comparison(history_of):
    """A comparison is followed by its differences."""
    differences = [[-0.1 - 0.01 * i + (0.5 if night >= 5 else 0.0) for i in range(16)] for night in range(10)]
    reports = [report(rung("rung2", (comparison(d),)), night=night) for night, d in enumerate(differences)]
    (change,) = changes(history_of(*reports), "loss against rung1")
    assert (change.worse, change.index) == (True, 5)
    assert (change.before, change.after) == (pytest.approx(-0.175), pytest.approx(0.325))


@pytest.mark.parametrize(("later", "reported"), [(1, False), (13, True)])
def test_small_change(later, reported, history_of):
    """A change that is certain but small is not reported."""
    history = history_of(*of_one_rung([[3] * 64] * 30 + [[4] * later + [3] * (64 - later)] * 30))
    assert bool(history.series[0].changes) == reported


def test_noise_on_the_same_seeds(history_of):
    """Reports on the same seeds are not more certain the more there are, as those on seeds of their own are."""
    rng = np.random.default_rng(5)
    before = rng.choice([3, 3, 4, 5], size=64).tolist()
    after = [min(12, e + (i % 3 == 0)) for i, e in enumerate(before)]  # an epoch more on one seed in three

    def reports(root):
        for night in range(40):
            epochs = list(before if night < 20 else after)
            epochs[night] += 1  # so that no report repeats another exactly
            yield report(rung("rung1", (gate(epochs),)), night=night, root=root)

    assert not history_of(*reports(0)).worse
    assert history_of(*reports(None)).worse


def test_break_on_the_same_seeds(history_of):
    """A rung that breaks is found on the same seeds too."""
    reports = [report(rung("rung1", (gate(SOON if n < 5 else NEVER),)), night=n, root=0) for n in range(10)]
    assert [change.index for change in changes(history_of(*reports))] == [5]


def test_repeated_report(history_of):
    """A report that repeats the previous one's seeds and numbers does not count."""
    later = [epoch + (seed % 3 == 0) for seed, epoch in enumerate(SOON)]
    reached = [SOON, SOON[::-1], SOON, later, later[::-1], later]
    once = [report(rung("rung1", (gate(epochs),)), night=n, root=n) for n, epochs in enumerate(reached)]
    twice = [one | {"created": (START + timedelta(days=n / 2)).isoformat()} for n, one in enumerate(np.repeat(once, 2))]
    (expected,), (change,) = changes(history_of(*once)), changes(history_of(*twice))
    assert (change.index, change.p) == (2 * expected.index, expected.p)


# How often it errs.


def unfiled(documents):
    """Return the history of reports that were never written."""
    return history(
        [Report(Path(), START + timedelta(days=n), "", d["seeds"]["root"], d) for n, d in enumerate(documents)]
    )


@pytest.mark.nightly
def test_rate_of_false_alarms():
    """Folders of unchanged reports are worse no more often than alpha says."""
    rng = np.random.default_rng(1)
    for total, trials in ((10, 400), (60, 100)):
        worse = 0
        for _ in range(trials):
            reports = [
                report(*(rung(f"rung{i}", **learning(rng, 2.5 + 0.1 * i)) for i in range(1, 11)), night=night)
                for night in range(total)
            ]
            worse += bool(unfiled(reports).worse)
        print(f"{total} reports of 10 unchanged rungs: {worse} of {trials} folders are worse")
        assert worse <= trials * 0.05 + 3.0 * math.sqrt(trials * 0.05 * 0.95)


@pytest.mark.nightly
def test_rate_of_false_alarms_on_the_same_seeds():
    """Folders of reports on the same seeds, whose noise was drawn anew twice, are worse no more often than alpha says."""
    rng = np.random.default_rng(3)
    trials, worse = 200, 0
    for _ in range(trials):
        reports = []
        for night in range(40):
            if night in (0, 13, 29):
                rungs = [rung(f"rung{i}", **learning(rng, 2.5 + 0.1 * i)) for i in range(1, 11)]
            reports.append(report(*rungs, night=night, root=0))
        worse += bool(unfiled(reports).worse)
    print(f"40 reports on the same seeds, redrawn twice: {worse} of {trials} folders are worse")
    assert worse <= trials * 0.05 + 3.0 * math.sqrt(trials * 0.05 * 0.95)


@pytest.mark.nightly
def test_power():
    """A rung that takes a quarter longer is found in every folder from the third report on."""
    rng = np.random.default_rng(2)
    for total, trials in ((10, 40), (60, 20)):
        for what, pace, never in (
            ("6 % slower", 1.06, 0.02),
            ("12 % slower", 1.12, 0.02),
            ("25 % slower", 1.25, 0.02),
            ("15 % never", 1.0, 0.15),
        ):
            for since in (1, 3, 5):
                found = 0
                for _ in range(trials):
                    reports = []
                    for night in range(total):
                        after = night >= total - since
                        others = [rung(f"rung{i}", **learning(rng, 2.5 + 0.1 * i)) for i in range(2, 11)]
                        first = rung(
                            "rung1", **learning(rng, 2.6 * (pace if after else 1.0), never=never if after else 0.02)
                        )
                        reports.append(report(first, *others, night=night))
                    found += "rung1" in [series.id for series in unfiled(reports).worse]
                assert found == trials or what != "25 % slower" or since == 1
                print(
                    f"{what} in the last {since} of {total} reports: found in {found} of {trials} folders of 10 rungs"
                )
