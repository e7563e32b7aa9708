"""How good a latent trajectory is, whatever it was trained on."""

import math

import optax
from jax import Array
from jaxtyping import Float

from ladder.studies.geometry.orthogonal import procrustes


def oracle_distance(
    z: Float[Array, "*batch time latent"], oracle: Float[Array, "*batch time latent"]
) -> Float[Array, "*batch"]:
    """RMSE of each latent trajectory against the oracle's, after the best rotation or reflection of it.

    Orthogonal Procrustes per sequence, without centring or scaling, then the root mean square over time and
    coordinates. Where it is zero to the bit, and has a kink, its gradient is zero.
    Source: the published Oracle Distance (status document of the core, section 10).
    """
    error: Array = optax.safe_norm(z @ procrustes(z, oracle) - oracle, 0.0, axis=(-2, -1))
    return error / math.sqrt(z.shape[-2] * z.shape[-1])
