"""The door to training: seeds and an experiment go in, curves come out."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable

import numpy as np

from ladder.declare.experiment import Experiment
from ladder.train.devices import check_jax
from ladder.train.progress import ProgressMeter
from ladder.train.result import Trained

if TYPE_CHECKING:
    import jax

# Key streams. Gates, fresh seeds and calibrations draw from different ones, so a threshold is never
# measured on a seed it will judge.
GATE_STREAM, CALIBRATION_STREAM = 0x6A7E, 0xCA11B


@dataclass(frozen=True)
class Seeds:
    """The origin of seeds: seed ``i`` is ``fold_in(fold_in(key(stream), root), i)``.

    The same seed number gives the same keys to every rung, which is what makes comparisons paired.
    """

    root: int = 0
    stream: int = GATE_STREAM

    def keys(self, numbers: Sequence[int]) -> "jax.Array":
        """Return one key for each seed number, an array of shape (seed,)."""
        import jax  # an extra
        import jax.numpy as jnp

        with jax.transfer_guard("allow"):  # which may be set to watch what experiments transfer
            base = jax.random.fold_in(jax.random.key(self.stream), self.root)
            return jax.vmap(lambda i: jax.random.fold_in(base, i))(jnp.asarray(numbers, jnp.uint32))


@runtime_checkable
class Trainer(Protocol):
    """Trains one experiment on any seeds, a block of them at a time."""

    def __call__(self, seeds: Seeds, numbers: Sequence[int], progress: ProgressMeter | None = None) -> Trained:
        """Train the seeds of these numbers."""

    def inspect(
        self, seeds: Seeds, numbers: Sequence[int], progress: ProgressMeter | None = None
    ) -> dict[str, np.ndarray] | None:
        """Return what the experiment shows of these seeds before and after training; None if it shows nothing."""

    def record_states(
        self,
        seeds: Seeds,
        number: int,
        look: Callable[[Any, Any], Mapping[str, Any]],
        progress: ProgressMeter | None = None,
    ) -> dict[str, np.ndarray]:
        """Return ``look(state, key)`` of one seed before training and after every epoch, stacked."""


TrainerFactory = Callable[[Experiment, int], Trainer]
"""A maker of trainers: of an experiment, for blocks of that many seeds."""


def compiled_trainer(experiment: Experiment, block: int) -> Trainer:
    """Return the trainer that compiles an experiment with JAX.

    Raises:
        RuntimeError: if JAX is not installed.
    """
    check_jax()
    from ladder.train.compiled import CompiledTrainer  # JAX is an extra

    return CompiledTrainer(experiment, block)
