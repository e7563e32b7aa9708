"""Rung 6: the full dynamics start at zero force, as the identity; nothing else changes.

It differs in one component from rung 5, but stands on rung 3: it must end better than having no dynamics at all, where
the spectrum is trained on. On MSE alone nobody published a gain, and the difference is too small for 16
pairs to tell from none (-0.0007 [-0.0013, -0.0003] over 64); there it is reported as a goal.
"""

import jax
import jax.numpy as jnp
import pytest

from ladder import Rung, better_than
from ladder.studies.manifoldformer import Flow, Model, Oscillators
from ladder.studies.manifoldformer.data import Signals
from ladder.studies.manifoldformer.gates import learns, on_sphere

LOSSES = ("mse", "spectral", "mse+spectral")
PUBLISHED = {"loss": "1.79 against 2.67", "mse": "0.42 against 0.63", "spectral": "1.37 against 2.03"}


def zero_init(loss):
    better = better_than(f"rung3[{loss}]", "loss", source="published: 1.79 against 1.86 (MSE + spectral), one seed")
    return Rung(
        number=6,
        name="zero-init",
        variant=loss,
        claim="DYN-4: starting the dynamics at zero force fixes them.",
        experiment=Oscillators(loss=loss, model=Model(latent="sphere", dynamics=Flow(init="zero"))),
        parent=f"rung5[{loss}]",
        requires=(f"rung3[{loss}]",),
        adds="model.dynamics.init",
        gates=(*learns(loss), on_sphere(), *([better] if "spectral" in loss else [])),
        goals=() if "spectral" in loss else (better,),
        compare=PUBLISHED if loss == "mse+spectral" else dict.fromkeys(PUBLISHED, "not published"),
    )


RUNGS = [zero_init(loss) for loss in LOSSES]
CONTROLS = [
    rung.as_control(learning_rate=0.0, gates=learns(rung.variant), why="an untrained model has learned nothing")
    for rung in RUNGS
]
SLOW = [pytest.param(rung, marks=pytest.mark.slow) for rung in [*RUNGS[1:], *CONTROLS]]


@pytest.mark.parametrize("rung", [RUNGS[0], *SLOW])
def test_zero_init(climb, rung):
    climb(rung)


@pytest.mark.rung6
@pytest.mark.parametrize("seed", range(4))
def test_untrained_it_is_rung_3_bit_for_bit(seed):
    x = jnp.asarray(Signals().clean)
    with_dynamics, without = (
        jax.jit(lambda key, x, model=model: model.build(64, 16, key)(x).signal)(jax.random.key(seed), x)
        for model in (Model(latent="sphere", dynamics=Flow(init="zero")), Model(latent="sphere"))
    )
    assert jnp.array_equal(with_dynamics, without)
