"""The alignment between encoder and dynamics: a rotation of the latent, one for all sequences or one for each.

Rotations are Cayley transforms of ``A = W - W^T``, so they are orthogonal whatever ``W``.
"""

from dataclasses import dataclass
from typing import Literal

import jax.numpy as jnp
from flax import nnx
from jax import Array
from jaxtyping import Float, Int

from ladder.declare.fields import check_fields
from ladder.studies.geometry.orthogonal import cayley
from ladder.studies.manifoldformer.linear import Linear

Context = Literal["mean", "velocity", "end points", "covariance"]


@dataclass(frozen=True)
class Static:
    """A learned rotation that is the same for all sequences, initially the identity.

    Source: "learnable global rotation" of the status documents ("picking the lock").
    """

    @property
    def causal(self) -> bool:
        """True if a sample depends on no later one."""
        return True

    def build(self, latent_dim: int, rngs: nnx.Rngs) -> "StaticRotation":
        """Build the module."""
        return StaticRotation(latent_dim)


@dataclass(frozen=True, kw_only=True)
class Dynamic:
    """A rotation predicted from the trajectory itself: context, Dense ``features``, ReLU, Dense ``d^2`` for ``W``.

    The context of a trajectory is its mean; its velocity ``z_last - z_first``; its end points, first and last; or its
    covariance ``Z^T Z / time``, not centred. All of them read the last sample, so a model with one is not causal. For a
    sequence that closes, as the oscillators' do on the identity task, the velocity is zero and carries no information.
    Source: ``DynamicCayleyRotation`` of the status documents (sakaguchi, section 7; core, sections 8 to 10).

    Raises:
        ValueError: for another context, or fewer than one feature.
    """

    context: Context = "mean"
    features: int = 128

    def __post_init__(self) -> None:
        check_fields(self)
        if self.features < 1:
            raise ValueError(f"Dynamic(features={self.features}): choose at least 1")

    @property
    def causal(self) -> bool:
        """True if a sample depends on no later one."""
        return False

    def build(self, latent_dim: int, rngs: nnx.Rngs) -> "DynamicRotation":
        """Build the module."""
        return DynamicRotation(self, latent_dim, rngs)


Alignment = Static | Dynamic


def context(
    z: Float[Array, "*batch time latent"], kind: Context, length: int | Int[Array, ""] | None = None
) -> Float[Array, "*batch context"]:
    """Return a summary of a trajectory as a whole; :class:`Dynamic` gives the formulas.

    If a trajectory is still growing, ``length`` is the number of its samples that exist; the others are not read.
    """
    time = z.shape[-2]
    length = time if length is None else length
    if kind in ("mean", "covariance"):
        mask = (jnp.arange(time) < length).reshape((1,) * (z.ndim - 2) + (-1, 1))
        z = jnp.where(mask, z, 0.0)
        if kind == "mean":
            return jnp.sum(z, axis=-2) / length
        return (jnp.swapaxes(z, -1, -2) @ z / length).reshape(*z.shape[:-2], -1)
    first, last = z[..., 0, :], jnp.take(z, length - 1, axis=-2)
    return last - first if kind == "velocity" else jnp.concatenate([first, last], axis=-1)


def rotation(w: Float[Array, "*batch latent latent"]) -> Float[Array, "*batch latent latent"]:
    """Return ``(I - A)(I + A)^(-1)`` of ``A = W - W^T``."""
    return cayley(w - jnp.swapaxes(w, -1, -2))


class StaticRotation(nnx.Module):
    """The module of :class:`Static`."""

    def __init__(self, latent_dim: int):
        self.weight: nnx.Param[Array] = nnx.Param(jnp.zeros((latent_dim, latent_dim)))

    def __call__(
        self, z: Float[Array, "*batch time latent"], length: int | Int[Array, ""] | None = None
    ) -> Float[Array, "latent latent"]:
        """Return the rotation, which is the same for every trajectory."""
        return rotation(self.weight[...])


class DynamicRotation(nnx.Module):
    """The module of :class:`Dynamic`."""

    def __init__(self, config: Dynamic, latent_dim: int, rngs: nnx.Rngs):
        size = {"mean": 1, "velocity": 1, "end points": 2, "covariance": latent_dim}[config.context] * latent_dim
        self.hidden: nnx.Linear = Linear(size, config.features, rngs=rngs)
        self.out: nnx.Linear = Linear(config.features, latent_dim**2, rngs=rngs)
        self.kind = config.context

    def __call__(
        self, z: Float[Array, "*batch time latent"], length: int | Int[Array, ""] | None = None
    ) -> Float[Array, "*batch latent latent"]:
        """Return the rotation of each trajectory, whose first ``length`` samples exist."""
        w = self.out(nnx.relu(self.hidden(context(z, self.kind, length))))
        return rotation(w.reshape(*z.shape[:-2], z.shape[-1], z.shape[-1]))
