"""Rung 3: the latent is put on the unit sphere and must stay there; nothing else changes.

By epoch 5 the training loss must be at most 0.95 of that of epoch 1 and, with MSE in the loss, the error below that of
predicting zero: ``learns``. In every step the latent must have unit norm to float32 rounding: ``on_sphere``. Both give the
sources of their numbers; a calibration of the rung tightens the first two.
"""

import pytest

from ladder import Rung
from ladder.studies.manifoldformer import Model, Oscillators
from ladder.studies.manifoldformer.gates import UNTRAINED, learns, on_sphere

PARENT = {"mse": "rung1", "spectral": "rung2[spectral]", "mse+spectral": "rung2[mse+spectral]"}
# Published for the combined loss only, and compared with rungs that were trained on one loss alone: two changes at once.
PUBLISHED = {"mse": "0.34 against 0.0071 (of rung 1)", "spectral": "1.52 against 0.956 (of rung 2, spectral alone)"}


def sphere(loss):
    return Rung(
        number=3,
        name="sphere",
        variant=loss,
        claim="The sphere is an expensive bottleneck, but not a broken one (ENC-2).",
        experiment=Oscillators(loss=loss, model=Model(latent="sphere")),
        parent=PARENT[loss],
        adds="model.latent",
        gates=(*learns(loss), on_sphere()),
        compare=PUBLISHED if loss == "mse+spectral" else dict.fromkeys(PUBLISHED, "not published"),
    )


RUNGS = [sphere(loss) for loss in PARENT]
CONTROLS = [rung.as_control(UNTRAINED, learning_rate=0.0, gates=learns(rung.variant)) for rung in RUNGS]


@pytest.mark.parametrize("rung", [*RUNGS, *CONTROLS])
def test_sphere(climb, rung):
    climb(rung)
