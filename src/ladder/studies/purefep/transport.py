"""Gauge transport: beliefs at different places, each in a frame of its own, compared as if in one.

A place ``i`` has a frame ``R_i = exp(phi_i)`` in SO(K); what stands in the frame of ``j`` is carried into that of ``i`` by
``O_ij = R_i R_j^T = exp(phi_i) exp(-phi_j)``. Turning the common frame, ``R_i -> R_i G``, changes nothing.
"""

import jax.numpy as jnp
from jax import Array
from jaxtyping import Float

from ladder.studies.geometry.orthogonal import exponential, skew
from ladder.studies.purefep.beliefs import Belief, divergence


def frames(phi: Float[Array, "*batch dim dim"]) -> Float[Array, "*batch dim dim"]:
    """Rotations ``exp(phi)``; of ``phi`` the skew-symmetric part counts, an element of the Lie algebra so(K)."""
    return exponential(skew(phi))


def transport(frame: Float[Array, "time dim dim"]) -> Float[Array, "time time dim dim"]:
    """Every ``O_ij = R_i R_j^T``: orthogonal, ``O_ii = I`` and ``O_ij O_jk = O_ik``."""
    return jnp.einsum("ikm,jlm->ijkl", frame, frame)


def transported_divergence(
    q: Belief, keys: Belief, frame: Float[Array, "time dim dim"]
) -> Float[Array, "*batch time time"]:
    """``KL(q_i || O_ij keys_j)`` for every pair of places, in nats; covariances are carried as ``O S O^T``.

    A divergence is the same in every frame, so it is taken where the key's covariance is diagonal.
    """
    if q.shared_by > 1:
        return _isotropic(q, keys, frame)
    into = transport(frame)
    # O_ij^T m_i, and the diagonal of O_ij^T S_i O_ij: all of the carried covariance that a trace against a diagonal sees.
    mean = jnp.einsum("ijkl,...ik->...ijl", into, q.mean)
    variance = jnp.einsum("ijkl,...ik->...ijl", into**2, q.variance)
    gap = mean - keys.mean[..., None, :, :]
    scaled = (variance + gap**2) * jnp.exp(-keys.log_variance)[..., None, :, :] - 1.0
    volumes = jnp.sum(keys.log_variance, axis=-1)[..., None, :] - jnp.sum(q.log_variance, axis=-1)[..., :, None]
    return 0.5 * (jnp.sum(scaled, axis=-1) + volumes)


def _isotropic(q: Belief, keys: Belief, frame: Float[Array, "time dim dim"]) -> Float[Array, "*batch time time"]:
    """Of a sphere only the centre turns, so all centres are taken to the common frame, once each."""
    mean, key_mean = (jnp.einsum("ikl,...ik->...il", frame, belief.mean) for belief in (q, keys))
    return divergence(
        Belief(mean[..., :, None, :], q.log_variance[..., :, None, :]),
        Belief(key_mean[..., None, :, :], keys.log_variance[..., None, :, :]),
    )
