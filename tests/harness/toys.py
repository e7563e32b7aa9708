"""Experiments that train in milliseconds and whose every outcome is known, and the shortest way from rungs to a report.

pytest puts this folder on ``sys.path``, so tests import it as ``toys``; so do the rung files that they write.
"""

# ruff: noqa: D102  # the methods are those of ladder.Experiment, which says what they do

import os
import signal
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from ladder import Climb, Ladder, Rung, SequentialTest
from ladder.inspection import Inspection, step_traces
from ladder.report.document import document, entry

SOURCE = "made up for the test"

HEAD = """
import pytest
from toys import Coin, Dies, Misreports, Slow
from ladder import Control, Floor, Rung, below, better_than

LEARNS = below("loss", 0.5, by=3, source="made up for the test")
"""
TEST = """
@pytest.mark.parametrize("rung", RUNGS)
def test_it(climb, rung):
    climb(rung)
"""
"""How a rung file begins and how it ends; here, because with a rung's marker every test file that climbs is collected."""

INI = """
[pytest]
addopts = -p no:cacheprovider -p no:hypothesispytest -p no:jaxtyping
testpaths = .
filterwarnings = error
"""
"""How an inner pytest is set up."""


@dataclass(frozen=True, kw_only=True)
class Coin:
    """A seed learns with probability ``p``: its loss, 1 to 2 at first, halves every epoch, or else stays."""

    p: float = 1.0
    shift: float = 0.0
    epochs: int = 3

    @property
    def metrics(self) -> tuple[str, ...]:
        return ("loss",)

    def init(self, key: Array) -> dict[str, Array]:
        start, learns = jax.random.split(key)
        return {
            "loss": 1.0 + jax.random.uniform(start),
            "pace": jnp.where(jax.random.bernoulli(learns, self.p), 0.5, 1.0),
        }

    def epoch(self, state: dict[str, Array], key: Array) -> tuple[dict[str, Array], dict[str, Array]]:
        state = state | {"loss": state["loss"] * state["pace"]}
        return state, {"loss": state["loss"] + self.shift}


@dataclass(frozen=True, kw_only=True)
class Diverges:
    """An experiment whose loss is NaN from a given step on for a share of the seeds; an epoch has four steps."""

    share: float = 0.5
    step: int = 6
    traced: bool = True
    epochs: int = 3

    @property
    def metrics(self) -> tuple[str, ...]:
        return ("loss",)

    def init(self, key: Array) -> dict[str, Array]:
        start, doomed = jax.random.split(key)
        return {
            "start": 1.0 + jax.random.uniform(start),
            "doomed": jax.random.bernoulli(doomed, self.share),
            "step": jnp.zeros((), jnp.int32),
        }

    def epoch(self, state: dict[str, Array], key: Array) -> tuple[dict[str, Array], dict[str, Array]]:
        steps = state["step"] + jnp.arange(1, 5)
        losses = jnp.where(state["doomed"] & (steps >= self.step), jnp.nan, state["start"] / steps)
        report = {"loss": losses[-1]} | ({"step_loss": losses} if self.traced else {})
        return state | {"step": steps[-1]}, report


@dataclass(frozen=True, kw_only=True)
class Fit:
    """Gradient descent on five linear regressions, with noise from the epoch's key; every tensor can be inspected."""

    rate: float = 0.1
    traced: bool = False
    epochs: int = 4

    @property
    def metrics(self) -> tuple[str, ...]:
        return ("loss",)

    def init(self, key: Array) -> Array:
        return jax.random.normal(key, (5,))

    def forward(self, w: Array) -> tuple[Array, Array, Array]:
        x = jax.random.normal(jax.random.key(7), (32, 5))
        return x, x @ w, jnp.sum(x, axis=-1)

    def epoch(self, state: Array, key: Array) -> tuple[Array, dict[str, Array]]:
        def loss(w: Array) -> Array:
            _, predicted, target = self.forward(w)
            return jnp.mean((predicted - target) ** 2)

        def step(w: Array, noise: Array) -> tuple[Array, dict[str, Array]]:
            value, slope = jax.value_and_grad(loss)(w)
            update = -self.rate * (slope + 0.01 * noise)
            told = {"step_loss": value}
            if self.traced:
                x, predicted, _ = self.forward(w)
                told |= step_traces(
                    stages={"input": x, "output": predicted},
                    params={"w": w},
                    gradient={"w": slope},
                    update={"w": update},
                )
            return w + update, told

        state, told = jax.lax.scan(step, state, jax.random.normal(key, (3, 5)))
        return state, {"loss": loss(state)} | told


