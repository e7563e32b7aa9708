"""Gauge transport: comparison of beliefs at different positions, each expressed in a frame of its own.

Position ``i`` has a frame ``R_i = exp(phi_i)`` in SO(K). The rotation ``O_ij = R_i R_j^T = exp(phi_i) exp(-phi_j)`` carries a
vector from the frame of ``j`` into that of ``i``. A change of the common frame, ``R_i -> R_i G``, has no effect.
"""

import jax.numpy as jnp
from jax import Array
from jaxtyping import Float

from ladder.studies.geometry.orthogonal import exponential, skew
from ladder.studies.purefep.beliefs import Belief, divergence


def frames(phi: Float[Array, "*batch dim dim"]) -> Float[Array, "*batch dim dim"]:
    """Return the rotations ``exp(phi)``; only the skew-symmetric part of ``phi`` counts, an element of the Lie algebra so(K)."""
    return exponential(skew(phi))


def transport(frame: Float[Array, "time dim dim"]) -> Float[Array, "time time dim dim"]:
    """Return every ``O_ij = R_i R_j^T``: orthogonal, with ``O_ii = I`` and ``O_ij O_jk = O_ik``."""
    return jnp.einsum("ikm,jlm->ijkl", frame, frame)


def transported_divergence(
    q: Belief, keys: Belief, frame: Float[Array, "time dim dim"]
) -> Float[Array, "*batch time time"]:
    """Compute ``KL(q_i || O_ij keys_j)`` for every pair of positions, in nats; covariances are carried as ``O S O^T``.

    A divergence is the same in every frame, so it is computed in the frame where the key's covariance is diagonal.
    """
    if q.shared_by > 1:
        return _isotropic(q, keys, frame)
    into = transport(frame)
    # O_ij^T m_i, and the diagonal of O_ij^T S_i O_ij: a trace against a diagonal matrix needs no other entries.
    mean = jnp.einsum("ijkl,...ik->...ijl", into, q.mean)
    variance = jnp.einsum("ijkl,...ik->...ijl", into**2, q.variance)
    gap = mean - keys.mean[..., None, :, :]
    scaled = (variance + gap**2) * jnp.exp(-keys.log_variance)[..., None, :, :] - 1.0
    volumes = jnp.sum(keys.log_variance, axis=-1)[..., None, :] - jnp.sum(q.log_variance, axis=-1)[..., :, None]
    return 0.5 * (jnp.sum(scaled, axis=-1) + volumes)


def _isotropic(q: Belief, keys: Belief, frame: Float[Array, "time dim dim"]) -> Float[Array, "*batch time time"]:
    """Compute the divergence in the common frame: a rotation moves only the means of isotropic beliefs, each of them once."""
    mean, key_mean = (jnp.einsum("ikl,...ik->...il", frame, belief.mean) for belief in (q, keys))
    return divergence(
        Belief(mean[..., :, None, :], q.log_variance[..., :, None, :]),
        Belief(key_mean[..., None, :, :], keys.log_variance[..., None, :, :]),
    )
