"""Experiments of the case study: what is trained, on what, how."""

from dataclasses import dataclass
from functools import cached_property
from typing import Any, ClassVar, Literal, NamedTuple, get_args

import jax
import jax.numpy as jnp
import optax
from flax import nnx
from jax import Array
from jaxtyping import Float, Key

from ladder.geometry.sphere import norm_error
from ladder.inspection import Inspection, step_traces
from ladder.manifoldformer import data, losses
from ladder.manifoldformer.dynamics import DYNAMICS, INITS, Dynamics, Init
from ladder.manifoldformer.encoder import LATENT_DIM, LATENTS, Latent
from ladder.manifoldformer.model import ManifoldFormer, Output

Loss = Literal["mse", "spectral", "mse+spectral"]
LOSSES: tuple[Loss, ...] = get_args(Loss)
Schedule = Literal["constant", "cosine"]
SCHEDULES: tuple[str, ...] = get_args(Schedule)


class TrainingState(NamedTuple):
    """Everything that training changes, and the learning rate.

    The rate is carried here, not compiled in: a control that trains at rate 0 then runs the very program it is a
    control of.
    """

    params: Any
    optimiser: optax.OptState
    learning_rate: Float[Array, ""]


@dataclass(frozen=True, kw_only=True)
class Bench:
    """The published ablation (patches A to E): reproduce clean two-tone signals of 64 samples and 16 channels.

    The defaults are patch A. Adam without weight decay; 15 batches of 64 sequences an epoch, the same in the same
    order every epoch unless ``shuffle`` draws a new order from the epoch's key.

    Metrics, evaluated after the epoch on the whole training set (the task is to memorise 20 signals; there is no
    other data): ``mse``, ``spectral``, ``loss`` (the one trained on), ``amplitude`` (RMS ratio), and on the sphere
    ``norm_error`` (the largest ``| |z| - 1 |`` of any latent in any step of the epoch, before and after the dynamics).
    Traces, one number a step: ``step_loss``, the batch's loss before the step, and those of
    :func:`~ladder.inspection.step_traces`, the stages over the rows that the step computes.

    Raises:
        ValueError: for a value outside those listed, a batch size that does not divide the 960 sequences,
            full dynamics on a Euclidean latent (the coupling is between unit vectors), or a negative rate.
    """

    latent: Latent = "euclidean"
    dynamics: Dynamics = "identity"
    dynamics_init: Init = "random"
    loss: Loss = "mse"
    length: int = 64
    epochs: int = 5
    batch_size: int = data.BATCH_SIZE
    learning_rate: float = 1e-3
    schedule: Schedule = "constant"
    shuffle: bool = False

    objective: ClassVar[str] = "loss"
    reference: ClassVar[str] = "mse"

    def __post_init__(self) -> None:
        for name, allowed in (
            ("latent", LATENTS),
            ("dynamics", DYNAMICS),
            ("dynamics_init", INITS),
            ("loss", LOSSES),
            ("schedule", SCHEDULES),
        ):
            if getattr(self, name) not in allowed:
                raise ValueError(
                    f"Bench({name}={getattr(self, name)!r}): choose one of {', '.join(map(repr, allowed))}"
                )
        sequences = data.BATCHES * data.BATCH_SIZE
        if self.batch_size < 1 or sequences % self.batch_size:
            raise ValueError(f"Bench(batch_size={self.batch_size}): choose a divisor of the {sequences} sequences")
        if self.latent == "euclidean" and self.dynamics != "identity":
            raise ValueError(
                f"Bench(dynamics={self.dynamics!r}, latent='euclidean'): these dynamics move points of the sphere; "
                "choose latent='sphere'"
            )
        if not self.learning_rate >= 0.0:
            raise ValueError(f"Bench(learning_rate={self.learning_rate}): choose a rate of at least 0")
        if self.epochs < 1 or self.length < 2:
            raise ValueError(
                f"Bench(epochs={self.epochs}, length={self.length}): train at least 1 epoch on at least 2 samples"
            )

    @property
    def metrics(self) -> tuple[str, ...]:
        """The metrics that every epoch reports."""
        always = ("loss", "mse", "spectral", "amplitude")
        return (*always, "norm_error") if self.latent == "sphere" else always

    @property
    def steps_per_epoch(self) -> int:
        """Optimiser steps in one epoch."""
        return data.BATCHES * data.BATCH_SIZE // self.batch_size

    def model(self, key: Key[Array, ""]) -> ManifoldFormer:
        """A freshly initialised model."""
        return ManifoldFormer(
            channels=data.CHANNELS,
            length=self.length,
            latent_dim=LATENT_DIM,
            latent=self.latent,
            moves=self.dynamics,
            init=self.dynamics_init,
            rngs=nnx.Rngs(key),
        )

    @cached_property
    def _graphdef(self) -> nnx.GraphDef[ManifoldFormer]:
        return nnx.split(nnx.eval_shape(lambda: self.model(jax.random.key(0))))[0]

    @cached_property
    def _optimiser(self) -> optax.GradientTransformation:
        steps = self.epochs * self.steps_per_epoch
        shape = optax.cosine_decay_schedule(1.0, steps) if self.schedule == "cosine" else lambda step: 1.0
        return optax.chain(optax.scale_by_adam(), optax.scale_by_schedule(shape))

    def init(self, key: Key[Array, ""]) -> TrainingState:
        """Fresh parameters and optimiser state."""
        params = nnx.split(self.model(key))[1]
        return TrainingState(params, self._optimiser.init(params), jnp.asarray(self.learning_rate))

    def sequence_losses(
        self, predicted: Float[Array, "*batch time channel"], target: Float[Array, "*batch time channel"]
    ) -> dict[str, Float[Array, "*batch"]]:
        """Every loss of each sequence; ``loss`` is the one trained on."""
        parts = {"mse": losses.mse(predicted, target), "spectral": losses.spectral(predicted, target)}
        return parts | {"loss": sum((parts[name] for name in self.loss.split("+")), start=jnp.zeros(()))}

    def forward(self, params: Any, x: Float[Array, "*batch time channel"]) -> Output:
        """The model with these parameters."""
        return nnx.merge(self._graphdef, params)(x)

    def epoch(self, state: TrainingState, key: Key[Array, ""]) -> tuple[TrainingState, dict[str, Array]]:
        """Train for one epoch and evaluate."""
        signals = jnp.asarray(data.signals(self.length))
        drawn = jnp.asarray(data.drawn())
        order = jax.random.permutation(key, drawn) if self.shuffle else drawn

        def batch_loss(params: Any, x: Array, weights: Array) -> tuple[Array, Output]:
            out = self.forward(params, x)
            return jnp.sum(weights * self.sequence_losses(out.signal, x)["loss"]), out

        def step(
            state: TrainingState, batch: tuple[Array, Array]
        ) -> tuple[TrainingState, tuple[Array, dict[str, Array]]]:
            rows, weights = batch
            x = signals[rows]
            (loss, out), gradient = jax.value_and_grad(batch_loss, has_aux=True)(state.params, x, weights)
            direction, optimiser = self._optimiser.update(gradient, state.optimiser)
            update = jax.tree.map(lambda u: -state.learning_rate * u, direction)
            params = optax.apply_updates(state.params, update)
            traces = step_traces(stages=_stages(x, out), params=params, gradient=gradient, update=update)
            told = _off_sphere(out), {"step_loss": loss} | traces
            return TrainingState(params, optimiser, state.learning_rate), told

        state, (off, traces) = jax.lax.scan(step, state, data.batches(order, self.batch_size, len(signals)))

        share = jnp.mean(jax.nn.one_hot(drawn, len(signals)), axis=0)
        out = self.forward(state.params, signals)
        parts = self.sequence_losses(out.signal, signals) | {"amplitude": losses.amplitude(out.signal, signals)}
        metrics = {name: jnp.sum(share * value) for name, value in parts.items()}
        if "norm_error" in self.metrics:
            metrics["norm_error"] = jnp.maximum(jnp.max(off), _off_sphere(out))
        return state, metrics | traces

    def inspect(self, state: TrainingState, key: Key[Array, ""]) -> Inspection:
        """All 20 signals through the model; nothing is drawn, so the latent has no noise."""
        x = jnp.asarray(data.signals(self.length))
        out = self.forward(state.params, x)
        return Inspection(stages=_stages(x, out), latent="encoded", prediction=out.signal, target=x)


def _stages(x: Float[Array, "*batch time channel"], out: Output) -> dict[str, Array]:
    return {"input": x, "encoded": out.encoded, "moved": out.moved, "output": out.signal}


def _off_sphere(out: Output) -> Float[Array, ""]:
    return jnp.maximum(jnp.max(norm_error(out.encoded)), jnp.max(norm_error(out.moved)))
