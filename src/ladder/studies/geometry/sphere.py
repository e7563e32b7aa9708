"""The unit sphere S^(d-1) in R^d: maps that return points and tangent vectors in ambient coordinates.

Points and vectors have their coordinates on the last axis; every other axis is a batch axis; the dtype is float32 or float64.
Every map has a finite gradient everywhere, the coincident pair ``x = y`` and the antipodal pair ``x = -y`` included, as long
as squares of the coordinates can be represented (in float32, norms up to 1e18).

Formulas: Absil, Mahony and Sepulchre, *Optimization Algorithms on Matrix Manifolds*, examples 5.4.1 and 8.1.1.
"""

import jax
import jax.numpy as jnp
import optax
from jax import Array
from jaxtyping import Float

# Below this norm a vector counts as having no direction; the published encoder divides by max(|x|, 1e-8).
MIN_NORM = 1e-8
# Below this squared angle cosine and sinc are Taylor polynomials, accurate to half a unit in the last place of float64.
SMALL_SQUARED = 4e-5


def normalise(x: Float[Array, "*batch dim"]) -> Float[Array, "*batch dim"]:
    """Return the nearest point of the sphere, ``x / max(|x|, 1e-8)``.

    The result is finite with a finite gradient everywhere; the zero vector, which has no nearest point, stays zero.
    """
    # The maximum is taken before the root: the root's derivative at zero is infinite.
    return x / jnp.sqrt(jnp.maximum(_inner(x, x), MIN_NORM**2))


def project(x: Float[Array, "*batch dim"], v: Float[Array, "*batch dim"]) -> Float[Array, "*batch dim"]:
    """Project ``v`` orthogonally onto the tangent space at ``x``: ``v - <v, x> x``."""
    return v - _inner(v, x) * x


def retract(x: Float[Array, "*batch dim"], v: Float[Array, "*batch dim"]) -> Float[Array, "*batch dim"]:
    """Project ``x + v`` onto the sphere, ``(x + v) / max(|x + v|, 1e-8)``, for a unit ``x`` and any ``v``.

    For tangent ``v`` this metric projection is a second-order retraction (Absil, Mahony and Sepulchre, section 4.1): it
    differs from the exponential map at the third order in ``v``. Where ``v`` is zero, ``|x + v|^2`` is computed as
    ``1 + <2 x + v, v>``: so ``retract(x, 0)`` is ``x`` bit for bit, with the right derivative in ``v`` and along the sphere in
    ``x``.
    """
    end = x + v
    nonzero = jnp.any(v != 0.0, axis=-1, keepdims=True)
    squared = jnp.where(nonzero, _inner(end, end), 1.0 + _inner(2.0 * x + v, v))
    return end / jnp.sqrt(jnp.maximum(squared, MIN_NORM**2))


def exp(x: Float[Array, "*batch dim"], v: Float[Array, "*batch dim"]) -> Float[Array, "*batch dim"]:
    """Compute the exponential map: the point at time 1 of the geodesic from ``x`` with velocity ``v``, ``cos|v| x + sinc|v| v``.

    ``exp(x, 0)`` is ``x`` bit for bit. ``v`` is tangent at ``x``, of any norm in radians; beyond pi the geodesic has passed
    the antipode and returns.
    """
    cosine, sinc = _cos_sinc(_inner(v, v))
    return cosine * x + sinc * v


def distance(x: Float[Array, "*batch dim"], y: Float[Array, "*batch dim"]) -> Float[Array, "*batch"]:
    """Return the length of the shortest path between two points: their angle in radians, in [0, pi].

    The formula is ``2 atan2(|x - y|, |x + y|)``, which keeps its relative precision at small angles and near the antipode,
    where the arc cosine loses half the digits (Kahan, *How Futile are Mindless Assessments of Roundoff*, section 12). At
    ``x = y`` and ``x = -y``, where it has a kink, the gradient is zero.
    """
    # The safe norm has gradient zero at zero instead of NaN.
    return 2.0 * jnp.arctan2(optax.safe_norm(x - y, 0.0, axis=-1), optax.safe_norm(x + y, 0.0, axis=-1))


