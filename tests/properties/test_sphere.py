"""Laws of the sphere. ``u`` in a comment is the unit roundoff, ``d`` the dimension of the ambient space."""

from types import SimpleNamespace

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from draws import ANGLES, SHAPE, directions, generators, geodesics, inner, norm, numbers, on_sphere, points, wide
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from precision import DOUBLE, SINGLE, compiled, precisions
from references import Sphere, flow

from ladder.studies.geometry import sphere
from ladder.studies.geometry.sphere import MIN_NORM

NAMES = ("normalise", "project", "retract", "exp", "distance", "log", "transport", "slerp", "norm_error")
fast = SimpleNamespace(**{name: compiled(getattr(sphere, name)) for name in NAMES})
# XLA's sine, cosine and arc tangent are good to two units in the last place, four times u.
LIBM = 4


def angle_between(x, y):
    """Compute the angle in extended precision, by another formula than the code: the tangent part of the shorter chord."""
    x, y = wide(x), wide(y)
    chord = np.where(inner(x, y)[..., None] >= 0, y - x, y + x)
    return np.arctan2(norm(chord * inner(x, x)[..., None] - inner(x, chord)[..., None] * x), inner(x, y))


# normalise, norm_error


@precisions
@given(st.data())
def test_normalise(precision, data):
    """``normalise`` is ``x / |x|`` to rounding."""
    x = precision.round(data.draw(arrays(np.float64, SHAPE, elements=numbers(1e3))))
    with precision.on():
        y = fast.normalise(x)
    far = norm(x) > 1e-3
    # d squares and d - 1 sums, halved by the root, then the root and the quotient; what underflows is less than one more.
    limit = (x.shape[-1] / 2 + 4) * precision.unit
    assert (norm(wide(y)[far] - wide(x)[far] / norm(x)[far][..., None]) <= limit).all()


def test_normalise_zero():
    """``normalise`` of zero is zero, with the gradient of a division by 1e-8, which is also the divisor of shorter vectors."""
    zero = jnp.zeros(4)
    assert (sphere.normalise(zero) == 0.0).all()
    np.testing.assert_allclose(jax.jacobian(sphere.normalise)(zero), np.eye(4) / MIN_NORM, rtol=1e-6)
    # The floor is where it is said to be.
    for size, expected in [(0.5, 0.5), (2.0, 1.0)]:
        np.testing.assert_allclose(norm(sphere.normalise(zero.at[0].set(size * MIN_NORM))), expected, rtol=1e-6)


@precisions
@given(st.data())
def test_norm_error(precision, data):
    """``norm_error`` is ``| |x| - 1 |``."""
    x, by = data.draw(points()), data.draw(numbers(0.5))
    with precision.on():
        actual = fast.norm_error(precision.round((1.0 + by) * x))
    # The input's rounding, d of the sum, halved by the root; the root's and the difference's.
    np.testing.assert_allclose(wide(actual), abs(by), rtol=0, atol=1.5 * (x.shape[-1] / 2 + 4) * precision.unit)


# project: idempotent, self-adjoint and linear with the other projections, in test_shared_laws.py


@precisions
@given(st.data())
def test_project(precision, data):
    """``project`` returns vectors orthogonal to the point."""
    x = precision.round(data.draw(points()))
    v = precision.round(data.draw(arrays(np.float64, x.shape, elements=numbers(10.0))))
    with precision.on():
        tangent = fast.project(x, v)
    # |x|^2 is off 1 by 2 u; the inner product is rounded d times, the product and the difference once each.
    # Products below the smallest number are zero.
    limit = (x.shape[-1] + 5) * (precision.unit * norm(v) + precision.tiny)
    assert (np.abs(inner(tangent, x)) <= limit).all()


# retract


