"""The unit sphere S^(d-1) in R^d: maps that return points and tangent vectors in ambient coordinates.

Points and vectors carry their coordinates on the last axis; every other axis is a batch axis.
"""

import jax.numpy as jnp
from jax import Array
from jaxtyping import Float

# Below this norm a vector has no direction worth keeping; the published encoder divides by max(|x|, 1e-8).
MIN_NORM = 1e-8


def normalise(x: Float[Array, "*batch dim"]) -> Float[Array, "*batch dim"]:
    """The nearest point of the sphere, ``x / max(|x|, 1e-8)``.

    Finite with a finite gradient everywhere; the zero vector, which has no nearest point, stays zero.
    """
    squared = jnp.sum(x * x, axis=-1, keepdims=True)
    # The maximum is taken before the root: the root's derivative at zero is infinite.
    return x / jnp.sqrt(jnp.maximum(squared, MIN_NORM**2))


def project(x: Float[Array, "*batch dim"], v: Float[Array, "*batch dim"]) -> Float[Array, "*batch dim"]:
    """Orthogonal projection of ``v`` onto the tangent space at ``x``: ``v - <v, x> x``."""
    return v - jnp.sum(v * x, axis=-1, keepdims=True) * x


def retract(x: Float[Array, "*batch dim"], v: Float[Array, "*batch dim"]) -> Float[Array, "*batch dim"]:
    """Metric projection of ``x + v`` onto the sphere, ``(x + v) / |x + v|``, for a unit ``x``.

    For tangent ``v`` it is a second-order retraction (Absil, Mahony and Sepulchre, *Optimization Algorithms
    on Matrix Manifolds*, section 4.1). ``|x + v|^2`` is computed as ``1 + 2 <x, v> + |v|^2``, which has two
    consequences the plain formula lacks: ``retract(x, 0)`` is ``x`` bit for bit, with the right derivative
    in ``v`` there, and an error in ``|x|`` is never amplified while ``<x, v>`` is not negative.
    """
    squared = 1.0 + jnp.sum((2.0 * x + v) * v, axis=-1, keepdims=True)
    return (x + v) / jnp.sqrt(jnp.maximum(squared, MIN_NORM**2))


def norm_error(x: Float[Array, "*batch dim"]) -> Float[Array, "*batch"]:
    """How far a point is off the sphere: ``| |x| - 1 |``."""
    return jnp.abs(jnp.sqrt(jnp.sum(x * x, axis=-1)) - 1.0)
