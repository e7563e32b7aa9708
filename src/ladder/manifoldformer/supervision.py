"""Losses of a latent trajectory against the oracle's; one number a sequence."""

import jax.numpy as jnp
from jax import Array
from jaxtyping import Float

from ladder.geometry.orthogonal import procrustes
from ladder.manifoldformer import losses


def oracle(z: Float[Array, "*batch time latent"], target: Float[Array, "*batch time latent"]) -> Float[Array, "*batch"]:
    """Mean squared error in the oracle's own frame. Source: the status document of the core, section 11, attempt 2."""
    return losses.mse(z, target)


def aligned(
    z: Float[Array, "*batch time latent"], target: Float[Array, "*batch time latent"]
) -> Float[Array, "*batch"]:
    """Mean squared error after the best rotation or reflection of each trajectory: differentiable Procrustes.

    The published version differentiates a singular value decomposition and broke; the polar factor has a derivative of its
    own. Source: the status document of the core, section 11, attempt 1.
    """
    return losses.mse(z @ procrustes(z, target), target)


def gram(z: Float[Array, "*batch time latent"], target: Float[Array, "*batch time latent"]) -> Float[Array, "*batch"]:
    """``mean (Z Z^T - O O^T)^2`` over all pairs of times: rotation-invariant, without a decomposition.

    Source: the status document of the core, section 11, option B, with the mean for the sum.
    """
    return jnp.mean((_gram(z) - _gram(target)) ** 2, axis=(-2, -1))


def _gram(z: Float[Array, "*batch time latent"]) -> Float[Array, "*batch time time"]:
    return z @ jnp.swapaxes(z, -1, -2)
