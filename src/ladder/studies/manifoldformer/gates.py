"""The criteria and floors that the rungs of the case study share, in one place so that no rung has weaker ones."""

from collections.abc import Mapping
from functools import partial
from typing import NamedTuple

from ladder.declare.criteria import Below, Criterion, Floor, below, falls
from ladder.declare.rung import Control
from ladder.studies.manifoldformer.data import Signals, Task
from ladder.studies.manifoldformer.model import Model
from ladder.studies.manifoldformer.objective import weights
from ladder.studies.manifoldformer.published import CORE
from ladder.studies.manifoldformer.summit import SMALL

FLOAT32_ROUNDING = 2.0**-24
BAYES: Mapping[tuple[str, Signals, Task], float] = {
    ("mse", CORE.data, "identity"): 0.9e-5,
    ("mse", CORE.data, "next step"): 4.5e-5,
    ("mse", SMALL, "identity"): 0.6e-5,
    ("mse", SMALL, "next step"): 1.7e-3,
    ("oracle_distance", CORE.data, "next step"): 5e-3,
    ("oracle_distance", SMALL, "next step"): 2e-3,
}
"""The error of the Bayes read-out of all samples so far, which knows the time, rounded down: the least expected error.

The keys are the metric, the data and the task.
"""


class References(NamedTuple):
    """The mean squared errors of simple predictors on a task, with sequences weighted as in its training set: docs/floors.md.

    A linear predictor is given as its window in samples and its error.

    Attributes:
        copied: The next step, predicted by a copy of the clean input.
        linear: The next step, predicted by a linear predictor.
        hold_last: A gap of the last quarter, filled with the last sample before it.
        short: The same gap, filled by a linear predictor with a short window, padded with zeros.
        long: The same gap, filled by a linear predictor with a long window.
        harmonic: The same gap, filled by the five tones fitted to the samples before it.
    """

    copied: float
    linear: tuple[int, float]
    hold_last: float
    short: tuple[int, float]
    long: tuple[int, float]
    harmonic: float


REFERENCES: Mapping[Signals, References] = {
    CORE.data: References(
        copied=0.0344, linear=(129, 0.0014), hold_last=1.17, short=(33, 0.37), long=(129, 6e-5), harmonic=8e-5
    ),
    SMALL: References(
        copied=0.476, linear=(63, 0.0085), hold_last=1.20, short=(9, 0.32), long=(33, 2e-4), harmonic=3e-4
    ),
}

UNTRAINED = Control("an untrained model has learned nothing")

below_copy: partial[Below] = partial(below, floor=Floor(0.0, "copying the input, which is the target and has no noise"))
"""The criterion ``below`` for a loss on the identity task without noise, where copying the input reaches zero."""


def bayes_floor(metric: str, data: Signals, task: Task) -> Floor:
    """Return the floor of a criterion on this metric."""
    return Floor(BAYES[metric, data, task], "Bayes read-out of all samples so far")


def learns(loss: str) -> tuple[Criterion, ...]:
    """Return the criteria that a rung learns: its loss falls and, where MSE is in the loss, it beats predicting zero.

    The training loss of epoch 5 must be at most 0.95 of that of epoch 1. Both limits are ceilings, which a calibration of the
    rung tightens.
    """
    falling = falls("loss", 0.95, by=5, source="ceiling of every rung from 2 on", calibrated=True)
    if "mse" not in weights(loss):
        return (falling,)
    beats_zero = below_copy(
        "mse", Signals().mean_square, by=5, source="ceiling: MSE of predicting zero", calibrated=True
    )
    return falling, beats_zero


def on_sphere() -> Criterion:
    """Return the criterion of unit norm to float precision, before and after the dynamics, at every step of every epoch.

    A sum of ``d`` squares and its root are rounded at most ``d + 4`` times when the norm is divided out, and again when it is
    measured, each time by at most 2^-24.
    """
    limit = 2 * (Model().latent_dim + 4) * FLOAT32_ROUNDING
    return below("norm_error", limit, by=1, source="2 (d + 4) roundings of float32, at every step")
