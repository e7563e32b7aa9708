"""The synthetic oscillators every published ManifoldFormer run was trained on."""

from itertools import permutations

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array
from jaxtyping import Float, Int

FREQUENCIES = (1, 2, 3, 5, 8)
AMPLITUDES = (1.0, 0.5)
CHANNELS = 16
BATCHES, BATCH_SIZE = 15, 64  # of one epoch, as published; other batch sizes cut the same sequences anew


def signals(length: int) -> Float[np.ndarray, "sequence time channel"]:
    """The 20 clean two-tone signals: one for each ordered pair of distinct frequencies.

    Tone ``k`` of channel ``c`` is ``AMPLITUDES[k] * sin(f_k t + 2 pi c / 16)`` at ``length`` times
    ``linspace(0, 4 pi, length)``. The published data draws pairs at random but neither phases nor noise, so
    these are all the sequences there are.
    """
    t = np.linspace(0.0, 4.0 * np.pi, length)[:, None]
    phase = 2.0 * np.pi * np.arange(CHANNELS) / CHANNELS
    return np.stack(
        [
            sum(a * np.sin(f * t + phase) for a, f in zip(AMPLITUDES, tones, strict=True))
            for tones in permutations(FREQUENCIES, len(AMPLITUDES))
        ]
    ).astype(np.float32)


def drawn() -> Int[np.ndarray, " sequences"]:
    """Which of the 20 signals each sequence of the training set is: batch ``i`` of 64 is drawn with seed ``i``."""
    kinds = len(list(permutations(FREQUENCIES, len(AMPLITUDES))))
    return np.concatenate([np.random.default_rng(batch).integers(kinds, size=BATCH_SIZE) for batch in range(BATCHES)])


def batches(
    sequence: Int[Array, " sequences"], batch_size: int, kinds: int
) -> tuple[Int[Array, "batch row"], Float[Array, "batch row"]]:
    """Cut an epoch into batches: which signals each one needs computed, and the weight of each in its mean.

    A loss that is a mean over sequences is the same whether every sequence is computed or every distinct one
    once, weighted by how often it occurs. A batch of 64 drawn from 20 signals is therefore computed as 20 rows;
    a batch too small to gain by that keeps its own rows at equal weight.
    """
    ids = sequence.reshape(-1, batch_size)
    if batch_size <= kinds:
        return ids, jnp.full(ids.shape, 1.0 / batch_size)
    rows = jnp.broadcast_to(jnp.arange(kinds), (len(ids), kinds))
    return rows, jnp.mean(jax.nn.one_hot(ids, kinds), axis=1)


def zero_predictor_mse(length: int) -> float:
    """MSE of predicting nothing: the mean square of the training set (0.633 at the published length of 64)."""
    square = np.mean(signals(length).astype(np.float64) ** 2, axis=(1, 2))
    return float(np.mean(square[drawn()]))
