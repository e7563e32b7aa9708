"""Losses of a latent trajectory: against the oracle's, against the signal's delay coordinates, against its own future.

All are one number per sequence.
"""

import jax
import jax.numpy as jnp
from jax import Array
from jaxtyping import Float

from ladder.studies.geometry.lapack import one_by_one
from ladder.studies.geometry.orthogonal import procrustes
from ladder.studies.manifoldformer import losses

DELAYS = 16
RIDGE = 1e-5  # small enough to separate tones with that many delays, and large enough for float32


def oracle(z: Float[Array, "*batch time latent"], target: Float[Array, "*batch time latent"]) -> Float[Array, "*batch"]:
    """Compute the mean squared error in the oracle's own frame.

    Source: the status document of the core, section 11, attempt 2.
    """
    return losses.mse(z, target)


def aligned(
    z: Float[Array, "*batch time latent"], target: Float[Array, "*batch time latent"]
) -> Float[Array, "*batch"]:
    """Compute the mean squared error after the best rotation or reflection of each trajectory: differentiable Procrustes.

    The published version differentiates a singular value decomposition and broke; the polar factor has a derivative of its
    own. Source: the status document of the core, section 11, attempt 1.
    """
    return losses.mse(z @ procrustes(z, target), target)


def gram(z: Float[Array, "*batch time latent"], target: Float[Array, "*batch time latent"]) -> Float[Array, "*batch"]:
    """Compute ``mean (Z Z^T - O O^T)^2`` over all pairs of times: rotation-invariant, without a decomposition.

    Source: the status document of the core, section 11, option B, with the mean for the sum.
    """
    return jnp.mean((_gram(z) - _gram(target)) ** 2, axis=(-2, -1))


def delay_gram(
    z: Float[Array, "*batch time latent"], x: Float[Array, "*batch time channel"], delays: int | None = None
) -> Float[Array, "*batch"]:
    """Compute :func:`gram` against the signal's own whitened delay coordinates, without an oracle.

    The loss covers the samples from ``delays - 1`` on, where ``delays`` is by default 16 or a quarter of a shorter signal.
    ``H`` has there the last ``delays`` samples of all channels in a row, and ``P = K (K + 1e-5 tr(K) I)^(-1)`` of
    ``K = H H^T`` is the projection onto its principal components, all weighted alike whatever their share of the signal. Its
    rows are divided by their norm, ``P_st / sqrt(P_ss P_tt)``. For a sum of tones this is close to the oracle's Gram matrix,
    which also weights all tones alike: a latent with the matrix of three tones has an Oracle Distance of 0.012. For a silent
    signal the matrix is zero.

    Source: Broomhead and King, *Extracting qualitative dynamics from experimental data* (1986).

    Raises:
        ValueError: for fewer than one delay, or as many as there are samples.
    """
    time = x.shape[-2]
    delays = max(1, min(DELAYS, time // 4)) if delays is None else delays
    if not 1 <= delays < time:
        raise ValueError(f"delay_gram(delays={delays}): choose 1 to {time - 1}; the signal has {time} samples")
    # Divide by the largest value so that no square overflows; no gradient, because the matrix does not depend on the scale.
    largest = jax.lax.stop_gradient(jnp.max(jnp.abs(x), axis=(-2, -1), keepdims=True))
    x = x / jnp.where(largest > 0.0, largest, 1.0)
    history = jnp.concatenate([x[..., s : time - delays + 1 + s, :] for s in range(delays)], axis=-1)

    def projection(k: Array) -> Array:
        trace = jnp.trace(k, axis1=-2, axis2=-1)
        ridge = RIDGE * jnp.where(trace > 0.0, trace, 1.0)
        identity = jnp.broadcast_to(jnp.eye(k.shape[-1], dtype=k.dtype), k.shape)
        return jnp.asarray(jnp.linalg.solve(k + ridge[..., None, None] * identity, k))

    # The ridge is small, so products need full precision, even on devices that round them to fewer digits by default.
    with jax.default_matmul_precision("highest"):
        p = one_by_one(projection, _gram(history))
    size = jnp.sqrt(jnp.maximum(jnp.diagonal(p, axis1=-2, axis2=-1), jnp.finfo(p.dtype).eps))
    target = p / (size[..., :, None] * size[..., None, :])
    return jnp.mean((_gram(z[..., delays - 1 :, :]) - target) ** 2, axis=(-2, -1))


def consistency(
    moved: Float[Array, "*batch time latent"], z: Float[Array, "*batch time latent"]
) -> Float[Array, "*batch"]:
    """Compute the error of each point after the dynamics against the next point, ``mean |moved[t] - z[t + 1]|^2 / d``.

    A roll-out in the latent relies on it, because a moved point takes the place of an encoded one. The gradient goes to both
    sides. For a single sample the loss is zero.
    Source: latent state consistency, Hansen et al., *TD-MPC* (2022), without its target network.
    """
    step = moved[..., :-1, :] - z[..., 1:, :]
    return jnp.sum(step**2, axis=(-2, -1)) / max(step.shape[-2] * step.shape[-1], 1)


def _gram(z: Float[Array, "*batch time latent"]) -> Float[Array, "*batch time time"]:
    return z @ jnp.swapaxes(z, -1, -2)
