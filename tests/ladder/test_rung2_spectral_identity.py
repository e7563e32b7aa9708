"""Rung 2: the same model and data, trained on the spectral loss, alone or beside the mean squared error."""

import pytest

from ladder import Rung, above
from ladder.studies.manifoldformer import Oscillators
from ladder.studies.manifoldformer.data import Signals
from ladder.studies.manifoldformer.gates import below_copy, learns

TARGET = below_copy("spectral", 0.04, by=5, source="published target of the debug plan (GOAL-3)")


def spectral_identity(loss):
    return Rung(
        number=2,
        name="spectral identity",
        variant=loss,
        claim="Log-magnitude and phase of the spectrum can be learned where the signal itself can.",
        experiment=Oscillators(loss=loss),
        parent="rung1",
        adds="loss",
        gates=learns(loss),
        goals=(
            below_copy("mse", Signals().mean_square, by=5, source="MSE of predicting zero: the signal agrees too"),
            above("amplitude", 0.5, by=5, source="half the target's RMS: the signal is not squashed"),
            TARGET,
        ),
        compare={"mse": "not published", "spectral": "0.956 during epoch 5, trained on it alone"},
    )


def recipe(loss, **training):
    return Rung(
        number=2,
        name="spectral identity, trained well",
        variant=f"{loss},recipe",
        claim="How close to the published target the same model gets on this noise-free task, in the same five epochs.",
        experiment=Oscillators(loss=loss, schedule="cosine", shuffle=True, **training),
        parent="rung1",
        adds="training recipe",
        goals=(TARGET,),
        compare={"mse": "not published", "spectral": "not published"},
    )


RUNGS = [spectral_identity(loss) for loss in ("spectral", "mse+spectral")]
CONTROLS = [rung.as_control(learning_rate=0.0, why="an untrained model has learned nothing") for rung in RUNGS]
# Of those tried, the batch size and rate that got closest; the surest way to a good spectrum is not to train on it.
RECIPES = [recipe("spectral", batch_size=8, learning_rate=3e-3), recipe("mse", batch_size=4, learning_rate=1e-2)]


@pytest.mark.parametrize("rung", [*RUNGS, *CONTROLS, *RECIPES])
def test_spectral_identity(climb, rung):
    climb(rung)
