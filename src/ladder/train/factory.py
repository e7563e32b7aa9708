"""Factories of trainers, the default one among them."""

from collections.abc import Callable

from ladder.declare.experiment import Experiment
from ladder.train.devices import check_jax
from ladder.train.trainer import Trainer

TrainerFactory = Callable[[Experiment, int], Trainer]
"""A function that makes a trainer from an experiment and the number of seeds in a block."""


def compiled_trainer(experiment: Experiment, block: int) -> Trainer:
    """Return the trainer that compiles an experiment with JAX.

    Raises:
        RuntimeError: if JAX is not installed.
    """
    check_jax()
    from ladder.train.compiled import CompiledTrainer  # imports JAX, an optional dependency

    return CompiledTrainer(experiment, block)
