"""The dynamics against their definitions: sums written out, derivatives by autodiff, causality, the identity at zero."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from ladder.geometry.sphere import norm_error, normalise
from ladder.manifoldformer import dynamics
from ladder.manifoldformer.coupling import QUERY_BLOCK, coupling, lagged_sine
from ladder.manifoldformer.dynamics import Full
from ladder.manifoldformer.memory import causal_convolution

laws = settings(max_examples=30, deadline=None)
ROUNDING = 2.0**-24  # of float32
TAYLOR = 2.3e-9  # the first terms left out of the sine's and cosine's series, 1/13! + 1/12!
shapes = st.sampled_from([(5, 4), (2, 9, 3)])
lags = st.floats(-3.0, 3.0, allow_subnormal=False)
seeds = st.integers(0, 2**31)


def sphere(seed, shape):
    x = np.random.default_rng(seed).normal(size=shape)
    return x / np.linalg.norm(x, axis=-1, keepdims=True)


def written_out(query, key, lag):
    """The coupling's double sum in NumPy, in float64."""
    force = np.zeros(np.broadcast_shapes(query.shape, key.shape))
    for i in range(query.shape[-2]):
        for j in range(i + 1):
            inner = np.sum(query[..., i, :] * key[..., j, :], axis=-1, keepdims=True)
            force[..., i, :] += np.sin(inner + lag) * key[..., j, :]
    return force


coupled = jax.jit(coupling)
convolved = jax.jit(causal_convolution)


@laws
@given(shapes, seeds, lags)
def test_coupling_is_the_double_sum(shape, seed, lag):
    query, key = sphere(seed, shape), sphere(seed + 1, shape)
    time, dim = shape[-2:]
    expected = written_out(query, key, lag)
    with jax.enable_x64(True):
        np.testing.assert_allclose(coupled(query, key, jnp.asarray(lag)), expected, rtol=0, atol=time * TAYLOR)
    found = coupled(jnp.asarray(query, jnp.float32), jnp.asarray(key, jnp.float32), jnp.float32(lag))
    # Each of at most `time` terms is rounded with its inner product of `dim` and with every partial sum.
    np.testing.assert_allclose(found, expected, rtol=0, atol=time * (time + dim + 10) * ROUNDING)


@pytest.mark.parametrize(("time", "block"), [(QUERY_BLOCK + 6, QUERY_BLOCK), (8, 3), (6, 3), (1, 3)])
def test_coupling_in_blocks_of_queries_is_the_double_sum(time, block, monkeypatch):
    monkeypatch.setattr(dynamics, "QUERY_BLOCK", block)
    query, key = sphere(0, (2, time, 4)), sphere(1, (2, time, 4))
    with jax.enable_x64(True):
        np.testing.assert_allclose(
            coupling(query, key, jnp.asarray(0.7)), written_out(query, key, 0.7), rtol=0, atol=time * TAYLOR
        )


@pytest.mark.parametrize(
    ("time", "changed"), [(9, 0), (9, 8), (QUERY_BLOCK + 6, 30), (QUERY_BLOCK + 6, QUERY_BLOCK + 1)]
)
def test_coupling_is_causal(time, changed):
    key = sphere(0, (time, 4)).astype(np.float32)
    other = key.copy()
    other[changed] = -other[changed]
    before, after = (np.asarray(coupling(jnp.asarray(key), jnp.asarray(k), jnp.float32(0.5))) for k in (key, other))
    np.testing.assert_array_equal(before[:changed], after[:changed])
    assert (np.abs(before[changed:] - after[changed:]).max(axis=-1) > 0).all()


def ours(u, lag, weight):
    return jnp.sum(weight * lagged_sine(u, jnp.cos(lag), jnp.sin(lag)))


def plain(u, lag, weight):
    return jnp.sum(weight * jnp.sin(u + lag))


SLOPES = [jax.jit(jax.value_and_grad(f, argnums=(0, 1))) for f in (ours, plain)]


@laws
@given(arrays(np.float64, (7,), elements=st.floats(-1.0, 1.0, allow_subnormal=False)), lags, seeds)
def test_lagged_sine_is_the_sine_and_so_is_its_gradient(u, lag, seed):
    weight = np.random.default_rng(seed).uniform(-1, 1, size=7)
    with jax.enable_x64(True):
        found, expected = (slopes(jnp.asarray(u), jnp.asarray(lag), jnp.asarray(weight)) for slopes in SLOPES)
        jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=0, atol=7 * TAYLOR), found, expected)


@laws
@given(shapes, seeds, st.sampled_from([1, 2, 9, 12]))
def test_causal_convolution_is_the_direct_sum_and_causal(shape, seed, taps):
    rng = np.random.default_rng(seed)
    z, kernel = rng.normal(size=shape), rng.normal(size=(taps, shape[-1]))
    time = shape[-2]
    direct = np.zeros(shape)
    for t in range(time):
        for s in range(min(taps, t + 1)):
            direct[..., t, :] += kernel[s] * z[..., t - s, :]
    with jax.enable_x64(True):
        found = convolved(jnp.asarray(z), jnp.asarray(kernel))
        later = z.copy()
        later[..., time // 2 :, :] += 1.0
        np.testing.assert_allclose(found, direct, rtol=0, atol=1e-12)
        np.testing.assert_allclose(
            convolved(jnp.asarray(later), jnp.asarray(kernel))[..., : time // 2, :],
            found[..., : time // 2, :],
            rtol=0,
            atol=1e-12,
        )


@jax.jit
def untrained(z, key):
    return Full(6, 4, "zero", nnx.Rngs(key))(z)


@laws
@given(st.sampled_from([(6, 4), (3, 6, 4)]), seeds)
def test_full_dynamics_start_as_the_identity_to_the_bit(shape, seed):
    z = sphere(seed, shape).astype(np.float32)
    np.testing.assert_array_equal(untrained(z, jax.random.key(seed)), z)


@pytest.mark.parametrize("kind", ["residual", "full"])
def test_they_start_at_nothing_or_move_on_the_sphere_and_are_causal(kind):
    z = normalise(jax.random.normal(jax.random.key(1), (3, 6, 4)))

    @partial(jax.jit, static_argnums=1)
    def moved(z, init):
        return dynamics.build(kind, init, 6, 4, nnx.Rngs(0))(z)

    np.testing.assert_array_equal(moved(z, "zero"), z)
    before, after = moved(z, "random"), moved(z.at[:, 4:].set(-z[:, 4:]), "random")
    assert norm_error(before).max() <= 20 * ROUNDING
    assert (jnp.abs(before - z).max(axis=-1) > 1e-3).all()
    np.testing.assert_allclose(before[:, :4], after[:, :4], rtol=0, atol=1e-5)  # the FFT spreads rounding over time
    assert (jnp.abs(before[:, 4:] - after[:, 4:]).max(axis=-1) > 1e-3).all()


def test_zero_force_is_learned_from():
    """At zero the step is the identity, but not a dead end: the loss has a gradient in the force's own parameters."""
    z = normalise(jax.random.normal(jax.random.key(1), (6, 4)))
    graph, params = nnx.split(nnx.jit(lambda: Full(6, 4, "zero", nnx.Rngs(0)))())
    slope = jax.jit(jax.grad(lambda params: jnp.sum(nnx.merge(graph, params)(z) ** 3)))(params)
    assert float(jnp.abs(slope["memory"][...]).max()) > 1e-3
    assert float(jnp.abs(slope["out"]["kernel"][...]).max()) > 1e-3
