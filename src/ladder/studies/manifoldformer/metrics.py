"""The quality of a latent trajectory, independent of the loss that it was trained on."""

import math

import optax
from jax import Array
from jaxtyping import Float

from ladder.studies.geometry.orthogonal import procrustes


def oracle_distance(
    z: Float[Array, "*batch time latent"], oracle: Float[Array, "*batch time latent"]
) -> Float[Array, "*batch"]:
    """Compute the RMSE of each latent trajectory against the oracle's, after its best rotation or reflection.

    Each sequence is aligned by orthogonal Procrustes, without centring or scaling; then follows the root mean square over time
    and coordinates. Where the distance is exactly zero, and has a kink, its gradient is zero.
    Source: the published Oracle Distance (status document of the core, section 10).
    """
    error: Array = optax.safe_norm(z @ procrustes(z, oracle) - oracle, 0.0, axis=(-2, -1))
    return error / math.sqrt(z.shape[-2] * z.shape[-1])