@precisions
@given(points())
def test_zero_step(precision, x):
    """A zero vector and a pair of equal points change no bit, in any map."""
    x = precision.round(x)
    zero = np.zeros_like(x)
    with precision.on():
        for y in (fast.retract(x, zero), fast.exp(x, zero), fast.slerp(x, x, 0.7), fast.slerp(x, -x, 0.0)):
            np.testing.assert_array_equal(y, x)
        np.testing.assert_array_equal(fast.log(x, x), zero)
        np.testing.assert_array_equal(fast.transport(x, x, x), x)
        np.testing.assert_array_equal(fast.distance(x, x), np.zeros(x.shape[:-1]))


@precisions
@given(directions(), st.sampled_from([1e-3, 1.0]))
def test_zero_row(precision, drawn, size):
    """A row with a zero step is unchanged bit for bit beside rows that move."""
    x, v = precision.round(drawn[0], size * drawn[1])
    stays = np.arange(len(x)) % 2 == 0
    with precision.on():
        y = fast.retract(x, np.where(stays[:, None], 0, v))
    np.testing.assert_array_equal(y[stays], x[stays])
    assert (norm(wide(y) - x)[~stays] > size / 2).all()


@precisions
@given(directions(), numbers(10.0))
def test_retract_norm(precision, drawn, size):
    """``retract`` along a tangent returns a unit vector."""
    x, v = precision.round(drawn[0], size * drawn[1])
    with precision.on():
        y = fast.retract(x, v)
    # A sum, d squares and their sum, halved by the root, then a root and a quotient.
    assert (np.abs(norm(y) - 1.0) <= (x.shape[-1] / 2 + 4) * precision.unit).all()


@precisions
@given(points(), generators, st.sampled_from([-1.0, 1.0]))
def test_retract_renormalises(precision, x, rng, sign):
    """``retract`` of a point off the sphere returns a unit vector."""
    off = precision.round(x * (1 + 1000 * precision.unit))
    with precision.on():
        y = fast.retract(off, precision.round(sign * 0.1 * np.abs(rng.normal(size=x.shape))))
    assert (np.abs(norm(y) - 1.0) <= (x.shape[-1] / 2 + 4) * precision.unit).all()


@precisions
@given(points(), generators, st.sampled_from([1.0, 1e-1, 1e-3, 1e-6]), st.sampled_from([0.0, 1.0]))
def test_retract_projection(precision, x, rng, size, against):
    """``retract`` is the projection of the sum, even where the sum nearly vanishes."""
    x, v = precision.round(x, size * rng.normal(size=x.shape) - against * x)
    with precision.on():
        y = fast.retract(x, v)
    total = (x + v).astype(precision.dtype)  # what of the sum rounding leaves is all that a direction can be told from
    assert (norm(wide(y) - wide(total) / norm(total)[..., None]) <= (x.shape[-1] / 2 + 4) * precision.unit).all()


@precisions
@given(points())
def test_retract_zero(precision, x):
    """``retract`` to zero is zero, and to less than 1e-8 is shorter than 1."""
    x = precision.round(x)
    axis = precision.round(np.eye(x.shape[-1])[:1])
    with precision.on():
        np.testing.assert_array_equal(fast.retract(x, -x), np.zeros_like(x))
        for smaller in (2.0**-25, 2.0**-30) if precision is DOUBLE else ():
            shorter = fast.retract(axis, -axis * (1.0 - smaller))
            np.testing.assert_allclose(norm(shorter).astype(float), min(1.0, smaller / MIN_NORM), rtol=1e-6)


@given(directions())
def test_retract_order(drawn):
    """``retract`` differs from the exponential map by ``t^3 / 3`` to third order."""
    x, u = DOUBLE.round(*drawn)
    steps = [0.1, 0.05, 0.025]
    with DOUBLE.on():
        gaps = [norm(wide(fast.retract(x, t * u)) - wide(fast.exp(x, t * u))) for t in steps]
    # t - atan(t) = t^3 / 3 - t^5 / 5: the slope is off 3 by less than t^2.
    for k in range(2):
        np.testing.assert_allclose(np.log2(gaps[k] / gaps[k + 1]).astype(float), 3.0, rtol=0, atol=steps[k] ** 2)
    np.testing.assert_allclose((gaps[2] / steps[2] ** 3).astype(float), 1 / 3, rtol=steps[2] ** 2)


