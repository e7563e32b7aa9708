"""Rung 10: the last quarter of a sequence, filled from the samples before it by roll-out in the latent and in the signal.

The model is that of rung 9, trained on the next step; no gap enters the training.
"""

import math

import pytest

from ladder import Floor, Rung, above, below
from ladder.declare.experiment import changed
from ladder.studies.manifoldformer import Gap
from ladder.studies.manifoldformer.gates import REFERENCES, UNTRAINED
from ladder.studies.manifoldformer.summit import SUMMIT, SUMMIT_SMALL

SIZES = {"": SUMMIT, "small": SUMMIT_SMALL}
FLOOR = Floor(0.0, "the context identifies the clean sequence")
AMPLITUDE = "the amplitude is preserved: 1 within a tenth (IMP-3)"


def mse(how, limit, source, **more):
    return below(f"{how}_gap_mse", limit, by=5, source=source, floor=FLOOR, **more)


def filled(how, scale):
    """Return the criteria that a roll-out must meet."""
    simple = REFERENCES[SIZES[scale].data]
    window, short = simple.short
    return (
        mse(how, simple.hold_last, "the last sample repeated"),
        mse(how, short, f"a linear autoregression of {window} samples, rolled out", calibrated=bool(scale)),
        above(f"{how}_gap_amplitude", 0.9, by=5, source=AMPLITUDE),
        below(f"{how}_gap_amplitude", 1.1, by=5, source=AMPLITUDE),
    )


def further(how, scale):
    """Return the goals of a roll-out."""
    data = SIZES[scale].data
    simple, sample = REFERENCES[data], 4 * math.pi / (data.length - 1)
    window, long = simple.long
    return (
        below(f"{how}_gap_phase", sample, by=5, source="one sample of the slowest tone, in radians"),
        mse(how, simple.harmonic, "the five tones fitted to the context and continued"),
        mse(how, long, f"a linear autoregression of {window} samples, rolled out"),
    )


def rungs(scale):
    experiment = SIZES[scale]
    size = {"number": 10, "scale": scale}
    rung = Rung(
        **size,
        name="imputation",
        claim="Rolled out in the latent, the model fills a quarter of the sequence, in amplitude and in phase (IMP-2, IMP-3).",
        experiment=changed(experiment, "gap", Gap(samples=experiment.data.length // 4)),
        requires=(f"rung9@{scale}" if scale else "rung9",),
        gates=filled("latent", scale),
        goals=(
            below(
                "gap_mse_ratio",
                1.0,
                by=5,
                source="roll-out in the signal degrades, roll-out in the latent does not (IMP-2)",
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
        claim="Only a model trained for consistency can be rolled out in the latent; any can in the signal (IMP-1).",
        experiment=changed(rung.experiment, "loss", "mse + reconstruction + 30 gram"),
        parent=rung,
        adds="loss",
        goals=(*filled("latent", scale), *filled("signal", scale)),
        compare=dict.fromkeys(("latent_gap_mse", "signal_gap_mse"), "not published"),
    )
    untrained = rung.as_control(UNTRAINED, learning_rate=0.0, gates=filled("latent", scale)[1:2])
    return [rung, inconsistent, untrained]


FULL = [pytest.param(rung, marks=pytest.mark.nightly) for rung in rungs("")]
SLOW = [pytest.param(rung, marks=pytest.mark.slow) for rung in rungs("small")]


@pytest.mark.parametrize("rung", [*FULL, *SLOW])
def test_imputation(climb, rung):
    climb(rung)
