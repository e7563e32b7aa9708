"""The slow flow: learning rules that move priors given settled beliefs, and backpropagation for comparison."""

from dataclasses import dataclass, field
from typing import Any, ClassVar, Literal, NamedTuple, Protocol, runtime_checkable

import jax
import jax.numpy as jnp
import optax
from flax import nnx
from jax import Array
from jaxtyping import Bool, Float, Int

from ladder.declare.fields import check_fields
from ladder.studies.geometry.orthogonal import skew
from ladder.studies.purefep.beliefs import Belief
from ladder.studies.purefep.flow import predict, settle
from ladder.studies.purefep.model import PureFEP, Terms

Phases = Literal["contrast", "descent", "visible"]


class Batch(NamedTuple):
    """A batch of sequences, and the one-hot tokens to predict: zero where there is nothing to predict."""

    inputs: Int[Array, "batch time"]
    targets: Float[Array, "batch time vocabulary"]


class StepOutputs(NamedTuple):
    """The quantities that a training step computes along the way.

    Attributes:
        hidden: The logits before the step, with the targets hidden.
        visible: The logits of beliefs that have seen the targets.
        gradients: The mean magnitude of the gradient in the means, of each part of the free energy, once beliefs have seen the
            targets and the parts have come to balance.
    """

    hidden: Float[Array, "batch time vocabulary"]
    visible: Float[Array, "batch time vocabulary"]
    gradients: Terms


@runtime_checkable
class DecodeRule(Protocol):
    """A rule that changes the bank of targets' priors, given beliefs and the tokens that they should predict."""

    def __call__(
        self, bank: Array, beliefs: Float[Array, "token dim"], logits: Array, targets: Array, tau: float
    ) -> Float[Array, "vocabulary dim"]:
        """Return the change of every prior mean.

        Args:
            bank: The prior mean of each token.
            beliefs: The mean of the top belief of each token of the batch.
            logits: The decoding of these beliefs.
            targets: The one-hot tokens to predict, zero where there is nothing to predict.
            tau: The temperature of decoding, in nats.
        """


@dataclass(frozen=True)
class Descent:
    """A rule of gradient descent on the observation term at given beliefs: ``sum_i (1[v = y_i] - p_iv) (m_i - decode_v) / tau``.

    ``attraction`` pulls the right token's prior to the belief, ``repulsion`` pushes the others' away.
    """

    rate: float = 0.1
    attraction: bool = True
    repulsion: bool = True

    traced_components: ClassVar[tuple[str, ...]] = ("rate", "attraction", "repulsion")

    def __call__(
        self, bank: Array, beliefs: Float[Array, "token dim"], logits: Array, targets: Array, tau: float
    ) -> Float[Array, "vocabulary dim"]:
        """Return the change of every prior mean; arguments as in :class:`DecodeRule`."""
        has_target = jnp.sum(targets, axis=-1, keepdims=True)
        p = has_target * jax.nn.softmax(logits)
        weight = self.attraction * targets * (1.0 - p) - self.repulsion * (1.0 - targets) * p
        return self.rate / tau * _towards(bank, beliefs, weight)


@dataclass(frozen=True)
class Discriminative:
    """The original's rule: for each wrong prediction, ``decode_y += lr (decode_y - decode_predicted)``.

    With ``contrastive``, the third of its fixes, also ``decode_y += lr (m - decode_y)`` for each right prediction. The rate
    ``lr`` is ``base`` times ``multiplier``, which is 0.01 before the first fix and 0.5 after it.
    """

    multiplier: float = 0.5
    contrastive: bool = True
    base: float = 0.01

    traced_components: ClassVar[tuple[str, ...]] = ("multiplier", "contrastive", "base")

    def __call__(
        self, bank: Array, beliefs: Float[Array, "token dim"], logits: Array, targets: Array, tau: float
    ) -> Float[Array, "vocabulary dim"]:
        """Return the change of every prior mean; arguments as in :class:`DecodeRule`."""
        predicted = jax.nn.one_hot(jnp.argmax(logits, axis=-1), len(bank))
        right = jnp.sum(targets * predicted, axis=-1, keepdims=True)
        wrong = (1.0 - right) * targets
        apart = wrong.T @ ((targets - predicted) @ bank)
        return self.base * self.multiplier * (apart + self.contrastive * _towards(bank, beliefs, right * targets))


