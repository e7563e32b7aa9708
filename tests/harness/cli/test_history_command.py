"""The command ``ladder history``."""

import json

import pytest
from nights import LATE, SOON, example, gate, of_one_rung, report, rung, unmeasured, write

from ladder.cli import main
from ladder.cli.history import LEGEND


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = write(tmp_path_factory.mktemp("nights"), example(20))
    (folder / "other.json").write_text("{}")
    return folder


def test_headline_and_exit_code(tmp_path, capsys):
    """The headline comes first, then a row for each rung and its changes; a change for the worse exits with 1."""
    worse = write(tmp_path / "worse", of_one_rung([SOON] * 5 + [LATE] * 5))
    assert main(["history", str(worse)]) == 1
    out = capsys.readouterr().out.splitlines()
    assert out[0].startswith(
        "WORSE: rung1 step for the worse: epochs to target, median 2.5 → 4.5, first seen 2026-10-21"
    )
    assert out[2].split()[:4] == ["rung1", "●●●●●●●●●●", "16/16", "▁▁▁▁▁█████"]
    assert out[-1].startswith("rung1: step for the worse: ")
    unchanged = write(tmp_path / "unchanged", of_one_rung([SOON] * 5))
    assert main(["history", str(unchanged)]) == 0
    assert capsys.readouterr().out.startswith("nothing became worse for good in 1 rung over 5 reports\n")
    assert main(["history", str(worse), "--alpha", "1e-9"]) == 0


def test_missing_rung(tmp_path, capsys):
    """Rungs that the last nightly run lacks are named in one line, without their changes."""
    reports = [*of_one_rung([SOON] * 5 + [LATE] * 5), report(rung("rung2", (gate(SOON),)), night=10)]
    assert main(["history", str(write(tmp_path / "nights", reports))]) == 0
    assert capsys.readouterr().out.splitlines()[-2:] == [LEGEND, "not climbed in the last nightly run: rung1"]


def test_report_without_numbers(tmp_path, capsys):
    """A report without numbers is a dot in the sparkline."""
    reports = of_one_rung([SOON] * 3)
    reports[1] = report(unmeasured("rung1", "BLOCKED", blocked_by=["rung0"]), night=1)
    assert main(["history", str(write(tmp_path / "nights", reports))]) == 0
    assert capsys.readouterr().out.splitlines()[2].split()[1:4] == ["●·●", "16/16", "▁·▁"]


def test_notes(folder, capsys):
    """Files that are not reports are named."""
    main(["history", str(folder)])
    assert f"skipped, not reports: 1 ({folder / 'other.json'})" in capsys.readouterr().out


def test_no_reports(tmp_path, capsys):
    """A folder without reports exits with 2."""
    assert main(["history", str(tmp_path)]) == 2
    assert f"{tmp_path} has no report in it" in capsys.readouterr().err


def test_json(folder, capsys):
    """--json prints the history as JSON."""
    assert main(["history", str(folder), "--json"]) == 1
    assert json.loads(capsys.readouterr().out, parse_constant=pytest.fail)["worse"][0] == "rung2"


def test_drawing(folder, tmp_path):
    """--svg draws the history, in folders that need not exist."""
    target = tmp_path / "deep" / "history.svg"
    main(["history", str(folder), "--svg", str(target)])
    assert target.read_text(encoding="utf-8").startswith("<svg ")


def test_drawing_that_cannot_be_written(folder, tmp_path, capsys):
    """A drawing that cannot be written exits with 2."""
    (tmp_path / "file").write_text("")
    assert main(["history", str(folder), "--svg", str(tmp_path / "file" / "x.svg")]) == 2
    assert "cannot be written" in capsys.readouterr().err


def test_comparison_with_a_folder(tmp_path, capsys):
    """``ladder compare`` takes a folder of reports for the earlier one."""
    write(tmp_path, of_one_rung([SOON] * 2))
    later = tmp_path / "later.json"
    for night, code in ((2, 1), (0, 2)):
        later.write_text(json.dumps(report(rung("rung1", (gate(LATE),)), night=night)))
        assert main(["compare", str(tmp_path), str(later)]) == code
    out = capsys.readouterr()
    assert "REGRESSION: rung1 slower" in out.out
    assert "has no report that is older than" in out.err
