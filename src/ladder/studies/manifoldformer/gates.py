"""The criteria and floors that the rungs of the case study share, in one place so that no rung has weaker ones."""

from collections.abc import Mapping
from functools import partial
from typing import Any, NamedTuple

from ladder.declare.criteria import Below, Criterion, below, falls
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
"""The error of the Bayes read-out of all samples so far, which knows the time, rounded down.

On average no model gets below it.
"""


class References(NamedTuple):
    """The mean squared errors of simple predictors on a task, with sequences weighted as in its training set: docs/floors.md.

    The first two are for the next step, the others for a gap of the last quarter. ``linear``, ``short`` and ``long`` give the
    window in samples and the error of a linear predictor with that window; the windows of the short one are padded.
    """

    copied: float
    linear: tuple[int, float]
    held: float
    short: tuple[int, float]
    long: tuple[int, float]
    harmonic: float


REFERENCES: Mapping[Signals, References] = {
    CORE.data: References(
        copied=0.0344, linear=(129, 0.0014), held=1.17, short=(33, 0.37), long=(129, 6e-5), harmonic=8e-5
    ),
    SMALL: References(copied=0.476, linear=(63, 0.0085), held=1.20, short=(9, 0.32), long=(33, 2e-4), harmonic=3e-4),
}

below_copy: partial[Below] = partial(
    below, floor=0.0, floor_source="copying the input, which is the target and has no noise"
)
"""The criterion ``below`` for a loss on the identity task without noise, where copying the input reaches zero."""


def bayes(metric: str, data: Signals, task: Task) -> dict[str, Any]:
    """Return the floor of a criterion on this metric, as keyword arguments."""
    return {"floor": BAYES[metric, data, task], "floor_source": "Bayes read-out of all samples so far"}


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
