"""The reports in a folder."""

import json

import pytest
from nights import SOON, gate, report, rung, unmeasured, write

from ladder.history.reports import last_climbed, reports_in
from ladder.report.reading import ReportError


def test_order(tmp_path):
    """Reports are read by date, from the folder and the folders in it; other files are skipped, deeper folders are not read."""
    folder = write(tmp_path, [report(rung("rung1", (gate(SOON),)), night=night) for night in (2, 0)])
    (folder / "a.json").write_text(json.dumps(report(rung("rung1", (gate(SOON),)), night=1)))
    (folder / "b.json").write_text("{}")
    (folder / "000" / "again").mkdir()
    (folder / "000" / "again" / "ladder.json").write_text(json.dumps(report(rung("rung9", (gate(SOON),)))))
    reports, skipped = reports_in(folder)
    assert [(str(each.path.relative_to(folder)), each.root) for each in reports] == [
        ("001/ladder.json", 1000),
        ("a.json", 1001),
        ("000/ladder.json", 1002),
    ]
    assert reports[0].label == "2026-10-16, commit 000000000000"
    assert skipped == [str(folder / "b.json")]


def test_last_climbed(tmp_path):
    """Each rung is as it was in the last report before that climbed it; a rung that both lack is left out."""
    one, two, gone = (rung(id, (gate(SOON),)) for id in ("rung1", "rung2", "rung3"))
    blocked = unmeasured("rung2", "BLOCKED", blocked_by=["rung1"])
    crashed = unmeasured("rung1", "CRASHED")
    write(tmp_path, [report(one, two, gone, night=0), report(one, night=1), report(crashed, blocked, night=2)])
    before = last_climbed(tmp_path, report(one, two, night=3))
    assert {entry["id"]: entry["verdict"] for entry in before["rungs"]} == {"rung1": "CRASHED", "rung2": "PASS"}
    assert before["created"] == report(night=2)["created"]


def test_no_reports(tmp_path):
    """A folder without reports, one without older reports, and no folder are errors."""
    for folder, error in ((tmp_path, "has no report in it$"), (tmp_path / "none", "is not a folder")):
        with pytest.raises(ReportError, match=error):
            reports_in(folder)
    (tmp_path / "x.json").write_text("{}")
    with pytest.raises(ReportError, match="has no report in it, only "):
        reports_in(tmp_path)
    write(tmp_path, [report(rung("rung1", (gate(SOON),)))])
    with pytest.raises(ReportError, match="has no report that is older than"):
        last_climbed(tmp_path, report(night=0))
