"""The map from latent to signal."""

from flax import nnx
from jax import Array
from jaxtyping import Float

from ladder.studies.manifoldformer.linear import Linear


class Decoder(nnx.Module):
    """A decoder that is pointwise in time: Dense ``features``, ReLU, Dense ``channels``."""

    def __init__(self, latent_dim: int, features: int, channels: int, rngs: nnx.Rngs):
        self.hidden: nnx.Linear = Linear(latent_dim, features, rngs=rngs)
        self.out: nnx.Linear = Linear(features, channels, rngs=rngs)

    def __call__(self, z: Float[Array, "*batch time latent"]) -> Float[Array, "*batch time channel"]:
        """Decode each sample by itself."""
        return self.out(nnx.relu(self.hidden(z)))
