"""The wheel alone, without JAX: reports are read, other tests run, and a rung says what to install."""

import json
import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]
PYTHON = ROOT / ".venv" / "bare" / "bin" / "python"
REPORT = ROOT / "reports" / "example" / "ladder.json"

pytestmark = pytest.mark.skipif(not PYTHON.exists(), reason="there is no .venv/bare; bash .ci/bare makes it")

ABSENT = {"jax", "jaxlib", "flax", "optax", "jaxtyping", "torch", "matplotlib"}

RUNG = """
from dataclasses import dataclass
import pytest
from ladder import Rung, below

@dataclass(frozen=True)
class Lazy:
    epochs: int = 3
    metrics = ("loss",)

    def init(self, key):
        import jax.numpy as jnp
        return jnp.zeros(())

    def epoch(self, state, key):
        return state, {"loss": state}

@pytest.mark.parametrize(
    "rung", [Rung(number=1, name="lazy", experiment=Lazy(), gates=(below("loss", 0.5, by=3, source="made up"),))]
)
def test_rung(climb, rung):
    climb(rung)
"""


def run(folder, *command):
    done = subprocess.run([PYTHON, *command], cwd=folder, capture_output=True, text=True, check=False)
    return done.returncode, done.stdout + done.stderr


def test_bare_install():
    """A bare install brings neither JAX, nor what the case studies need, nor any pytest plugin but ladder's."""
    program = """
import json
from importlib.metadata import distributions, entry_points
names = sorted(distribution.metadata["Name"].lower() for distribution in distributions())
print(json.dumps([names, [plugin.name for plugin in entry_points(group="pytest11")]]))
"""
    code, told = run(".", "-c", program)
    assert code == 0, told
    names, plugins = json.loads(told)
    assert not ABSENT.intersection(names)
    assert plugins == ["ladder"]


@pytest.mark.parametrize(
    "command",
    [["list"], ["show"], ["explain", "rung1"], ["compare", "{report}", "{report}"], ["history", "{folder}"]],
    ids=lambda command: command[0],
)
def test_report_commands(tmp_path, command):
    """The command reads reports as it does elsewhere."""
    (tmp_path / "reports").mkdir()
    report = shutil.copy(REPORT, tmp_path / "reports" / "ladder.json")
    arguments = [argument.format(report=report, folder=tmp_path / "reports") for argument in command]
    code, told = run(tmp_path, "-m", "ladder", *arguments)
    assert code in (0, 1), told
    assert "Traceback" not in told


def test_run_without_rungs(tmp_path):
    """Other tests run, and nothing of NumPy is loaded for them."""
    (tmp_path / "test_plain.py").write_text("import sys\ndef test_plain():\n    assert 'numpy' not in sys.modules\n")
    code, told = run(tmp_path, "-m", "pytest")
    assert code == 0, told


def test_rung_that_needs_jax(tmp_path):
    """Its verdict is one sentence that names the extra, in a report."""
    (tmp_path / "test_lazy.py").write_text(RUNG)
    code, told = run(tmp_path, "-m", "pytest", "--tb=no")
    assert code == 1, told
    sentence = "the experiment is trained by JAX, which is not installed: pip install 'pytest-ladder[jax]'"
    assert f"rung1  CRASHED  –  RuntimeError: {sentence}" in told
    assert "INTERNALERROR" not in told
    assert sentence in (tmp_path / "reports" / "ladder.md").read_text()
