"""The ManifoldFormer: encoder, sampling, alignment, dynamics and decoder in sequence, each with a switch."""

from dataclasses import dataclass, field
from typing import NamedTuple

import jax
import jax.numpy as jnp
from flax import nnx
from jax import Array
from jaxtyping import Float, Int, Key

from ladder.declare.fields import check_fields
from ladder.studies.geometry.sphere import normalise
from ladder.studies.manifoldformer.alignment import Alignment, DynamicRotation, StaticRotation
from ladder.studies.manifoldformer.decoder import Decoder
from ladder.studies.manifoldformer.dynamics import Dynamics, DynamicsModule, Identity
from ladder.studies.manifoldformer.encoder import CausalFeatures, Encoder, FourierBranch, Pointwise, PointwiseFeatures
from ladder.studies.manifoldformer.linear import Linear
from ladder.studies.manifoldformer.sampling import Annealed, Fixed, Latent, Learned, Sampling, Spread, draw


@dataclass(frozen=True, kw_only=True)
class Model:
    """A choice of components; the defaults are patch A, the simplest that learns.

    Attributes:
        encoder: The map from the signal to features; a Dense layer maps them to the latent.
        fourier_branch: Whether features of the whole spectrum are added to the encoder's.
        latent: The space of the latent: flat, or the unit sphere.
        latent_dim: The number of coordinates of the latent; the sphere has one dimension less.
        sampling: The noise that is added to the latent; None for no noise.
        alignment: The rotation of the latent before the dynamics; None for no rotation.
        dynamics: The map of the latent trajectory before decoding.
        decoder: The number of features of the decoder.

    Raises:
        ValueError: for a latent of another kind or fewer than two dimensions, no decoder, or a rotation or dynamics of a
            Euclidean latent.
    """

    encoder: Encoder = field(default_factory=Pointwise)
    fourier_branch: bool = False
    latent: Latent = "euclidean"
    latent_dim: int = 16
    sampling: Sampling | None = None
    alignment: Alignment | None = None
    dynamics: Dynamics = field(default_factory=Identity)
    decoder: int = 64

    def __post_init__(self) -> None:
        check_fields(self)
        if self.latent_dim < 2 or self.decoder < 1:
            raise ValueError(
                f"Model(latent_dim={self.latent_dim}, decoder={self.decoder}): choose at least 2 coordinates and 1 feature"
            )
        if self.latent == "euclidean" and not isinstance(self.dynamics, Identity):
            raise ValueError(
                f"Model(dynamics={self.dynamics!r}, latent='euclidean'): these dynamics move points of the sphere; choose "
                "latent='sphere'"
            )
        if self.latent == "euclidean" and self.alignment is not None:
            raise ValueError(
                f"Model(alignment={self.alignment!r}, latent='euclidean'): the Dense before it can do any rotation of a flat "
                "latent; choose latent='sphere'"
            )

    @property
    def causal(self) -> bool:
        """True if no sample of the output depends on a later one of the input."""
        return not self.fourier_branch and (self.alignment is None or self.alignment.causal)

    def build(self, length: int, channels: int, key: Key[Array, ""]) -> "ManifoldFormer":
        """Build a freshly initialised model for sequences up to this length."""
        return ManifoldFormer(self, length, channels, key)


class Output(NamedTuple):
    """The results of one forward pass, in the order of computation.

    Attributes:
        encoded: The output of the encoder, on the sphere if the latent is: the mean of the sampled latent.
        sigma: The standard deviation of each coordinate's noise; None without sampling.
        step: The noise, tangent at ``encoded`` on the sphere; None without sampling.
        sampled: The latent; ``encoded`` itself without sampling.
        rotation: The rotation of the latent, applied as ``sampled @ rotation``; None without alignment.
        aligned: The rotated latent.
        moved: The latent after the dynamics.
        signal: The prediction, ``moved`` decoded.
        reconstruction: ``sampled`` decoded, without the effect of the dynamics.
    """

    encoded: Float[Array, "*batch time latent"]
    sigma: Float[Array, "*batch time latent"] | None
    step: Float[Array, "*batch time latent"] | None
    sampled: Float[Array, "*batch time latent"]
    rotation: Float[Array, "*group latent latent"] | None
    aligned: Float[Array, "*batch time latent"]
    moved: Float[Array, "*batch time latent"]
    signal: Float[Array, "*batch time channel"]
    reconstruction: Float[Array, "*batch time channel"]


