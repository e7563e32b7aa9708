"""The ``ladder`` command: what it prints of a report, for people and for scripts, and its exit codes."""

import json
import os
import signal
import subprocess
import sys
from dataclasses import replace

import pytest
from toys import SOURCE, Coin, SeenFit, report_of

from ladder import Control, Floor, Rung, below
from ladder.cli import COMMANDS, main

LEARNS = below("loss", 0.5, by=3, source=SOURCE, floor=Floor(0.01, "the noise"))
ROOT = Rung(number=1, name="coin", claim="Luck suffices: p ≈ 1.", experiment=Coin(), gates=(LEARNS,))
BROKEN = replace(
    ROOT, number=2, name="unlucky", experiment=Coin(p=0.0), parent="rung1", adds="p", compare={"loss": "0.1"}
)
BLOCKED = replace(BROKEN, number=3, experiment=Coin(p=0.0, shift=0.1), parent="rung2", adds="shift")
FROZEN = Rung(
    number=4,
    scale="small",
    variant="frozen",
    name="frozen",
    experiment=SeenFit(rate=0.0),
    gates=(below("loss", 0.5, by=4, source=SOURCE),),
    goals=(below("loss", 0.001, by=4, source="a wish"),),
)
MOVES = replace(FROZEN, variant="moves", experiment=SeenFit())
CONTROL = ROOT.as_control(Control("no seed learns"), p=0.0)


@pytest.fixture(scope="module")
def red():
    return report_of(ROOT, CONTROL, BROKEN, BLOCKED, FROZEN, MOVES)


@pytest.fixture
def report(red, tmp_path):
    return file(red, tmp_path)


def file(document, folder):
    path = folder / "ladder.json"
    path.write_text(json.dumps(document))
    return path


def told(capsys, *arguments):
    code = main([*map(str, arguments)])
    out, err = capsys.readouterr()
    return code, out, err


@pytest.mark.parametrize(
    ("p", "code", "line"), [(1.0, 0, "PASS  16/16, at least 0.79"), (0.0, 1, "FAIL  0/16, at most 0.21")]
)
def test_show(p, code, line, tmp_path, capsys):
    """The command show begins with the headline, and exits with 1 if a rung is red."""
    report = file(report_of(Rung(number=1, name="coin", experiment=Coin(p=p), gates=(LEARNS,))), tmp_path)
    ended, out, _ = told(capsys, "show", report)
    assert ended == code
    assert f"rung1  {line}" in out
    assert out.startswith("CULPRIT rung1" if code else "ALL GREEN up to rung1")


def test_show_of_a_broken_off_run(tmp_path, capsys):
    """A report that was broken off is not green."""
    document = report_of(ROOT) | {"complete": False}
    code, out, _ = told(capsys, "show", file(document, tmp_path))
    assert (code, out.splitlines()[0]) == (1, "BROKEN OFF; rungs climbed: rung1")


def test_show_through_a_pipe(report, capsys):
    """Output to a pipe is neither cut to a width nor coloured."""
    _, out, _ = told(capsys, "show", report)
    assert max(map(len, out.splitlines())) > 100
    assert "\x1b" not in out


def test_show_json(red, report, capsys):
    """The option --json prints the whole report."""
    _, out, _ = told(capsys, "show", "--json", report)
    assert json.loads(out) == red
    assert "p ≈ 1" in out


@pytest.mark.parametrize(
    ("asked", "code", "ids"),
    [
        ("rung1", 0, ["rung1", "rung1[p=0.0]"]),
        ("rung1[p=0.0]", 0, ["rung1[p=0.0]"]),
        ("rung2", 1, ["rung2"]),
        ("rung4", 1, ["rung4@small[frozen]", "rung4@small[moves]"]),
        ("rung4@small", 1, ["rung4@small[frozen]", "rung4@small[moves]"]),
        ("rung4@small[moves]", 0, ["rung4@small[moves]"]),
    ],
)
def test_explain_selection(report, capsys, asked, code, ids):
    """The command explain selects a rung by id, or all rungs of a number or of a scale."""
    ended, out, _ = told(capsys, "explain", "--json", asked, report)
    assert [entry["id"] for entry in json.loads(out)] == ids
    assert ended == code
    assert [line for line in told(capsys, "explain", asked, report)[1].splitlines() if line.startswith("rung")] == [
        f"{entry['id']}: {entry['name']}" for entry in json.loads(out)
    ]


