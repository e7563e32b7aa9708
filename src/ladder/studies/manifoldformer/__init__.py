"""A case study: a latent sphere with power-law memory and Sakaguchi-Kuramoto dynamics, learning oscillators."""

from ladder.studies.manifoldformer.alignment import Dynamic, Static
from ladder.studies.manifoldformer.coupling import Coupling
from ladder.studies.manifoldformer.data import Signals
from ladder.studies.manifoldformer.dynamics import MINIMAL, Flow, Identity, Residual
from ladder.studies.manifoldformer.encoder import Causal, Pointwise
from ladder.studies.manifoldformer.experiments import Oscillators
from ladder.studies.manifoldformer.imputation import Gap
from ladder.studies.manifoldformer.memory import Memory
from ladder.studies.manifoldformer.model import ManifoldFormer, Model
from ladder.studies.manifoldformer.objective import Refine
from ladder.studies.manifoldformer.sampling import Annealed, Fixed, Learned

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
