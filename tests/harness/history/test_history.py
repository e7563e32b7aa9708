"""The history of a folder: the order of its rungs, and those that the last nightly run lacks."""

from nights import LATE, SOON, gate, of_one_rung, report, rung


def test_missing_rung(history_of):
    """A rung that the last nightly run lacks comes last and is not worse."""
    reports = of_one_rung([SOON] * 5 + [LATE] * 5)
    reports.append(report(rung("rung2", (gate(SOON),)), night=10))
    history = history_of(*reports)
    assert [(series.id, series.missing) for series in history.series] == [("rung2", False), ("rung1", True)]
    assert history.series[1].changes
    assert not history.worse


def test_second_climb(history_of):
    """A second climb in the same night, of some rungs, does not make the others missing."""
    reports = [report(rung("rung1", (gate(SOON),)), rung("rung2", (gate(SOON),)), night=night) for night in range(5)]
    reports.append(report(rung("rung2", (gate(SOON),)), night=4.2, root=77))
    assert not any(series.missing for series in history_of(*reports).series)
