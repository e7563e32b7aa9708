"""Regularisers of a latent trajectory or of the model itself, independent of the target; one number per sequence."""

from typing import Literal

import jax
import jax.numpy as jnp
from jax import Array
from jaxtyping import Float

from ladder.studies.manifoldformer.losses import EPSILON


def spectral_entropy(
    z: Float[Array, "*batch time latent"], spectrum: Literal["power", "magnitude"] = "power"
) -> Float[Array, "*batch"]:
    """Compute the entropy in nats of each latent coordinate's spectrum along time, averaged over the coordinates.

    The shares ``p`` are the power (or the magnitude) of the rFFT's bins over their sum plus 1e-8. The entropy is
    ``-sum p log(p + 1e-8)``: from zero (all in one bin, or no signal; -1e-8 in exact arithmetic) to ``log(time // 2 + 1)``
    (all bins alike).
    Source: the published latent entropy (status document of the core, section 7).

    Raises:
        ValueError: for another spectrum.
    """
    if spectrum not in ("power", "magnitude"):
        raise ValueError(f"spectral_entropy(spectrum={spectrum!r}): choose 'power' or 'magnitude'")
    s = jnp.fft.rfft(z, axis=-2)
    size = jnp.abs(s) if spectrum == "magnitude" else s.real**2 + s.imag**2
    share = size / (jnp.sum(size, axis=-2, keepdims=True) + EPSILON)
    return jnp.mean(-jnp.sum(share * jnp.log(share + EPSILON), axis=-2), axis=-1)


def kl(mean: Float[Array, "*batch time latent"], sigma: Float[Array, "*batch time latent"]) -> Float[Array, "*batch"]:
    """Compute the divergence of ``N(mean, sigma^2)`` from ``N(0, I)`` in nats, summed over coordinates, averaged over time.

    The formula is ``sum 0.5 (sigma^2 + mean^2 - 1) - log sigma``. On the sphere the term in the mean is a constant, a half in
    all.
    Source: Kingma and Welling, *Auto-Encoding Variational Bayes* (2014), appendix B.
    """
    return jnp.mean(jnp.sum(0.5 * (sigma**2 + mean**2 - 1.0) - jnp.log(sigma), axis=-1), axis=-1)


def isometry(z: Float[Array, "*batch time latent"], x: Float[Array, "*batch time channel"]) -> Float[Array, "*batch"]:
    """Compute the mismatch of latent distances and signal distances, up to one scale for the sequence, in [0, 1].

    The formula is ``1 - <a, b>^2 / (<a, a> <b, b>)`` of the squared distances ``a`` and ``b`` between all pairs of samples:
    the share of ``b`` that no multiple of ``a`` explains. The published isometry loss has a learned scale; this is its value
    at the best one. Distances are squared because a distance has a kink at zero. If all samples of the latent or of the signal
    coincide, the result is 1.
    Source: Kruskal (1964), stress up to a scale.
    """
    cosine = jnp.sum(_unit(_squared_distances(z)) * _unit(_squared_distances(x)), axis=(-2, -1))
    return 1.0 - cosine**2


def smoothness(z: Float[Array, "*batch time latent"]) -> Float[Array, "*batch"]:
    """Compute the mean squared step from one sample to the next, ``mean |z[t + 1] - z[t]|^2``; for a single sample it is zero.

    Source: the geodesic smoothness of the status document on imputation, with chords for arcs.
    """
    steps = jnp.sum(jnp.diff(z, axis=-2) ** 2, axis=-1)
    return jnp.sum(steps, axis=-1) / max(steps.shape[-1], 1)


def decorrelation(z: Float[Array, "*batch time latent"]) -> Float[Array, "*batch"]:
    """Compute ``sum_{i != j} Cov(z)_ij^2`` of the covariance over time.

    Source: the status document of the core, section 8.
    """
    centred = z - jnp.mean(z, axis=-2, keepdims=True)
    covariance = jnp.swapaxes(centred, -1, -2) @ centred / z.shape[-2]
    off = covariance * (1.0 - jnp.eye(z.shape[-1], dtype=z.dtype)).reshape((1,) * (z.ndim - 2) + (z.shape[-1],) * 2)
    return jnp.sum(off**2, axis=(-2, -1))


def orthogonality(rotation: Float[Array, "*batch latent latent"]) -> Float[Array, "*batch"]:
    """Compute ``|R^T R - I|_F^2``, which is zero to rounding for a Cayley transform.

    Source: sakaguchi, section 7.
    """
    identity = jnp.eye(rotation.shape[-1], dtype=rotation.dtype).reshape(
        (1,) * (rotation.ndim - 2) + rotation.shape[-2:]
    )
    return jnp.sum((jnp.swapaxes(rotation, -1, -2) @ rotation - identity) ** 2, axis=(-2, -1))


def _squared_distances(x: Float[Array, "*batch time dim"]) -> Float[Array, "*batch time time"]:
    squared = jnp.sum(x * x, axis=-1)
    return squared[..., :, None] + squared[..., None, :] - 2.0 * (x @ jnp.swapaxes(x, -1, -2))


def _unit(a: Float[Array, "*batch time time"]) -> Float[Array, "*batch time time"]:
    """Divide by the norm, in two steps so that no square overflows or underflows."""
    # The result does not depend on the first divisor, so no gradient goes through it, where it could overflow.
    largest = jax.lax.stop_gradient(jnp.max(a, axis=(-2, -1), keepdims=True))
    scaled = a / jnp.where(largest > 0.0, largest, 1.0)
    return scaled / jnp.sqrt(jnp.maximum(jnp.sum(scaled**2, axis=(-2, -1), keepdims=True), 1.0))
