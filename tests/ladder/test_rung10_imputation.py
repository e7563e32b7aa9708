"""Rung 10: the last quarter of a sequence, filled from what comes before it, by roll-out in the latent and in the signal.

The model is the summit's, trained on the next step; nothing is trained on a gap.
"""

import math

import pytest

from ladder import Rung, above, below
from ladder.declare.experiment import changed
from ladder.studies.manifoldformer import Gap
from ladder.studies.manifoldformer.gates import REFERENCES
from ladder.studies.manifoldformer.summit import SUMMIT, SUMMIT_SMALL

SIZES = {"": SUMMIT, "small": SUMMIT_SMALL}
KNOWN = {"floor": 0.0, "floor_source": "the context leaves no doubt which of the clean sequences it is"}
AMPLITUDE = "IMP-3: the amplitude is preserved, 1 within a tenth"


def mse(how, limit, source, **more):
    return below(f"{how}_gap_mse", limit, by=5, source=source, **KNOWN, **more)


def filled(how, scale):
    """What a roll-out must reach."""
    simple = REFERENCES[SIZES[scale].data]
    window, short = simple.short
    return (
        mse(how, simple.held, "the last sample held"),
        mse(how, short, f"a linear autoregression of {window} samples, rolled out", calibrated=bool(scale)),
        above(f"{how}_gap_amplitude", 0.9, by=5, source=AMPLITUDE),
        below(f"{how}_gap_amplitude", 1.1, by=5, source=AMPLITUDE),
    )


def further(how, scale):
    """What else is told of it."""
    data = SIZES[scale].data
    simple, sample = REFERENCES[data], 4 * math.pi / (data.length - 1)
    window, long = simple.long
    return (
        below(f"{how}_gap_phase", sample, by=5, source="one sample of the slowest tone, in radians"),
        mse(how, simple.harmonic, "the five tones fitted to the context, and carried on"),
        mse(how, long, f"a linear autoregression of {window} samples, rolled out"),
    )


def rungs(scale):
    experiment = SIZES[scale]
    size = {"number": 10, "scale": scale}
    rung = Rung(
        **size,
        name="imputation",
        claim="IMP-2, IMP-3: rolled out in the latent, the model fills a quarter of the sequence, in size and in phase.",
        experiment=changed(experiment, "gap", Gap(samples=experiment.data.length // 4)),
        requires=(f"rung9@{scale}" if scale else "rung9",),
        gates=filled("latent", scale),
        goals=(
            below(
                "gap_mse_ratio", 1.0, by=5, source="IMP-2: roll-out in the signal degrades, in the latent it does not"
            ),
            *further("latent", scale),
            *filled("signal", scale),
            *further("signal", scale),
        ),
    )
    inconsistent = Rung(
        **size,
        variant="no-consistency",
        name="imputation, no consistency",
        claim="IMP-1: only a model held to the next latent can be rolled out in the latent; any can be in the signal.",
        experiment=changed(rung.experiment, "loss", "mse + reconstruction + 30 gram"),
        parent=rung.id,
        adds="loss",
        goals=(*filled("latent", scale), *filled("signal", scale)),
        compare=dict.fromkeys(("latent_gap_mse", "signal_gap_mse"), "not published"),
    )
    untrained = rung.as_control(
        learning_rate=0.0, why="an untrained model has learned nothing", gates=filled("latent", scale)[1:2]
    )
    return [rung, inconsistent, untrained]


FULL = [pytest.param(rung, marks=pytest.mark.nightly) for rung in rungs("")]
SLOW = [pytest.param(rung, marks=pytest.mark.slow) for rung in rungs("small")]


@pytest.mark.parametrize("rung", [*FULL, *SLOW])
def test_imputation(climb, rung):
    climb(rung)
