"""Laws of the sphere and of the integrator on it, in float32 where rounding is the point and in float64 where it is not."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from ladder.geometry.integrators import rk4_step
from ladder.geometry.sphere import MIN_NORM, norm_error, normalise, project, retract

laws = settings(max_examples=50, deadline=None)
shapes = st.sampled_from([(3,), (4, 16), (2, 3, 5)])
ROUNDING = 2.0**-24  # of float32, half a unit in the last place of 1


def numbers(limit):
    return st.floats(-limit, limit, width=32, allow_subnormal=False)


def vectors(limit=1000.0):
    return shapes.flatmap(lambda shape: arrays(np.float32, shape, elements=numbers(limit)))


@st.composite
def points(draw):
    """Unit vectors: those of a draw that have a direction, the first axis where they have none."""
    x = draw(vectors(1.0)).astype(np.float64)
    norm = np.linalg.norm(x, axis=-1, keepdims=True)
    axis = np.zeros_like(x)
    axis[..., 0] = 1.0
    unit = np.where(norm > 1e-3, x / np.maximum(norm, 1e-3), axis)
    return np.where(np.abs(unit) < np.finfo(np.float32).tiny, 0.0, unit).astype(np.float32)  # XLA has no subnormals


@st.composite
def points_and_tangents(draw):
    x = draw(points())
    v = draw(arrays(np.float32, x.shape, elements=numbers(10.0))).astype(np.float64)
    return x, (v - np.sum(v * x, axis=-1, keepdims=True) * x).astype(np.float32)


def norm(x):
    """In float64: the measure must not be rounded as what it measures."""
    return np.linalg.norm(np.asarray(x, np.float64), axis=-1)


@laws
@given(vectors())
def test_normalise_puts_what_has_a_direction_on_the_sphere(x):
    y = normalise(jnp.asarray(x))
    far = norm(x) > 1e-3
    # d squares and d - 1 sums, halved by the root, then the root, the quotient and what underflows.
    assert (np.abs(norm(y) - 1.0)[far] <= (x.shape[-1] / 2 + 4) * ROUNDING).all()
    np.testing.assert_allclose(np.asarray(y)[far], x[far] / norm(x)[far][..., None], rtol=0, atol=1e-6)


slope = jax.jit(jax.grad(lambda x: jnp.sum(jnp.sin(normalise(x)))))


@laws
@given(vectors(), st.sampled_from([0.0, 1e-12, 1e-8, 1.0]))
def test_normalise_is_finite_with_a_finite_gradient_everywhere(x, scale):
    x = jnp.asarray(x * np.float32(scale))
    assert jnp.isfinite(normalise(x)).all()
    assert jnp.isfinite(slope(x)).all()


def test_normalise_of_nothing_is_nothing_with_the_gradient_of_division_by_the_smallest_norm():
    zero = jnp.zeros(4)
    assert (normalise(zero) == 0.0).all()
    np.testing.assert_allclose(jax.jacobian(normalise)(zero), np.eye(4) / MIN_NORM, rtol=1e-6)


@laws
@given(points())
def test_retracting_nothing_changes_no_bit(x):
    y = np.asarray(retract(jnp.asarray(x), jnp.zeros_like(x)))
    assert (y == x).all()


@laws
@given(points_and_tangents())
def test_retract_stays_on_the_sphere_along_tangents(drawn):
    x, v = drawn
    # |x|'s own error of 2 roundings counts twice and is halved; the sum of d terms of together at most 2|v| + |v|^2,
    # less than 1.7 (1 + |v|^2), is rounded d + 3 times and halved; then a sum, a root, a quotient.
    bound = (0.85 * (x.shape[-1] + 3) + 5) * ROUNDING
    assert (np.abs(norm(retract(jnp.asarray(x), jnp.asarray(v))) - 1.0) <= bound).all()


def test_retract_agrees_with_the_plain_formula_and_moves_to_first_order():
    x, v = np.random.default_rng(0).normal(size=(2, 5, 3))
    x /= norm(x)[:, None]
    with jax.enable_x64(True):
        np.testing.assert_allclose(retract(x, v), (x + v) / norm(x + v)[:, None], rtol=1e-13)
        v -= np.sum(v * x, axis=-1, keepdims=True) * x
        slope = jax.jit(lambda v: jax.jvp(lambda v: retract(x, v), (jnp.zeros_like(v),), (v,))[1])(v)
    np.testing.assert_allclose(slope, v, rtol=0, atol=1e-15)


@laws
@given(points(), st.integers(0, 2**31))
def test_project_is_tangent_and_keeps_tangents(x, seed):
    v = np.random.default_rng(seed).normal(size=x.shape).astype(np.float32)
    tangent = project(jnp.asarray(x), jnp.asarray(v))
    # The inner product is rounded d times, the product and the difference once each, and |x|^2 is 1 to 4 roundings.
    bound = (x.shape[-1] + 6) * ROUNDING * norm(v)
    assert (np.abs(np.sum(np.asarray(tangent, np.float64) * x, axis=-1)) <= bound).all()
    assert (norm(project(jnp.asarray(x), tangent) - tangent) <= 2 * bound).all()


@laws
@given(points(), numbers(0.5))
def test_norm_error_measures_the_distance_from_the_sphere(x, by):
    moved = norm_error(jnp.asarray(x) * (1.0 + jnp.float32(by)))
    np.testing.assert_allclose(moved, abs(by), atol=(x.shape[-1] + 6) * ROUNDING)


@laws
@given(points())
def test_a_step_along_no_field_changes_no_bit(x):
    assert (np.asarray(rk4_step(jnp.zeros_like, jnp.asarray(x), h=1.0)) == x).all()


@jax.jit
def swirl(x, matrix):
    return rk4_step(lambda y: project(y, jnp.sin(y @ matrix)), x, h=0.1)


@laws
@given(points(), st.integers(0, 2**31))
def test_a_step_along_any_field_ends_on_the_sphere(x, seed):
    matrix = jnp.asarray(np.random.default_rng(seed).normal(size=(x.shape[-1],) * 2), jnp.float32)
    y = swirl(jnp.asarray(x), matrix)
    assert (np.abs(norm(y) - 1.0) <= (2 * x.shape[-1] + 10) * ROUNDING).all()


@jax.jit
def march(matrix, x, steps):
    """From time 0 to 1 along the tangent part of a linear field."""
    return jax.lax.fori_loop(0, steps, lambda _, y: rk4_step(lambda y: project(y, matrix @ y), y, 1.0 / steps), x)


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("rotation", [True, False], ids=["rotation", "any linear map"])
def test_the_integrator_is_of_order_four(seed, rotation):
    rng = np.random.default_rng(seed)
    matrix, x = rng.normal(size=(3, 3)), rng.normal(size=3)
    x /= np.linalg.norm(x)
    if rotation:
        matrix = matrix - matrix.T
    # The flow of the tangent part of a linear field is the linear flow, put on the sphere.
    values, basis = np.linalg.eig(matrix)
    exact = np.real(basis @ (np.exp(values) * np.linalg.solve(basis, x)))
    with jax.enable_x64(True):
        errors = [norm(march(matrix, x, steps) - exact / np.linalg.norm(exact)) for steps in (20, 40, 80)]
    np.testing.assert_allclose(np.log2([errors[0] / errors[1], errors[1] / errors[2]]), 4.0, atol=0.4)
