"""Rung 4: a residual cell moves the latent by ``z + Dense(z)``, put back on the sphere; nothing else changes.

The gates are those of rung 3.
"""

import pytest

from ladder import Rung
from ladder.studies.manifoldformer import Model, Oscillators, Residual
from ladder.studies.manifoldformer.gates import UNTRAINED, learns, on_sphere

LOSSES = ("mse", "spectral", "mse+spectral")
PUBLISHED = {"loss": "1.93 against 1.86", "mse": "0.36 against 0.34", "spectral": "1.57 against 1.52"}


def residual_rnn(loss):
    return Rung(
        number=4,
        name="residual RNN",
        variant=loss,
        claim="A residual cell is worse than identity dynamics (DYN-5). The comparison is reported, not gated.",
        experiment=Oscillators(loss=loss, model=Model(latent="sphere", dynamics=Residual())),
        parent=f"rung3[{loss}]",
        adds="model.dynamics",
        gates=(*learns(loss), on_sphere()),
        compare=PUBLISHED if loss == "mse+spectral" else dict.fromkeys(PUBLISHED, "not published"),
    )


RUNGS = [residual_rnn(loss) for loss in LOSSES]
CONTROLS = [rung.as_control(UNTRAINED, learning_rate=0.0, gates=learns(rung.variant)) for rung in RUNGS]


@pytest.mark.parametrize("rung", [*RUNGS, *CONTROLS])
def test_residual_rnn(climb, rung):
    climb(rung)
