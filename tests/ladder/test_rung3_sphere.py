"""Rung 3: the latent is put on the unit sphere; nothing else changes."""

import pytest

from ladder import Rung, below, falls
from ladder.manifoldformer import Bench
from ladder.manifoldformer.data import zero_predictor_mse

LEARNS = falls("loss", 0.95, by=5, source="ceiling of every rung from 2 on", calibrated=True)
BEATS_ZERO = below("mse", zero_predictor_mse(length=64), by=5, source="ceiling: MSE of predicting zero", calibrated=True)
# A norm of d = 16 squares is rounded d + 4 times when it is divided out and again when it is measured.
UNIT = below("norm_error", 2 * 20 * 2**-24, by=1, source="2 (d + 4) roundings of float32, at every step of every epoch")

PARENT = {"mse": "rung1", "spectral": "rung2[spectral]", "mse+spectral": "rung2[mse+spectral]"}
# Published of the combined loss only, each value against that of a rung trained on one loss alone.
PUBLISHED = {"mse": "0.34 against 0.0071 (of rung 1)", "spectral": "1.52 against 0.956 (of rung 2, spectral alone)"}


def learning_gates(loss):
    return (LEARNS, BEATS_ZERO) if "mse" in loss else (LEARNS,)


def sphere(loss):
    return Rung(
        number=3,
        name="sphere",
        variant=loss,
        claim="ENC-2: the sphere is an expensive bottleneck, but not a broken one.",
        experiment=Bench(loss=loss, latent="sphere"),
        parent=PARENT[loss],
        adds="latent",
        gates=(*learning_gates(loss), UNIT),
        compare=PUBLISHED if loss == "mse+spectral" else dict.fromkeys(PUBLISHED, "not published"),
    )


RUNGS = [sphere(loss) for loss in PARENT]
CONTROLS = [
    rung.as_control(learning_rate=0.0, gates=learning_gates(rung.variant), why="an untrained model has learned nothing")
    for rung in RUNGS
]


@pytest.mark.parametrize("rung", [*RUNGS, *CONTROLS])
def test_sphere(climb, rung):
    climb(rung)