@dataclass(frozen=True)
class Chasing:
    """The rule that the original had switched off: ``decode_y += rate (m - decode_y)``, in which nothing pushes priors apart."""

    rate: float = 0.1

    def __call__(
        self, bank: Array, beliefs: Float[Array, "token dim"], logits: Array, targets: Array, tau: float
    ) -> Float[Array, "vocabulary dim"]:
        """Return the change of every prior mean; arguments as in :class:`DecodeRule`."""
        count = jnp.maximum(jnp.sum(targets, axis=0), 1.0)
        return self.rate * _towards(bank, beliefs, targets / count[None])


def _towards(bank: Array, beliefs: Array, weight: Float[Array, "token vocabulary"]) -> Float[Array, "vocabulary dim"]:
    """Return ``sum_i weight_iv (m_i - bank_v)``."""
    return weight.T @ beliefs - jnp.sum(weight, axis=0)[:, None] * bank


@dataclass(frozen=True, kw_only=True)
class FreeEnergy:
    """A learning rule by free energy alone: priors move along its gradient at settled beliefs, which are constants by then.

    Nothing differentiates through the settling, and without a lag no state but the priors remains between steps.

    Attributes:
        phases: ``contrast``: beliefs settle with targets hidden, then with targets visible, and priors follow the difference
            of the two gradients. ``descent``: only the second gradient counts. ``visible``: targets are visible from the start,
            and the decode bank learns there too, as in the original.
        prior_rate: The rate of the encode bank and of the positions' priors. From 0.2 on, attention occasionally flips after
            all is learned, and a token is wrong for a step or two.
        frame_rate: The rate of the frames.
        decode: The rule by which the decode bank learns from the beliefs that have not seen the targets.
        hyperprior: The fraction by which every prior mean that learns shrinks towards zero in a step.
        row_clip: The longest step of one prior mean.
        lag: The age in steps of the beliefs that the decode bank learns from; it requires a batch that does not change.
    """

    phases: Phases = "contrast"
    prior_rate: float = 0.15
    frame_rate: float = 0.0
    decode: DecodeRule = field(default_factory=Descent)
    hyperprior: float = 0.0002
    row_clip: float = 0.5
    lag: int = 0

    traced_components: ClassVar[tuple[str, ...]] = ("prior_rate", "hyperprior", "row_clip")

    def __post_init__(self) -> None:
        check_fields(self)
        for name in ("prior_rate", "frame_rate", "hyperprior", "lag"):
            if not (value := getattr(self, name)) >= 0:
                raise ValueError(f"FreeEnergy({name}={value}): choose at least 0")
        if not self.row_clip > 0.0:
            raise ValueError(f"FreeEnergy(row_clip={self.row_clip}): choose a length above 0")

    def init(self, model: PureFEP, x: Int[Array, "batch time"]) -> Any:
        """Return the state between steps besides the priors: the last ``lag`` beliefs, or an empty tuple without a lag."""
        if self.lag == 0:
            return ()
        return jax.tree.map(lambda part: jnp.broadcast_to(part, (self.lag, *part.shape)), model.initial(x))

    def step(self, model: PureFEP, memory: Any, batch: Batch) -> tuple[Any, StepOutputs]:
        """Move the model's priors by one step, in place; return the new state, and the quantities computed along the way."""
        x, targets = batch
        frame = model.frame()
        start = model.initial(x)
        free = settle(model, start, x, frame)
        clamped = settle(model, start if self.phases == "visible" else free, x, frame, targets)
        outputs = StepOutputs(
            model.logits(free), model.logits(clamped), gradient_magnitudes(model, clamped, x, frame, targets)
        )

        slope = self._slope(model, clamped, x, frame)
        if self.phases == "contrast":
            slope = jax.tree.map(jnp.subtract, slope, self._slope(model, free, x, frame))
        decode_beliefs = clamped if self.phases == "visible" else free
        if self.lag:
            decode_beliefs, memory = (
                jax.tree.map(lambda beliefs: beliefs[0], memory),
                jax.tree.map(lambda beliefs, new: jnp.concatenate([beliefs[1:], new[None]]), memory, decode_beliefs),
            )
        self._move(model, slope, decode_beliefs, batch)
        return memory, outputs

    def _slope(self, model: PureFEP, q: Belief, x: Array, frame: Array) -> Any:
        """Return the gradient, at these beliefs, of the free energy in the priors that beliefs are measured against."""
        graph, priors = nnx.split(model)

        def energy(priors: Any) -> Array:
            varied = nnx.merge(graph, priors)
            return varied.free_energy(q, x, varied.frame() if self.frame_rate else frame)

        return jax.grad(energy)(priors)

    def _move(self, model: PureFEP, slope: Any, decode_beliefs: Belief, batch: Batch) -> None:
        gradient = nnx.merge(nnx.split(model)[0], slope)
        v, k = model.encode[...].shape
        counts = jnp.maximum(jnp.sum(jax.nn.one_hot(batch.inputs, v), axis=(0, 1)), 1.0)[:, None]
        decode = self.decode(
            model.decode[...],
            decode_beliefs.mean[-1].reshape(-1, k),
            model.logits(decode_beliefs).reshape(-1, v),
            batch.targets.reshape(-1, v),
            model.config.tau,
        )
        learns = jnp.asarray(self.prior_rate) > 0.0
        self._add(model.encode, -self.prior_rate * gradient.encode[...] / counts, learns)
        self._add(model.position, -self.prior_rate * gradient.position[...] / len(batch.inputs), learns)
        self._add(model.decode, decode)
        if self.frame_rate:
            model.phi[...] -= self.frame_rate * skew(gradient.phi[...]) / len(batch.inputs)

    def _add(
        self, prior: nnx.Param[Array], change: Float[Array, "*rows dim"], learns: bool | Bool[Array, ""] = True
    ) -> None:
        length = jnp.linalg.norm(change, axis=-1, keepdims=True)
        scale = self.row_clip / jnp.maximum(length, self.row_clip)
        prior[...] = jnp.where(learns, (1.0 - self.hyperprior) * prior[...] + scale * change, prior[...])


