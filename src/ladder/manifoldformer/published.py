"""The published runs: the configurations they were made with, and what was printed of them. All are of one seed."""

from ladder.manifoldformer.data import Signals
from ladder.manifoldformer.dynamics import Flow
from ladder.manifoldformer.encoder import Causal
from ladder.manifoldformer.experiments import Oscillators
from ladder.manifoldformer.model import Model
from ladder.manifoldformer.sampling import Learned

CORE = Oscillators(
    data=Signals(tones=3, length=256, noise=0.1, batches=10),
    task="next step",
    model=Model(
        encoder=Causal(), latent="sphere", latent_dim=21, sampling=Learned(), dynamics=Flow(init="zero"), decoder=128
    ),
    loss="fractional + 0.05 entropy",
    optimiser="adamw",
)
"""Section 14 of the core's status document: the run that was called stuck, with zero-initialised dynamics."""
