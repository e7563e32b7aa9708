"""Case study: a sequence model that learns by minimising variational free energy, without backpropagation."""

from ladder.purefep.experiments import Overfit, Stream
from ladder.purefep.learning import Backprop, Chasing, Descent, Discriminative, FreeEnergy
from ladder.purefep.model import Model

__all__ = ["Backprop", "Chasing", "Descent", "Discriminative", "FreeEnergy", "Model", "Overfit", "Stream"]