@given(directions())
def test_retract_curvature(drawn):
    """The second derivative of ``retract(x, t u)`` at ``t = 0`` is ``-x``."""
    x, u = DOUBLE.round(*drawn)
    with DOUBLE.on():
        actual = bend(x, u)
    # (x + t u) / sqrt(1 + t^2) = x + t u - t^2 x / 2 + ...; a few products and one quotient.
    np.testing.assert_allclose(actual, -x, rtol=0, atol=20 * DOUBLE.unit)


@compiled
def bend(x, u):
    """Compute the second derivative of the curve ``retract(x, t u)`` at ``t = 0``."""

    def velocity(t):
        return jax.jvp(lambda t: sphere.retract(x, t * u), (t,), (1.0,))[1]

    return jax.jvp(velocity, (0.0,), (1.0,))[1]


# exp


@precisions
@pytest.mark.parametrize("size", [*ANGLES, 4.0, 1e2, 1e4])
@given(directions())
def test_exp_norm(precision, size, drawn):
    """``exp`` returns a unit vector for a tangent of any norm."""
    x, v = precision.round(drawn[0], size * drawn[1])
    with precision.on():
        y = fast.exp(x, v)
    # The angle is off by d/2 + 1 roundings in both sine and its divisor; <x, v> by 2 u |v|; then sine, cosine,
    # two products and a sum.
    assert (np.abs(norm(y) - 1.0) <= (x.shape[-1] / 2 + 4 + LIBM + 3) * precision.unit).all()


@precisions
@given(geodesics())
def test_exp(precision, drawn):
    """``exp`` is ``cos(theta) x + sin(theta) u``."""
    x, u, theta, y = drawn
    with precision.on():
        actual = fast.exp(*precision.round(x, theta * u))
    # The angle is rounded d/2 + 2 times, the end as above.
    limit = ((x.shape[-1] / 2 + 2) * theta + x.shape[-1] / 2 + 4 + LIBM + 3) * precision.unit
    assert (norm(wide(actual) - y) <= limit).all()


@given(directions(), st.sampled_from([0.0, 1e-3, 0.3, 2.0]))
def test_geodesic_equation(drawn, t):
    """The second derivative of ``exp(x, t u)`` is minus the point."""
    x, u = DOUBLE.round(*drawn)

    with DOUBLE.on():
        acceleration = curvature(x, u, t)
        y = fast.exp(x, t * u)
    # The second derivative of sinc, taken by autodiff, is a difference of terms of the size 1 / t^2 where the formulas
    # with sine and cosine begin, at t^2 = 4e-5.
    np.testing.assert_allclose(acceleration, -y, rtol=0, atol=(x.shape[-1] + 20) * DOUBLE.unit / 4e-5)


@compiled
def curvature(x, u, t):
    def velocity(t):
        return jax.jvp(lambda t: sphere.exp(x, t * u), (t,), (1.0,))[1]

    return jax.jvp(velocity, (t,), (1.0,))[1]


# distance


@precisions
@given(geodesics())
def test_distance(precision, drawn):
    """``distance`` is symmetric, and precise relative to its size at every angle."""
    x, y = precision.round(drawn[0], drawn[3])
    with precision.on():
        there, back = fast.distance(x, y), fast.distance(y, x)
    np.testing.assert_array_equal(there, back)
    # Norms over d squares, each rounded d/2 + 2 times, a quotient, an arc tangent, a factor 2. That x and y are
    # off the sphere by u each counts as much again. Relative, so that it holds for 1e-10 as for 3; but for the chord's
    # normal part, of 2 u, which counts by its square.
    expected = angle_between(x, y)
    normal = 2 * precision.unit * np.minimum(1.0, precision.unit / np.maximum(expected, precision.unit))
    limit = (x.shape[-1] + 4 + 1 + LIBM + 4) * precision.unit * expected + normal + precision.floor
    assert (np.abs(wide(there) - expected) <= limit).all()


