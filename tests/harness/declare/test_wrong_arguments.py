"""Every argument of the public interface, given values of every wrong type: one clear error, or none."""

import inspect
import math
import traceback
from pathlib import Path

import numpy as np
import pytest
from hosts import Halving, halving
from toys import Coin

import ladder
from ladder import (
    Climb,
    CompiledTrainer,
    Control,
    Floor,
    HostTrainer,
    Ladder,
    Rung,
    Seeds,
    SequentialTest,
    above,
    agrees,
    below,
    better_than,
    experiment,
    falls,
    no_worse_than,
)

LEARNS = below("loss", 0.5, by=3)
ROOT = Rung(number=1, name="one", experiment=Coin(), gates=(LEARNS,))
CHILD = {"number": 2, "name": "two", "experiment": Coin(shift=0.1), "gates": (LEARNS,), "parent": ROOT, "adds": "shift"}
LIMIT = {"by": 3, "source": "", "calibrated": False, "floor": None}

VALID = {
    Rung: CHILD | {
        "goals": (), "variant": "", "scale": "", "requires": None, "compare": None, "control": None, "calibration": "",
        "claim": "", "ladder": "",
    },
    Control: {"why": "it stays", "each_gate_fails": True, "expects": ()},
    Floor: {"value": 0.1, "source": "theorem 1"},
    below: LIMIT | {"metric": "loss", "limit": 0.5, "signed": False},
    above: LIMIT | {"metric": "loss", "limit": 0.5},
    falls: LIMIT | {"metric": "loss", "limit": 0.5, "since": 1},
    agrees: LIMIT | {"metric": "loss", "other": "again", "within": 0.5},
    better_than: {"against": "rung1", "metric": "loss", "source": ""},
    no_worse_than: {"against": "rung1", "metric": "loss", "margin": 0.1, "source": ""},
    experiment: {"train": halving, "config": {"epochs": 3, "rate": 0.5}, "objective": None, "reference": None},
    Ladder: {"rungs": [ROOT]},
    Seeds: {"root": 0, "stream": 1},
    SequentialTest: {"p0": 0.7, "p1": 0.95, "alpha": 0.05, "beta": 0.01, "looks": (4, 10)},
    CompiledTrainer: {"experiment": Coin(), "block": 4},
    HostTrainer: {"experiment": Halving(), "block": 4},
    Climb: {
        "ladder": Ladder([ROOT]), "test": None, "seeds": None, "evidence": None, "time_limit": math.inf,
        "elsewhere": lambda id: None, "trainer": CompiledTrainer, "report_seeds": 16, "through": False,
        "findings": lambda run: (),
    },
}  # fmt: skip
"""Valid arguments of each public callable that a user writes; a new argument must be added here."""


class Unprintable:
    """An object whose representation raises an error."""

    def __repr__(self):
        raise RuntimeError("not this one")


WRONG = {
    "None": None, "str": "text", "empty str": "", "bytes": b"text", "int": 7, "negative": -1, "float": 2.5, "nan": math.nan,
    "bool": True, "complex": 1j, "list": [1, 2], "empty list": [], "tuple": (1, "a"), "dict": {"a": 1}, "set": {1},
    "class": int, "function": len, "unprintable": Unprintable(), "array": np.ones(3), "array of two axes": np.ones((2, 2)),
    "rung": ROOT, "criterion": LEARNS, "experiment": Coin(), "comparison": better_than("rung1", "loss"), "object": object(),
}  # fmt: skip

ARGUMENTS = [(target, name) for target, valid in VALID.items() for name in valid]


@pytest.mark.parametrize("target", VALID, ids=lambda target: target.__name__)
def test_signatures(target):
    """The table has every argument of each callable, and its values are accepted."""
    assert set(VALID[target]) == set(inspect.signature(target).parameters)
    target(**VALID[target])


def test_public_names():
    """The table has every public callable but results, which users do not make, and programs that they are given."""
    given = {
        "Criterion",
        "FailedRun",
        "Finding",
        "Outcome",
        "Trained",
        "Verdict",
        "LadderError",
        "json_lines",
        "Trainer",
    }
    protocols = {"CompiledExperiment", "Experiment", "HostExperiment"}
    assert {getattr(ladder, name) for name in set(ladder.__all__) - given - protocols} == set(VALID)


@pytest.mark.ill_typed
@pytest.mark.parametrize(("target", "name"), ARGUMENTS, ids=[f"{target.__name__}-{name}" for target, name in ARGUMENTS])
def test_wrong_argument(target, name):
    """A value of a wrong type is accepted, or refused by ladder itself in one sentence."""
    for kind, value in WRONG.items():
        try:
            target(**{**VALID[target], name: value})
        except (TypeError, ValueError) as error:
            message, frames = str(error), traceback.extract_tb(error.__traceback__)
            place = Path(frames[-1].filename)
            assert ("ladder" in place.parts and "src" in place.parts) or ".venv" in place.parts, (
                f"{kind}: from {place}: {message}"
            )
            assert place.is_relative_to(Path(ladder.__file__).parent), f"{kind}: from {place}: {message}"
            assert "\n" not in message, kind
            assert 10 < len(message) < 450, f"{kind}: {message}"
