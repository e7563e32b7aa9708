"""The synthetic oscillators that every published ManifoldFormer run was trained on."""

import math
from dataclasses import dataclass
from functools import cached_property
from itertools import permutations
from typing import ClassVar, Literal, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array
from jaxtyping import Float, Int

from ladder.declare.fields import check_fields

FREQUENCIES = (1, 2, 3, 5, 8)
CHANNELS = 16
BATCH = 64  # sequences drawn with one seed, as published; other batch sizes split the same sequences differently
NOISE_STREAM, PHASE_STREAM, WITHHELD_STREAM = 0x0153, 0x0FA5E, 0x0D1D

Task = Literal["identity", "next step"]
Phases = Literal["zero", "random"]


class Batch(NamedTuple):
    """A batch of the model's inputs and targets.

    Attributes:
        input: The signal as it is measured, with noise.
        clean: The same signal without noise.
        target: The signal to predict: ``clean`` itself, or ``clean`` one sample later.
        oracle: The oscillators' own state at the input's times, a point of the unit sphere.
    """

    input: Float[Array, "*batch time channel"]
    clean: Float[Array, "*batch time channel"]
    target: Float[Array, "*batch time channel"]
    oracle: Float[Array, "*batch time latent"]


@dataclass(frozen=True, kw_only=True)
class Signals:
    """A data set of sums of a few tones in 16 channels, at ``length`` times ``linspace(0, 4 pi, length)``.

    Tone ``k`` of channel ``c`` is ``2^-k sin(f_k t + 2 pi c / 16)``; the frequencies are drawn without replacement, in order,
    from 1, 2, 3, 5 and 8. White noise may be added to the model's input, never to its target. The published data draws
    frequencies at random but no phases, so there are only as many clean sequences as ordered choices of tones: 20 of two
    tones, 60 of three. A training set is ``batches`` of 64 of them, batch ``i`` drawn with seed ``i``; held-out sequences
    differ from it in their noise alone. Two options make them differ in more: choices of tones that are withheld from
    training, and initial phases that are drawn at random.

    The defaults are the bench scale (patches A to E).

    Attributes:
        phases: The initial phases of the tones: 0, as published, or random, drawn for each tone of each sequence.
        withheld: The number of ordered choices of tones that are excluded from training, always the same ones; if there are
            any, they alone are held out.

    Raises:
        ValueError: for more tones than there are frequencies, fewer than 2 samples, no batch, noise below 0, or as many
            withheld as there are.
    """

    tones: int = 2
    length: int = 64
    noise: float = 0.0
    batches: int = 15
    phases: Phases = "zero"
    withheld: int = 0

    channels: ClassVar[int] = CHANNELS

    def __post_init__(self) -> None:
        check_fields(self)
        if not 1 <= self.tones <= len(FREQUENCIES):
            raise ValueError(
                f"Signals(tones={self.tones}): choose 1 to {len(FREQUENCIES)} of the frequencies {FREQUENCIES}"
            )
        if self.length < 2 or self.batches < 1:
            raise ValueError(
                f"Signals(length={self.length}, batches={self.batches}): choose at least 2 samples and 1 batch of {BATCH}"
            )
        if not self.noise >= 0.0:
            raise ValueError(f"Signals(noise={self.noise}): choose a standard deviation of at least 0")
        kinds = len(self.tone_choices)
        if not 0 <= self.withheld < kinds:
            raise ValueError(
                f"Signals(withheld={self.withheld}): choose 0 to {kinds - 1} of the {kinds} ordered choices of tones"
            )

    @property
    def times(self) -> Float[np.ndarray, " time"]:
        """The times of the samples, in radians of a tone of frequency 1."""
        return np.linspace(0.0, 4.0 * np.pi, self.length)

    @property
    def tone_choices(self) -> list[tuple[int, ...]]:
        """The frequencies of every clean sequence there is, in the order of their tones."""
        return list(permutations(FREQUENCIES, self.tones))

    @property
    def sequences(self) -> int:
        """The number of sequences in the training set."""
        return self.batches * BATCH

    @cached_property
    def held_out_choices(self) -> Int[np.ndarray, " kind"]:
        """The indices of the held-out choices of tones: those withheld, or else all."""
        kinds = len(self.tone_choices)
        return np.sort(np.random.default_rng(WITHHELD_STREAM).permutation(kinds)[: self.withheld or kinds])

    @cached_property
    def clean(self) -> Float[np.ndarray, "kind time channel"]:
        """Every clean sequence that starts at phase 0."""
        t = self.times[:, None]
        phase = 2.0 * np.pi * np.arange(CHANNELS) / CHANNELS
        return np.stack(
            [sum(2.0**-k * np.sin(f * t + phase) for k, f in enumerate(tones)) for tones in self.tone_choices]
        ).astype(np.float32)

    def oracle(self, dim: int) -> Float[np.ndarray, "kind time latent"]:
        """Return the oscillators' own state: ``sin(f t), cos(f t)`` of each tone in order, zeros up to ``dim``, over its norm.

        The initial phases are 0.
        Source: the published Oracle Distance (status document of the core); the norm is the root of the number of tones.

        Raises:
            ValueError: for fewer dimensions than two per tone.
        """
        if dim < 2 * self.tones:
            raise ValueError(f"the oracle of {self.tones} tones needs {2 * self.tones} dimensions, not {dim}")
        t = self.times
        states = np.stack(
            [
                np.stack([wave(f * t) for f in tones for wave in (np.sin, np.cos)], axis=-1)
                for tones in self.tone_choices
            ]
        )
        padded = np.pad(states, ((0, 0), (0, 0), (0, dim - 2 * self.tones)))
        return np.asarray(padded / np.sqrt(self.tones), np.float32)

    @cached_property
    def training_choices(self) -> Int[np.ndarray, " sequence"]:
        """The index of the clean sequence that each sequence of the training set is drawn from."""
        every = np.arange(len(self.tone_choices))
        kinds = np.setdiff1d(every, self.held_out_choices) if self.withheld else every
        return np.concatenate(
            [kinds[np.random.default_rng(batch).integers(len(kinds), size=BATCH)] for batch in range(self.batches)]
        )

    @property
    def share(self) -> Float[np.ndarray, " kind"]:
        """The fraction of the training set that each clean sequence makes up."""
        return np.bincount(self.training_choices, minlength=len(self.tone_choices)) / self.sequences

    @property
    def held_out_share(self) -> Float[np.ndarray, " kind"]:
        """The weight of each held-out sequence: its fraction of the training set, or equal weights if that has none of them."""
        return np.full(len(self.held_out_choices), 1.0 / len(self.held_out_choices)) if self.withheld else self.share

    @property
    def mean_square(self) -> float:
        """The mean square of the training set at phase 0: the MSE of predicting zero (0.633 at bench scale)."""
        return float(self.share @ np.mean(self.clean.astype(np.float64) ** 2, axis=(1, 2)))

    def rows(
        self, sequence: Int[Array, " sequence"], batch_size: int
    ) -> tuple[Int[Array, "batch row"], Int[Array, "batch row"], Float[Array, "batch row"]]:
        """Cut an epoch into batches: the clean sequence of each row, the number of its noise, and its weight.

        A loss that is a mean over sequences is the same whether every sequence is computed or every distinct one once,
        weighted by how often it occurs. Without noise a batch of 64 drawn from 20 signals is therefore computed as 20 rows; a
        batch with noise or random phases, or one too small to gain from that, has one row per sequence, with equal weights.
        """
        number = sequence.reshape(-1, batch_size)
        drawn, kinds = jnp.asarray(self.training_choices)[number], len(self.tone_choices)
        if self.noise or self.phases == "random" or batch_size <= kinds:
            return drawn, number, jnp.full(number.shape, 1.0 / batch_size)
        trained = jnp.asarray(np.unique(self.training_choices) if self.withheld else np.arange(kinds))
        every = jnp.broadcast_to(trained, (len(number), len(trained)))
        return every, every, jnp.mean(jax.nn.one_hot(drawn, kinds), axis=1)[:, trained]

    def batch(self, kind: Int[Array, " row"], number: Int[Array, " row"], task: Task, dim: int) -> Batch:
        """Return these choices of tones as a batch of the task.

        The numbers of the training set are 0 to 63 of batch 0 and so on; numbers from ``sequences`` on are held out. In the
        task "next step", the input is all samples but the last, and the target all but the first.

        Args:
            kind: The index of each row's choice of tones.
            number: The number of each row, which determines its noise and, where they are random, its phases.
            task: The task, ``"identity"`` or ``"next step"``.
            dim: The number of dimensions of the oracle.
        """
        if self.phases == "random":
            clean, oracle = self._with_phases(kind, _phases(number, self.tones), dim)
        else:
            clean, oracle = jnp.asarray(self.clean)[kind], jnp.asarray(self.oracle(dim))[kind]
        noisy = clean + self.noise * _white_noise(number, clean.shape[1:]) if self.noise else clean
        if task == "identity":
            return Batch(noisy, clean, clean, oracle)
        return Batch(noisy[:, :-1], clean[:, :-1], clean[:, 1:], oracle[:, :-1])

    def held_out(self, task: Task, dim: int) -> Batch:
        """Return every held-out sequence once.

        Its noise, and its phases where they are random, do not occur in any training set.
        """
        kinds = jnp.asarray(self.held_out_choices)
        return self.batch(kinds, self.sequences + kinds, task, dim)

    def _with_phases(
        self, kind: Int[Array, " row"], start: Float[Array, "row tone"], dim: int
    ) -> tuple[Float[Array, "row time channel"], Float[Array, "row time latent"]]:
        """Return these choices of tones and their oracle, each tone started at its phase: both are rotated, tone by tone."""
        frequency = jnp.asarray(self.tone_choices, jnp.float32)[kind]
        times = jnp.asarray(self.times, jnp.float32).reshape(1, -1, 1)
        angle = frequency[:, None, :] * times + start[:, None, :]
        channel = jnp.asarray(2.0 * np.pi * np.arange(CHANNELS) / CHANNELS, jnp.float32)
        size = jnp.asarray(2.0 ** -np.arange(self.tones), jnp.float32)
        clean = jnp.einsum("k,btkc->btc", size, jnp.sin(angle[..., None] + channel.reshape(1, 1, 1, -1)))
        state = jnp.stack([jnp.sin(angle), jnp.cos(angle)], axis=-1).reshape(*angle.shape[:2], -1)
        return clean, jnp.pad(state, ((0, 0), (0, 0), (0, dim - 2 * self.tones))) / math.sqrt(self.tones)


def _white_noise(number: Int[Array, " row"], shape: tuple[int, ...]) -> Float[Array, "row time channel"]:
    """Draw noise of unit variance: a row is the same in every batch."""
    key = jax.random.key(NOISE_STREAM)
    return jax.vmap(lambda n: jax.random.normal(jax.random.fold_in(key, n), shape))(number)


def _phases(number: Int[Array, " row"], tones: int) -> Float[Array, "row tone"]:
    """Draw the initial phases of the tones in radians: a row is the same in every batch."""
    key = jax.random.key(PHASE_STREAM)
    return jax.vmap(lambda n: jax.random.uniform(jax.random.fold_in(key, n), (tones,), maxval=2.0 * math.pi))(number)
