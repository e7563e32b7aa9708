"""Laws of the projected integrators. ``u`` in a comment is the unit roundoff, ``d`` the dimension of the ambient space."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.linalg
from draws import generators, norm, numbers, on_sphere, points, wide
from hypothesis import given
from precision import DOUBLE, compiled, precisions
from references import flow

from ladder.studies.geometry.integrators import rk4_step
from ladder.studies.geometry.sphere import project


@compiled
def march(matrix, x, steps):
    """Integrate the tangent part of a linear field from time 0 to 1."""
    return jax.lax.fori_loop(0, steps, lambda _, y: rk4_step(lambda y: project(y, y @ matrix.T), y, 1.0 / steps), x)


@precisions
@given(points())
def test_zero_field(precision, x):
    """A step along a zero field returns its start bit for bit."""
    x = precision.round(x)
    with precision.on():
        np.testing.assert_array_equal(stay(x), x)


@compiled
def stay(x):
    return rk4_step(jnp.zeros_like, x, h=1.0)


@pytest.mark.parametrize("kind", ["rotation", "any linear map"])
@given(generators)
def test_order(kind, rng):
    """The error of RK4 falls by the fourth power of the step."""
    matrix, x = rng.normal(size=(3, 3)), on_sphere(rng, (3,))
    matrix = (matrix - matrix.T if kind == "rotation" else matrix) / np.linalg.norm(matrix, 2)
    x = DOUBLE.round(x)
    # The flow of the tangent part of a linear field is the linear flow, put on the sphere.
    exact = scipy.linalg.expm(matrix) @ x
    exact /= np.linalg.norm(exact)
    with DOUBLE.on():
        errors = [float(norm(march(matrix, x, steps) - exact)) for steps in (10, 20, 40)]
    # A method of order 4 is off by at most h^5 a step, of a field with derivatives of at most 2; and by rounding.
    assert errors[2] <= 40 * (2 / 40) ** 5
    if errors[2] > 1e4 * DOUBLE.unit:
        assert np.log2(errors[0] / errors[1]) > 3.4
        assert np.log2(errors[1] / errors[2]) > 3.7


@given(generators)
def test_rk4_step(rng):
    """One step is Butcher's tableau, with each stage and the end divided by its norm."""
    matrix, (x,), h = rng.normal(size=(3, 3)), on_sphere(rng, (1, 3)).astype(float), 0.3

    def field(y):
        v = np.sin(matrix @ y)
        return v - (v @ y) * y

    def put(y):
        return y / np.linalg.norm(y)

    k1 = field(x)
    k2 = field(put(x + h / 2 * k1))
    k3 = field(put(x + h / 2 * k2))
    k4 = field(put(x + h * k3))
    expected = put(x + h * (k1 / 6 + k2 / 3 + k3 / 3 + k4 / 6))
    with DOUBLE.on():
        actual = swirl(matrix, x, h)
    np.testing.assert_allclose(actual, expected, rtol=0, atol=100 * DOUBLE.unit)


@compiled
def swirl(matrix, x, h):
    return rk4_step(lambda y: project(y, jnp.sin(matrix @ y)), x, h)


@precisions
@given(generators, numbers(3.0))
def test_norm_drift(precision, rng, size):
    """After 1000 steps a point is on the sphere to the rounding of one step."""
    matrix, x = rng.normal(size=(5, 5)), on_sphere(rng, (4, 5))
    matrix *= size / np.linalg.norm(matrix, 2)
    with precision.on():
        y = march(*precision.round(matrix, x), 1000)
    # No random walk of a thousand roundings: each step divides out what the last was off by (see test_sphere.py).
    assert (np.abs(norm(y) - 1.0) <= (x.shape[-1] / 2 + 4) * precision.unit).all()


@given(generators)
def test_diffrax(rng):
    """The flow agrees with diffrax."""
    matrix, x = rng.normal(size=(5, 5)), DOUBLE.round(on_sphere(rng, (4, 5)))
    matrix /= np.linalg.norm(matrix, 2)
    with DOUBLE.on():
        gap = norm(wide(march(matrix, x, 100)) - solved(matrix, x))
    assert (gap <= 100 * (2 / 100) ** 5 + 1e-9).all()  # a step's error as above; ten times the solver's tolerance


@compiled
def solved(matrix, x):
    def slope(t, y):
        v = y @ matrix.T
        return v - jnp.sum(v * y, axis=-1, keepdims=True) * y

    return flow(slope, x)