@precisions
@given(geodesics(st.floats(0.0, 3.1, allow_subnormal=False)))
def test_distance_of_exp(precision, drawn):
    """The distance to ``exp(x, v)`` is ``|v|``."""
    x, v = precision.round(drawn[0], drawn[2] * drawn[1])
    with precision.on():
        actual = fast.distance(x, fast.exp(x, v))
    # The angle's roundings in exp and in distance; the end point's own, d/2 + 11.
    limit = ((1.5 * x.shape[-1] + 15) * norm(v) + x.shape[-1] / 2 + 11) * precision.unit
    assert (np.abs(wide(actual) - norm(v)) <= limit).all()


@precisions
@given(geodesics(), st.data())
def test_triangle_inequality(precision, drawn, data):
    """``distance`` obeys the triangle inequality."""
    x, y, z = precision.round(drawn[0], drawn[3], data.draw(points()))
    with precision.on():
        direct, first, second = (wide(fast.distance(*pair)) for pair in ((x, z), (x, y), (y, z)))
    slack = (x.shape[-1] + 13) * precision.unit * (direct + first + second) + 6 * precision.unit  # normal parts
    assert (direct <= first + second + slack).all()


# log


@precisions
@given(geodesics(st.one_of(st.sampled_from(ANGLES[:6]), st.floats(0.0, 3.1, allow_subnormal=False))))
def test_log_of_exp(precision, drawn):
    """``log(x, exp(x, v))`` is ``v``."""
    x, v = precision.round(drawn[0], drawn[2] * drawn[1])
    with precision.on():
        actual = fast.log(x, fast.exp(x, v))
    theta = float(drawn[2])
    # The end point is off by d/2 + 11 roundings plus those of the angle, its image by theta / sin(theta) times that.
    limit = (1.5 * x.shape[-1] + 15) * (1 + theta) * max(1.0, theta / max(np.sin(theta), 1e-300)) * precision.unit
    assert (norm(wide(actual) - v) <= limit).all()


@precisions
@given(geodesics())
def test_exp_of_log(precision, drawn):
    """``exp(x, log(x, y))`` is ``y``, and the logarithm is tangent and as long as the distance."""
    x, y = precision.round(drawn[0], drawn[3])
    with precision.on():
        v = fast.log(x, y)
        end, distance = fast.exp(x, v), fast.distance(x, y)
    theta = angle_between(x, y)
    # Length: distance, and a norm divided out, d/2 + 3. Direction: a chord of two roundings, projected in d + 2.
    roundings = 1.5 * x.shape[-1] + 20
    assert (np.abs(norm(v) - wide(distance)) <= (x.shape[-1] / 2 + 3) * precision.unit * theta + precision.floor).all()
    assert (np.abs(inner(x, v)) <= roundings * precision.unit * theta).all()
    assert (norm(wide(end) - y) <= roundings * (1 + theta) * precision.unit).all()


@given(geodesics(st.floats(1e-3, 3.1)))
def test_log_gradient(drawn):
    """The logarithm is minus the gradient of half the squared distance (Absil, Mahony and Sepulchre, section 7.4)."""
    x, y = DOUBLE.round(drawn[0], drawn[3])
    with DOUBLE.on():
        downhill = fast.project(x, -half_squared_slope(x, y))
        v = fast.log(x, y)
    roundings = (1.5 * x.shape[-1] + 20) * np.pi / np.sin(float(drawn[2]))
    np.testing.assert_allclose(v, downhill, rtol=0, atol=roundings * DOUBLE.unit)


half_squared_slope = compiled(jax.grad(lambda x, y: 0.5 * jnp.sum(sphere.distance(x, y) ** 2)))


