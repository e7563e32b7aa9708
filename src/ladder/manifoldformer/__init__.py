"""Case study: a latent sphere with power-law memory and Sakaguchi-Kuramoto dynamics, learning oscillators."""

from ladder.manifoldformer.alignment import Dynamic, Static
from ladder.manifoldformer.coupling import Coupling
from ladder.manifoldformer.data import Signals
from ladder.manifoldformer.dynamics import MINIMAL, Flow, Identity, Residual
from ladder.manifoldformer.encoder import Causal, Pointwise
from ladder.manifoldformer.experiments import Oscillators
from ladder.manifoldformer.imputation import Gap
from ladder.manifoldformer.memory import Memory
from ladder.manifoldformer.model import ManifoldFormer, Model
from ladder.manifoldformer.objective import Refine
from ladder.manifoldformer.sampling import Annealed, Fixed, Learned

__all__ = [
    "MINIMAL",
    "Annealed",
    "Causal",
    "Coupling",
    "Dynamic",
    "Fixed",
    "Flow",
    "Gap",
    "Identity",
    "Learned",
    "ManifoldFormer",
    "Memory",
    "Model",
    "Oscillators",
    "Pointwise",
    "Refine",
    "Residual",
    "Signals",
    "Static",
]
