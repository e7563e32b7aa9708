"""The fast flow: beliefs descend their free energy while the priors stand still."""

import jax
from jax import Array
from jax import numpy as jnp
from jaxtyping import Float, Int

from ladder.studies.purefep.beliefs import Belief, natural_gradient, squared_length
from ladder.studies.purefep.model import PureFEP


def step(model: PureFEP, q: Belief, gradient: Belief) -> Belief:
    """One step of every belief down its gradient, no longer in the Fisher metric than the model trusts it."""
    c = model.config
    direction = natural_gradient(q, gradient) if c.natural else gradient
    move = Belief(-c.mean_rate * direction.mean, -c.variance_rate * direction.log_variance)
    squared = squared_length(q, move)
    far = squared > c.trust**2
    # The root of nothing has no derivative, and whoever unrolls the flow would meet it.
    shorter = jnp.where(far, c.trust / jnp.sqrt(jnp.where(far, squared, 1.0)), 1.0)[..., None]
    return Belief(q.mean + shorter * move.mean, q.log_variance + shorter * move.log_variance)


def settle(
    model: PureFEP,
    q: Belief,
    x: Int[Array, "batch time"],
    frame: Float[Array, "time dim dim"],
    targets: Float[Array, "batch time vocabulary"] | None = None,
    steps: int | None = None,
) -> Belief:
    """Take ``steps`` steps (by default the model's) from ``q``, with the targets shown or hidden."""

    def descend(q: Belief, _: None) -> tuple[Belief, None]:
        gradient = jax.grad(model.free_energy)(q, x, frame, targets)
        return step(model, q, gradient), None

    return jax.lax.scan(descend, q, None, length=model.config.steps if steps is None else steps)[0]


def predict(
    model: PureFEP, x: Int[Array, "batch time"], frame: Float[Array, "time dim dim"], steps: int | None = None
) -> Float[Array, "batch time vocabulary"]:
    """Logits of the next tokens from the inputs alone: inference starts on the prior and never sees a target."""
    return model.logits(settle(model, model.initial(x), x, frame, steps=steps))
