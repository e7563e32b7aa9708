"""The interface of training: seeds, and the protocol of trainers."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable

import numpy as np

from ladder.declare.fields import check_argument
from ladder.declare.values import shortened
from ladder.train.progress import ProgressMeter
from ladder.train.result import Trained

if TYPE_CHECKING:
    import jax

# Key streams. Gates and calibrations draw seeds from different streams, so that no threshold is measured on a seed that it
# judges.
GATE_STREAM, CALIBRATION_STREAM = 0x6A7E, 0xCA11B


@dataclass(frozen=True)
class Seeds:
    """The origin of seeds, by their numbers.

    In JAX, seed ``i`` is the key ``fold_in(fold_in(key(stream), root), i)``; for host experiments it is a whole number that is
    mixed from stream, root and ``i``. The same number gives the same seed to every rung, which is what makes comparisons paired.
    """

    root: int = 0
    stream: int = GATE_STREAM

    def __post_init__(self) -> None:
        """Check both.

        Raises:
            ValueError: for one that is not a whole number from 0 to 2**32 - 1.
        """
        for name in ("root", "stream"):
            check_argument("Seeds", name, value := getattr(self, name), int)
            if not 0 <= value < 2**32:
                raise ValueError(f"Seeds: {name}={value}: give a whole number from 0 to 2**32 - 1")

    def keys(self, numbers: Sequence[int]) -> "jax.Array":
        """Return one key for each seed number, an array of shape (seed,)."""
        import jax  # an optional dependency
        import jax.numpy as jnp

        with jax.transfer_guard("allow"):  # the user may have forbidden transfers to find those of experiments
            base = jax.random.fold_in(jax.random.key(self.stream), self.root)
            return jax.vmap(lambda i: jax.random.fold_in(base, i))(jnp.asarray(numbers, jnp.uint32))

    def integers(self, numbers: Sequence[int]) -> list[int]:
        """Return one whole number below 2**32 for each seed number.

        They are mixed, because programs use ``seed + 1`` for a second generator.
        """
        mixed = (np.random.SeedSequence([self.stream, self.root, number]) for number in numbers)
        return [int(sequence.generate_state(1)[0]) for sequence in mixed]


class NoReportError(RuntimeError):
    """An error for seeds none of which ended its first epoch, so that nobody knows what they would report."""


def check_block(block: int) -> None:
    """Raise a ValueError for a number of seeds that no block can have."""
    check_argument("trainer", "block", block, int)
    if block < 1:
        raise ValueError(f"trainer: block={block}: give at least 1")


def check_training(seeds: Seeds, numbers: Sequence[int]) -> None:
    """Raise a ValueError for seeds, or numbers of seeds, that no trainer can train."""
    check_argument("trainer", "seeds", seeds, Seeds)
    given: object = numbers
    if not isinstance(given, Sequence | np.ndarray) or isinstance(given, str | bytes) or not len(given):
        raise ValueError(
            f"trainer: numbers={shortened(numbers)}: no seeds to train; give their numbers, such as range(4)"
        )
    for number in numbers:
        check_argument("trainer", "numbers", number, int)
        if not 0 <= number < 2**32:
            raise ValueError(f"trainer: numbers={shortened(numbers)}: {number} is not from 0 to 2**32 - 1")


@runtime_checkable
class Trainer(Protocol):
    """A trainer of one experiment on any seeds, a block of them at a time.

    An attribute ``at_once`` may say how many seeds cost about as much as one: the seeds up to a multiple of it are trained ahead.
    An attribute ``block`` may say how many seeds one call should train, after which their curves are stored. A method ``stop()``
    may end a call that runs in another thread.
    """

    def __call__(self, seeds: Seeds, numbers: Sequence[int], progress: ProgressMeter | None = None) -> Trained:
        """Train the seeds with these numbers."""

    def record_states(
        self,
        seeds: Seeds,
        number: int,
        observe: Callable[[Any, Any], Mapping[str, Any]],
        progress: ProgressMeter | None = None,
    ) -> dict[str, np.ndarray]:
        """Train one seed and return ``observe(state, key)`` before training and after every epoch, stacked."""