# transport


@precisions
@given(geodesics(), generators)
def test_transport_isometry(precision, drawn, rng):
    """Transport keeps inner products, returns tangent vectors, and is undone by the way back."""
    x, y = precision.round(drawn[0], drawn[3])
    v, w = (precision.round(v - inner(v, x)[..., None] * x) for v in wide(rng.normal(size=(2, *x.shape))))
    with precision.on():
        there_v, there_w = fast.transport(x, y, v), fast.transport(x, y, w)
        back = fast.transport(y, x, there_v)
    # log's direction and length, twice the part of v along it, each rounded 1.5 d + 20 times as above.
    limit = 4 * (1.5 * x.shape[-1] + 20) * precision.unit
    assert (np.abs(inner(there_v, there_w) - inner(v, w)) <= limit * norm(v) * norm(w)).all()
    assert (np.abs(inner(y, there_v)) <= limit * norm(v)).all()
    assert (norm(wide(back) - v) <= (limit + direction_error(precision, x, y)) * norm(v)).all()


def direction_error(precision, x, y):
    """Return the relative error of the way between two nearly antipodal points, whose chord is a few roundings long.

    Neither the way nor what it does to a vector is to be had more precisely than the chord's own relative error.
    """
    apart = norm(wide(x) + y)
    return np.minimum(2.0, 4 * precision.unit / np.where(apart > 0, apart, np.inf))


@precisions
@given(geodesics())
def test_transport_geodesic(precision, drawn):
    """Transport carries the velocity of a geodesic to its velocity at the end."""
    x, y = precision.round(drawn[0], drawn[3])
    with precision.on():
        actual, expected = fast.transport(x, y, fast.log(x, y)), -wide(fast.log(y, x))
    limit = 4 * (1.5 * x.shape[-1] + 20) * precision.unit + direction_error(precision, x, y)
    assert (norm(wide(actual) - expected) <= limit * np.pi).all()


@given(geodesics(st.floats(0.1, 3.0)), generators)
def test_transport_equation(drawn, rng):
    """Along a curve ``c`` of the sphere, transport solves ``v' = -<v, c'> c``, as diffrax integrates it."""
    x, u, theta, y = drawn
    x, velocity, y = DOUBLE.round(x, theta * u, y)
    v = DOUBLE.round(rng.normal(size=x.shape))
    v = v - np.sum(v * x, axis=-1, keepdims=True) * x
    with DOUBLE.on():
        expected = solved(x, velocity, v)
        actual = fast.transport(x, y, v)
    assert (norm(wide(actual) - expected) <= 1e-8 * norm(v)).all()  # a hundred times the solver's tolerance


@compiled
def solved(x, velocity, v):
    speed = jnp.linalg.norm(velocity, axis=-1, keepdims=True)

    def slope(t, v):
        place = jnp.cos(t * speed) * x + jnp.sin(t * speed) * velocity / speed
        moving = -jnp.sin(t * speed) * speed * x + jnp.cos(t * speed) * velocity
        return -jnp.sum(v * moving, axis=-1, keepdims=True) * place

    return flow(slope, v)


# slerp


@precisions
@given(geodesics(st.floats(0.0, 3.1, allow_subnormal=False)), st.floats(0.0, 1.0, allow_subnormal=False))
def test_slerp(precision, drawn, t):
    """``slerp`` goes from ``x`` to ``y`` at constant speed, and is symmetric."""
    x, y = precision.round(drawn[0], drawn[3])
    with precision.on():
        place, mirrored = fast.slerp(x, y, t), fast.slerp(y, x, 1.0 - t)
        start, end = fast.slerp(x, y, 0.0), fast.slerp(x, y, 1.0)
        way, part = wide(fast.distance(x, y)), wide(fast.distance(x, place))
    # As exp(log): the direction is known to the chord's relative error, 4 u / |x + y|.
    limit = ((1.5 * x.shape[-1] + 20) * (1 + np.pi) + 4 * np.pi / norm(wide(x) + y)) * precision.unit
    np.testing.assert_array_equal(start, x)
    assert (norm(wide(end) - y) <= limit).all()
    assert (norm(wide(place) - mirrored) <= 2 * limit).all()
    assert (np.abs(part - t * way) <= 2 * limit).all()


