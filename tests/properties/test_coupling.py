"""Laws of the coupling and the order parameter. ``u`` in a comment is the unit roundoff."""

import math
from typing import get_args

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from draws import generators, norm, on_sphere, wide
from flax import nnx
from hypothesis import example, given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from precision import DOUBLE, SINGLE, compiled, precisions

from ladder.studies.manifoldformer import Coupling
from ladder.studies.manifoldformer import coupling as module
from ladder.studies.manifoldformer.coupling import QUERY_BLOCK, Between, Lag, coupling, lagged_sine, order_parameter

# What the sine's and cosine's series leave out, 1/13! + 1/12!: less than u in float32, and all there is in float64.
TAYLOR = 2.3e-9
shapes = st.sampled_from([(5, 4), (2, 9, 3)])
lags = st.floats(-3.0, 3.0, allow_subnormal=False)
coupled = compiled(coupling)
ordered = compiled(order_parameter)
order_slope = compiled(jax.grad(order_parameter))


def summed(query, key, lag):
    """Compute the double sum over all pairs with the key not later than the query."""
    return np.tril(np.sin(query @ np.swapaxes(key, -1, -2) + lag)) @ key


@precisions
@given(generators, shapes, lags)
def test_coupling(precision, rng, shape, lag):
    """The coupling equals its double sum over pairs."""
    query, key, lag = precision.round(*on_sphere(rng, (2, *shape)), lag)
    expected = summed(query.astype(np.float64), key.astype(np.float64), float(lag))
    with precision.on():
        actual = coupled(query, key, lag)
    # Each of at most `time` terms is rounded with its inner product of `dim`, its polynomials and every partial sum.
    time, dim = shape[-2:]
    limit = time * ((time + dim + 10) * precision.unit + TAYLOR)
    np.testing.assert_allclose(actual, expected, rtol=0, atol=limit)


@pytest.mark.parametrize(("time", "block"), [(QUERY_BLOCK + 6, QUERY_BLOCK), (8, 3), (6, 3), (1, 3)])
def test_query_blocks(time, block, monkeypatch):
    """The coupling does not depend on the size of a block of queries."""
    monkeypatch.setattr(module, "QUERY_BLOCK", block)
    query, key = on_sphere(np.random.default_rng(time), (2, 2, time, 4)).astype(np.float64)
    with DOUBLE.on():
        actual = compiled(coupling)(query, key, 0.7)
    np.testing.assert_allclose(actual, summed(query, key, 0.7), rtol=0, atol=time * TAYLOR)


@precisions
@given(generators, shapes, lags)
def test_odd_symmetry(precision, rng, shape, lag):
    """The force of minus the query and minus the lag is minus the force, bit for bit: the sine's polynomial is odd."""
    query, key, lag = precision.round(*on_sphere(rng, (2, *shape)), lag)
    with precision.on():
        np.testing.assert_array_equal(coupled(-query, key, -lag), -coupled(query, key, lag))


@precisions
@given(generators, lags)
def test_equal_points(precision, rng, lag):
    """Of ``n`` equal points the force is ``n sin(1 + lag)`` times the point."""
    (x,) = on_sphere(rng, (1, 4))
    z, lag = precision.round(np.tile(x, (9, 1)), lag)
    with precision.on():
        force = coupled(z, z, lag)
    expected = np.sin(1.0 + float(lag)) * np.arange(1, 10)[:, None] * z.astype(np.float64)
    np.testing.assert_allclose(force, expected, rtol=0, atol=9 * (25 * precision.unit + TAYLOR))


def ours(u, lag, weight):
    return jnp.sum(weight * lagged_sine(u, jnp.cos(lag), jnp.sin(lag)))


def plain(u, lag, weight):
    return jnp.sum(weight * jnp.sin(u + lag))


SLOPES = [compiled(jax.value_and_grad(f, argnums=(0, 1))) for f in (ours, plain)]


