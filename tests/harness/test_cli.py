"""The ``ladder`` command: what it prints of a report, and its exit code."""

import json

import pytest
from toys import SOURCE, Coin, report_of

from ladder import Rung, below
from ladder.cli import main

LEARNS = below("loss", 0.5, by=3, source=SOURCE)


@pytest.mark.parametrize(("p", "code", "told"), [(1.0, 0, "PASS  16/16"), (0.0, 1, "FAIL   0/16")])
def test_show_prints_the_ladder_and_exits_red_where_a_rung_is_red(p, code, told, tmp_path, capsys):
    report = tmp_path / "ladder.json"
    report.write_text(json.dumps(report_of(Rung(number=1, name="coin", experiment=Coin(p=p), gates=(LEARNS,)))))
    assert main(["show", str(report)]) == code
    out = capsys.readouterr().out
    assert f"rung1  {told}" in out
    assert out.startswith("CULPRIT rung1" if code else "ALL GREEN up to rung1")


def test_show_looks_in_reports_by_default(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert main(["show"]) == 2
    assert "reports/ladder.json" in capsys.readouterr().err


@pytest.mark.parametrize("content", ["", "{", "\udcff"])
def test_what_is_no_report_is_named(content, tmp_path, capsys):
    report = tmp_path / "ladder.json"
    report.write_bytes(content.encode(errors="surrogateescape"))
    assert main(["show", str(report)]) == 2
    told = capsys.readouterr()
    assert f"{report} is no report" in told.err
    assert not told.out


@pytest.mark.parametrize("content", ["{}", "[]", "null", '{"rungs": [{}]}', '{"schema": "2.0.0", "rungs": []}'])
def test_json_that_is_no_report_is_named(content, tmp_path, capsys):
    report = tmp_path / "ladder.json"
    report.write_text(content)
    assert main(["show", str(report)]) == 2
    assert f"{report} is no report" in capsys.readouterr().err


def test_the_command_needs_a_subcommand():
    with pytest.raises(SystemExit) as stopped:
        main([])
    assert stopped.value.code == 2