def test_explain(report, capsys):
    """The command explain prints the change, the conditions, the effects and the findings of a rung."""
    _, out, _ = told(capsys, "explain", "rung2", report)
    for said in (
        "adds  p: 1.0 → 0.0, to rung1",
        "verdict  FAIL 0/16",
        "gate  0/16  loss < 0.5 by epoch 3: ",
        f"{SOURCE}; best possible value 0.01: the noise",
        "effect  loss against rung1: ",
        "claim  Luck suffices: p ≈ 1.",
    ):
        assert said in out
    _, out, _ = told(capsys, "explain", "rung4@small[frozen]", report)
    assert "why  nothing ever moved" in out
    assert "goal  0/16  loss < 0.001 by epoch 4: " in out
    assert "a wish" in out
    for empty in ("claim", "control", "requires", "note", "repeat"):
        assert f" {empty}  " not in out
    _, out, _ = told(capsys, "explain", "rung3", report)
    assert "requires  rung2\n" in out
    assert "verdict  BLOCKED, blocked by rung2" in out
    _, out, _ = told(capsys, "explain", "rung1", report)
    assert "adds  nothing: a root of the ladder" in out
    assert "control  no seed learns" in out


def test_explain_of_a_blocked_rung(report, capsys):
    """The command explain prints the conditions of a blocked rung."""
    out = told(capsys, "explain", "rung3", report)[1]
    assert f"gate  loss < 0.5 by epoch 3\n          {SOURCE}; best possible value 0.01: the noise\n" in out


def test_explain_note_and_repeat(tmp_path, capsys):
    """The command explain prints the note and the repeat command of a rung."""
    document = report_of(ROOT)
    document["rungs"][0] |= {"note": "seeds 3 and 4 share a machine", "repeat": "pytest --ladder-only=rung1"}
    _, out, _ = told(capsys, "explain", "rung1", file(document, tmp_path))
    assert "note  seeds 3 and 4 share a machine" in out
    assert "repeat  pytest --ladder-only=rung1" in out


@pytest.mark.parametrize("asked", ["rung9", "rung1[q]", "rung", "rung1@small"])
def test_unknown_rung(report, capsys, asked):
    """An unknown rung exits with code 2 and lists those in the report."""
    code, out, err = told(capsys, "explain", asked, report)
    assert (code, out) == (2, "")
    there = "rung1, rung1[p=0.0], rung2, rung3, rung4@small[frozen], rung4@small[moves]"
    assert err == f"ladder: {report}: unknown {asked}; known rungs: {there}\n"


