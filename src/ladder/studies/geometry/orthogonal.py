"""The orthogonal group O(d): maps between square matrices on the last two axes; every other axis is a batch axis."""

import jax
import jax.numpy as jnp
from jax import Array
from jaxtyping import Float

from ladder.studies.geometry.lapack import one_by_one


def skew(m: Float[Array, "*batch dim dim"]) -> Float[Array, "*batch dim dim"]:
    """Skew-symmetric part, ``(M - M^T) / 2``: the orthogonal projection onto the Lie algebra so(d)."""
    return 0.5 * (m - jnp.swapaxes(m, -1, -2))


def cayley(a: Float[Array, "*batch dim dim"]) -> Float[Array, "*batch dim dim"]:
    """Cayley transform ``(I - A) (I + A)^(-1)`` of a skew-symmetric ``A``: a rotation without the eigenvalue -1.

    It is its own inverse: of such a rotation it returns the skew-symmetric matrix. ``cayley(-A)`` is the transposed
    rotation, and ``cayley(A) = expm(-2 A) + O(|A|^3)``. The rotation is orthogonal to rounding times the condition number
    of ``I + A``, at most ``sqrt(1 + |A|^2)`` in the spectral norm: nothing is left of it at the reciprocal of the roundoff.
    Source: Hairer, Lubich and Wanner, *Geometric Numerical Integration*, section IV.8.

    Raises:
        ValueError: for matrices that are not square.
    """
    _check_square(a, "cayley")

    def one(a: Array) -> Array:
        identity = jnp.broadcast_to(jnp.eye(a.shape[-1], dtype=a.dtype), a.shape)
        # The two factors commute, so the inverse may stand in front, where a solver takes it.
        return jnp.asarray(jnp.linalg.solve(identity + a, identity - a))

    return one_by_one(one, a)


def exponential(a: Float[Array, "*batch dim dim"]) -> Float[Array, "*batch dim dim"]:
    """Exponential ``expm(A)`` of a skew-symmetric ``A``: a rotation, and any rotation is one.

    By scaling and squaring; JAX squares once too seldom, so that of a large ``A`` it is good to 1e-8 at most, in float64 too.
    Source: Higham, *Functions of Matrices*, chapter 10; the map from the Lie algebra so(d) to SO(d).

    Raises:
        ValueError: for matrices that are not square.
    """
    _check_square(a, "exponential")
    return one_by_one(lambda a: jnp.asarray(jax.scipy.linalg.expm(a)), a)


@jax.custom_jvp
def polar_factor(m: Float[Array, "*batch dim dim"]) -> Float[Array, "*batch dim dim"]:
    """Orthogonal polar factor: the ``Q`` of ``M = Q P`` with ``P`` symmetric and positive semi-definite.

    It is the orthogonal matrix nearest to ``M`` in the Frobenius norm, rotation or reflection, and ``U V^T`` of the
    singular value decomposition. The derivative is written out, ``U ((X - X^T) / (s_i + s_j)) V^T`` with
    ``X = U^T dM V``: unlike the decomposition's own it is right at repeated singular values. Where one is zero ``Q`` is one
    of two, a reflection apart, and the derivative is that of this one; where more are, a whole part of ``Q`` is
    arbitrary, and is held still. Differentiable once: a second derivative is that of the decomposition, NaN at
    repeated singular values.

    Source: Higham, *Functions of Matrices*, chapter 8; the derivative follows from ``Q^T dM - dM^T Q = P W + W P``
    with ``dQ = Q W``.

    Raises:
        ValueError: for matrices that are not square.
    """
    u, _, vt = _svd(m)
    return u @ vt


def _svd(m: Float[Array, "*batch dim dim"]) -> tuple[Array, Array, Array]:
    _check_square(m, "polar_factor")
    return one_by_one(lambda m: tuple(jnp.linalg.svd(m)), m)


@polar_factor.defjvp
def _polar_factor_jvp(primals: tuple[Array], tangents: tuple[Array]) -> tuple[Array, Array]:
    (m,), (dm,) = primals, tangents
    u, s, vt = _svd(m)
    x = jnp.swapaxes(u, -1, -2) @ dm @ jnp.swapaxes(vt, -1, -2)
    sums = s[..., :, None] + s[..., None, :]
    # Singular values are known to within rounding of the largest; a sum below that is a zero.
    zero = sums <= s.shape[-1] * jnp.finfo(s.dtype).eps * s[..., :1, None]
    w = jnp.where(zero, 0.0, (x - jnp.swapaxes(x, -1, -2)) / jnp.where(zero, 1.0, sums))
    return u @ vt, u @ w @ vt


def procrustes(x: Float[Array, "*batch row dim"], y: Float[Array, "*batch row dim"]) -> Float[Array, "*batch dim dim"]:
    """The orthogonal ``Q`` that brings ``x Q`` nearest to ``y`` in the Frobenius norm, rotation or reflection.

    The polar factor of ``x^T y``, and differentiable as that is. Neither argument is centred or scaled.
    Source: Schönemann, *A generalized solution of the orthogonal Procrustes problem* (1966).

    Raises:
        ValueError: for clouds that are not of one shape.
    """
    if x.shape != y.shape or x.ndim < 2:
        raise ValueError(f"procrustes needs two clouds of one shape (..., row, dim), not {x.shape} and {y.shape}")
    return polar_factor(jnp.swapaxes(x, -1, -2) @ y)


def _check_square(m: Float[Array, "*batch row column"], name: str) -> None:
    if m.ndim < 2 or m.shape[-1] != m.shape[-2]:
        raise ValueError(f"{name} needs square matrices on the last two axes, not an array of shape {m.shape}")
