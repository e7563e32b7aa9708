"""A case study: a sequence model that learns by minimising variational free energy, without backpropagation."""

from ladder.studies.purefep.experiments import Overfit, Stream
from ladder.studies.purefep.learning import Backprop, Chasing, Descent, Discriminative, FreeEnergy
from ladder.studies.purefep.model import Model

__all__ = ["Backprop", "Chasing", "Descent", "Discriminative", "FreeEnergy", "Model", "Overfit", "Stream"]
