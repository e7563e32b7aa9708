"""Seeds, and how each of them gets its random keys."""

from collections.abc import Sequence
from dataclasses import dataclass

import jax
import jax.numpy as jnp

# Key streams. Gates, fresh seeds and calibrations draw from different ones, so a threshold is never
# measured on a seed it will judge.
GATE_STREAM, CALIBRATION_STREAM = 0x6A7E, 0xCA11B


@dataclass(frozen=True)
class Seeds:
    """Where seeds come from: seed ``i`` is ``fold_in(fold_in(key(stream), root), i)``.

    The same seed number gives the same keys to every rung, which is what makes comparisons paired.
    """

    root: int = 0
    stream: int = GATE_STREAM

    def keys(self, numbers: Sequence[int]) -> jax.Array:
        """One key for each seed number."""
        with jax.transfer_guard("allow"):  # which may be set to watch what experiments transfer
            base = jax.random.fold_in(jax.random.key(self.stream), self.root)
            return jax.vmap(lambda i: jax.random.fold_in(base, i))(jnp.asarray(numbers, jnp.uint32))
