"""Rung 1: the simplest thing that learns. Euclidean latent, no dynamics, mean squared error, the identity task."""

import pytest

from ladder import Rung
from ladder.studies.manifoldformer import Oscillators
from ladder.studies.manifoldformer.gates import below_copy

GOAL = below_copy("mse", 0.001, by=2, source="published goal of patch A: 0.001 within 2 epochs, never met (0.2470)")

PUBLISHED = Rung(
    number=1,
    name="MSE identity",
    claim="A pointwise encoder and decoder learn to reproduce clean two-tone signals in 75 steps of Adam.",
    experiment=Oscillators(loss="mse"),
    gates=(
        below_copy("mse", 0.1, by=3, source="published: 0.0816, one seed, mean during epoch 3"),
        below_copy("mse", 0.01, by=5, source="published: 0.0071, one seed, mean during epoch 5"),
    ),
    goals=(GOAL,),
)
RECIPE = Rung(
    number=1,
    name="MSE identity, trained well",
    variant="recipe",
    claim="The same model meets the published goal on the same data in the same two epochs, with more and larger steps (GOAL-1).",
    experiment=Oscillators(loss="mse", epochs=2, batch_size=8, learning_rate=0.01, schedule="cosine", shuffle=True),
    parent="rung1",
    adds="training recipe",
    goals=(GOAL,),
    compare={"mse": "not published"},
)


@pytest.mark.parametrize("rung", [PUBLISHED, RECIPE])
def test_mse_identity(climb, rung):
    climb(rung)
