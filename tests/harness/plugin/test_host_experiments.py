"""Host experiments in a run of pytest: verdicts, evidence, time limits and workers, without JAX."""

import signal
import subprocess
import sys
import time

import pytest
from hosts import is_running
from test_plugin import report
from toys import INI, TEST

HEAD = """
import sys
from pathlib import Path
import pytest
from hosts import Endless, Fails, Halving, halving
from ladder import Rung, below, experiment

LEARNS = below("loss", 0.5, by=3, source="made up for the test")
"""
BOTH = """
one = Rung(number=1, name="one", experiment=Halving(), gates=(LEARNS,))
two = Rung(number=2, name="two", experiment=Halving(rate=0.99), gates=(LEARNS,), parent=one, adds="rate", compare={"loss": ""})
RUNGS = [one, two]
"""

ENDLESS = """
ends = below("loss", 0.5, by=2, source="made up for the test")
one = Rung(number=1, name="endless", experiment=Endless(Path(".")), gates=(ends,))
RUNGS = [one]
"""


@pytest.fixture
def write(rungs, pytester):
    """Writes a file of rungs."""
    pytester.makeini(f"{INI}ladder_seeds = 4,10,16\nladder_report_seeds = 4\n")

    def write(declared, name="test_rung1_host"):
        pytester.makepyfile(**{name: f"{HEAD}{declared}{TEST}"})

    return write


def processes(pytester):
    """The processes that an endless experiment has started."""
    return [path.name for path in pytester.path.iterdir() if path.name.isdigit()]


def entries(pytester):
    return {entry["id"]: entry for entry in report(pytester)["rungs"]}


@pytest.mark.parametrize("options", [(), ("-n", "2"), ("--ladder-workers=0",)], ids=["workers", "xdist", "none"])
def test_verdicts(write, pytester, options):
    """A host experiment has the same verdicts, effects and evidence with and without workers, and under xdist."""
    write(BOTH)
    result = pytester.runpytest_subprocess(*options)
    assert result.ret == 1
    found = entries(pytester)
    assert (found["rung1"]["verdict"], found["rung2"]["verdict"]) == ("PASS", "FAIL")
    assert found["rung2"]["effects"][0]["median"] > 0.5
    curves = {id: entry["curves"] for id, entry in found.items()}
    pytester.runpytest_subprocess(*options)
    again = entries(pytester)
    assert {id: entry["curves"] for id, entry in again.items()} == curves
    assert all(entry["evidence"] for entry in again.values())


def test_without_jax(write, pytester):
    """A ladder of host experiments climbs where JAX cannot be imported, and never imports it."""
    write(f"sys.modules['jax'] = None\n{BOTH}")
    result = pytester.runpytest_subprocess()
    result.stdout.fnmatch_lines(["rung1  PASS*10/10*", "rung2  FAIL*"])


def test_raising_seed(write, pytester):
    """A rung of which seeds raise is judged on the others; the report has the errors, and so has that from evidence."""
    write('RUNGS = [Rung(number=1, name="fails", experiment=Fails(), gates=(LEARNS,))]\n')
    for _ in range(2):
        result = pytester.runpytest_subprocess()
        result.stdout.fnmatch_lines(
            ["*seeds that fail raised an error; the first was seed*ZeroDivisionError: as planned*"]
        )
        entry = entries(pytester)["rung1"]
        assert entry["verdict"] == "FAIL"
        raised = entry["seeds"]["errors"]
        assert {error["seed"] for error in raised} == {
            seed for seed, curve in enumerate(entry["curves"]["loss"]) if None in curve
        }
        assert raised[0]["epoch"] == 2
        assert raised[0]["traceback"][-1] == "ZeroDivisionError: as planned"
        assert "Traceback (most recent call last):" in (pytester.path / "reports" / "ladder.md").read_text()
        assert "ZeroDivisionError" in (pytester.path / "reports" / "ladder.html").read_text()
    assert entry["evidence"]


def test_every_seed_raises(write, pytester):
    """An experiment that always raises an error is CRASHED, and the output has its traceback."""
    write('RUNGS = [Rung(number=1, name="fails", experiment=Fails(epoch=1, share=1), gates=(LEARNS,))]\n')
    result = pytester.runpytest_subprocess()
    result.stdout.fnmatch_lines(
        ["*hosts.py*in train", "rung1  CRASHED*every seed raised*ZeroDivisionError: as planned*"]
    )


@pytest.mark.parametrize("workers", [0, 1, 2, 8])
def test_first_seeds_raise(pytester, write, workers):
    """A rung whose first seeds raise an error is judged on the others, with any number of workers."""
    write("""
from dataclasses import dataclass, field
from ladder import Seeds

@dataclass(frozen=True)
class Late:
    epochs: int = 2

    def train(self, seed):
        if seed in Seeds().integers([0, 1, 2]):
            raise ZeroDivisionError("as planned")
        yield {"loss": 0.1}
        yield {"loss": 0.1}

RUNGS = [Rung(number=1, name="late", experiment=Late(), gates=below("loss", 0.5, by=2, source="made up for the test"))]
""")
    pytester.runpytest_subprocess(f"--ladder-workers={workers}", "--ladder-seeds=4,10")
    seeds = entries(pytester)["rung1"]["seeds"]
    assert (seeds["passed"], seeds["of"]) == (1, 4)
    assert [error["seed"] for error in seeds["errors"]] == [0, 1, 2]


