"""Factories of trainers, the default one among them."""

from collections.abc import Callable

from ladder.declare.experiment import CompiledExperiment, Experiment
from ladder.train.devices import check_jax
from ladder.train.trainer import Trainer

TrainerFactory = Callable[[Experiment, int], Trainer]
"""A function that makes a trainer from an experiment and the number of seeds in a block."""


def default_trainer(experiment: Experiment, block: int) -> Trainer:
    """Return the trainer for the kind of an experiment: one that compiles it with JAX, or one that starts worker processes.

    Raises:
        RuntimeError: if the experiment is to be compiled and JAX is not installed.
    """
    if isinstance(experiment, CompiledExperiment):
        check_jax()
        from ladder.train.compiled import CompiledTrainer  # imports JAX, an optional dependency

        return CompiledTrainer(experiment, block)
    from ladder.train.host import HostTrainer  # as above, what only one kind needs

    return HostTrainer(experiment, block)
