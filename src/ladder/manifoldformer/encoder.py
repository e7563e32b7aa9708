"""From signal to latent: one function of each sample, put on the sphere or not."""

from typing import Literal, get_args

from flax import nnx
from jax import Array
from jaxtyping import Float

from ladder.geometry.sphere import normalise

Latent = Literal["euclidean", "sphere"]
LATENTS: tuple[str, ...] = get_args(Latent)
HIDDEN = 64
LATENT_DIM = 16


class Encoder(nnx.Module):
    """Pointwise in time: Dense 64, ReLU, Dense ``latent_dim``; on the sphere, divided by its norm.

    Kernels start LeCun-normal and biases at zero, the defaults of the published code.
    """

    def __init__(self, channels: int, latent_dim: int, latent: Latent, rngs: nnx.Rngs):
        self.hidden = nnx.Linear(channels, HIDDEN, rngs=rngs)
        self.out = nnx.Linear(HIDDEN, latent_dim, rngs=rngs)
        self.latent = latent

    def __call__(self, x: Float[Array, "*batch time channel"]) -> Float[Array, "*batch time latent"]:
        """Encode each sample by itself."""
        z = self.out(nnx.relu(self.hidden(x)))
        return normalise(z) if self.latent == "sphere" else z
