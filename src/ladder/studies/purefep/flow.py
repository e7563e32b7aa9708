"""The fast flow: beliefs descend their free energy while the priors are constant."""

import jax
from jax import Array
from jax import numpy as jnp
from jaxtyping import Float, Int

from ladder.studies.purefep.beliefs import Belief, natural_gradient, squared_length
from ladder.studies.purefep.model import PureFEP


def step(model: PureFEP, q: Belief, gradient: Belief) -> Belief:
    """Move every belief one step down its gradient, at most ``trust`` far in the Fisher metric."""
    c = model.config
    direction = natural_gradient(q, gradient) if c.natural else gradient
    move = Belief(-c.mean_rate * direction.mean, -c.variance_rate * direction.log_variance)
    squared = squared_length(q, move)
    too_long = squared > c.trust**2
    # The square root has no derivative at zero, and backpropagation through the flow would evaluate it.
    scale = jnp.where(too_long, c.trust / jnp.sqrt(jnp.where(too_long, squared, 1.0)), 1.0)[..., None]
    return Belief(q.mean + scale * move.mean, q.log_variance + scale * move.log_variance)


def settle(
    model: PureFEP,
    q: Belief,
    x: Int[Array, "batch time"],
    frame: Float[Array, "time dim dim"],
    targets: Float[Array, "batch time vocabulary"] | None = None,
    steps: int | None = None,
) -> Belief:
    """Take several steps of the fast flow from ``q`` and return the beliefs at the end.

    Args:
        model: The priors, which do not change.
        q: The beliefs at the start, of shape (layer, batch, time, ...).
        x: The input tokens.
        frame: The result of ``model.frame()``.
        targets: The one-hot target tokens, zero where there is none; None while targets are hidden.
        steps: The number of steps; None for the model's own.
    """

    def descend(q: Belief, _: None) -> tuple[Belief, None]:
        gradient = jax.grad(model.free_energy)(q, x, frame, targets)
        return step(model, q, gradient), None

    return jax.lax.scan(descend, q, None, length=model.config.steps if steps is None else steps)[0]


def predict(
    model: PureFEP, x: Int[Array, "batch time"], frame: Float[Array, "time dim dim"], steps: int | None = None
) -> Float[Array, "batch time vocabulary"]:
    """Return the logits of the next tokens from the inputs alone: inference starts on the prior and never sees a target.

    Args:
        model: The priors.
        x: The input tokens.
        frame: The result of ``model.frame()``.
        steps: The number of steps of inference; None for the model's own.
    """
    return model.logits(settle(model, model.initial(x), x, frame, steps=steps))
