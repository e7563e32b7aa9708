"""Sakaguchi-Kuramoto coupling between the points of a trajectory, and how far they are in step."""

import jax
import jax.numpy as jnp
import optax
from jax import Array
from jaxtyping import Float

# Rows of queries handled at a time; the keys after the last of them are never touched, which saves up to half of the
# causal product. Below this length the saving is lost to the overhead of smaller products.
QUERY_BLOCK = 64


def sin_cos(u: Float[Array, "*shape"]) -> tuple[Float[Array, "*shape"], Float[Array, "*shape"]]:
    """Sine and cosine of inner products of unit vectors, ``|u| <= 1``, by their Taylor polynomials.

    The first terms left out are ``1/13!`` and ``1/12!`` (1.6e-10 and 2.1e-9), below half a unit in the last
    place of float32 at 1 (6e-8), so this is the function to float32's precision, and to no more in float64. Without range
    reduction it vectorises, and the coupling spends its time in products instead of in libm.
    """
    s = u * u
    sine = u * (1 + s * (-1 / 6 + s * (1 / 120 + s * (-1 / 5040 + s * (1 / 362880 - s / 39916800)))))
    cosine = 1 + s * (-1 / 2 + s * (1 / 24 + s * (-1 / 720 + s * (1 / 40320 - s / 3628800))))
    return sine, cosine


@jax.custom_vjp
def lagged_sine(
    u: Float[Array, "*shape"], cos_lag: Float[Array, ""], sin_lag: Float[Array, ""]
) -> Float[Array, "*shape"]:
    """``sin(u + lag)`` for ``|u| <= 1`` by the addition theorem, the lag's own sine and cosine given."""
    sine, cosine = sin_cos(u)
    return sine * cos_lag + cosine * sin_lag


def _lagged_sine_forward(u: Array, cos_lag: Array, sin_lag: Array) -> tuple[Array, tuple[Array, Array, Array]]:
    return lagged_sine(u, cos_lag, sin_lag), (u, cos_lag, sin_lag)


def _lagged_sine_backward(saved: tuple[Array, Array, Array], g: Array) -> tuple[Array, Array, Array]:
    # Computed again from u rather than kept: two polynomials cost less than a second array of time x time.
    u, cos_lag, sin_lag = saved
    sine, cosine = sin_cos(u)
    return g * (cosine * cos_lag - sine * sin_lag), jnp.sum(g * sine), jnp.sum(g * cosine)


lagged_sine.defvjp(_lagged_sine_forward, _lagged_sine_backward)


def coupling(
    query: Float[Array, "*batch time latent"],
    key: Float[Array, "*batch time latent"],
    lag: Float[Array, ""],
) -> Float[Array, "*batch time latent"]:
    """Sakaguchi-Kuramoto force on the sphere: ``F_i = sum_{j <= i} sin(<q_i, k_j> + lag) k_j``.

    Queries and keys are unit vectors. Source: the published dynamics, after Sakaguchi and Kuramoto (1986), with
    the phase difference replaced by the inner product. Differentiable in reverse mode only.
    """
    time = query.shape[-2]
    cos_lag, sin_lag = jnp.cos(lag), jnp.sin(lag)
    forces = []
    for start in range(0, time, QUERY_BLOCK):
        stop = min(start + QUERY_BLOCK, time)
        q, k = query[..., start:stop, :], key[..., :stop, :]
        weight = lagged_sine(jnp.matmul(q, jnp.swapaxes(k, -1, -2)), cos_lag, sin_lag)
        past = jnp.tri(stop - start, stop, start, dtype=weight.dtype)
        forces.append(jnp.matmul(weight * past.reshape((1,) * (weight.ndim - 2) + past.shape), k))
    return jnp.concatenate(forces, axis=-2)


def order_parameter(z: Float[Array, "*batch time latent"]) -> Float[Array, "*batch"]:
    """Kuramoto's order parameter of unit vectors, ``|mean_t z_t|``: 1 when all are equal, 0 when they cancel.

    Source: Kuramoto (1984), with the circle's ``exp(i phase)`` replaced by the point of the sphere. Its gradient where
    it is zero, and has a kink, is zero.
    """
    order: Array = optax.safe_norm(jnp.mean(z, axis=-2), 0.0, axis=-1)
    return order