@pytest.mark.parametrize("workers", [1, 2])
def test_blocks_that_report_otherwise(pytester, write, workers):
    """Seeds that report other metrics than those before them end the rung with one sentence."""
    write("""
from dataclasses import dataclass
from ladder import Seeds

@dataclass(frozen=True)
class Other:
    epochs: int = 1

    def train(self, seed):
        yield {"loss": 0.1} if seed in Seeds().integers([0, 1]) else {"loss": 0.1, "extra": 0.1}

RUNGS = [Rung(number=1, name="other", experiment=Other(), gates=below("loss", 0.5, by=1, source="made up for the test"))]
""")
    result = pytester.runpytest_subprocess(f"--ladder-workers={workers}")
    result.stdout.fnmatch_lines(["*Other.train() reports 'extra' as a number in seed 2 and as nothing in seed 0*"])


@pytest.mark.parametrize("workers", [0, 2])
def test_modules_of_one_name(pytester, write, workers):
    """A worker trains the code of the run, though a folder before it on the path has a module of the same name."""
    body = "from dataclasses import dataclass\n\n@dataclass(frozen=True)\nclass M:\n    epochs: int = 1\n\n"
    for folder, loss in (("one", 0.1), ("two", 0.9)):
        (pytester.mkdir(folder) / "model.py").write_text(
            f"{body}    def train(self, seed):\n        yield {{'loss': {loss}}}\n"
        )
    write("""
sys.path.insert(0, "two")
from model import M
sys.path.insert(0, "one")
RUNGS = [Rung(number=1, name="named", experiment=M(), gates=below("loss", 0.5, by=1, source="made up for the test"))]
""")
    pytester.runpytest_subprocess(f"--ladder-workers={workers}", "--ladder-seeds=4,10")
    assert entries(pytester)["rung1"]["curves"]["loss"][0] == [0.9]


def test_function_of_no_module(pytester, write):
    """A function that no worker can import is named, with the fix."""
    write("""
config = {"epochs": 1}
made = experiment(lambda config, seed: iter([{"loss": 0.1}]), config)
RUNGS = [Rung(number=1, name="lambda", experiment=made, gates=below("loss", 0.5, by=1, source="made up for the test"))]
""")
    result = pytester.runpytest_subprocess("--ladder-seeds=4,10")
    result.stdout.fnmatch_lines(
        ["*<lambda> cannot be sent to worker processes*define the function*by def at the top level*"]
    )
    assert pytester.runpytest_subprocess("--ladder-seeds=4,10", "--ladder-workers=0").parseoutcomes() == {"passed": 1}


def test_metric_not_reported(write, pytester):
    """A metric that the experiment does not report is named after the first epoch, and also if the curves are from evidence."""
    write(BOTH)
    pytester.runpytest_subprocess("-m", "rung1")
    write(BOTH.replace("gates=(LEARNS,))", "gates=(below('lss', 0.5, by=3, source='x'),))"))
    result = pytester.runpytest_subprocess("-m", "rung1")
    result.stdout.fnmatch_lines(["*names the metric 'lss', but the experiment reports loss; name one of these*"])
    result = pytester.runpytest_subprocess("-m", "rung1", "--ladder-rerun")
    result.stdout.fnmatch_lines(["*names the metric 'lss', but the experiment reports loss; name one of these*"])


def test_time_limit(write, pytester):
    """A host experiment that exceeds its time limit is ended: it keeps its curves so far, and the next rung is climbed."""
    write(
        ENDLESS.replace(
            "RUNGS = [one]", "RUNGS = [one, Rung(number=2, name='two', experiment=Halving(), gates=(LEARNS,))]"
        )
    )
    started = time.monotonic()
    result = pytester.runpytest_subprocess("--ladder-time-limit=6")
    assert result.ret == 1
    assert time.monotonic() - started < 30.0
    found = entries(pytester)
    assert (found["rung1"]["verdict"], found["rung2"]["verdict"]) == ("TIMED OUT", "PASS")
    assert found["rung1"]["curves"]["loss"][0] == [1.0]
    assert not any(map(is_running, processes(pytester)))


def test_interruption(write, pytester):
    """After an interruption no process is left, and finished blocks are evidence."""
    write(ENDLESS)
    process = subprocess.Popen([sys.executable, "-m", "pytest"], cwd=pytester.path, stdout=subprocess.PIPE, text=True)
    while not processes(pytester):
        time.sleep(0.1)
        assert process.poll() is None
    process.send_signal(signal.SIGINT)
    output, _ = process.communicate(timeout=60)
    assert process.returncode == 2, output
    time.sleep(0.2)
    assert not any(map(is_running, processes(pytester)))


def test_function(write, pytester):
    """A function and its configuration are an experiment, whose entries are components."""
    write(
        'config = {"rate": 0.5, "epochs": 3}\n'
        'one = Rung(number=1, name="one", experiment=experiment(halving, config), gates=(LEARNS,))\n'
        'two = Rung(number=2, name="two", experiment=experiment(halving, config | {"rate": 0.9}), gates=(LEARNS,), parent=one,\n'
        '    adds="config.rate", compare={"loss": ""})\nRUNGS = [one, two]\n'
    )
    result = pytester.runpytest_subprocess()
    result.stdout.fnmatch_lines(["rung1  PASS*", "rung2  FAIL*", 'CULPRIT rung2 "+two" (config.rate: 0.5 → 0.9)*'])


@pytest.mark.parametrize("value", ["-1", "two", "1.5"])
def test_invalid_workers(write, pytester, value):
    """A number of workers that is none is a usage error."""
    write(BOTH)
    result = pytester.runpytest_subprocess(f"--ladder-workers={value}")
    assert result.ret == 4
    result.stderr.fnmatch_lines([f"*the ladder's workers '{value}': give a number of processes, 0 or more, or auto"])