@given(arrays(np.float64, (7,), elements=st.floats(-1.0, 1.0, allow_subnormal=False)), lags, generators)
@example(np.ones(7), 1.5, np.random.default_rng(0))
def test_lagged_sine(u, lag, rng):
    """The lagged sine and its gradient equal those of ``sin(u + lag)``."""
    weight = rng.uniform(-1, 1, size=7)
    with DOUBLE.on():
        actual, expected = (slopes(u, lag, weight) for slopes in SLOPES)
    # The derivative of the cosine's series is off by 1/11!, that of the sine's by 1/12!.
    limits = 7 * TAYLOR, (1 / math.factorial(11) + TAYLOR, 7 * TAYLOR)
    jax.tree.map(lambda a, b, limit: np.testing.assert_allclose(a, b, rtol=0, atol=limit), actual, expected, limits)


def test_series():
    """At 1 the series are off by the first terms left out, 1/13! and 1/12!: a wrong coefficient, however small, shows."""
    with DOUBLE.on():
        sine, cosine = (float(v) for v in module.sin_cos(jnp.asarray(1.0)))
    assert np.sin(1.0) - sine == pytest.approx(1 / 6227020800, rel=0.01)
    assert np.cos(1.0) - cosine == pytest.approx(1 / 479001600, rel=0.01)


@precisions
@given(generators, shapes)
def test_order_parameter(precision, rng, shape):
    """The order parameter is the norm of the mean, in [0, 1]."""
    z = precision.round(on_sphere(rng, shape))
    with precision.on():
        actual = wide(ordered(z))
    limit = (shape[-2] + shape[-1] + 4) * precision.unit  # of a mean of `time` and a norm of `dim`
    assert (np.abs(actual - norm(np.mean(wide(z), axis=-2))) <= limit).all()
    assert (actual >= 0.0).all()
    assert (actual <= 1.0 + limit).all()


@given(generators)
def test_order_parameter_limits(rng):
    """The order parameter is 1 for equal points, and 0 for points that cancel, with a finite gradient."""
    (x,) = SINGLE.round(on_sphere(rng, (1, 4)))
    together, apart = np.tile(x, (6, 1)), np.tile(np.stack([x, -x]), (3, 1))
    np.testing.assert_allclose(ordered(together), 1.0, rtol=0, atol=14 * SINGLE.unit)
    np.testing.assert_array_equal(ordered(apart), 0.0)
    assert np.isfinite(order_slope(apart)).all()


def forced(config):
    """Return the force of a fresh module on a query, and its parameters."""

    def call(query, z, lag):
        built = config.build(4, False, nnx.Rngs(0))
        built.out.bias.set_value(jnp.arange(4.0))
        if built.lag is not None:
            built.lag.set_value(lag)
        return built.force_from(z)(query), nnx.to_pure_dict(nnx.state(built))

    return compiled(call)


CONFIGS = [Coupling(between=between, lag=lag) for between in get_args(Between) for lag in get_args(Lag)]
forces = {config: forced(config) for config in CONFIGS}


@pytest.mark.parametrize("config", CONFIGS, ids=repr)
@given(generators, lags)
def test_coupling_module(config, rng, lag):
    """A coupling module is a Dense of the double sum between points, or between their projections."""
    query, z, lag = SINGLE.round(*on_sphere(rng, (2, 6, 4)), lag)
    actual, params = forces[config](query, z, lag)

    def projected(points, by):
        if config.between == "points":
            return points.astype(float)
        points = points @ params[by]["kernel"].astype(float) + params[by]["bias"]
        return points / np.linalg.norm(points, axis=-1, keepdims=True)

    force = summed(projected(query, "query"), projected(z, "key"), float(lag) if config.lag == "learned" else 0.0)
    np.testing.assert_allclose(actual, force @ params["out"]["kernel"] + params["out"]["bias"], rtol=0, atol=2e-5)


@pytest.mark.parametrize("config", CONFIGS, ids=repr)
def test_coupling_parameters(config):
    """A coupling module has only the parameters that it uses."""
    params = nnx.to_pure_dict(jax.eval_shape(lambda: nnx.state(config.build(4, False, nnx.Rngs(0)))))
    expected = {"out"} | ({"query", "key"} if config.between == "projections" else set())
    assert set(params) == expected | ({"lag"} if config.lag == "learned" else set())
