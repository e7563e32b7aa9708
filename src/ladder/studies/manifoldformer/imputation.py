"""Imputation of a gap in a signal from the samples before it, by roll-out in the latent or in the signal.

Only a model trained on the next step continues a signal: its output at sample ``t`` is a prediction of sample ``t + 1``. The
output of a model trained on the identity is sample ``t`` again, so it repeats the last sample; nothing here can distinguish
the two.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from numbers import Integral
from typing import Any, Literal

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx
from jax import Array
from jaxtyping import Complex, Float, Int, Key, Real

from ladder.declare.fields import check_fields
from ladder.studies.manifoldformer import losses
from ladder.studies.manifoldformer.model import ManifoldFormer
from ladder.studies.manifoldformer.sampling import draw

How = Literal["latent", "signal"]


def latent_rollout(
    model: ManifoldFormer,
    context: Real[Array | np.ndarray, "*batch time channel"],
    steps: int,
    key: Key[Array, ""] | None = None,
) -> Float[Array, "*batch step channel"]:
    """Predict the samples after a context: encode it, continue the latent by its own dynamics, decode once.

    The dynamics move the last point of the aligned trajectory, the result is appended, and so on, ``steps`` times; the
    rotation is that of the context. Only the last point is moved, by memory and coupling with all before it: a step costs
    O(context + steps), after one forward pass of the encoder. One program serves every model of a kind, for each shape of the
    context and number of steps; it may be differentiated, and mapped over models.

    Source: the status document on imputation, and sakaguchi, lesson 1.

    Args:
        model: A model trained on the next step.
        context: The samples before the prediction, at least one.
        steps: The number of samples to predict.
        key: The key of the noise on the context's latent; without it the latent is its mean.

    Raises:
        ValueError: for no context, channels other than the model's, or no steps, and a context longer than a Fourier branch
            takes.
    """
    graph, params = nnx.split(model)
    context = _validated("latent_rollout", model, params, context, steps)
    return jnp.asarray(_latent_rollout(graph, params, context, steps, key))


def signal_rollout(
    model: ManifoldFormer,
    context: Real[Array | np.ndarray, "*batch time channel"],
    steps: int,
    key: Key[Array, ""] | None = None,
) -> Float[Array, "*batch step channel"]:
    """Predict the samples after a context: predict the next one, append it as if it were measured, and so on.

    Each prediction is the whole model's, from all samples so far; so is the rotation of a dynamic alignment. Only the last
    point is moved and decoded, but all are encoded again: a step costs one forward pass of the encoder over context and steps.
    The rest is as in :func:`latent_rollout`.

    Source: the status document on imputation, "Final Solution".

    Args:
        model: A model trained on the next step.
        context: The samples before the prediction, at least one.
        steps: The number of samples to predict.
        key: The key of the noise on the context's latent; predictions have none. Without it every latent is its mean.

    Raises:
        ValueError: for no context, channels other than the model's, or no steps; and where context and predictions, but for
            the last, are longer than a Fourier branch takes.
    """
    graph, params = nnx.split(model)
    context = _validated("signal_rollout", model, params, context, steps)
    return jnp.asarray(_signal_rollout(graph, params, context, steps, key))


ROLLOUTS: dict[How, Callable[..., Array]] = {"latent": latent_rollout, "signal": signal_rollout}


@dataclass(frozen=True, kw_only=True)
class Gap:
    """A gap at the end of a sequence: the last ``samples``, to be filled from all before them.

    Raises:
        ValueError: for no samples.
    """

    samples: int

    def __post_init__(self) -> None:
        check_fields(self)
        if self.samples < 1:
            raise ValueError(f"Gap(samples={self.samples}): choose at least 1")


def fill(
    model: ManifoldFormer,
    signal: Real[Array | np.ndarray, "*batch time channel"],
    start: int,
    stop: int,
    how: How = "latent",
    key: Key[Array, ""] | None = None,
) -> Float[Array, "*batch time channel"]:
    """Return the signal with samples ``start`` to ``stop``, the latter excluded, predicted from those before them.

    The signal's values in the gap and after it are not read.

    Args:
        model: A model trained on the next step.
        signal: The signal with a gap.
        start: The first sample of the gap, at least 1.
        stop: The first sample after the gap.
        how: The kind of roll-out, ``"latent"`` or ``"signal"``.
        key: The key of the noise on the context's latent; without it the latent is its mean.

    Raises:
        ValueError: for a gap that starts at 0, is empty or ends after the signal, for another way, and what the roll-outs
            raise.
    """
    signal = jnp.asarray(signal)
    time, gap = signal.shape[-2], f"fill(start={start}, stop={stop})"
    if start < 1:
        raise ValueError(f"{gap}: there is no sample before the gap; start it at 1 or later")
    if stop <= start:
        raise ValueError(f"{gap}: the gap is empty; stop it at {start + 1} or later")
    if stop > time:
        raise ValueError(f"{gap}: the signal has {time} samples; stop the gap at {time} or earlier")
    if how not in ROLLOUTS:
        raise ValueError(f"fill(how={how!r}): choose one of {', '.join(map(repr, ROLLOUTS))}")
    predicted = ROLLOUTS[how](model, signal[..., :start, :], stop - start, key)
    return jnp.concatenate([signal[..., :start, :], predicted, signal[..., stop:, :]], axis=-2)


def measure(
    predicted: Float[Array, "*batch time channel"], target: Float[Array, "*batch time channel"]
) -> dict[str, Float[Array, "*batch"]]:
    """Compute each of :data:`MEASURES` between a prediction of a gap and its target, over the gap's samples alone."""
    return {name: metric(predicted, target) for name, metric in MEASURES.items()}


