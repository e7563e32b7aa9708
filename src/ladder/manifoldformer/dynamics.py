"""From latent to latent: how the trajectory is moved before it is decoded. All maps are causal in time."""

from typing import Literal, get_args

import jax.numpy as jnp
from flax import nnx
from jax import Array
from jaxtyping import Float

from ladder.geometry.integrators import rk4_step
from ladder.geometry.sphere import project, retract
from ladder.manifoldformer.coupling import coupling
from ladder.manifoldformer.memory import causal_convolution

Dynamics = Literal["identity", "residual", "full"]
DYNAMICS: tuple[str, ...] = get_args(Dynamics)
Init = Literal["random", "zero"]
INITS: tuple[str, ...] = get_args(Init)

kernel_init = nnx.initializers.lecun_normal()


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
