"""Rung 3: the latent is put on the unit sphere, and stays there; nothing else changes."""

import pytest

from ladder import Rung
from ladder.studies.manifoldformer import Model, Oscillators
from ladder.studies.manifoldformer.gates import learns, on_sphere

PARENT = {"mse": "rung1", "spectral": "rung2[spectral]", "mse+spectral": "rung2[mse+spectral]"}
# Published of the combined loss only, and against rungs trained on one loss alone: two changes at once.
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
CONTROLS = [
    rung.as_control(learning_rate=0.0, gates=learns(rung.variant), why="an untrained model has learned nothing")
    for rung in RUNGS
]


@pytest.mark.parametrize("rung", [*RUNGS, *CONTROLS])
def test_sphere(climb, rung):
    climb(rung)