def log(x: Float[Array, "*batch dim"], y: Float[Array, "*batch dim"]) -> Float[Array, "*batch dim"]:
    """Compute the logarithm: the shortest of the tangent vectors ``v`` at ``x`` for which ``exp(x, v)`` is ``y``.

    At the antipode, where every direction is equally short, the result points along the coordinate axis in which ``x`` has the
    least magnitude.
    """
    near = _inner(x, y) >= 0.0
    # Both chords have the same tangent part as y; the shorter one loses no digits in the projection. Where the chord is
    # almost normal, the rounding error of the first projection is not, so a second projection removes it.
    chord = jnp.where(near, y - x, y + x)
    tangent = project(x, project(x, chord))
    squared = _inner(tangent, tangent)
    rounding = x.shape[-1] * jnp.finfo(chord.dtype).eps
    negligible = squared <= rounding**2 * _inner(chord, chord)
    ratio = distance(x, y)[..., None] / jnp.sqrt(jnp.where(negligible, 1.0, squared))
    return jnp.where(negligible, jnp.where(near, tangent, jnp.pi * _some_direction(x)), ratio * tangent)


def transport(
    x: Float[Array, "*batch dim"], y: Float[Array, "*batch dim"], v: Float[Array, "*batch dim"]
) -> Float[Array, "*batch dim"]:
    """Transport the tangent vector ``v`` in parallel along the shortest geodesic from ``x`` to ``y``.

    With ``u = log(x, y)`` and its norm ``theta``, the part of ``v`` along ``u`` turns with the geodesic and the rest is
    unchanged: ``v - <u, v> (sinc(theta) x + (1 - cos(theta)) / theta^2 u)``.
    """
    u = log(x, y)
    squared = _inner(u, u)
    sinc, half = _cos_sinc(squared)[1], _cos_sinc(0.25 * squared)[1]
    return v - _inner(u, v) * (sinc * x + 0.5 * half * half * u)


def slerp(
    x: Float[Array, "*batch dim"], y: Float[Array, "*batch dim"], t: float | Float[Array, ""] | Float[Array, "*batch"]
) -> Float[Array, "*batch dim"]:
    """Interpolate spherically: the point at ``t`` of the shortest geodesic from ``x`` at ``t = 0`` to ``y`` at ``t = 1``.

    ``t`` is one number for all points or one for each; outside [0, 1] it continues along the great circle.
    Source: Shoemake, *Animating Rotation with Quaternion Curves* (1985).
    """
    return exp(x, (t if jnp.ndim(t) == 0 else jnp.asarray(t)[..., None]) * log(x, y))


def norm_error(x: Float[Array, "*batch dim"]) -> Float[Array, "*batch"]:
    """Return the distance of a point from the sphere: ``| |x| - 1 |``."""
    return jnp.abs(optax.safe_norm(x, 0.0, axis=-1) - 1.0)


def _inner(x: Float[Array, "*batch dim"], y: Float[Array, "*batch dim"]) -> Float[Array, "*batch 1"]:
    return jnp.sum(x * y, axis=-1, keepdims=True)


def _cos_sinc(squared: Float[Array, "*shape"]) -> tuple[Float[Array, "*shape"], Float[Array, "*shape"]]:
    """Return ``cos(theta)`` and ``sin(theta) / theta`` of the squared angle, in which both are smooth at zero too."""
    small = squared < SMALL_SQUARED
    theta = jnp.sqrt(jnp.where(small, 1.0, squared))
    cosine = jnp.where(small, 1.0 - squared / 2.0 * (1.0 - squared / 12.0), jnp.cos(theta))
    sinc = jnp.where(small, 1.0 - squared / 6.0 * (1.0 - squared / 20.0), jnp.sin(theta) / theta)
    return cosine, sinc


def _some_direction(x: Float[Array, "*batch dim"]) -> Float[Array, "*batch dim"]:
    """Return a unit tangent vector at ``x``: the coordinate axis in which ``x`` has the least magnitude, projected."""
    axis = jax.nn.one_hot(jnp.argmin(jnp.abs(x), axis=-1), x.shape[-1], dtype=x.dtype)
    return normalise(project(x, axis))
