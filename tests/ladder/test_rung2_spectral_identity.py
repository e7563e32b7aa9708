"""Rung 2: the same model and data, trained on the spectral loss, alone or beside the mean squared error."""

import pytest

from ladder import Rung, above, below
from ladder.manifoldformer import Bench
from ladder.manifoldformer.data import zero_predictor_mse
from ladder.manifoldformer.gates import learns


def spectral_identity(loss):
    return Rung(
        number=2,
        name="spectral identity",
        variant=loss,
        claim="Log-magnitude and phase of the spectrum can be learned where the signal itself can.",
        experiment=Bench(loss=loss),
        parent="rung1",
        adds="loss",
        gates=learns(loss),
        goals=(
            below("mse", zero_predictor_mse(length=64), by=5, source="MSE of predicting zero: the signal agrees too"),
            above("amplitude", 0.5, by=5, source="half the target's RMS: the signal is not squashed"),
            below("spectral", 0.04, by=5, source="published target of the debug plan"),
        ),
        compare={"mse": "not published", "spectral": "0.956 during epoch 5, trained on it alone"},
    )


RUNGS = [spectral_identity(loss) for loss in ("spectral", "mse+spectral")]
CONTROLS = [rung.as_control(learning_rate=0.0, why="an untrained model has learned nothing") for rung in RUNGS]


@pytest.mark.parametrize("rung", [*RUNGS, *CONTROLS])
def test_spectral_identity(climb, rung):
    climb(rung)
