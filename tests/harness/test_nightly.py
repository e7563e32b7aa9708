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
def night(tmp_path, monkeypatch, programs):
    """Runs a night of a small ladder, its second rung trained at a rate; returns the exit code and the output."""
    monkeypatch.setenv("PYTHONPATH", str(Path(__file__).parent), prepend=os.pathsep)
    monkeypatch.setenv("JAX_COMPILATION_CACHE_DIR", str(programs))
    monkeypatch.setenv("JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS", "0")
    monkeypatch.setenv("XLA_FLAGS", "--xla_cpu_enable_fast_math=false")
    monkeypatch.setenv("GITHUB_ACTIONS", "true")
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


@pytest.mark.nightly
def test_planted_regression(night, tmp_path, monkeypatch):
    """A planted regression is detected and confirmed on a second set of fresh seeds."""
    monkeypatch.delenv("JAX_COMPILATION_CACHE_DIR")
    code, said = night(0.1)
    assert (code, len(nights(tmp_path))) == (0, 1), said
    assert "the first night" in said
    code, said = night(0.1)
    assert code == 0, said
    assert "\nno regression\n" in said
    code, said = night(0.03)
    assert code == 1, said
    last = said.strip().splitlines()[-1]
    assert last == "REGRESSION, on two sets of fresh seeds: rung2"
    assert said.count("::error ") == 1, "of the first climb: the second says what of it is true"
    summary = (tmp_path / "summary.md").read_text()
    assert summary.count("# CULPRIT rung2") == 1
    assert last in summary
    assert "\nno regression\n" in summary, "of the night before"
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


@pytest.mark.nightly
def test_night_of_some_rungs(night, tmp_path):
    """After a night with only some rungs the others are compared with an earlier night."""
    assert night(0.1)[0] == 0
    code, said = night(0.03, ".", "-m", "rung1")
    assert code == 0, said
    code, said = night(0.03)
    assert code == 1, said
    assert said.strip().endswith("REGRESSION, on two sets of fresh seeds: rung2")


@pytest.mark.nightly
def test_unconfirmed_regression(night, tmp_path):
    """A regression that could not be confirmed is reported again in the next night."""
    assert night(0.1)[0] == 0
    (tmp_path / "conftest.py").write_text(
        "import pytest\n\ndef pytest_configure(config):\n"
        "    if config.getoption('--ladder-only'):\n        raise pytest.UsageError('not twice')\n"
    )
    for unconfirmed in (1, 2):
        code, said = night(0.03)
        assert code == 2
        assert "worse, and not confirmed: rung2; see nights/unjudged/" in said
        assert len(nights(tmp_path)) == 1
        assert len(list(tmp_path.glob("nights/unjudged/*/ladder.json"))) == unconfirmed


def test_failed_start(tmp_path):
    """A nightly run that cannot start exits with code 2 and gives the reason."""
    command = [sys.executable, SCRIPT, "--python=/nowhere/python", f"--nights={tmp_path / 'nights'}"]
    ran = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True)
    assert (ran.returncode, ran.stderr.count("Traceback")) == (2, 0)
    assert "the night did not come to its end" in ran.stderr
    assert "/nowhere/python" in ran.stderr


@pytest.mark.parametrize(
    ("listed", "code", "workers"), [("GPU 0: H100\\n  MIG 1g\\nGPU 1: H100\\n", 0, 2), ("GPU 0\\nGPU 1\\n", 9, 1)]
)
def test_worker_per_gpu(night, tmp_path, monkeypatch, listed, code, workers):
    """A nightly run starts one worker for each GPU."""
    tool = tmp_path / "bin" / "nvidia-smi"
    tool.parent.mkdir()
    tool.write_text(f"#!/bin/sh\nprintf '{listed}'\nexit {code}\n")
    tool.chmod(0o755)
    monkeypatch.setenv("PATH", str(tool.parent), prepend=os.pathsep)
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    _, said = night(0.1, ".", "-k", "nothing_of_that_name")
    assert f"created: {workers}/{workers} worker" in said


@pytest.mark.parametrize(
    ("before", "said"), [("{", "has no report in it"), (None, "no condition was measured in both reports")]
)
def test_night_without_comparison(night, tmp_path, before, said):
    """A night that cannot be compared is stored, and the run exits with code 2."""
    last = tmp_path / "nights" / "2020-01-01T000000Z" / "ladder.json"
    last.parent.mkdir(parents=True)
    last.write_text(before or json.dumps(report(rung("rung9", (gate([1] * 16),)))))
    code, out = night(0.1, ".", "-k", "rung1")
    assert code == 2, out
    assert "not compared: " in out
    assert said in out
    assert len(nights(tmp_path)) == 2
    assert (tmp_path / "nights" / "history.svg").exists()


@pytest.mark.parametrize(
    ("arguments", "exit_code"),
    [((".", "-k", "nothing_of_that_name"), 5), ((".", "-x"), 2), (("test_plain.py",), 0)],
    ids=["no rung", "broken off", "no report"],
)
def test_incomplete_night(night, tmp_path, arguments, exit_code):
    """A climb that does not end properly stores no night."""
    (tmp_path / "test_plain.py").write_text(PLAIN)
    code, said = night(0.0, *arguments)
    assert code == 2
    assert f"the climb did not come to its end: pytest's exit code is {exit_code}" in said
    assert not nights(tmp_path)
