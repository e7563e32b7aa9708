"""The whole model, dynamics and sampling included, that learns the published task; and the same model at bench scale."""

from dataclasses import replace

from ladder.studies.manifoldformer.data import Signals
from ladder.studies.manifoldformer.dynamics import Flow
from ladder.studies.manifoldformer.encoder import Causal
from ladder.studies.manifoldformer.experiments import Oscillators
from ladder.studies.manifoldformer.memory import Memory
from ladder.studies.manifoldformer.model import Model
from ladder.studies.manifoldformer.published import CORE
from ladder.studies.manifoldformer.sampling import Fixed

SUMMIT = Oscillators(
    data=CORE.data,
    task="next step",
    model=Model(
        encoder=Causal(taps=3, dilations=(1, 2, 4, 8, 16, 32) * 2, residual=True),
        latent="sphere",
        latent_dim=21,
        sampling=Fixed(sigma=0.0125),
        dynamics=Flow(memory=Memory(kernel="power law", projection=True), init="zero"),
        decoder=128,
    ),
    loss="mse + reconstruction + 30 gram + 10 consistency",
    batch_size=4,
    optimiser="muon",
    learning_rate=0.01,
    schedule="cosine",
    shuffle=True,
)
"""The summit: the published core's data, latent, decoder, memory, coupling and RK4 step.

Four choices differ from the published ones. The encoder sees 253 samples through twelve residual layers. The noise is small.
The loss is the error of prediction and reconstruction, the latent's Gram matrix against the oracle's (option B of the status
document of the core, section 11), and the output of the dynamics against the next latent. And the 5 epochs are 800 steps of
Muon, not 50 of AdamW.
"""

SMALL = Signals(noise=0.1)
"""The core's task at bench scale.

It has two tones, 64 samples, the same noise, and the 15 batches of every bench-scale rung.
"""

SUMMIT_SMALL = replace(
    SUMMIT,
    data=SMALL,
    model=Model(
        encoder=Causal(features=32, taps=3, dilations=(1, 2, 4, 8) * 2, residual=True),
        latent="sphere",
        sampling=Fixed(sigma=0.014),
        dynamics=SUMMIT.model.dynamics,
    ),
    batch_size=8,
)
"""The summit at bench scale.

The model has half the features and two thirds of the layers, and learns the core's task at bench scale in 600 steps.
"""
