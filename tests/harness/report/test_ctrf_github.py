"""What others collect of a run: GitHub's summary and annotation, JUnit properties, a CTRF file."""

import json
import xml.etree.ElementTree as ET
from dataclasses import replace
from datetime import datetime
from pathlib import Path

import pytest
from toys import SOURCE, Coin, SeenFit, report_of

from ladder import Rung, below
from ladder.plugin.climber import properties
from ladder.report.ctrf import ctrf
from ladder.report.github import LIMIT, annotation, append_summary, summary

LEARNS = below("loss", 0.5, by=3, source=SOURCE)
ROOT = Rung(number=1, name="root", experiment=Coin(), gates=(LEARNS,))
BROKEN = replace(
    ROOT,
    number=2,
    name="50% luck, no: less",
    experiment=Coin(p=0.0),
    parent="rung1",
    adds="p",
    compare={"loss": "none"},
)
FROZEN = Rung(number=2, name="frozen", experiment=SeenFit(rate=0.0), gates=(LEARNS,))
BLOCKED = replace(BROKEN, number=3, experiment=Coin(p=0.0, shift=0.1), parent="rung2", adds="shift")


@pytest.fixture(scope="module")
def red():
    return report_of(ROOT, BROKEN, BLOCKED)


@pytest.fixture(scope="module")
def green():
    return report_of(ROOT)


def test_summary(red, green):
    """The GitHub summary begins with the verdict and has a section for every red rung."""
    told = summary(red, LIMIT)
    assert told.startswith("# CULPRIT rung2")
    assert "| rung1 | root | PASS | 16/16, at least 0.79 |" in told
    assert "### rung2: " in told
    assert "### rung3: " in told
    assert "### rung1" not in told
    assert "Not green" not in summary(green, LIMIT)


@pytest.mark.parametrize("room", [0, 100, 400, 2000, 10**6])
def test_summary_limit(red, room):
    """The GitHub summary is cut to the given number of bytes, and the verdict is cut last."""
    red = red | {"rungs": [*red["rungs"], *({**red["rungs"][0], "name": "ü" * 50} for _ in range(50))]}
    told, whole = summary(red, room), summary(red, 10**9)
    assert len(told.encode()) <= room
    assert told == whole if room > len(whole.encode()) else not told or "The rest has no room" in told
    assert told.startswith("# CULPRIT") or room < 400


def test_summary_appended(red, tmp_path):
    """The summary is appended on a line of its own, and the file stays within GitHub's limit."""
    target = tmp_path / "summary"
    target.write_text("from another step's command, without an end of line")
    append_summary(red, target)
    first, _, rest = target.read_text().partition("\n")
    assert first == "from another step's command, without an end of line"
    assert rest.startswith("# CULPRIT")
    target.write_text("x" * (LIMIT - 5000))
    append_summary(red, target)
    assert LIMIT - 5000 < target.stat().st_size <= LIMIT
    target.write_text("x" * LIMIT)
    append_summary(red, target)
    assert target.stat().st_size == LIMIT


def test_annotation(red, green):
    """One annotation, with escaped text, marks the file and line of the culprit's test."""
    red["rungs"][1] |= {"test": {"id": "a.py::t", "file": "a,b:c.py", "line": 7}, "repeat": "pytest a.py"}
    told = annotation(red)
    assert told.startswith("::error file=a%2Cb%3Ac.py,line=7,title=ladder%3A rung2::CULPRIT rung2 ")
    assert '"+50%25 luck, no: less"' in told
    assert told.endswith("%0Apytest a.py")
    assert "\n" not in told
    assert annotation(red, Path("packages/one")).startswith("::error file=packages/one/a%2Cb%3Ac.py,")
    assert annotation(green) == ""


def test_annotation_findings(red):
    """The annotation of the culprit contains the findings of its diagnosis."""
    told = annotation(report_of(ROOT, FROZEN)).split("%0A")
    assert told[0].startswith("::error title=ladder%3A rung2::CULPRIT rung2 ")
    assert told[1].startswith("nothing ever moved")


def test_ctrf(red):
    """The CTRF file has one test for each rung, with its status, verdict and number of seeds."""
    found = ctrf(red, start=1000.0, stop=1002.5)
    assert datetime.fromisoformat(found["timestamp"]) == datetime.fromisoformat(red["created"])
    results = found["results"]
    assert (found["reportFormat"], found["specVersion"]) == ("CTRF", "0.0.0")
    assert results["summary"] == {
        "tests": 3, "passed": 1, "failed": 1, "skipped": 1, "pending": 0, "other": 0, "start": 1000000, "stop": 1002500,
    }  # fmt: skip
    one, two, three = results["tests"]
    assert [test["status"] for test in (one, two, three)] == ["passed", "failed", "skipped"]
    assert one["tags"] == ["rung1", "gate"]
    assert (two["rawStatus"], three["rawStatus"]) == ("FAIL", "BLOCKED")
    assert one["labels"] == {"rung": "rung1", "verdict": "PASS", "k": 16, "n": 16}
    assert three["labels"] == {"rung": "rung3", "verdict": "BLOCKED"}
    assert two["message"].startswith("FAIL")
    assert "message" not in one
    assert all(isinstance(test["duration"], int) for test in results["tests"])


