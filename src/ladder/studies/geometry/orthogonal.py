"""The orthogonal group O(d): maps between square matrices on the last two axes; every other axis is a batch axis."""

import jax
import jax.numpy as jnp
from jax import Array
from jaxtyping import Float

from ladder.studies.geometry.lapack import one_by_one


def skew(m: Float[Array, "*batch dim dim"]) -> Float[Array, "*batch dim dim"]:
    """Return the skew-symmetric part, ``(M - M^T) / 2``: the orthogonal projection onto the Lie algebra so(d)."""
    return 0.5 * (m - jnp.swapaxes(m, -1, -2))


def cayley(a: Float[Array, "*batch dim dim"]) -> Float[Array, "*batch dim dim"]:
    """Compute the Cayley transform ``(I - A) (I + A)^(-1)`` of a skew-symmetric ``A``: a rotation without the eigenvalue -1.

    The transform is its own inverse: applied to such a rotation it returns the skew-symmetric matrix. ``cayley(-A)`` is the
    transposed rotation, and ``cayley(A) = expm(-2 A) + O(|A|^3)``. The rotation is orthogonal to rounding times the condition
    number of ``I + A``, at most ``sqrt(1 + |A|^2)`` in the spectral norm: all precision is lost when it reaches the reciprocal
    of the roundoff.
    Source: Hairer, Lubich and Wanner, *Geometric Numerical Integration*, section IV.8.

    Raises:
        ValueError: for matrices that are not square.
    """
    _check_square(a, "cayley")

    def one(a: Array) -> Array:
        identity = jnp.broadcast_to(jnp.eye(a.shape[-1], dtype=a.dtype), a.shape)
        # The two factors commute, so the inverse may come first, as a linear solver needs it.
        return jnp.asarray(jnp.linalg.solve(identity + a, identity - a))

    return one_by_one(one, a)


def exponential(a: Float[Array, "*batch dim dim"]) -> Float[Array, "*batch dim dim"]:
    """Compute the exponential ``expm(A)`` of a skew-symmetric ``A``: a rotation, and every rotation is one.

    The method is scaling and squaring. JAX squares once too few, so the result for a large ``A`` is accurate to 1e-8 at best,
    in float64 too.
    Source: Higham, *Functions of Matrices*, chapter 10; the map from the Lie algebra so(d) to SO(d).

    Raises:
        ValueError: for matrices that are not square.
    """
    _check_square(a, "exponential")
    return one_by_one(lambda a: jnp.asarray(jax.scipy.linalg.expm(a)), a)


@jax.custom_jvp
def polar_factor(m: Float[Array, "*batch dim dim"]) -> Float[Array, "*batch dim dim"]:
    """Compute the orthogonal polar factor: the ``Q`` of ``M = Q P`` with ``P`` symmetric and positive semi-definite.

    ``Q`` is the orthogonal matrix nearest to ``M`` in the Frobenius norm, a rotation or a reflection, and equals ``U V^T`` of
    the singular value decomposition. The derivative is written out, ``U ((X - X^T) / (s_i + s_j)) V^T`` with ``X = U^T dM V``:
    unlike the decomposition's own derivative it is right at repeated singular values. If one singular value is zero, ``Q`` is
    one of two matrices, a reflection apart, and the derivative is that of this one; if several are, a whole part of ``Q`` is
    arbitrary, and its derivative is set to zero. The function is differentiable once: a second derivative is that of the
    decomposition, NaN at repeated singular values.

    Source: Higham, *Functions of Matrices*, chapter 8; the derivative follows from ``Q^T dM - dM^T Q = P W + W P`` with
    ``dQ = Q W``.

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
    # Singular values are accurate to rounding of the largest; a sum below that counts as zero.
    zero = sums <= s.shape[-1] * jnp.finfo(s.dtype).eps * s[..., :1, None]
    w = jnp.where(zero, 0.0, (x - jnp.swapaxes(x, -1, -2)) / jnp.where(zero, 1.0, sums))
    return u @ vt, u @ w @ vt


def procrustes(x: Float[Array, "*batch row dim"], y: Float[Array, "*batch row dim"]) -> Float[Array, "*batch dim dim"]:
    """Return the orthogonal ``Q`` that brings ``x Q`` nearest to ``y`` in the Frobenius norm, a rotation or a reflection.

    ``Q`` is the polar factor of ``x^T y``, and differentiable as that is. Neither argument is centred or scaled.
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
