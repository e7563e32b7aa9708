"""Rung 4: a residual cell moves the latent, z + Dense(z) put back on the sphere; nothing else changes."""

import pytest

from ladder import Rung
from ladder.studies.manifoldformer import Model, Oscillators, Residual
from ladder.studies.manifoldformer.gates import learns, on_sphere

LOSSES = ("mse", "spectral", "mse+spectral")
PUBLISHED = {"loss": "1.93 against 1.86", "mse": "0.36 against 0.34", "spectral": "1.57 against 1.52"}


def residual_rnn(loss):
    return Rung(
        number=4,
        name="residual RNN",
        variant=loss,
        claim="A residual cell is worse than identity dynamics (DYN-5). Compared and reported; not gated.",
        experiment=Oscillators(loss=loss, model=Model(latent="sphere", dynamics=Residual())),
        parent=f"rung3[{loss}]",
        adds="model.dynamics",
        gates=(*learns(loss), on_sphere()),
        compare=PUBLISHED if loss == "mse+spectral" else dict.fromkeys(PUBLISHED, "not published"),
    )


RUNGS = [residual_rnn(loss) for loss in LOSSES]
CONTROLS = [
    rung.as_control(learning_rate=0.0, gates=learns(rung.variant), why="an untrained model has learned nothing")
    for rung in RUNGS
]


@pytest.mark.parametrize("rung", [*RUNGS, *CONTROLS])
def test_residual_rnn(climb, rung):
    climb(rung)
