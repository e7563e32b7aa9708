"""Laws of the memory: its kernel and its convolution. ``u`` in a comment is the unit roundoff."""

import re

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.special
from draws import generators
from flax import nnx
from hypothesis import given
from hypothesis import strategies as st
from precision import DOUBLE, compiled, precisions

from ladder.studies.manifoldformer import Memory
from ladder.studies.manifoldformer.memory import causal_convolution, power_law_kernel

convolved = compiled(causal_convolution)
kernel_of = compiled(power_law_kernel, static_argnums=1)
orders = st.floats(0.0, 0.99, allow_subnormal=False)
taps = st.sampled_from([1, 2, 9, 13])
times = st.sampled_from([(9, 3), (2, 16, 2)])


@precisions
@given(orders)
def test_kernel(precision, order):
    """The kernel is ``t^-order / Gamma(1 - order)``."""
    order = precision.round(order)
    t = np.arange(1, 129, dtype=np.longdouble)
    expected = t ** -np.longdouble(order) / np.longdouble(scipy.special.gamma(1.0 - np.float64(order)))
    with precision.on():
        actual = kernel_of(order, 128)
    # The power by exp and log: its exponent, up to log 128 = 4.9, is rounded twice. Gamma of 1 - order, which is
    # rounded once, has a relative slope of at most 1 / (1 - order); JAX's own gamma is good to some 10 roundings.
    limit = (2 * 4.9 + 4 + 10 + 2 / (1.0 - float(order))) * precision.unit
    np.testing.assert_allclose(np.asarray(actual, np.longdouble), expected, rtol=limit)
    assert actual.dtype == precision.dtype


@precisions
def test_kernel_precision(precision):
    """The kernel of a Python number has JAX's default dtype."""
    with precision.on():
        kernel = power_law_kernel(0.5, 3)
    assert kernel.dtype == precision.dtype
    np.testing.assert_allclose(kernel, [1 / np.sqrt(np.pi), 1 / np.sqrt(2 * np.pi), 1 / np.sqrt(3 * np.pi)], rtol=1e-6)


@given(generators, times)
def test_order_zero(rng, shape):
    """Memory of order 0 is the cumulative sum."""
    z = rng.normal(size=shape)
    with DOUBLE.on():
        kernel = jnp.broadcast_to(power_law_kernel(0.0, shape[-2])[:, None], shape[-2:])
        actual = convolved(z, kernel)
    np.testing.assert_allclose(actual, np.cumsum(z, axis=-2), rtol=0, atol=1e-12)


@pytest.mark.ill_typed
@pytest.mark.parametrize("order", [-0.1, 1.0, 1, 2.5, float("nan"), np.float32(1.0), jnp.float32(-1.0)])
def test_invalid_order(order):
    """An order outside [0, 1) raises an error that shows it."""
    with pytest.raises(ValueError, match=r"order=.*\[0, 1\)"):
        power_law_kernel(order, 4)


def test_no_taps():
    """A kernel without taps raises an error."""
    with pytest.raises(ValueError, match=r"taps=0.*at least one"):
        power_law_kernel(0.5, 0)
    assert power_law_kernel(0, 1).shape == (1,)


@precisions
@given(generators, times, taps)
def test_convolution(precision, rng, shape, taps):
    """The FFT convolution equals the direct sum to rounding."""
    z, kernel = precision.round(rng.normal(size=shape), rng.normal(size=(taps, shape[-1])))
    with precision.on():
        actual = convolved(z, kernel)
    expected = np.zeros(shape)
    for where in np.ndindex(*shape[:-2]):
        for c in range(shape[-1]):
            expected[(*where, slice(None), c)] = np.convolve(z[(*where, slice(None), c)], kernel[:, c])[: shape[-2]]
    # Three transforms of n = 32 at most, each off by log2(n) stages of 4 roundings of its norm (Higham, theorem 24.2).
    limit = 3 * 4 * 5 * precision.unit * np.linalg.norm(z, axis=-2).max() * np.linalg.norm(kernel, axis=0).max()
    np.testing.assert_allclose(actual, expected, rtol=0, atol=limit)


