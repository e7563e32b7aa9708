"""The words of a history."""

import re
from itertools import islice

from nights import LATE, NEVER, SOON, example, gate, of_one_rung, report, rung, write

from ladder.history.description import descriptions, headline, latest, notes, regressions
from ladder.history.history import read


def test_step(history_of):
    """A step is described with its medians, the report that first had it, and what changed of the experiment then."""
    reports = of_one_rung([SOON] * 4 + [LATE] * 4)
    for later in reports[4:]:
        later["rungs"][0]["experiment"] = {"type": "toys.Coin", "epochs": 12, "components": {"p": 0.5}}
    (series,) = history_of(*reports).series
    (step,) = regressions(series)
    assert step.startswith(
        "step for the worse: epochs to target, median 2.5 → 4.5, first seen 2026-10-20, commit 000000000004, p = "
    )
    assert step.endswith(" (Holm); changed: p: 1.0 → 0.5")


def test_trend(history_of):
    """A trend is described with its slope per report."""
    paces = [[min(12, epoch + (night * 16 + seed) // 40) for seed, epoch in enumerate(SOON)] for night in range(16)]
    trend = regressions(history_of(*of_one_rung(paces)).series[0])[0]
    assert re.match(r"trend for the worse: epochs to target, median \S+ → \S+ \(\+0\.\d+ per report\), p = ", trend)


def test_seeds_that_learn(history_of):
    """Seeds that learn are a share."""
    (series,) = history_of(*of_one_rung([SOON] * 5 + [NEVER] * 5)).series
    assert "step for the worse: seeds that learn, 100% → 0%, first seen " in regressions(series)[1]


def test_order(history_of):
    """Changes that are still worse come before the others."""
    (series,) = history_of(*of_one_rung([SOON] * 5 + [LATE] * 5 + [SOON] * 5 + [NEVER] * 5)).series
    assert descriptions(series)[: len(regressions(series))] == regressions(series)
    others = descriptions(series)[len(regressions(series)) :]
    assert any(", gone since, p = " in other for other in others)


def test_missing_rung(history_of):
    """A rung that the last nightly run lacks has no regressions, and the last report that has it is named."""
    reports = [*of_one_rung([SOON] * 5 + [LATE] * 5), report(rung("rung2", (gate(SOON),)), night=10)]
    series = history_of(*reports).series[1]
    assert regressions(series) == []
    assert descriptions(series)[0].startswith("step for the worse: ")
    assert descriptions(series)[-1] == "not climbed since 2026-10-25, commit 000000000009"


def test_latest(history_of):
    """The last median is never if most seeds never reach the target."""
    assert latest(history_of(*of_one_rung([SOON] * 2)).series[0]) == "epochs to target: 2.5"
    assert latest(history_of(*of_one_rung([SOON, NEVER])).series[0]) == "epochs to target: never"


def test_headline(history_of):
    """The headline says what became worse, or over how much nothing did."""
    assert headline(history_of(*of_one_rung([SOON] * 5))) == "nothing became worse for good in 1 rung over 5 reports"
    both = [
        report(*(rung(id, (gate(reached),)) for id in ("rung1", "rung2")), night=night)
        for night, reached in enumerate([SOON] * 5 + [LATE] * 5)
    ]
    assert re.match(r"WORSE: rung1 step for the worse: .* \(Holm\); and rung2$", headline(history_of(*both)))


def test_notes(tmp_path):
    """Notes name a lone report, reports that were broken off, and files that are not reports."""
    folder = write(tmp_path, islice(example(1), 1))
    (folder / "other.json").write_text("{}")
    (folder / "000" / "ladder.json").write_text(
        (folder / "000" / "ladder.json").read_text().replace('"complete": true', '"complete": false')
    )
    assert notes(read(folder)) == [
        "one report: there is nothing to compare it with",
        f"broken off: {folder / '000' / 'ladder.json'}",
        f"skipped, not reports: 1 ({folder / 'other.json'})",
    ]
