"""Noise on the latent: its size, and a draw of a latent point around its mean."""

from dataclasses import dataclass
from typing import Literal

import jax
from flax import nnx
from jax import Array
from jaxtyping import Float, Key

from ladder.declare.fields import check_fields
from ladder.studies.geometry.sphere import exp, project
from ladder.studies.manifoldformer.linear import Linear

Latent = Literal["euclidean", "sphere"]
MIN_SIGMA = 1e-5


@dataclass(frozen=True, kw_only=True)
class Fixed:
    """A noise with the same constant standard deviation in every coordinate.

    Source: the debug plan, section 7, "keep sigma small".

    Raises:
        ValueError: for a standard deviation that is not positive.
    """

    sigma: float

    def __post_init__(self) -> None:
        check_fields(self)
        if not self.sigma > 0.0:
            raise ValueError(f"Fixed(sigma={self.sigma}): choose a positive number, or sampling=None for no noise")

    def at(self, progress: float | Float[Array, ""]) -> float | Float[Array, ""]:
        """Return the standard deviation at this fraction of training, in [0, 1]."""
        return self.sigma


@dataclass(frozen=True, kw_only=True)
class Annealed:
    """A noise with the same standard deviation in every coordinate, linear in the training steps from ``start`` to ``end``.

    Source: the debug plan, section 7, "or annealed", which gives no schedule.

    Raises:
        ValueError: unless ``start > end >= 0``.
    """

    start: float
    end: float

    def __post_init__(self) -> None:
        check_fields(self)
        if not self.start > self.end >= 0.0:
            raise ValueError(f"Annealed(start={self.start}, end={self.end}): choose a start above an end of at least 0")

    def at(self, progress: float | Float[Array, ""]) -> float | Float[Array, ""]:
        """Return the standard deviation at this fraction of training, in [0, 1]."""
        return self.start + (self.end - self.start) * progress


@dataclass(frozen=True)
class Learned:
    """A noise with a learned standard deviation of each sample and coordinate, ``sigma = softplus(Dense(features)) + 1e-5``.

    Source: the published encoder (status document on imputation, stage I). At initialisation it is about softplus(0) = 0.69.
    """


Sampling = Fixed | Annealed | Learned


class Spread(nnx.Module):
    """The module of :class:`Learned`."""

    def __init__(self, features: int, latent_dim: int, rngs: nnx.Rngs):
        self.out: nnx.Linear = Linear(features, latent_dim, rngs=rngs)

    def __call__(self, features: Float[Array, "*batch time feature"]) -> Float[Array, "*batch time latent"]:
        """Return the standard deviation of each coordinate."""
        return nnx.softplus(self.out(features)) + MIN_SIGMA


def draw(
    mean: Float[Array, "*batch time latent"],
    sigma: Float[Array, "*batch time latent"],
    key: Key[Array, ""],
    latent: Latent,
) -> tuple[Float[Array, "*batch time latent"], Float[Array, "*batch time latent"]]:
    """Draw a point around the mean; return the point, and the step to it.

    ``v = sigma * e`` with ``e`` standard normal; in a Euclidean latent the point is ``mean + v``. On the sphere ``v`` is first
    projected onto the tangent space at the mean, and the point is ``exp(mean, v)``.

    Source: the status document on imputation, stage I.

    Args:
        mean: The mean of the latent.
        sigma: The standard deviation of each coordinate.
        key: The key of the noise.
        latent: The space of the latent, ``"euclidean"`` or ``"sphere"``.
    """
    step = sigma * jax.random.normal(key, mean.shape, mean.dtype)
    if latent == "euclidean":
        return mean + step, step
    step = project(mean, step)
    return exp(mean, step), step
