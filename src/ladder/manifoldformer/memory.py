"""Memory of a trajectory: a causal convolution, and the power-law kernel of fractional integration."""

import jax
import jax.numpy as jnp
from jax import Array
from jax.scipy.special import gamma
from jaxtyping import Float


def power_law_kernel(order: float | Float[Array, ""], taps: int) -> Float[Array, " tap"]:
    """Kernel ``t^(-order) / Gamma(1 - order)`` at ``t = 1, ..., taps``, for an order in [0, 1).

    Convolution with it discretises the fractional integral of order ``1 - order`` in steps of one sample.
    Source: the published ``get_fractional_kernel``; Podlubny, *Fractional Differential Equations*, section 2.3.

    Raises:
        ValueError: for an order outside [0, 1), where that is known before tracing, or no taps.
    """
    if not isinstance(order, jax.core.Tracer) and not 0.0 <= order < 1.0:
        raise ValueError(f"power_law_kernel(order={order}): choose an order in [0, 1)")
    if taps < 1:
        raise ValueError(f"power_law_kernel(taps={taps}): a kernel has at least one tap")
    return jnp.arange(1.0, taps + 1.0) ** -order / gamma(1.0 - order)


def causal_convolution(
    z: Float[Array, "*batch time latent"], kernel: Float[Array, "tap latent"]
) -> Float[Array, "*batch time latent"]:
    """Depthwise ``y[t] = sum_s kernel[s] z[t - s]``, by FFT, zero-padded so that nothing wraps round.

    A Fourier transform spreads rounding over all times: what comes before a change is the same to rounding of the
    largest value in the sequence, not to the bit.
    """
    time, taps = z.shape[-2], kernel.shape[-2]
    padded = time + taps - 1
    n = 1 << (padded - 1).bit_length()
    kernel = kernel.reshape((1,) * (z.ndim - 2) + kernel.shape)
    product = jnp.fft.rfft(z, n, axis=-2) * jnp.fft.rfft(kernel, n, axis=-2)
    return jnp.fft.irfft(product, n, axis=-2)[..., :time, :]
