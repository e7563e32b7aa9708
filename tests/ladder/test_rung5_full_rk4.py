"""Rung 5: the full dynamics move the latent, from random initial values; nothing else changes.

A causal memory and Sakaguchi-Kuramoto coupling, their tangent part integrated by one projected RK4 step.
"""

import pytest

from ladder import Rung
from ladder.studies.manifoldformer import Flow, Model, Oscillators
from ladder.studies.manifoldformer.gates import learns, on_sphere

LOSSES = ("mse", "spectral", "mse+spectral")
# Published with a Euclidean encoder by mistake: between patches C and E two things changed.
PUBLISHED = {"loss": "2.67 against 1.86", "mse": "0.63 against 0.34", "spectral": "2.03 against 1.52"}


def full_rk4(loss):
    return Rung(
        number=5,
        name="full RK4",
        variant=loss,
        claim="DYN-4: dynamics that start at random keep the encoder from learning. Compared and reported; not gated.",
        experiment=Oscillators(loss=loss, model=Model(latent="sphere", dynamics=Flow())),
        parent=f"rung3[{loss}]",
        adds="model.dynamics",
        gates=(*learns(loss), on_sphere()),
        compare=PUBLISHED if loss == "mse+spectral" else dict.fromkeys(PUBLISHED, "not published"),
    )


RUNGS = [full_rk4(loss) for loss in LOSSES]
CONTROLS = [
    rung.as_control(learning_rate=0.0, gates=learns(rung.variant), why="an untrained model has learned nothing")
    for rung in RUNGS
]
SLOW = [pytest.param(rung, marks=pytest.mark.slow) for rung in [*RUNGS[1:], *CONTROLS]]


@pytest.mark.parametrize("rung", [RUNGS[0], *SLOW])
def test_full_rk4(climb, rung):
    climb(rung)
