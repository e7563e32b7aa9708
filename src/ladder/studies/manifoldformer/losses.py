"""Losses of a predicted against a target signal, one number per sequence so that a batch may weight them.

All except the amplitude, which is a ratio, are zero where prediction and target are equal, never negative, and symmetric in
the two. Their values and gradients are finite as long as sums of squares can be represented, of the signal and of its
spectrum: in float32 this is tested for values up to 1e15.
"""

from collections.abc import Callable, Sequence

import jax
import jax.numpy as jnp
import optax
from jax import Array
from jaxtyping import Complex, Float, Real

from ladder.studies.manifoldformer.memory import power_law_kernel

EPSILON = 1e-8
ORDERS = (0.1, 0.3, 0.5, 0.7, 0.9)
TAPS = 128


def mse(
    predicted: Float[Array, "*batch time channel"], target: Float[Array, "*batch time channel"]
) -> Float[Array, "*batch"]:
    """Compute the mean squared error over time and channels."""
    return jnp.mean((predicted - target) ** 2, axis=(-2, -1))


def log_magnitude(
    predicted: Real[Array, "*batch time channel"], target: Real[Array, "*batch time channel"]
) -> Float[Array, "*batch"]:
    """Compute the error of the spectrum's magnitude, ``mean |log(|P| + 1e-8) - log(|Y| + 1e-8)|`` over all bins and channels.

    ``P`` and ``Y`` are the rFFTs over time, unpadded. A prediction of the right shape and ``c`` times the size costs
    ``|log c|``, whatever the signal's own scale.
    """
    return jnp.mean(_magnitude_error(_spectrum(predicted), _spectrum(target)), axis=(-2, -1))


def phase(
    predicted: Real[Array, "*batch time channel"], target: Real[Array, "*batch time channel"]
) -> Float[Array, "*batch"]:
    """Compute the error of the spectrum's phase, ``mean(1 - cos(arg P - arg Y))`` over all bins and channels, in [0, 2].

    The formula used is half the squared distance of the unit phasors ``P / (|P| + 1e-8)``, which is the same number but needs
    no angle, loses no digits at small differences and gives empty bins no phase: two empty bins cost nothing, an empty one
    against a full one costs a half.
    """
    return jnp.mean(_phase_error(_spectrum(predicted), _spectrum(target)), axis=(-2, -1))


def spectral(
    predicted: Real[Array, "*batch time channel"], target: Real[Array, "*batch time channel"]
) -> Float[Array, "*batch"]:
    """Compute the log-magnitude plus the phase error, each the mean over all bins and channels of the unpadded rFFT.

    Source: the published bench-scale spectral loss (status document of the core, patch B).
    """
    return jnp.mean(_spectral_error(_spectrum(predicted), _spectrum(target)), axis=(-2, -1))


def energy_spectral(
    predicted: Real[Array, "*batch time channel"], target: Real[Array, "*batch time channel"]
) -> Float[Array, "*batch"]:
    """Compute the spectral loss in which a bin counts by the energy that either signal has in it.

    The log-magnitude and phase error of :func:`spectral` are averaged with the weights ``|P|^2 + |Y|^2`` over all bins and
    channels. The published mean weights all bins alike, so the bins that contain a hundredth of the energy, on leakage, decide
    it; here they count a hundredth. Two silent signals cost nothing.
    """
    p, y = _spectrum(predicted), _spectrum(target)
    # Divide by the largest value so that no square overflows; no gradient goes through the divisor.
    largest = jax.lax.stop_gradient(jnp.max(jnp.maximum(jnp.abs(p), jnp.abs(y)), axis=(-2, -1), keepdims=True))
    scale = jnp.where(largest > 0.0, largest, 1.0)
    energy = jnp.abs(p / scale) ** 2 + jnp.abs(y / scale) ** 2
    return jnp.sum(energy * _spectral_error(p, y), axis=(-2, -1)) / jnp.maximum(jnp.sum(energy, axis=(-2, -1)), 1.0)


