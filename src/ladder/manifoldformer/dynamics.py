"""From latent to latent: how the trajectory is moved before it is decoded. All maps are causal in time."""

from typing import Literal, get_args

import jax
import jax.numpy as jnp
from flax import nnx
from jax import Array
from jaxtyping import Float

from ladder.geometry.integrators import rk4_step
from ladder.geometry.sphere import project, retract

Dynamics = Literal["identity", "residual", "full"]
DYNAMICS: tuple[str, ...] = get_args(Dynamics)
Init = Literal["random", "zero"]
INITS: tuple[str, ...] = get_args(Init)

# Rows of queries handled at a time; the keys after the last of them are never touched, which saves up to half of the
# causal product. Below this length the saving is lost to the overhead of smaller products.
QUERY_BLOCK = 64

kernel_init = nnx.initializers.lecun_normal()


def causal_convolution(
    z: Float[Array, "*batch time latent"], kernel: Float[Array, "tap latent"]
) -> Float[Array, "*batch time latent"]:
    """Depthwise ``y[t] = sum_s kernel[s] z[t - s]``, by FFT, zero-padded so that nothing wraps round."""
    time, taps = z.shape[-2], kernel.shape[-2]
    padded = time + taps - 1
    n = 1 << (padded - 1).bit_length()
    kernel = kernel.reshape((1,) * (z.ndim - 2) + kernel.shape)
    product = jnp.fft.rfft(z, n, axis=-2) * jnp.fft.rfft(kernel, n, axis=-2)
    return jnp.fft.irfft(product, n, axis=-2)[..., :time, :]


def sin_cos(u: Float[Array, "*shape"]) -> tuple[Float[Array, "*shape"], Float[Array, "*shape"]]:
    """Sine and cosine of inner products of unit vectors, ``|u| <= 1``, by their Taylor polynomials.

    The first terms left out are ``1/13!`` and ``1/12!`` (1.6e-10 and 2.1e-9), below half a unit in the last
    place of float32 at 1 (6e-8), so this is the function to the precision of its argument; without range reduction it
    vectorises, and the coupling spends its time in products instead of in libm.
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
    the phase difference replaced by the inner product.
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


class Identity(nnx.Module):
    """No dynamics: the trajectory is decoded as it was encoded."""

    def __call__(self, z: Float[Array, "*batch time latent"]) -> Float[Array, "*batch time latent"]:
        """Return the trajectory itself."""
        return z


class Residual(nnx.Module):
    """The debug plan's residual cell, ``z + Dense(z)``, put back on the sphere."""

    def __init__(self, latent_dim: int, init: Init, rngs: nnx.Rngs):
        self.step = nnx.Linear(latent_dim, latent_dim, kernel_init=_kernel(init), rngs=rngs)

    def __call__(self, z: Float[Array, "*batch time latent"]) -> Float[Array, "*batch time latent"]:
        """Move every point by its own step."""
        return retract(z, self.step(z))


class Full(nnx.Module):
    """One projected RK4 step of ``h = 1`` of the tangent part of memory plus coupling.

    The memory is a depthwise causal convolution with as many taps as there are samples; the coupling goes through a
    Dense. Memory and keys stay at the encoded trajectory; only the query moves through the four stages. At random
    initialisation the memory's kernel is LeCun-normal, as in the published runs, whose power-law kernel
    never entered the model; at zero the memory's kernel and the Dense are zero and the step is the identity.
    """

    def __init__(self, length: int, latent_dim: int, init: Init, rngs: nnx.Rngs):
        self.memory = nnx.Param(_kernel(init)(rngs.params(), (length, latent_dim)))
        self.out = nnx.Linear(latent_dim, latent_dim, kernel_init=_kernel(init), rngs=rngs)
        self.lag = nnx.Param(jnp.zeros(()))

    def __call__(self, z: Float[Array, "*batch time latent"]) -> Float[Array, "*batch time latent"]:
        """Move every point by one step of the flow."""
        memory = causal_convolution(z, self.memory[...])

        def force(query: Array) -> Array:
            return project(query, memory + self.out(coupling(query, z, self.lag[...])))

        return rk4_step(force, z, h=1.0)


def _kernel(init: Init) -> nnx.Initializer:
    return nnx.initializers.zeros_init() if init == "zero" else kernel_init


def build(dynamics: Dynamics, init: Init, length: int, latent_dim: int, rngs: nnx.Rngs) -> nnx.Module:
    """The dynamics of that name."""
    if dynamics == "identity":
        return Identity()
    if dynamics == "residual":
        return Residual(latent_dim, init, rngs)
    return Full(length, latent_dim, init, rngs)
