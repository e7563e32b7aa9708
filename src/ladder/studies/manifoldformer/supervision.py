"""Losses of a latent trajectory: against the oracle's, against what the signal says by itself, against its own future.

All are one number a sequence.
"""

import jax
import jax.numpy as jnp
from jax import Array
from jaxtyping import Float

from ladder.studies.geometry.lapack import one_by_one
from ladder.studies.geometry.orthogonal import procrustes
from ladder.studies.manifoldformer import losses

DELAYS = 16
RIDGE = 1e-5  # with that many delays enough to tell tones apart, and not too little for float32


def oracle(z: Float[Array, "*batch time latent"], target: Float[Array, "*batch time latent"]) -> Float[Array, "*batch"]:
    """Mean squared error in the oracle's own frame. Source: the status document of the core, section 11, attempt 2."""
    return losses.mse(z, target)


def aligned(
    z: Float[Array, "*batch time latent"], target: Float[Array, "*batch time latent"]
) -> Float[Array, "*batch"]:
    """Mean squared error after the best rotation or reflection of each trajectory: differentiable Procrustes.

    The published version differentiates a singular value decomposition and broke; the polar factor has a derivative of its
    own. Source: the status document of the core, section 11, attempt 1.
    """
    return losses.mse(z @ procrustes(z, target), target)


def gram(z: Float[Array, "*batch time latent"], target: Float[Array, "*batch time latent"]) -> Float[Array, "*batch"]:
    """``mean (Z Z^T - O O^T)^2`` over all pairs of times: rotation-invariant, without a decomposition.

    Source: the status document of the core, section 11, option B, with the mean for the sum.
    """
    return jnp.mean((_gram(z) - _gram(target)) ** 2, axis=(-2, -1))


def delay_gram(
    z: Float[Array, "*batch time latent"], x: Float[Array, "*batch time channel"], delays: int | None = None
) -> Float[Array, "*batch"]:
    """:func:`gram` against the signal's own whitened delay coordinates: no oracle is asked.

    From sample ``delays - 1`` on, by default 16 or a quarter of a shorter signal: there ``H`` has the last ``delays`` samples of
    all channels in a row, and ``P = K (K + 1e-5 tr(K) I)^(-1)`` of ``K = H H^T`` is the projection onto its principal
    components, all of them alike however much of the signal they are. Its rows are divided by their norm,
    ``P_st / sqrt(P_ss P_tt)``. Of a sum of tones that is near the oracle's Gram matrix, which has all tones alike too: a latent
    with the matrix of three tones has an Oracle Distance of 0.012. Of a silent signal the matrix is zero.

    Source: Broomhead and King, *Extracting qualitative dynamics from experimental data* (1986).

    Raises:
        ValueError: for fewer than one delay, or as many as there are samples.
    """
    time = x.shape[-2]
    delays = max(1, min(DELAYS, time // 4)) if delays is None else delays
    if not 1 <= delays < time:
        raise ValueError(f"delay_gram(delays={delays}): choose 1 to {time - 1}; the signal has {time} samples")
    # Relative to the largest, so that no square overflows; constant, for the matrix does not depend on it.
    largest = jax.lax.stop_gradient(jnp.max(jnp.abs(x), axis=(-2, -1), keepdims=True))
    x = x / jnp.where(largest > 0.0, largest, 1.0)
    history = jnp.concatenate([x[..., s : time - delays + 1 + s, :] for s in range(delays)], axis=-1)

    def projection(k: Array) -> Array:
        trace = jnp.trace(k, axis1=-2, axis2=-1)
        ridge = RIDGE * jnp.where(trace > 0.0, trace, 1.0)
        identity = jnp.broadcast_to(jnp.eye(k.shape[-1], dtype=k.dtype), k.shape)
        return jnp.asarray(jnp.linalg.solve(k + ridge[..., None, None] * identity, k))

    # In full precision also where products are rounded to fewer digits by default: the ridge is small.
    with jax.default_matmul_precision("highest"):
        p = one_by_one(projection, _gram(history))
    size = jnp.sqrt(jnp.maximum(jnp.diagonal(p, axis1=-2, axis2=-1), jnp.finfo(p.dtype).eps))
    wanted = p / (size[..., :, None] * size[..., None, :])
    return jnp.mean((_gram(z[..., delays - 1 :, :]) - wanted) ** 2, axis=(-2, -1))


def consistency(
    moved: Float[Array, "*batch time latent"], z: Float[Array, "*batch time latent"]
) -> Float[Array, "*batch"]:
    """Mean squared error of where the dynamics move each point against the next point, ``mean |moved[t] - z[t + 1]|^2 / d``.

    What a roll-out in the latent stands on: a moved point takes the place of an encoded one. The gradient goes to both
    sides. Of one sample zero. Source: latent state consistency, Hansen et al., *TD-MPC* (2022), without its target network.
    """
    step = moved[..., :-1, :] - z[..., 1:, :]
    return jnp.sum(step**2, axis=(-2, -1)) / max(step.shape[-2] * step.shape[-1], 1)


def _gram(z: Float[Array, "*batch time latent"]) -> Float[Array, "*batch time time"]:
    return z @ jnp.swapaxes(z, -1, -2)