@precisions
@given(geodesics(st.floats(0.1, 3.0)), st.sampled_from([-1.0, 0.3, 1.5, 2.0]))
def test_slerp_extrapolation(precision, drawn, t):
    """Outside [0, 1] ``slerp`` continues along the great circle."""
    x, u, theta, y = drawn
    with precision.on():
        place = fast.slerp(*precision.round(x, y), t)
    expected = np.cos(t * theta) * x + np.sin(t * theta) * u
    # The direction is known to the end point's rounding over the sine of the angle, and is followed t times as far.
    limit = (1.5 * x.shape[-1] + 20) * (1 + abs(t)) * np.pi / float(np.sin(theta)) * precision.unit
    assert (norm(wide(place) - expected) <= limit).all()


@given(generators)
def test_slerp_times(rng):
    """``slerp`` takes one time per point."""
    x, y = SINGLE.round(*on_sphere(rng, (2, 3, 4)))
    t = SINGLE.round(rng.uniform(size=3))
    together = fast.slerp(x, y, t)
    for k in range(3):
        np.testing.assert_allclose(together[k], fast.slerp(x[k], y[k], t[k]), rtol=0, atol=20 * SINGLE.unit)


# the special pairs


@precisions
@given(points())
def test_finite_gradients(precision, x):
    """Every map has a finite gradient at coincident, antipodal and zero arguments and next to them."""
    x = precision.round(x)
    pairs = [(x, x), (x, -x), (x, np.nextafter(x, np.zeros_like(x))), (x, np.nextafter(-x, np.zeros_like(x)))]
    with precision.on():
        for pair in (*pairs, (x, np.zeros_like(x))):
            for slope in jax.tree.leaves(every_slope(*pair)):
                assert np.isfinite(slope).all()


@compiled
def every_slope(x, y):
    """Compute the gradients of every map of two points, or of a point and a vector, contracted with unequal weights."""
    weights = jnp.arange(1.0, x.size + 1.0).reshape(x.shape)

    def contracted(f):
        return lambda x, y: jnp.sum(weights * f(x, y))

    maps = [
        sphere.project,
        sphere.retract,
        sphere.exp,
        sphere.log,
        lambda x, y: sphere.slerp(x, y, 0.3),
        lambda x, y: sphere.transport(x, y, weights),
        lambda x, y: sphere.transport(x, y, sphere.log(x, y)),
        lambda x, y: sphere.distance(x, y)[..., None] * jnp.ones_like(x),
        lambda x, y: sphere.normalise(x - y),
        lambda x, y: sphere.norm_error(x - y)[..., None] * jnp.ones_like(x),
    ]
    return [jax.grad(contracted(f), argnums=(0, 1))(x, y) for f in maps]


@given(directions())
def test_special_derivatives(drawn):
    """At coincident points ``exp``, ``retract``, ``log`` and the squared distance have the derivatives of the formulas."""
    x, u = DOUBLE.round(*drawn)
    zero = np.zeros_like(x)
    limit = (x.shape[-1] + 10) * DOUBLE.unit
    with DOUBLE.on():
        # exp and retract move to first order as their vector does; log takes a move of the end point as it is.
        for slope in first_order(x, zero, u):
            np.testing.assert_allclose(slope, u, rtol=0, atol=limit)
        np.testing.assert_allclose(log_slope(x, u), u, rtol=0, atol=limit)
        # Of a move off the sphere retract sees the tangent part, as everywhere else.
        np.testing.assert_allclose(first_order(x, zero, u + x)[1], u, rtol=0, atol=limit)
        np.testing.assert_array_equal(half_squared_slope(x, x), zero)


