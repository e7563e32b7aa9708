"""Faults planted in an experiment that learns all the same: every gate stays green, and the comparison of reports tells."""

from dataclasses import dataclass
from typing import ClassVar

import jax
import jax.numpy as jnp
import pytest
from toys import SOURCE

from ladder import Climb, Ladder, Rung, Seeds, SequentialTest, below
from ladder.history.agreement import compare_seed_by_seed
from ladder.history.compare import compare
from ladder.report.document import document, entry


@dataclass(frozen=True, kw_only=True)
class Descent:
    """Gradient descent with momentum on linear regressions, in which faults can be planted that no field declares."""

    planted: ClassVar[str] = ""

    epochs: int = 6

    @property
    def metrics(self):
        """The first judges the rung, the second nothing."""
        return "loss", "distance"

    def init(self, key):
        """Return random weights and no momentum."""
        return jax.random.normal(key, (5,)), jnp.zeros(5)

    def epoch(self, state, key):
        """Take three steps."""
        x = jax.random.normal(jax.random.key(7), (32, 5))

        def loss(w):
            squares = (x @ w - jnp.sum(x, axis=-1)) ** 2
            return jnp.sum(squares) / 32.0 if self.planted == "refactoring" else jnp.mean(squares)

        def step(state, noise):
            w, momentum = state
            slope = jax.grad(loss)(w) + 0.01 * noise
            if self.planted == "frozen":
                slope = slope.at[0].set(0.0)
            momentum = 0.9 * momentum + slope
            return (w - 0.01 * momentum, momentum), None

        if self.planted == "optimiser made anew":
            state = state[0], jnp.zeros(5)
        state, _ = jax.lax.scan(step, state, jax.random.normal(key, (3, 5)))
        return state, {"loss": loss(state[0]), "distance": jnp.linalg.norm(state[0] - 1.0)}


LEARNS = below("loss", 60.0, by=2, source=SOURCE)
RUNG = Rung(number=1, name="descent", experiment=Descent(), gates=(LEARNS,))


@pytest.fixture
def climbed(monkeypatch):
    """A function that climbs the rung with a fault in it and returns the report, in which the rung is green."""

    def climb(planted, root):
        monkeypatch.setattr(Descent, "planted", planted)
        test, ladder = SequentialTest(looks=(16,)), Ladder([RUNG])
        found = entry(Climb(ladder, test, Seeds(root))("rung1"), ladder, test)
        assert (found["verdict"], found["seeds"]["passed"]) == ("PASS", 16)
        environment = {"command": "pytest", "machine": {}, "versions": {}, "commit": None}
        return document([found], test, {"root": root, "fresh": False, "repeat": ""}, environment)

    return climb


@pytest.mark.parametrize("planted", ["optimiser made anew", "frozen"])
def test_planted_fault(planted, climbed):
    """A fault that no gate notices is told: of fresh seeds as a changed metric, of the same seeds as curves that moved."""
    before = climbed("", 0)
    fresh = compare(before, climbed(planted, 1))
    assert fresh.headline == "no regression in 1 rung; changed: rung1"
    assert [row.id for row in fresh.differing] == ["rung1"]
    moved = compare_seed_by_seed(before, climbed(planted, 0)).moved
    assert [(row.id, row.moved[0].seeds) for row in moved] == [("rung1", 16)]
    parted = min(curve.epoch for curve in moved[0].moved)
    assert parted == (2 if planted == "optimiser made anew" else 1), "the first optimiser is the same"


def test_refactoring(climbed):
    """Code that computes the same in another order moves no curve, and changes no metric."""
    before, after = climbed("", 0), climbed("refactoring", 0)
    assert before["rungs"][0]["curves"]
    assert compare_seed_by_seed(before, after).moved == []
    assert compare(before, after).differing == []
    assert compare(before, climbed("refactoring", 1)).differing == []