def phase_error(
    predicted: Float[Array, "*batch time channel"], target: Float[Array, "*batch time channel"]
) -> Float[Array, "*batch"]:
    """Compute the phase by which a prediction is ahead of its target, in radians: ``arg sum P conj(Y)``, in [-pi, pi].

    ``P`` and ``Y`` are the rFFTs over time, unpadded, and the sum is over all bins and channels: each bin counts by its
    energy, and where every bin is ahead by the same angle, the result is that angle. It is zero for a silent prediction; where
    no bin but the real ones, of frequency 0 and of half the sampling rate, has any energy, it is zero or pi.
    """
    product: Complex[Array, "*batch bin channel"] = jnp.fft.rfft(predicted, axis=-2) * jnp.conj(
        jnp.fft.rfft(target, axis=-2)
    )
    return jnp.angle(jnp.sum(product, axis=(-2, -1)))


MEASURES: dict[str, Callable[[Array, Array], Array]] = {
    "gap_mse": losses.mse,
    "gap_amplitude": losses.amplitude,  # 1 is right
    "gap_phase": phase_error,
}


def _validated(name: str, model: ManifoldFormer, params: Any, context: Array | np.ndarray, steps: int) -> Array:
    """Return the context in a dtype that predictions can be appended to, after checks of shape and steps."""
    context, channels = jnp.asarray(context), model.decoder.out.out_features
    if context.ndim < 2 or context.shape[-2] < 1 or context.shape[-1] != channels:
        raise ValueError(
            f"{name}(context of shape {context.shape}): give at least one sample of {channels} channels, (..., time, channel)"
        )
    if not isinstance(steps, Integral) or steps < 1:
        raise ValueError(f"{name}(steps={steps}): predict a whole number of samples, at least 1")
    return context.astype(jnp.result_type(context, *jax.tree.leaves(params)))


@partial(jax.jit, static_argnums=(0, 3))
def _latent_rollout(
    graph: nnx.GraphDef[ManifoldFormer], params: Any, context: Array, steps: int, key: Array | None
) -> Array:
    model, time = nnx.merge(graph, params), context.shape[-2]
    z = _zero_pad(model.align(_encode(model, context, time, key))[0], steps - 1)

    def step(z: Array, length: Array) -> tuple[Array, Array]:
        point = model.dynamics.last(z, length)
        return _set_sample(z, point, length), point[..., 0, :]

    points = jax.lax.scan(step, z, jnp.arange(time, time + steps))[1]
    return jnp.asarray(model.decoder(jnp.moveaxis(points, 0, -2)))


@partial(jax.jit, static_argnums=(0, 3))
def _signal_rollout(
    graph: nnx.GraphDef[ManifoldFormer], params: Any, context: Array, steps: int, key: Array | None
) -> Array:
    model, time = nnx.merge(graph, params), context.shape[-2]

    def step(x: Array, length: Array) -> tuple[Array, Array]:
        z = model.align(_encode(model, x, time, key), length)[0]
        sample = model.decoder(model.dynamics.last(z, length))
        return _set_sample(x, sample, length), sample[..., 0, :]

    samples = jax.lax.scan(step, _zero_pad(context, steps - 1), jnp.arange(time, time + steps))[1]
    return jnp.moveaxis(samples, 0, -2)


def _encode(
    model: ManifoldFormer, x: Float[Array, "*batch time channel"], context: int, key: Array | None
) -> Float[Array, "*batch time latent"]:
    """Return the latent, with noise on the context alone."""
    mean, sigma = model.encode(x)
    if sigma is None or key is None:
        return mean
    noisy = draw(mean[..., :context, :], sigma[..., :context, :], key, model.config.latent)[0]
    return jnp.concatenate([noisy, mean[..., context:, :]], axis=-2)


def _zero_pad(x: Float[Array, "*batch time value"], more: int) -> Float[Array, "*batch longer value"]:
    """Append ``more`` zeros along time."""
    return jnp.pad(x, [(0, 0)] * (x.ndim - 2) + [(0, more), (0, 0)])


def _set_sample(
    x: Float[Array, "*batch time value"], sample: Float[Array, "*batch 1 value"], at: Int[Array, ""]
) -> Float[Array, "*batch time value"]:
    # The last sample is out of bounds and dropped; no later step reads it.
    return x.at[..., at, :].set(sample[..., 0, :], mode="drop")
