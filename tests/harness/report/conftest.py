"""A report that has all that an entry may hold."""

import json
from dataclasses import replace

import pytest
from toys import SOURCE, Coin, Diverges, SeenFit, report_of

from ladder import Control, Floor, Rung, below, better_than, falls, no_worse_than
from ladder.report.text import find

LEARNS = below("loss", 0.5, by=3, source="a published value", floor=Floor(0.1, "the noise"))
FIT = Rung(number=1, name="fit", scale="small", experiment=SeenFit(), gates=(replace(LEARNS, by=4),))
ROOT = Rung(number=1, name="root", experiment=Coin(), gates=(LEARNS, falls("loss", 0.6, by=3, source=SOURCE)))
BROKEN = Rung(
    number=2,
    name="unlucky",
    claim="Luck is not needed.",
    experiment=Coin(p=0.4),
    gates=(LEARNS, no_worse_than("rung1", "loss", margin=0.1, source=SOURCE)),
    parent="rung1",
    adds="p",
    compare={"loss": "0.1 against 0.2"},
)
BLOCKED = replace(BROKEN, number=3, name="shifted", experiment=Coin(p=0.4, shift=0.1), parent="rung2", adds="shift")
GOAL = Rung(number=4, name="wish", experiment=Coin(), goals=(better_than("rung1", "loss", source=SOURCE),))
HALF = Rung(number=5, name="half", experiment=Diverges(), gates=(LEARNS,))
FROZEN = replace(ROOT, number=6, name="frozen", experiment=SeenFit(rate=0.0), gates=(replace(LEARNS, by=4),))
STILL = FIT.as_control(Control("no step, no learning", expects=("never-moves",)), rate=0.0)
RUNGS = (ROOT, ROOT.as_control(Control("no seed learns"), p=0.0), BROKEN, BLOCKED, GOAL, HALF, FROZEN, FIT, STILL)


@pytest.fixture(scope="module")
def report():
    """Return a report with a culprit, blocked rungs, an expected culprit, a crash, and all else that an entry can have."""
    found = json.loads(json.dumps(report_of(*RUNGS)))
    first, gone = found["rungs"][0], json.loads(json.dumps(find(found, "rung3")))
    first["repeat"] = "pytest tests/ladder --ladder-only 'rung1'"
    first["test"] = {"id": "tests/test_it.py::test_it", "file": "tests/test_it.py", "line": 12}
    norm = {"median": [1.0, 2.0, 3.0], "low": [0.5, 1.0, None], "high": [2.0, 3.0, None]}
    first["others"] = {"norm": norm | {"epochs": [1, 3], "seeds": [[0.5, 2.0], [2.0, None]]}}
    attempt = {"date": "2026-11-21T09:54:37+00:00", "commit": "", "root": 0, "error": "RuntimeError('gone')"}
    first["attempts"] = {
        "total": 12,
        "latest": [attempt | {"verdict": "", "k": None, "n": None}, attempt | {"verdict": "FAIL", "k": 3, "n": 16}],
    }
    first["evidence"] = [{"date": "2026-11-22T09:54:37+00:00", "commit": "1a2b", "seeds": 10}]
    first["note"] = "its inspection raised ValueError()"
    gone |= {"id": "rung8", "verdict": "CRASHED", "blocked_by": [], "error": "MemoryError()"}
    found["commit"] = {"sha": "0123456789abcdef", "dirty": True}
    found["rungs"].append(gone)
    return found
