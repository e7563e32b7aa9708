"""What every bench-scale rung from 2 on is asked, in one place so that no rung is asked less."""

from functools import partial

from ladder.criteria import Criterion, below, falls
from ladder.manifoldformer.data import Signals
from ladder.manifoldformer.model import Model
from ladder.manifoldformer.objective import weights

FLOAT32_ROUNDING = 2.0**-24

below_copy = partial(below, floor=0.0, floor_source="copying the input, which is the target and has no noise")
"""``below``, of a loss on the identity task without noise."""


def learns(loss: str) -> tuple[Criterion, ...]:
    """The training loss of epoch 5 is at most 0.95 of epoch 1's; where MSE is in the loss, it beats predicting zero.

    Both numbers are ceilings, which a calibration of the rung tightens.
    """
    falling = falls("loss", 0.95, by=5, source="ceiling of every rung from 2 on", calibrated=True)
    if "mse" not in weights(loss):
        return (falling,)
    zero = below_copy("mse", Signals().mean_square, by=5, source="ceiling: MSE of predicting zero", calibrated=True)
    return falling, zero


def on_sphere() -> Criterion:
    """Unit norm to float precision, before and after the dynamics, at every step of every epoch.

    A sum of ``d`` squares and its root are rounded at most ``d + 4`` times when the norm is divided out, and again when
    it is measured, each time by at most 2^-24.
    """
    limit = 2 * (Model().latent_dim + 4) * FLOAT32_ROUNDING
    return below("norm_error", limit, by=1, source="2 (d + 4) roundings of float32, at every step")
