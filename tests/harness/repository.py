"""A toy repository, with a ladder that breaks and tests beside it, and the facts that a pytest run in it must tell.

What else is installed and which options a run is given may change its looks and its order, never these.
"""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from toys import INI

MODEL = """from dataclasses import dataclass

from toys import Coin

@dataclass(frozen=True, kw_only=True)
class Model(Coin):
    def epoch(self, state, key):
        state, metrics = super().epoch(state, key)
        return state, {"loss": seen(metrics["loss"])}

def seen(loss):
    return 1.0 * loss
"""

DECLARED = """import pytest
from ladder import Control, Rung, below
from model import Model

LEARNS = below("loss", 0.5, by=3, source="made up for the test")

def rung(number, experiment, parent="", adds="", **more):
    given = {"name": f"r{number}", "gates": (LEARNS,), "compare": {"loss": ""} if parent else {}} | more
    return Rung(number=number, experiment=experiment, parent=parent, adds=adds, **given)

RUNGS = [
    rung(1, Model()),
    rung(2, Model(shift=-0.05), "rung1", "shift"),
    rung(3, Model(shift=-0.05, p=0.0), "rung2", "p"),
    rung(4, Model(shift=-0.05, p=0.0, epochs=4), "rung3", "epochs"),
    rung(5, Model(epochs=5), gates=(), goals=(LEARNS,)),
]
RUNGS.append(RUNGS[0].as_control(Control("it never learns"), p=0.0))
"""
TEST = """
@pytest.mark.parametrize("rung", RUNGS)
def test_rung(climb, rung):
    climb(rung)
"""

DEEP = """
import pytest
from ladder import Rung, below
from model import Model

LEARNS = below("loss", 0.5, by=3, source="made up for the test")
SIX = Rung(
    number=6, name="r6", experiment=Model(shift=-0.05, epochs=6), gates=(LEARNS,),
    parent="rung2", adds="epochs", compare={"loss": ""},
)

@pytest.mark.parametrize("rung", [SIX])
def test_rung(climb, rung):
    climb(rung)

def test_deep():
    pass
"""

OTHERS = """
import pytest

@pytest.fixture(scope="module")
def thing():
    yield 1

@pytest.mark.parametrize("k", range(3))
def test_plain(k, thing):
    pass

class TestGroup:
    def test_method(self):
        pass

@pytest.mark.skip(reason="made up")
def test_left_out():
    pass

@pytest.mark.xfail(reason="made up", strict=True)
def test_expected_to_fail():
    assert False
"""

# Terminals differ, and plugins replace pytest's own; what it counts does not.
CONFTEST = """
import json
from pathlib import Path

def pytest_unconfigure(config):
    reporter = config.pluginmanager.getplugin("terminalreporter")
    if reporter is not None and not hasattr(config, "workerinput"):
        ids = {
            category: sorted(getattr(report, "nodeid", "") for report in reports)
            for category, reports in reporter.stats.items()
            if category and category not in ("warnings", "deselected")
        }
        (config.rootpath / "outcomes.json").write_text(json.dumps(ids))
"""

# pytest's cache is on, as it is for everybody.
SETTINGS = (
    INI.replace("-p no:cacheprovider ", "").replace("testpaths = .", "testpaths = tests\npythonpath = .")
    + "ladder_seeds = 16\n"
)

FILES = {
    "pytest.ini": SETTINGS,
    "model.py": MODEL,
    "conftest.py": CONFTEST,
    "tests/test_rungs.py": DECLARED + TEST,
    "tests/test_others.py": OTHERS,
    "tests/deep/test_deep.py": DEEP,
}


def write(folder: Path, changed: Mapping[str, str]) -> None:
    """Write the repository's files, some with other text or beside the usual ones."""
    for name, text in (FILES | changed).items():
        file = folder / name
        file.parent.mkdir(exist_ok=True, parents=True)
        file.write_text(text)


@dataclass(frozen=True)
class Facts:
    """What a run has come to.

    Attributes:
        code: The exit code.
        rungs: What the report says of each rung, in its order: id to verdict, whether green, by what blocked, k and n.
        listed: The ids as the report lists them, one that is there twice included.
        culprit: What the report says of the culprit.
        said: The lines about it on the terminal.
        complete: Whether the report claims to be complete.
        outcomes: What pytest counted: category to ids of tests.
    """

    code: int
    rungs: dict[str, tuple[Any, ...]] = field(default_factory=dict)
    listed: tuple[str, ...] = ()
    culprit: dict[str, Any] | None = None
    said: tuple[str, ...] = ()
    complete: bool | None = None
    outcomes: dict[str, list[str]] = field(default_factory=dict)

    def differs(self, other: "Facts", *apart: str) -> dict[str, tuple[Any, Any]]:
        """The facts, but for some, that are not the same: name to this run's and the other's."""
        pairs = {name: (getattr(self, name), getattr(other, name)) for name in self.__dataclass_fields__}
        return {name: pair for name, pair in pairs.items() if name not in apart and pair[0] != pair[1]}


def facts(folder: Path, code: int, output: str) -> Facts:
    """Gather what the run that ended with ``code`` left behind, and remove it, so that no later run is taken for it."""
    lines = (re.sub(r"\x1b\[[\d;]*m", "", line).strip() for line in output.splitlines())
    said = tuple(line for line in lines if line.startswith("CULPRIT"))
    outcomes = folder / "outcomes.json"
    report = folder / "reports" / "ladder.json"
    counted = json.loads(outcomes.read_text()) if outcomes.exists() else {}
    outcomes.unlink(missing_ok=True)
    if not report.exists():
        return Facts(code, said=said, outcomes=counted)
    found = json.loads(report.read_text())
    report.unlink()
    rungs = {rung["id"]: _told(rung) for rung in found["rungs"]}
    listed = tuple(rung["id"] for rung in found["rungs"])
    return Facts(code, rungs, listed, found["culprit"], said, found["complete"], counted)


def _told(rung: dict[str, Any]) -> tuple[Any, ...]:
    seeds = rung["seeds"] or {}
    return rung["verdict"], rung["green"], tuple(rung["blocked_by"]), seeds.get("passed"), seeds.get("of")