class ManifoldFormer(nnx.Module):
    """A model that maps a signal to a signal, by way of a latent trajectory that the dynamics move.

    Each component draws its initial values from its own key, so that two models which differ in one component start from the
    same values elsewhere under the same key.

    Args:
        config: The choice of components.
        length: The number of samples of the longest sequence.
        channels: The number of channels of the signal.
        key: The random key of the initial values.
    """

    def __init__(self, config: Model, length: int, channels: int, key: Key[Array, ""]):
        streams = (nnx.Rngs(jax.random.fold_in(key, n)) for n in range(7))
        encoder, mean, branch, spread, alignment, dynamics, decoder = streams
        self.config: Model = config
        features, dim = config.encoder.features, config.latent_dim
        self.encoder: PointwiseFeatures | CausalFeatures = config.encoder.build(channels, encoder)
        self.mean: nnx.Linear = Linear(features, dim, rngs=mean)
        self.branch: FourierBranch | None = (
            FourierBranch(length, channels, features, branch) if config.fourier_branch else None
        )
        self.spread: Spread | None = Spread(features, dim, spread) if isinstance(config.sampling, Learned) else None
        self.alignment: StaticRotation | DynamicRotation | None = (
            config.alignment.build(dim, alignment) if config.alignment else None
        )
        self.dynamics: DynamicsModule = config.dynamics.build(length, dim, dynamics)
        self.decoder: Decoder = Decoder(dim, config.decoder, channels, decoder)

    def encode(
        self, x: Float[Array, "*batch time channel"], progress: float | Float[Array, ""] = 1.0
    ) -> tuple[Float[Array, "*batch time latent"], Float[Array, "*batch time latent"] | None]:
        """Return the mean and the standard deviation of the latent, the latter None without sampling."""
        h = self.encoder(x)
        if self.branch is not None:
            h = h + self.branch(x)
        mean = self.mean(h)
        if self.config.latent == "sphere":
            mean = normalise(mean)
        if self.spread is not None:
            return mean, self.spread(h)
        if isinstance(sampling := self.config.sampling, Fixed | Annealed):
            return mean, jnp.full(mean.shape, sampling.at(progress), mean.dtype)
        return mean, None

    def align(
        self, z: Float[Array, "*batch time latent"], length: int | Int[Array, ""] | None = None
    ) -> tuple[Float[Array, "*batch time latent"], Float[Array, "*group latent latent"] | None]:
        """Rotate the latent; return it and the rotation, which is None without alignment.

        ``length`` is the number of samples that exist, as in :func:`~ladder.studies.manifoldformer.alignment.context`.
        """
        if self.alignment is None:
            return z, None
        rotation = self.alignment(z, length)
        return z @ rotation, rotation

    def __call__(
        self,
        x: Float[Array, "*batch time channel"],
        key: Key[Array, ""] | None = None,
        progress: float | Float[Array, ""] = 1.0,
    ) -> Output:
        """Encode, sample, align, move, decode.

        Args:
            x: The signal.
            key: The key of the noise; without it the latent is its mean.
            progress: The fraction of training that is done, in [0, 1], which an annealed noise depends on.
        """
        encoded, sigma = self.encode(x, progress)
        sampled, step = encoded, None
        if sigma is not None and key is not None:
            sampled, step = draw(encoded, sigma, key, self.config.latent)
        aligned, rotation = self.align(sampled)
        moved = self.dynamics(aligned)
        return Output(
            encoded=encoded,
            sigma=sigma,
            step=step,
            sampled=sampled,
            rotation=rotation,
            aligned=aligned,
            moved=moved,
            signal=self.decoder(moved),
            reconstruction=self.decoder(sampled),
        )
