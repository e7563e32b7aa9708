"""Losses of a predicted against a target signal, each one number a sequence so that a batch may weight them."""

import jax.numpy as jnp
from jax import Array
from jaxtyping import Float

EPSILON = 1e-8


def mse(
    predicted: Float[Array, "*batch time channel"], target: Float[Array, "*batch time channel"]
) -> Float[Array, "*batch"]:
    """Mean squared error over time and channels."""
    return jnp.mean((predicted - target) ** 2, axis=(-2, -1))


def spectral(
    predicted: Float[Array, "*batch time channel"], target: Float[Array, "*batch time channel"]
) -> Float[Array, "*batch"]:
    """Log-magnitude plus phase error: ``mean |log|P| - log|Y|| + mean(1 - cos(arg P - arg Y))``.

    ``P`` and ``Y`` are the rFFTs over time, unpadded; the means run over all bins and channels; magnitudes
    carry 1e-8. The cosine is taken as ``Re(P conj(Y)) / (|P| |Y|)``, which needs no angle.
    Source: the published bench-scale spectral loss (status document of the core, patch B).
    """
    p, y = jnp.fft.rfft(predicted, axis=-2), jnp.fft.rfft(target, axis=-2)
    p_size, y_size = jnp.abs(p), jnp.abs(y)
    magnitude = jnp.abs(jnp.log(p_size + EPSILON) - jnp.log(y_size + EPSILON))
    cosine = jnp.real(p * jnp.conj(y)) / (p_size * y_size + EPSILON)
    return jnp.mean(magnitude + 1.0 - cosine, axis=(-2, -1))


def amplitude(
    predicted: Float[Array, "*batch time channel"], target: Float[Array, "*batch time channel"]
) -> Float[Array, "*batch"]:
    """RMS of the prediction over RMS of the target; 1 is right, towards 0 the signal is squashed."""
    return jnp.sqrt(jnp.mean(predicted**2, axis=(-2, -1)) / jnp.mean(target**2, axis=(-2, -1)))