@compiled
def first_order(x, v, u):
    return [jax.jvp(lambda v, f=f: f(x, v), (v,), (u,))[1] for f in (sphere.exp, sphere.retract)]


@compiled
def log_slope(x, u):
    return jax.jvp(lambda y: sphere.log(x, y), (x,), (u,))[1]


@precisions
@given(points())
def test_antipode(precision, x):
    """At the antipode the logarithm has length pi, along the axis in which the point has the least magnitude."""
    x = precision.round(x)
    with precision.on():
        v, half, distance = fast.log(x, -x), fast.slerp(x, -x, 0.5), fast.distance(x, -x)
    limit = (1.5 * x.shape[-1] + 20) * np.pi * precision.unit
    np.testing.assert_allclose(distance, np.pi, rtol=2 * precision.unit)
    np.testing.assert_allclose(norm(v).astype(float), np.pi, rtol=0, atol=limit)
    assert (np.abs(inner(v, x)) <= limit).all()
    assert (np.abs(inner(half, x)) <= limit).all()
    # Along the axis that x has least of: of all directions the one farthest from being lost in rounding.
    assert (np.argmax(np.abs(v), axis=-1) == np.argmin(np.abs(x), axis=-1)).all()


@precisions
@given(points(), st.sampled_from([-2, 2]))
def test_near_antipode_tangent(precision, x, ulps):
    """Next to the antipode the logarithm is tangent with length pi, even if its direction is only rounding."""
    x = precision.round(x)
    y = precision.round(-wide(x) * (1 + ulps * precision.unit))
    with precision.on():
        v = fast.log(x, y)
    # The chord is that of two roundings, in any direction and mostly along x.
    assert (np.abs(inner(v, x)) <= (1.5 * x.shape[-1] + 20) * np.pi * precision.unit).all()
    np.testing.assert_allclose(norm(v).astype(float), np.pi, rtol=(x.shape[-1] + 20) * precision.unit)


@precisions
@pytest.mark.parametrize(("part", "is_direction"), [(0.1, True), (1e-3, True), ("40 u", True), ("6 u", False)], ids=str)
def test_near_antipode_direction(precision, part, is_direction):
    """Next to the antipode the chord's tangent part gives the direction above 2 d u of the chord; below, it is rounding."""
    if isinstance(part, str):
        part = float(part.split()[0]) * precision.unit
    x, y = np.zeros((2, 5))
    x[0] = 1.0
    y[0], y[4] = -(1.0 + 2 * precision.unit), part * 2 * precision.unit
    with precision.on():
        v = fast.log(*precision.round(np.stack([x, x]), np.stack([y, y])))  # a batch: d is not its size
    np.testing.assert_allclose(v[0], np.pi * np.eye(5)[4 if is_direction else 1], rtol=0, atol=30 * precision.unit)


# against another library


@given(generators)
def test_pymanopt(rng):
    """The maps agree with pymanopt."""
    d = 5
    other = Sphere(d)
    x, y = DOUBLE.round(*on_sphere(rng, (2, d)))
    ambient = rng.normal(size=d)
    with DOUBLE.on():
        v = fast.project(x, ambient)
        actual = {
            "projection": (v, other.projection(x, ambient)),
            "exp": (fast.exp(x, v), other.exp(x, v)),
            "retraction": (fast.retract(x, v), other.retraction(x, v)),
            "log": (fast.log(x, y), other.log(x, y)),
            "distance": (fast.distance(x, y), other.dist(x, y)),
            "half way": (fast.slerp(x, y, 0.5), other.pair_mean(x, y)),
        }
    # Generic points: no angle near 0 or pi, where the other library takes an arc cosine.
    angle = float(angle_between(x, y))
    for name, (ours, theirs) in actual.items():
        np.testing.assert_allclose(ours, theirs, rtol=0, atol=100 * DOUBLE.unit / np.sin(angle) ** 2, err_msg=name)