def gradient_magnitudes(model: PureFEP, q: Belief, x: Array, frame: Array, targets: Array) -> Terms:
    """Return the mean magnitude of the gradient in the beliefs' means of each weighted part of the free energy.

    Args:
        model: The priors.
        q: The beliefs, of shape (layer, batch, time, ...).
        x: The input tokens.
        frame: The result of ``model.frame()``.
        targets: The one-hot target tokens, zero where there is none.
    """

    def magnitude(part: int) -> Array:
        slope = jax.grad(lambda q: model.weighted(model.terms(q, x, frame, targets))[part])(q)
        return jnp.mean(jnp.abs(slope.mean))

    return Terms(magnitude(0), magnitude(1), magnitude(2))


@dataclass(frozen=True, kw_only=True)
class Backprop:
    """A learning rule for comparison: Adam on the cross-entropy of hidden-target predictions of the same model, unrolled.

    Attributes:
        rate: The rate of Adam.
        frames: Whether the frames learn too.
    """

    rate: float = 0.01
    frames: bool = False

    def __post_init__(self) -> None:
        check_fields(self)
        if not self.rate > 0.0:
            raise ValueError(f"Backprop(rate={self.rate}): choose a rate above 0")

    def init(self, model: PureFEP, x: Int[Array, "batch time"]) -> optax.OptState:
        """Return the initial state of the optimiser."""
        return optax.adam(self.rate).init(nnx.split(model)[1])

    def step(self, model: PureFEP, memory: optax.OptState, batch: Batch) -> tuple[optax.OptState, StepOutputs]:
        """Move the model's priors by one step, in place; return the optimiser's state, and the quantities computed."""
        graph, priors = nnx.split(model)

        def loss(priors: Any) -> tuple[Array, Array]:
            unrolled = nnx.merge(graph, priors)
            frame = unrolled.frame() if self.frames else jax.lax.stop_gradient(unrolled.frame())
            logits = predict(unrolled, batch.inputs, frame)
            return cross_entropy(logits, batch.targets), logits

        gradient, logits = jax.grad(loss, has_aux=True)(priors)
        update, memory = optax.adam(self.rate).update(gradient, memory)
        nnx.update(model, optax.apply_updates(priors, update))
        zero = jnp.zeros(())
        return memory, StepOutputs(logits, logits, Terms(zero, zero, zero))


def cross_entropy(
    logits: Float[Array, "batch time vocabulary"], targets: Float[Array, "batch time vocabulary"]
) -> Float[Array, ""]:
    """Return the cross-entropy in nats, the mean over the tokens to predict."""
    return -jnp.sum(targets * jax.nn.log_softmax(logits)) / jnp.sum(targets)


def accuracy(
    logits: Float[Array, "batch time vocabulary"], targets: Float[Array, "batch time vocabulary"]
) -> Float[Array, ""]:
    """Return the fraction of the tokens to predict for which the right token has the largest logit."""
    best = jax.nn.one_hot(jnp.argmax(logits, axis=-1), logits.shape[-1])
    return jnp.sum(targets * best) / jnp.sum(targets)
