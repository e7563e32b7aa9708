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


def test_configuration_files():
    """Every configuration file of pytest is tested."""
    assert tuple(ASKS) == CONFIGURATION


@pytest.mark.parametrize("name", ASKS)
def test_report_folder(pytester, asked, deep, name):
    """The default report is in the folder to which pytest writes it."""
    (pytester.path / name).write_text(ASKS[name])
    deep.mkdir()
    assert last_report(deep) == asked(deep) / "ladder.json" == pytester.path / "out" / "ladder.json"


@pytest.mark.parametrize(
    "addopts", ["addopts = -ra --ladder-reports=out", "addopts = -k 'a b'\n    --ladder-reports out"]
)
def test_addopts(pytester, asked, deep, addopts):
    """Options that the settings add count as on the command line."""
    (pytester.path / "pytest.ini").write_text(f"[pytest]\nladder_reports = elsewhere\n{addopts}")
    deep.mkdir()
    assert last_report(deep) == pytester.path / "out" / "ladder.json"


@pytest.mark.parametrize("name", SILENT)
def test_configuration_without_report_folder(pytester, asked, deep, name):
    """A nearer file hides one above it only if it is one of pytest's."""
    (pytester.path / "pytest.ini").write_text(ASKS["pytest.ini"])
    deep.mkdir()
    (deep.parent / name).write_text(SILENT[name])
    assert last_report(deep) == asked(deep) / "ladder.json"


@pytest.mark.parametrize(("first", "second"), list(pairwise(CONFIGURATION)))
def test_order_of_configuration_files(pytester, asked, first, second):
    """The first of two configuration files counts, in the order of pytest."""
    (pytester.path / first).write_text(ASKS[first].replace("out", "first"))
    (pytester.path / second).write_text(ASKS[second])
    assert last_report(pytester.path) == asked(pytester.path) / "ladder.json" == pytester.path / "first" / "ladder.json"


@pytest.mark.parametrize("content", ["[pytest\nx", "no section", "\udcff"])
def test_damaged_configuration(tmp_path, content):
    """A damaged configuration file is ignored."""
    for name in CONFIGURATION:
        (tmp_path / name).write_bytes(content.encode(errors="surrogateescape"))
    assert last_report(tmp_path) == tmp_path / "reports" / "ladder.json"


@pytest.mark.parametrize("mark", ["pyproject.toml", "setup.py", ".git"])
def test_root_without_configuration(tmp_path, mark):
    """The report is searched upwards to the root of a project without configuration."""
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
def test_missing_report(tmp_path, monkeypatch, capsys, command):
    """A missing report is named relative to the current folder."""
    (tmp_path / "pytest.ini").write_text(ASKS["pytest.ini"])
    (tmp_path / "src").mkdir()
    monkeypatch.chdir(tmp_path / "src")
    assert main(command) == 2
    err = capsys.readouterr().err
    assert "'../out/ladder." in err
    assert err.endswith("; run pytest first\n")


def test_imports():
    """The command does not import pytest."""
    program = (
        "import sys; from ladder.cli import main; main(['list']); sys.exit(any('pytest' == m for m in sys.modules))"
    )
    assert subprocess.run([sys.executable, "-c", program], capture_output=True).returncode == 0
