"""The ManifoldFormer: encoder, dynamics and decoder in a row."""

from typing import NamedTuple

from flax import nnx
from jax import Array
from jaxtyping import Float

from ladder.manifoldformer import dynamics
from ladder.manifoldformer.decoder import Decoder
from ladder.manifoldformer.encoder import Encoder, Latent


class Output(NamedTuple):
    """What one forward pass yields."""

    encoded: Float[Array, "*batch time latent"]
    moved: Float[Array, "*batch time latent"]
    signal: Float[Array, "*batch time channel"]


class ManifoldFormer(nnx.Module):
    """Signal in, signal out, by way of a latent trajectory that the dynamics move.

    The dynamics draw their initial values last, so that two models which differ only in them start from the
    same encoder and decoder under the same key.
    """

    def __init__(
        self,
        *,
        channels: int,
        length: int,
        latent_dim: int,
        latent: Latent,
        moves: dynamics.Dynamics,
        init: dynamics.Init,
        rngs: nnx.Rngs,
    ):
        self.encoder = Encoder(channels, latent_dim, latent, rngs)
        self.decoder = Decoder(latent_dim, channels, rngs)
        self.dynamics = dynamics.build(moves, init, length, latent_dim, rngs)

    def __call__(self, x: Float[Array, "*batch time channel"]) -> Output:
        """Encode, move, decode."""
        encoded = self.encoder(x)
        moved = self.dynamics(encoded)
        return Output(encoded, moved, self.decoder(moved))