def fractional(
    predicted: Real[Array, "*batch time channel"],
    target: Real[Array, "*batch time channel"],
    orders: Sequence[float] = ORDERS,
    taps: int = TAPS,
) -> Float[Array, "*batch"]:
    """Compute the spectral loss between both signals' fractional integrals, averaged over a bank of orders.

    The signals are convolved with the causal power-law kernel of each order, zero-padded to ``time + taps - 1``, and compared
    there over all bins. Multiplying both spectra by the same kernel cancels in the log ratio and in the phase difference, so
    the bank gives the same value for every order: any difference between orders comes from the 1e-8.
    Source: the published fidelity loss (status document of the core).

    Args:
        predicted: The predicted signal.
        target: The target signal.
        orders: The orders of the bank, each in [0, 1).
        taps: The number of samples of each kernel.

    Raises:
        ValueError: for an empty bank, and what :func:`~ladder.studies.manifoldformer.memory.power_law_kernel` raises.
    """
    return _bank(_spectral_error, predicted, target, orders, taps)


def fractional_log_magnitude(
    predicted: Real[Array, "*batch time channel"],
    target: Real[Array, "*batch time channel"],
    orders: Sequence[float] = ORDERS,
    taps: int = TAPS,
) -> Float[Array, "*batch"]:
    """Compute the magnitude part of :func:`fractional`, which was the whole loss before a phase part was added to it.

    Source: sakaguchi, section 6, and the status document of the core, section 9.

    Args:
        predicted: The predicted signal.
        target: The target signal.
        orders: The orders of the bank, each in [0, 1).
        taps: The number of samples of each kernel.

    Raises:
        ValueError: as :func:`fractional` does.
    """
    return _bank(_magnitude_error, predicted, target, orders, taps)


def fractional_phase(
    predicted: Real[Array, "*batch time channel"],
    target: Real[Array, "*batch time channel"],
    orders: Sequence[float] = ORDERS,
    taps: int = TAPS,
) -> Float[Array, "*batch"]:
    """Compute the phase part of :func:`fractional`; it was published at the weights 0.5 and 1 beside the magnitude part.

    Source: the status document of the core, sections 9 and 10.

    Args:
        predicted: The predicted signal.
        target: The target signal.
        orders: The orders of the bank, each in [0, 1).
        taps: The number of samples of each kernel.

    Raises:
        ValueError: as :func:`fractional` does.
    """
    return _bank(_phase_error, predicted, target, orders, taps)


def amplitude(
    predicted: Float[Array, "*batch time channel"], target: Float[Array, "*batch time channel"]
) -> Float[Array, "*batch"]:
    """Compute the RMS of the prediction over the RMS of the target; 1 is right, towards 0 the signal is squashed.

    A silent target has no amplitude to compare with: the result is infinite, or NaN where the prediction is silent too.
    """
    ratio: Array = optax.safe_norm(predicted, 0.0, axis=(-2, -1)) / optax.safe_norm(target, 0.0, axis=(-2, -1))
    return ratio


def _spectrum(x: Real[Array, "*batch time channel"], n: int | None = None) -> Complex[Array, "*batch bin channel"]:
    return jnp.fft.rfft(x, n, axis=-2)


def _magnitude_error(p: Complex[Array, "*shape"], y: Complex[Array, "*shape"]) -> Float[Array, "*shape"]:
    return jnp.abs(jnp.log(jnp.abs(p) + EPSILON) - jnp.log(jnp.abs(y) + EPSILON))


def _phase_error(p: Complex[Array, "*shape"], y: Complex[Array, "*shape"]) -> Float[Array, "*shape"]:
    p_size, y_size = jnp.abs(p) + EPSILON, jnp.abs(y) + EPSILON
    return 0.5 * ((p.real / p_size - y.real / y_size) ** 2 + (p.imag / p_size - y.imag / y_size) ** 2)


def _spectral_error(p: Complex[Array, "*shape"], y: Complex[Array, "*shape"]) -> Float[Array, "*shape"]:
    return _magnitude_error(p, y) + _phase_error(p, y)


def _bank(
    error: Callable[[Array, Array], Array], predicted: Array, target: Array, orders: Sequence[float], taps: int
) -> Float[Array, "*batch"]:
    """Return this error between both signals' fractional integrals, averaged over orders, bins and channels."""
    if not orders:
        raise ValueError("orders=(): name at least one order")
    n = predicted.shape[-2] + taps - 1
    p, y = _spectrum(predicted, n), _spectrum(target, n)
    kernels = [jnp.fft.rfft(power_law_kernel(order, taps), n) for order in orders]
    factors = [kernel.astype(p.dtype).reshape((1,) * (p.ndim - 2) + (-1, 1)) for kernel in kernels]
    total = sum((error(k * p, k * y) for k in factors), start=jnp.zeros((), p.real.dtype))
    return jnp.mean(total, axis=(-2, -1)) / len(orders)