def test_list(red, tmp_path, capsys):
    """The command list finds rung files and reports, and ignores hidden folders."""
    for name in ("tests/test_rung10_last_one.py", "tests/test_rung2_two.py", ".venv/test_rung3_x.py", "test_rungs.py"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    for folder in ("reports", ".old", "broken"):
        (tmp_path / folder).mkdir()
        file(red, tmp_path / folder)
    (tmp_path / "broken" / "ladder.json").write_text("{")
    code, out, _ = told(capsys, "list", "--json", tmp_path)
    found = json.loads(out)
    assert code == 0
    assert [(each["number"], each["name"]) for each in found["files"]] == [(2, "two"), (10, "last one")]
    (report,) = found["reports"]
    assert report["report"] == "reports/ladder.json"
    assert report["headline"].startswith("CULPRIT rung2")
    assert [(rung["id"], rung["green"]) for rung in report["rungs"]][:2] == [("rung1", True), ("rung1[p=0.0]", True)]
    (trouble,) = found["trouble"]
    assert "is not a ladder report" in trouble
    _, out, _ = told(capsys, "list", tmp_path)
    assert "rung10  last one  (tests/test_rung10_last_one.py)" in out
    assert "rung1 rung1[p=0.0] rung2 " in out
    assert "reports/ladder.json" in out
    assert "is not a ladder report" in out


def test_list_of_one_kind(red, tmp_path, capsys):
    """The command list works with only rung files or only reports."""
    for folder in ("files", "reports"):
        (tmp_path / folder).mkdir()
    (tmp_path / "files" / "test_rung1_one.py").touch()
    file(red, tmp_path / "reports")
    assert told(capsys, "list", tmp_path / "files")[:2] == (0, "rung1  one  (test_rung1_one.py)\n")
    code, out, _ = told(capsys, "list", tmp_path / "reports")
    assert (code, out.startswith("ladder.json  ")) == (0, True)


def many(document, number):
    """The report of a ladder of so many rungs, all like its last."""
    last = document["rungs"][-1]
    rungs = [last | {"id": f"rung{n}", "number": n} for n in range(1, number + 1)]
    return document | {"rungs": rungs, "culprit": None}


def test_show_of_a_long_ladder(tmp_path, capsys):
    """The option -v of show prints a line for each rung of a long ladder."""
    document = many(report_of(ROOT, CONTROL), 75)
    report = file(document, tmp_path)
    _, short, _ = told(capsys, "show", report)
    _, full, _ = told(capsys, "show", "-v", report)
    assert (len(short.splitlines()), len(full.splitlines())) == (3, 76)
    assert "75 controls FAIL, as they must: rungs 1–75" in short


def test_list_of_many_files(red, tmp_path, capsys):
    """The command list summarises many files and green reports, and prints red reports in full."""
    for number in range(1, 76):
        (tmp_path / f"test_rung{number}_x.py").touch()
    green = many(report_of(ROOT, CONTROL), 30)
    for night in range(20):
        (tmp_path / f"{night}").mkdir()
        file(green if night else red, tmp_path / f"{night}")
    _, out, _ = told(capsys, "list", tmp_path)
    files, broken, ids, rest = out.splitlines()
    assert files == "rungs 1–75  75 files in ."
    assert broken.startswith("0/ladder.json  ")
    assert "CULPRIT rung2" in broken
    assert ids.split() == [entry["id"] for entry in red["rungs"]]
    assert rest == f"19 reports ALL GREEN, of {green['created'][:10]}"
    _, out, _ = told(capsys, "list", "-v", tmp_path)
    assert len(out.splitlines()) == 75 + 2 * 20
    assert "rung75  x  (test_rung75_x.py)" in out
    (tmp_path / "1" / "ladder.json").rename(tmp_path / "ladder.json")
    for night in range(2, 20):
        (tmp_path / f"{night}" / "ladder.json").unlink()
    assert told(capsys, "list", tmp_path)[1].splitlines()[-1] == "  30 rungs (1–30), none red"


def test_empty_list(tmp_path, capsys):
    """The command list exits with code 2 in a folder without rungs and reports."""
    code, _, err = told(capsys, "list", tmp_path)
    assert (code, err.startswith(f"ladder: {tmp_path} has no rungs and no reports")) == (2, True)


@pytest.mark.parametrize(("browser", "code"), [(True, 0), (False, 1)])
def test_open(report, capsys, monkeypatch, browser, code):
    """The command open opens the page beside the report, and exits with 1 without a browser."""
    opened = []
    monkeypatch.setattr("webbrowser.open", lambda uri: opened.append(uri) or browser)
    assert told(capsys, "open", report)[0] == 2
    assert not opened
    page = report.with_suffix(".html")
    page.write_text("<!doctype html>")
    ended, out, _ = told(capsys, "open", report)
    assert (ended, opened) == (code, [page.as_uri()])
    assert out == f"{'opened' if browser else 'no browser can open'} {page}\n"
    assert json.loads(told(capsys, "open", "--json", report)[1]) == {"page": str(page), "opened": browser}


def piped(report, into, command="show"):
    command = f"{sys.executable} -m ladder {command} {report} {into}"
    buffered = {name: value for name, value in os.environ.items() if name != "PYTHONUNBUFFERED"}
    return subprocess.run(["bash", "-o", "pipefail", "-c", command], capture_output=True, text=True, env=buffered)


def test_exit_code_through_a_pipe(report):
    """The exit code is unchanged if the output is piped."""
    assert piped(report, "| cat").returncode == 1


def test_broken_pipe(tmp_path):
    """A closed pipe ends the command by SIGPIPE and without a message."""
    report = report_of(ROOT)
    report["rungs"][0]["note"] = "long " * 100_000
    ended = piped(file(report, tmp_path), "| head -1")
    assert (ended.returncode, ended.stderr) == (128 + signal.SIGPIPE, "")
    assert ended.stdout.startswith("ALL GREEN")


@pytest.mark.parametrize("command", ["show", "list --json"])
def test_unwritable_output(tmp_path, command):
    """Output that cannot be written ends the command with exit code 2 and one message."""
    report = file(report_of(ROOT), tmp_path)
    ended = piped(report if command == "show" else tmp_path, "> /dev/full", command)
    assert ended.returncode == 2
    assert ended.stderr.startswith("ladder: cannot print the output: ")


def test_terminal_without_unicode(report):
    """Characters that a terminal cannot encode are printed as escape sequences."""
    ended = subprocess.run(
        [sys.executable, "-m", "ladder", "show", report],
        capture_output=True,
        env={**os.environ, "PYTHONIOENCODING": "ascii"},
    )
    assert (ended.returncode, ended.stderr) == (1, b"")
    assert b"\\u2581" in ended.stdout


def test_ascii_locale(tmp_path):
    """An ASCII locale accepts non-ASCII ids, and its JSON output is valid."""
    document = report_of(ROOT)
    document["rungs"][0] |= {"id": "rung1[é]", "variant": "é"}
    report = file(document, tmp_path)
    abroad = {**os.environ, "LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONIOENCODING": "ascii"}
    for asked in ("rung1[é]", r"rung1[\xe9]"):
        command = [sys.executable, "-m", "ladder", "explain", asked, report]
        assert subprocess.run(command, capture_output=True, env=abroad).stdout.startswith(rb"rung1[\xe9]: coin")
        whole = subprocess.run([*command, "--json"], capture_output=True, env=abroad)
        assert json.loads(whole.stdout.decode("ascii"))[0] == document["rungs"][0]


def test_folder_as_a_report(tmp_path, capsys):
    """A folder in place of a report exits with code 2."""
    for command in (["open"], ["show"], ["explain", "rung1"]):
        for folder in (tmp_path, "/", "."):
            assert told(capsys, *command, folder)[0] == 2


@pytest.mark.parametrize("command", ["show", "open", "explain"])
def test_default_report(command, tmp_path, monkeypatch, capsys):
    """The default report is in the folder reports."""
    monkeypatch.chdir(tmp_path)
    assert main([command, *(["rung1"] if command == "explain" else [])]) == 2
    assert "reports/ladder." in capsys.readouterr().err


@pytest.mark.parametrize("content", ["", "{", "\udcff", "{}", "[]", "null", '{"rungs": [{}]}'])
@pytest.mark.parametrize("command", [["show"], ["explain", "rung1"]])
def test_invalid_report(command, content, tmp_path, capsys):
    """A file that is not a report exits with code 2 and is named."""
    report = tmp_path / "ladder.json"
    report.write_bytes(content.encode(errors="surrogateescape"))
    code, out, err = told(capsys, *command, report)
    assert (code, out) == (2, "")
    assert f"{report} is not a ladder report" in err


@pytest.mark.parametrize("module", COMMANDS)
def test_help(module, capsys):
    """The help of every command contains an example and the exit codes."""
    name = {"listing": "list", "opening": "open", "exporting": "export"}.get(
        module.__name__.rpartition(".")[2], module.__name__.rpartition(".")[2]
    )
    with pytest.raises(SystemExit) as stopped:
        main([name, "--help"])
    assert stopped.value.code == 0
    out = capsys.readouterr().out
    assert f"example:\n  ladder {name}" in out
    assert "exit codes:\n  0 " in out
    assert "--json" in out


def test_missing_subcommand():
    """The command without a subcommand exits with code 2."""
    with pytest.raises(SystemExit) as stopped:
        main([])
    assert stopped.value.code == 2


@pytest.mark.parametrize("command", [["show"], ["explain", "rung1"]])
def test_command_without_jax(report, command):
    """The commands show and explain work without JAX."""
    without = "import sys; sys.modules |= dict.fromkeys(('jax', 'flax', 'optax')); from ladder.cli import main; "
    ran = subprocess.run(
        [sys.executable, "-c", f"{without}sys.exit(main({[*command, str(report)]!r}))"], capture_output=True, text=True
    )
    assert (ran.returncode, ran.stderr) == (0 if command[0] == "explain" else 1, "")
    assert "rung1" in ran.stdout


def test_show_is_fast(report):
    """``ladder show`` loads none of the packages that take long to load."""
    slow = ("jax", "matplotlib", "pytest", "scipy.stats")
    program = (
        f"import sys; from ladder.cli import main; main(['show', {str(report)!r}]); "
        f"sys.exit(' '.join(name for name in {slow!r} if name in sys.modules) or 0)"
    )
    ran = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert (ran.returncode, ran.stderr) == (0, "")
