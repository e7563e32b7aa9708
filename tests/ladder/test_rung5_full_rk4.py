"""Rung 5: the full dynamics move the latent, from random initial values; nothing else changes.

The dynamics are a causal memory and Sakaguchi-Kuramoto coupling; one projected RK4 step integrates their tangent part.
The gates are those of rung 3.
"""

import pytest

from ladder import Rung
from ladder.studies.manifoldformer import Flow, Model, Oscillators
from ladder.studies.manifoldformer.gates import UNTRAINED, learns, on_sphere

LOSSES = ("mse", "spectral", "mse+spectral")
# The published run had a Euclidean encoder by mistake, so two things changed between patches C and E.
PUBLISHED = {"loss": "2.67 against 1.86", "mse": "0.63 against 0.34", "spectral": "2.03 against 1.52"}


def full_rk4(loss):
    return Rung(
        number=5,
        name="full RK4",
        variant=loss,
        claim="Randomly initialised dynamics keep the encoder from learning (DYN-4). The comparison is reported, not gated.",
        experiment=Oscillators(loss=loss, model=Model(latent="sphere", dynamics=Flow())),
        parent=f"rung3[{loss}]",
        adds="model.dynamics",
        gates=(*learns(loss), on_sphere()),
        compare=PUBLISHED if loss == "mse+spectral" else dict.fromkeys(PUBLISHED, "not published"),
    )


RUNGS = [full_rk4(loss) for loss in LOSSES]
CONTROLS = [rung.as_control(UNTRAINED, learning_rate=0.0, gates=learns(rung.variant)) for rung in RUNGS]
SLOW = [pytest.param(rung, marks=pytest.mark.slow) for rung in [*RUNGS[1:], *CONTROLS]]


@pytest.mark.parametrize("rung", [RUNGS[0], *SLOW])
def test_full_rk4(climb, rung):
    climb(rung)
