"""Which report the ``ladder`` command reads where nobody says: that of the last climb, as pytest's settings have it."""

import subprocess
import sys
from itertools import pairwise

import pytest

from ladder.cli import main
from ladder.cli.project import CONFIGURATION, last_report

ASKS = {
    "pytest.toml": '[pytest]\nladder_reports = "out"',
    ".pytest.toml": '[pytest]\nladder_reports = "out"',
    "pytest.ini": "[pytest]\nladder_reports = out",
    ".pytest.ini": "[pytest]\nladder_reports = out",
    "pyproject.toml": '[tool.pytest.ini_options]\nladder_reports = "out"',
    "tox.ini": "[pytest]\nladder_reports: out",
    "setup.cfg": "[tool:pytest]\nladder_reports = out",
}
SILENT = {
    "pytest.ini": "",
    "pytest.toml": "",
    "pyproject.toml": "[tool.pytest.ini_options]",
    "tox.ini": "[tox]",
    "setup.cfg": "[metadata]\nname = x",
}


@pytest.fixture
def asked(pytester, monkeypatch):
    """Returns the folder that pytest would write reports to, started in a folder."""

    def ask(folder):
        monkeypatch.chdir(folder)
        config = pytester.parseconfig()
        return config.rootpath / config.getini("ladder_reports")

    return ask


@pytest.fixture
def deep(pytester):
    return pytester.mkdir("a").joinpath("b")


def test_every_file_of_settings_is_tried():
    assert tuple(ASKS) == CONFIGURATION


@pytest.mark.parametrize("name", ASKS)
def test_the_report_lies_where_pytest_would_write_it(pytester, asked, deep, name):
    (pytester.path / name).write_text(ASKS[name])
    deep.mkdir()
    assert last_report(deep) == asked(deep) / "ladder.json" == pytester.path / "out" / "ladder.json"


@pytest.mark.parametrize(
    "addopts", ["addopts = -ra --ladder-reports=out", "addopts = -k 'a b'\n    --ladder-reports out"]
)
def test_the_report_lies_where_added_options_say(pytester, asked, deep, addopts):
    """Options that the settings add count as on the command line."""
    (pytester.path / "pytest.ini").write_text(f"[pytest]\nladder_reports = elsewhere\n{addopts}")
    deep.mkdir()
    assert last_report(deep) == pytester.path / "out" / "ladder.json"


@pytest.mark.parametrize("name", SILENT)
def test_settings_that_say_nothing_of_reports_are_read_as_pytest_reads_them(pytester, asked, deep, name):
    """A nearer file hides one above it only if it is one of pytest's."""
    (pytester.path / "pytest.ini").write_text(ASKS["pytest.ini"])
    deep.mkdir()
    (deep.parent / name).write_text(SILENT[name])
    assert last_report(deep) == asked(deep) / "ladder.json"


@pytest.mark.parametrize(("first", "second"), list(pairwise(CONFIGURATION)))
def test_of_two_files_of_settings_the_one_counts_that_counts_for_pytest(pytester, asked, first, second):
    (pytester.path / first).write_text(ASKS[first].replace("out", "first"))
    (pytester.path / second).write_text(ASKS[second])
    assert last_report(pytester.path) == asked(pytester.path) / "ladder.json" == pytester.path / "first" / "ladder.json"


@pytest.mark.parametrize("content", ["[pytest\nx", "no section", "\udcff"])
def test_damaged_settings_are_left_to_pytest(tmp_path, content):
    for name in CONFIGURATION:
        (tmp_path / name).write_bytes(content.encode(errors="surrogateescape"))
    assert last_report(tmp_path) == tmp_path / "reports" / "ladder.json"


@pytest.mark.parametrize("mark", ["pyproject.toml", "setup.py", ".git"])
def test_without_settings_it_is_looked_for_up_to_the_root(tmp_path, mark):
    inner = tmp_path / "project" / "src"
    inner.mkdir(parents=True)
    (tmp_path / "project" / mark).touch()
    others = tmp_path / "reports" / "ladder.json"
    others.parent.mkdir()
    others.touch()
    mine = tmp_path / "project" / "reports" / "ladder.json"
    assert last_report(inner) == mine
    (inner / "reports").mkdir()
    (inner / "reports" / "ladder.json").touch()
    assert last_report(inner) == inner / "reports" / "ladder.json"
    mine.parent.mkdir()
    mine.touch()
    assert last_report(inner) == mine


@pytest.mark.parametrize("command", [["show"], ["explain", "rung1"], ["open"]])
def test_what_is_missing_is_named_as_it_is_seen_from_here(tmp_path, monkeypatch, capsys, command):
    (tmp_path / "pytest.ini").write_text(ASKS["pytest.ini"])
    (tmp_path / "src").mkdir()
    monkeypatch.chdir(tmp_path / "src")
    assert main(command) == 2
    err = capsys.readouterr().err
    assert "'../out/ladder." in err
    assert err.endswith("; run pytest first\n")


def test_who_reads_a_report_loads_no_pytest():
    program = (
        "import sys; from ladder.cli import main; main(['list']); sys.exit(any('pytest' == m for m in sys.modules))"
    )
    assert subprocess.run([sys.executable, "-c", program], capture_output=True).returncode == 0