def test_impulse_response():
    """The response to an impulse is the kernel from that sample on."""
    kernel = np.random.default_rng(0).normal(size=(5, 2))
    impulse = np.zeros((9, 2))
    impulse[3] = 1.0
    with DOUBLE.on():
        answer = causal_convolution(jnp.asarray(impulse), jnp.asarray(kernel))
    np.testing.assert_allclose(answer, np.concatenate([np.zeros((3, 2)), kernel, np.zeros((1, 2))]), rtol=0, atol=1e-15)


@pytest.mark.parametrize(("time", "taps", "n"), [(64, 64, 128), (64, 65, 128), (64, 66, 256), (1, 1, 1), (3, 3, 8)])
def test_transform_length(time, taps, n):
    """The FFT has the shortest power of two that avoids wrap-around: a matter of speed, not of correctness."""
    program = jax.jit(causal_convolution).lower(jnp.zeros((time, 2)), jnp.zeros((taps, 2))).as_text()
    lengths = set(
        re.findall(r"stablehlo.fft .*?length = array<i64: (\d+)>|stablehlo.fft .*?length = \[(\d+)\]", program)
    )
    assert {int("".join(actual)) for actual in lengths} == {n}


FROZEN = {"kernel": "power law", "trained": False}
MEMORIES = {
    "random": Memory(),
    "short": Memory(taps=3),
    "random, projected": Memory(projection=True),
    "power law": Memory(kernel="power law", order=0.3),
    "power law, projected": Memory(kernel="power law", projection=True, taps=4),
    "frozen": Memory(**FROZEN, order=0.7),
    "frozen, projected": Memory(**FROZEN, projection=True, taps=4),
}
TIME, DIM = 9, 3


def remembered(config, zero):
    """Return the call of a fresh module, which returns its memory and its parameters."""

    def call(z):
        built = config.build(TIME, DIM, zero, nnx.Rngs(0))
        return built(z), nnx.to_pure_dict(nnx.state(built))

    return compiled(call)


remembering = {(name, zero): remembered(config, zero) for name, config in MEMORIES.items() for zero in (False, True)}


@pytest.mark.parametrize("name", MEMORIES)
@given(generators)
def test_memory_module(name, rng):
    """A memory module convolves with its kernel, then projects, and has no other parameters."""
    config, z = MEMORIES[name], rng.normal(size=(TIME, DIM)).astype(np.float32)
    actual, params = remembering[name, False](z)
    reach = config.taps or TIME
    law = np.arange(1.0, reach + 1) ** -config.order / scipy.special.gamma(1 - config.order)
    law = np.tile(law[:, None], DIM)
    assert set(params) == ({"kernel"} if config.trained else set()) | ({"projection"} if config.projection else set())
    if config.trained and config.kernel == "power law":
        np.testing.assert_allclose(params["kernel"], law, rtol=1e-5)
    kernel = params["kernel"].astype(float) if config.trained else law
    assert kernel.shape == (reach, DIM)
    expected = np.array([sum(kernel[s] * z[t - s] for s in range(min(t + 1, reach))) for t in range(TIME)], float)
    if config.projection:
        assert set(params["projection"]) == {"kernel"}
        expected = expected @ params["projection"]["kernel"].astype(float)
    np.testing.assert_allclose(actual, expected, rtol=0, atol=2e-5)


@pytest.mark.parametrize("name", ["random", "random, projected", "power law, projected", "frozen, projected"])
def test_zero_initialisation(name):
    """A zero-initialised memory returns zero, but only its last kernel is zero."""
    actual, params = remembering[name, True](np.random.default_rng(0).normal(size=(TIME, DIM)).astype(np.float32))
    assert not actual.any()
    if MEMORIES[name].projection:
        assert not params["projection"]["kernel"].any()
        assert "kernel" not in params or params["kernel"].all()