@dataclass(frozen=True, kw_only=True)
class SeenFit(Fit):
    """The same, that can be looked into."""

    traced: bool = True

    def inspect(self, state: Array, key: Array) -> Inspection:
        x, predicted, target = self.forward(state)
        stages = {"input": x, "output": predicted[:, None]}
        return Inspection(stages=stages, prediction=predicted[:, None], target=target[:, None], latent="input")


@dataclass(frozen=True, kw_only=True)
class Misreports:
    """An experiment that reports ``loss`` in a given shape and declares given epochs and metrics."""

    declared: tuple[str, ...] = ("loss",)
    shape: tuple[int, ...] = ()
    epochs: int = 1

    @property
    def metrics(self) -> tuple[str, ...]:
        return self.declared

    def init(self, key: Array) -> Array:
        return jnp.zeros(())

    def epoch(self, state: Array, key: Array) -> tuple[Array, dict[str, Array]]:
        return state, {"loss": jnp.zeros(()), "extra": jnp.zeros(self.shape)}


@dataclass(frozen=True, kw_only=True)
class Dies:
    """Takes its process along in the middle of its second epoch: by ``os._exit``, or by the signal of that name.

    The kernel, out of memory, sends SIGKILL.
    """

    how: str = "exit"
    epochs: int = 3

    @property
    def metrics(self) -> tuple[str, ...]:
        return ("loss",)

    def init(self, key: Array) -> Array:
        return jnp.zeros(())

    def epoch(self, state: Array, key: Array) -> tuple[Array, dict[str, Array]]:
        def die(epoch: np.ndarray) -> None:
            if epoch == 1.0:
                os._exit(3) if self.how == "exit" else os.kill(os.getpid(), getattr(signal, self.how))

        jax.debug.callback(die, state)
        return state + 1.0, {"loss": 1.0 / (1.0 + state)}


@dataclass(frozen=True, kw_only=True)
class Slow:
    """Each seed waits so many seconds in each epoch but the first; for ever, in a program that no signal ends, if ``hangs``.

    That it waits can be seen by a file in the working folder.
    """

    seconds: float = 0.0
    hangs: bool = False
    epochs: int = 3

    @property
    def metrics(self) -> tuple[str, ...]:
        return ("loss",)

    def init(self, key: Array) -> Array:
        return jax.random.uniform(key)

    def epoch(self, state: Array, key: Array) -> tuple[Array, dict[str, Array]]:
        def wait(state: np.ndarray) -> np.ndarray:
            if state >= 1.0:
                Path("waiting").touch()
                time.sleep(self.seconds)
            return np.asarray(state)

        if self.hangs:
            start = jnp.where(state >= 1.0, state, jnp.inf)
            end = jax.lax.while_loop(lambda x: x < 1.0e30, lambda x: 0.5 * x, start)
            state = state + jnp.where(end < 1.0, 1.0, 0.0)
        else:
            state = jax.pure_callback(wait, state, state)
        return state + 1.0, {"loss": 1.0 / (2.0 + state)}


def report_of(*rungs: Rung, looks: tuple[int, ...] = (16,)) -> dict[str, Any]:
    """Climb all of them, in order, and write them up."""
    test, ladder = SequentialTest(looks=looks), Ladder(rungs)
    climb = Climb(ladder, test)
    entries = [entry(climb(id), ladder, test) for id in ladder]
    environment = {"command": "pytest", "machine": {"cores": 1}, "versions": {"python": "3"}, "commit": None}
    return document(entries, test, {"root": 0, "fresh": False, "repeat": "--ladder-seed-root=0"}, environment)
