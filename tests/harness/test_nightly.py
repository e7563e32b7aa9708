"""The nightly run, by hand: a planted regression is caught on fresh seeds, and a night like the one before is not one."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from nights import gate, report, rung
from toys import HEAD, INI, TEST

SCRIPT = Path(__file__).parents[2] / ".ci" / "nightly.py"
RUNGS = """
FALLS = below("loss", 0.5, by=4, source="made up for the test")
from toys import Fit
ONE = Rung(number=1, name="one", experiment=Coin(), gates=(LEARNS,))
TWO = Rung(
    number=2, name="two", experiment=Fit(rate={rate}), gates=(FALLS,), requires=("rung1",), claim="It learns in time."
)
THREE = Rung(number=3, name="three", experiment=Coin(), gates=(LEARNS,), claim="It has nothing to do with the others.")
RUNGS = [ONE, TWO, THREE]
"""
PLAIN = """
import os

def test_what_xla_is_asked_for():
    assert set(os.environ["XLA_FLAGS"].split()) == {"--xla_cpu_enable_fast_math=false", "--xla_gpu_deterministic_ops=true"}
"""


@pytest.fixture
def night(tmp_path, monkeypatch):
    """Runs a night of a small ladder, its second rung trained at a rate; returns the exit code and what was said."""
    monkeypatch.setenv("PYTHONPATH", str(Path(__file__).parent), prepend=os.pathsep)
    monkeypatch.setenv("XLA_FLAGS", "--xla_cpu_enable_fast_math=false")
    monkeypatch.setenv("GITHUB_STEP_SUMMARY", str(tmp_path / "summary.md"))
    (tmp_path / "pytest.ini").write_text(INI.replace("-p no:cacheprovider ", ""))

    def run(rate, *arguments):
        (tmp_path / "test_toys.py").write_text(HEAD + RUNGS.format(rate=rate) + TEST)
        command = [sys.executable, SCRIPT, f"--python={sys.executable}", "--nights=nights", *(arguments or ["."])]
        ran = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True)
        return ran.returncode, ran.stdout + ran.stderr

    return run


def nights(folder):
    return sorted(path.parent for path in folder.glob("nights/*/ladder.json"))


def test_a_planted_regression_is_caught_and_confirmed_on_others(night, tmp_path):
    code, said = night(0.1)
    assert (code, len(nights(tmp_path))) == (0, 1), said
    assert "the first night" in said
    code, said = night(0.1)
    assert code == 0, said
    assert "no regression since" in said
    code, said = night(0.03)
    assert code == 1, said
    last = said.strip().splitlines()[-1]
    assert last.startswith("REGRESSION since 20")
    assert last.endswith(", on two sets of fresh seeds: rung2")
    summary = (tmp_path / "summary.md").read_text()
    assert last in summary
    assert "no regression since" in summary, "of the night before"
    first, _, third = nights(tmp_path)
    reports = [json.loads((folder / "ladder.json").read_text()) for folder in (first, third, third / "again")]
    assert len({report["seeds"]["root"] for report in reports}) == 3
    assert all(report["seeds"]["fresh"] for report in reports)
    assert [entry["seeds"]["of"] for entry in reports[0]["rungs"]] == [64, 64, 64]
    assert [entry["id"] for entry in reports[2]["rungs"]] == ["rung1", "rung2"], (
        "what became worse, and what it requires"
    )
    assert not list(tmp_path.rglob("evidence")), "of seeds that are never drawn again"
    assert list((tmp_path / "nights" / "compiled").rglob("*-cache")), "for the next night"
    assert json.loads((third / "again" / "comparison.json").read_text())["regressions"] == ["rung2"]
    assert (tmp_path / "nights" / "history.svg").exists()


@pytest.mark.parametrize(("listed", "code", "workers"), [("GPU 0\\nGPU 1\\n", 0, 2), ("no driver\\nno GPU\\n", 9, 1)])
def test_each_gpu_has_a_worker(night, tmp_path, monkeypatch, listed, code, workers):
    tool = tmp_path / "bin" / "nvidia-smi"
    tool.parent.mkdir()
    tool.write_text(f"#!/bin/sh\nprintf '{listed}'\nexit {code}\n")
    tool.chmod(0o755)
    monkeypatch.setenv("PATH", str(tool.parent), prepend=os.pathsep)
    _, said = night(0.1, ".", "-k", "nothing_of_that_name")
    assert f"created: {workers}/{workers} worker" in said


@pytest.mark.parametrize(("before", "said"), [("{", "is no report: "), (None, "no rung was measured in both")])
def test_a_night_that_cannot_be_compared_is_filed_and_exits_2(night, tmp_path, before, said):
    last = tmp_path / "nights" / "2020-01-01T000000Z" / "ladder.json"
    last.parent.mkdir(parents=True)
    last.write_text(before or json.dumps(report(rung("rung9", (gate([1] * 16),)))))
    code, out = night(0.1, ".", "-k", "rung1")
    assert code == 2, out
    assert "not compared with 2020-01-01T000000Z: " in out
    assert said in out
    assert len(nights(tmp_path)) == 2
    assert (tmp_path / "nights" / "history.svg").exists()


@pytest.mark.parametrize(
    ("arguments", "exit_code"),
    [((".", "-k", "nothing_of_that_name"), 5), ((".", "-x"), 2), (("test_plain.py",), 0)],
    ids=["no rung", "broken off", "no report"],
)
def test_a_climb_that_does_not_end_leaves_no_night(night, tmp_path, arguments, exit_code):
    (tmp_path / "test_plain.py").write_text(PLAIN)
    code, said = night(0.0, *arguments)
    assert code == 2
    assert f"the climb did not come to its end: pytest's exit code is {exit_code}" in said
    assert not nights(tmp_path)
