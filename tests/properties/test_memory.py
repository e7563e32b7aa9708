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
def test_the_kernel_is_the_power_over_the_gamma_function(precision, order):
    order = precision.round(order)
    t = np.arange(1, 129, dtype=np.longdouble)
    expected = t ** -np.longdouble(order) / np.longdouble(scipy.special.gamma(1.0 - np.float64(order)))
    with precision.on():
        found = kernel_of(order, 128)
    # The power by exp and log: its exponent, up to log 128 = 4.9, is rounded twice. Gamma of 1 - order, which is
    # rounded once, has a relative slope of at most 1 / (1 - order); JAX's own gamma is good to some 10 roundings.
    limit = (2 * 4.9 + 4 + 10 + 2 / (1.0 - float(order))) * precision.unit
    np.testing.assert_allclose(np.asarray(found, np.longdouble), expected, rtol=limit)
    assert found.dtype == precision.dtype


@precisions
def test_the_kernel_of_a_number_has_the_precision_jax_is_set_to(precision):
    with precision.on():
        kernel = power_law_kernel(0.5, 3)
    assert kernel.dtype == precision.dtype
    np.testing.assert_allclose(kernel, [1 / np.sqrt(np.pi), 1 / np.sqrt(2 * np.pi), 1 / np.sqrt(3 * np.pi)], rtol=1e-6)


@given(generators, times)
def test_memory_of_order_zero_is_the_running_sum(rng, shape):
    z = rng.normal(size=shape)
    with DOUBLE.on():
        kernel = jnp.broadcast_to(power_law_kernel(0.0, shape[-2])[:, None], shape[-2:])
        found = convolved(z, kernel)
    np.testing.assert_allclose(found, np.cumsum(z, axis=-2), rtol=0, atol=1e-12)


@pytest.mark.ill_typed
@pytest.mark.parametrize("order", [-0.1, 1.0, 1, 2.5, float("nan"), np.float32(1.0), jnp.float32(-1.0)])
def test_an_order_outside_its_range_is_refused(order):
    with pytest.raises(ValueError, match=r"order=.*\[0, 1\)"):
        power_law_kernel(order, 4)


def test_a_kernel_without_taps_is_refused():
    with pytest.raises(ValueError, match=r"taps=0.*at least one"):
        power_law_kernel(0.5, 0)
    assert power_law_kernel(0, 1).shape == (1,)


@precisions
@given(generators, times, taps)
def test_the_convolution_is_the_direct_sum(precision, rng, shape, taps):
    z, kernel = precision.round(rng.normal(size=shape), rng.normal(size=(taps, shape[-1])))
    with precision.on():
        found = convolved(z, kernel)
    expected = np.zeros(shape)
    for where in np.ndindex(*shape[:-2]):
        for c in range(shape[-1]):
            expected[(*where, slice(None), c)] = np.convolve(z[(*where, slice(None), c)], kernel[:, c])[: shape[-2]]
    # Three transforms of n = 32 at most, each off by log2(n) stages of 4 roundings of its norm (Higham, theorem 24.2).
    limit = 3 * 4 * 5 * precision.unit * np.linalg.norm(z, axis=-2).max() * np.linalg.norm(kernel, axis=0).max()
    np.testing.assert_allclose(found, expected, rtol=0, atol=limit)


def test_an_impulse_answers_with_the_kernel():
    kernel = np.random.default_rng(0).normal(size=(5, 2))
    impulse = np.zeros((9, 2))
    impulse[3] = 1.0
    with DOUBLE.on():
        answer = causal_convolution(jnp.asarray(impulse), jnp.asarray(kernel))
    np.testing.assert_allclose(answer, np.concatenate([np.zeros((3, 2)), kernel, np.zeros((1, 2))]), rtol=0, atol=1e-15)


@pytest.mark.parametrize(("time", "taps", "n"), [(64, 64, 128), (64, 65, 128), (64, 66, 256), (1, 1, 1), (3, 3, 8)])
def test_the_transform_is_the_shortest_power_of_two_in_which_nothing_wraps_round(time, taps, n):
    """Not needed for a right answer, but for a fast one."""
    program = jax.jit(causal_convolution).lower(jnp.zeros((time, 2)), jnp.zeros((taps, 2))).as_text()
    lengths = set(
        re.findall(r"stablehlo.fft .*?length = array<i64: (\d+)>|stablehlo.fft .*?length = \[(\d+)\]", program)
    )
    assert {int("".join(found)) for found in lengths} == {n}


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


def remembered(wanted, zero):
    """What a fresh module remembers, and its parameters."""

    def call(z):
        found = wanted.build(TIME, DIM, zero, nnx.Rngs(0))
        return found(z), nnx.to_pure_dict(nnx.state(found))

    return compiled(call)


remembering = {(name, zero): remembered(wanted, zero) for name, wanted in MEMORIES.items() for zero in (False, True)}


@pytest.mark.parametrize("name", MEMORIES)
@given(generators)
def test_a_memory_convolves_with_its_kernel_then_projects(name, rng):
    wanted, z = MEMORIES[name], rng.normal(size=(TIME, DIM)).astype(np.float32)
    found, params = remembering[name, False](z)
    reach = wanted.taps or TIME
    law = np.arange(1.0, reach + 1) ** -wanted.order / scipy.special.gamma(1 - wanted.order)
    law = np.tile(law[:, None], DIM)
    assert set(params) == ({"kernel"} if wanted.trained else set()) | ({"projection"} if wanted.projection else set())
    if wanted.trained and wanted.kernel == "power law":
        np.testing.assert_allclose(params["kernel"], law, rtol=1e-5)
    kernel = params["kernel"].astype(float) if wanted.trained else law
    assert kernel.shape == (reach, DIM)
    expected = np.array([sum(kernel[s] * z[t - s] for s in range(min(t + 1, reach))) for t in range(TIME)], float)
    if wanted.projection:
        assert set(params["projection"]) == {"kernel"}
        expected = expected @ params["projection"]["kernel"].astype(float)
    np.testing.assert_allclose(found, expected, rtol=0, atol=2e-5)


@pytest.mark.parametrize("name", ["random", "random, projected", "power law, projected", "frozen, projected"])
def test_a_memory_that_starts_at_nothing_keeps_what_it_learns_from(name):
    found, params = remembering[name, True](np.random.default_rng(0).normal(size=(TIME, DIM)).astype(np.float32))
    assert not found.any()
    if MEMORIES[name].projection:
        assert not params["projection"]["kernel"].any()
        assert "kernel" not in params or params["kernel"].all()