@pytest.mark.parametrize(("verdict", "status"), [("CRASHED", "failed"), ("UNDECIDED", "other"), ("BLOCKED", "skipped")])
def test_ctrf_message_and_duration(verdict, status):
    """A test in the CTRF file has the rung's verdict, error, findings and duration."""
    report = report_of(ROOT, FROZEN)
    report["rungs"][0] |= {"seconds": {"compile": 0.5, "run": 0.25}}
    report["rungs"][1] |= {"verdict": verdict, "error": "no memory", "seconds": None}
    one, two = ctrf(report, start=0.0, stop=1.0)["results"]["tests"]
    assert (one["duration"], two["duration"]) == (750, 0)
    assert (two["status"], two["rawStatus"]) == (status, verdict)
    label = "BLOCKED (FAIL)" if verdict == "BLOCKED" else verdict
    assert two["message"].startswith(f"{label}\nno memory\nnothing ever moved")


def test_seeds_of_a_goal():
    """CTRF labels and JUnit properties of a goal rung count the seeds that met its goals."""
    goal = replace(ROOT, gates=(), goals=(below("loss", 0.0001, by=3, source=SOURCE),))
    report = report_of(goal)
    (test,) = ctrf(report, start=0.0, stop=1.0)["results"]["tests"]
    assert (test["labels"]["k"], test["labels"]["n"]) == (0, 16)
    assert properties(report["rungs"][0])[2:] == [("k", 0), ("n", 16)]


@pytest.mark.parametrize("workers", [[], ["-n", "1"]])
def test_github_actions_run(pytester, rungs, monkeypatch, workers):
    """A run on GitHub Actions writes an annotation, a summary, JUnit properties and a CTRF file."""
    summary = pytester.path / "summary.md"
    monkeypatch.setenv("GITHUB_ACTIONS", "true")
    monkeypatch.setenv("GITHUB_STEP_SUMMARY", str(summary))
    monkeypatch.setenv("GITHUB_WORKSPACE", str(pytester.path.parent))
    rungs(one="Coin()", p="Coin(p=0.0)")
    run = pytester.runpytest_subprocess if workers else pytester.runpytest
    result = run("--junitxml=junit.xml", "--ladder-ctrf=out/ctrf.json", *workers)
    assert result.ret == 1
    (command,) = [line for line in result.outlines if line.startswith("::")]
    file = f"{pytester.path.name}/test_rung2_p.py"
    assert command.startswith(f"::error file={file},line=")
    assert summary.read_text().startswith("# CULPRIT rung2")
    suite = ET.parse(pytester.path / "junit.xml").getroot()
    told = [
        [(each.get("name"), each.get("value")) for each in case.iter("property")] for case in suite.iter("testcase")
    ]
    assert told == [
        [("rung", "rung1"), ("verdict", "PASS"), ("k", "16"), ("n", "16")],
        [("rung", "rung2"), ("verdict", "FAIL"), ("k", "0"), ("n", "16")],
    ]
    collected = json.loads((pytester.path / "out" / "ctrf.json").read_text())["results"]
    assert [test["name"] for test in collected["tests"]] == ["rung1", "rung2"]
    assert collected["tests"][1]["filePath"] == "test_rung2_p.py"
    assert command.startswith(f"::error file={file},line={collected['tests'][1]['line']},")


def test_repeat_command(pytester, rungs):
    """The repeat command of a rung climbs it and its requirements on the same seeds."""
    rungs(one="Coin()", p="Coin(p=0.0)", shift="Coin(p=0.0, shift=0.1)")
    assert pytester.runpytest("--ladder-seeds=16,32", "--ladder-seed-root=7").ret == 1
    before = json.loads((pytester.path / "reports" / "ladder.json").read_text())
    repeat = before["rungs"][1]["repeat"]
    assert repeat == "pytest test_rung2_p.py --ladder-only=rung2 --ladder-seed-root=7 --ladder-seeds=16,32"
    assert pytester.runpytest(*repeat.split()[1:], "--ladder-rerun").ret == 1
    after = json.loads((pytester.path / "reports" / "ladder.json").read_text())
    assert [entry["curves"] for entry in after["rungs"]] == [entry["curves"] for entry in before["rungs"][:2]]


@pytest.mark.parametrize(("broken", "code"), [("summary", 0), ("ctrf", 73)])
def test_unwritable_output(pytester, rungs, monkeypatch, broken, code):
    """An output that cannot be written does not prevent the others from being written."""
    (pytester.path / "file").write_text("")
    targets = {name: pytester.path / ("file" if name == broken else "out") / name for name in ("summary", "ctrf")}
    monkeypatch.setenv("GITHUB_STEP_SUMMARY", str(targets["summary"]))
    rungs(one="Coin()")
    result = pytester.runpytest(f"--ladder-ctrf={targets['ctrf']}")
    assert result.ret == code
    what = "the job's summary" if broken == "summary" else str(targets["ctrf"])
    result.stdout.fnmatch_lines(["wrote *ladder.json", f"{what} could not be written: *"])
    assert "the report could not be written" not in result.stdout.str()
    (whole,) = [name for name in targets if name != broken]
    assert targets[whole].exists()
    assert ("the report cannot be written" in result.stdout.str()) == (broken == "ctrf"), "said before the climb"


def test_ctrf_path_of_the_report(pytester, rungs):
    """A file in another format cannot be the report."""
    rungs(one="Coin()")
    result = pytester.runpytest("--ladder-ctrf=reports/ladder.json")
    assert result.ret == 4
    result.stderr.fnmatch_lines(["*--ladder-ctrf=reports/ladder.json: this file is the report; choose another"])


def test_run_outside_github(pytester, rungs):
    """A run outside GitHub Actions prints no annotation."""
    rungs(p="Coin(p=0.0)")
    assert not any(line.startswith("::") for line in pytester.runpytest().outlines)
