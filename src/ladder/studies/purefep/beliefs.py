"""Gaussian beliefs: divergence, Fisher metric, natural gradient."""

from typing import NamedTuple

import jax.numpy as jnp
from jax import Array
from jaxtyping import Float


class Belief(NamedTuple):
    """A batch of Gaussians with diagonal covariance, parametrised by the natural logarithm of the variance.

    ``spread`` is ``dim`` where every direction has its own variance, or 1 where all directions share one.
    """

    mean: Float[Array, "*batch dim"]
    log_variance: Float[Array, "*batch spread"]

    @property
    def shared_by(self) -> int:
        """The number of directions that share one variance: 1, or ``dim`` for an isotropic belief."""
        return self.mean.shape[-1] // self.log_variance.shape[-1]

    @property
    def variance(self) -> Float[Array, "*batch spread"]:
        """The squared standard deviations."""
        return jnp.exp(self.log_variance)


def divergence(q: Belief, p: Belief) -> Float[Array, "*batch"]:
    """Compute the Kullback-Leibler divergence ``KL(q || p)`` in nats, of Gaussians in the same frame.

    The formula is ``1/2 sum_k [ s_q/s_p - 1 - log(s_q/s_p) + (m_q - m_p)^2 / s_p ]`` with variances ``s``. Source: Kullback,
    *Information Theory and Statistics*, chapter 9.
    """
    ratio = q.log_variance - p.log_variance
    # expm1 keeps the digits that exp(...) - 1 would lose where the variances are nearly equal.
    spreads = jnp.sum(jnp.expm1(ratio) - ratio, axis=-1) * (q.mean.shape[-1] // ratio.shape[-1])
    return 0.5 * (spreads + jnp.sum((q.mean - p.mean) ** 2 * jnp.exp(-p.log_variance), axis=-1))


def natural_gradient(at: Belief, gradient: Belief) -> Belief:
    """Multiply a gradient in mean and log variance by the inverse of the Fisher metric.

    The Fisher information of a Gaussian is ``1/s`` for a mean and ``1/2`` for the log of a variance (``1/(2 s^2)`` for the
    variance itself), times the number of directions that share it. Source: Amari, *Natural gradient works efficiently in
    learning* (1998).
    """
    return Belief(at.variance * gradient.mean, 2.0 / at.shared_by * gradient.log_variance)


def squared_length(at: Belief, step: Belief) -> Float[Array, "*batch"]:
    """Return the squared length of a small step in the Fisher metric: to second order, twice the divergence that it causes."""
    means = jnp.sum(step.mean**2 * jnp.exp(-at.log_variance), axis=-1)
    return means + 0.5 * at.shared_by * jnp.sum(step.log_variance**2, axis=-1)
