"""The experiments of the case study: a task, a model and a learning rule."""

from dataclasses import dataclass, field
from functools import cache
from typing import Any, ClassVar, NamedTuple

import jax
import jax.numpy as jnp
from flax import nnx
from jax import Array
from jaxtyping import Float, Key

from ladder.declare.fields import check_fields
from ladder.declare.traced import with_components
from ladder.studies.purefep import tasks
from ladder.studies.purefep.flow import predict
from ladder.studies.purefep.learning import Backprop, Batch, FreeEnergy, accuracy, cross_entropy
from ladder.studies.purefep.model import Model, PureFEP

Learning = FreeEnergy | Backprop


def with_priors(config: Model, priors: Any) -> PureFEP:
    """Return the model of this configuration that has these priors, the arrays of an ``nnx.split``."""
    # Traced numbers cannot be hashed, and the structure of a model does not depend on them.
    model = nnx.merge(_graph(with_components(config, dict.fromkeys(Model.traced_components, 1.0))), priors)
    model.config = config
    return model


@cache
def _graph(config: Model) -> nnx.GraphDef[PureFEP]:
    return nnx.split(nnx.eval_shape(lambda: PureFEP(config, nnx.Rngs(0))))[0]


class OverfitState(NamedTuple):
    """The priors, the learning rule's own state, and data that never changes."""

    priors: Any
    memory: Any
    batch: Batch
    initial_distance: Float[Array, ""]


@dataclass(frozen=True, kw_only=True)
class Overfit:
    """An experiment that memorises one batch: by default 4 sequences of 8 tokens from a vocabulary of 16.

    The target of each token is the token that follows it.

    Metrics, evaluated after the epoch with targets hidden and as many steps of inference as in training: ``cross_entropy`` in
    nats, ``accuracy``, and ``separation`` (the smallest distance between two tokens' priors in the decode bank, over its value
    at initialisation). For comparison there are metrics of the epoch's last step: ``visible_cross_entropy`` and
    ``visible_accuracy`` of beliefs that have seen the targets, and the mean magnitudes of the parts of the free energy's
    gradient in the means of these beliefs, ``gradient_self``, ``gradient_alignment``, ``gradient_observation`` and ``ce_kl``,
    the third over the first.
    Traces, one number per step, are these six, and the cross-entropy before the step with targets hidden; each name starts
    with ``step_``.

    Attributes:
        model: The generative model and its fast flow.
        learning: The learning rule of the priors.
        first: Whether all sequences start with distinct tokens.
        batch_size: The number of sequences.
        epochs: The number of evaluations.
        steps_per_epoch: The number of training steps between evaluations.
        evaluation_steps: The number of steps of inference in an evaluation; None for as many as in training.
    """

    model: Model = field(default_factory=Model)
    learning: Learning = field(default_factory=FreeEnergy)
    first: tasks.FirstTokens = "distinct"
    batch_size: int = 4
    epochs: int = 100
    steps_per_epoch: int = 10
    evaluation_steps: int | None = None

    traced_components: ClassVar[tuple[str, ...]] = ("epochs",)  # which no step depends on

    def __post_init__(self) -> None:
        check_fields(self)
        if not 2 <= self.batch_size <= self.model.vocabulary:
            raise ValueError(
                f"Overfit(batch_size={self.batch_size}): choose at least 2 sequences, and no more than there are tokens to "
                f"start with, {self.model.vocabulary}"
            )
        if min(self.epochs, self.steps_per_epoch) < 1 or (
            self.evaluation_steps is not None and self.evaluation_steps < 1
        ):
            raise ValueError(
                f"Overfit(epochs={self.epochs}, steps_per_epoch={self.steps_per_epoch}, "
                f"evaluation_steps={self.evaluation_steps}): take at least one of each"
            )

    @property
    def metrics(self) -> tuple[str, ...]:
        """The metrics that every epoch reports."""
        return (
            "cross_entropy", "accuracy", "separation", "visible_cross_entropy", "visible_accuracy",
            "gradient_self", "gradient_alignment", "gradient_observation", "ce_kl",
        )  # fmt: skip

    def model_at(self, state: OverfitState) -> PureFEP:
        """Return the model as trained so far."""
        return with_priors(self.model, state.priors)

    def init(self, key: Key[Array, ""]) -> OverfitState:
        """Return fresh priors and a fresh batch."""
        model_key, batch_key = jax.random.split(key)
        model = PureFEP(self.model, nnx.Rngs(model_key))
        m = self.model
        tokens = tasks.one_batch(batch_key, self.batch_size, m.length, m.vocabulary, self.first)
        batch = Batch(tokens[:, :-1], jax.nn.one_hot(tokens[:, 1:], m.vocabulary))
        memory = self.learning.init(model, batch.inputs)
        return OverfitState(nnx.split(model)[1], memory, batch, closest(model.decode[...]))

    def epoch(self, state: OverfitState, key: Key[Array, ""]) -> tuple[OverfitState, dict[str, Array]]:
        """Train for ``steps_per_epoch`` steps and evaluate; the key is not used."""

        def step(state: OverfitState, _: None) -> tuple[OverfitState, dict[str, Array]]:
            model = self.model_at(state)
            memory, outputs = self.learning.step(model, state.memory, state.batch)
            targets = state.batch.targets
            traces = {
                "cross_entropy": cross_entropy(outputs.hidden, targets),
                "visible_cross_entropy": cross_entropy(outputs.visible, targets),
                "visible_accuracy": accuracy(outputs.visible, targets),
                "gradient_self": outputs.gradients.self_coupling,
                "gradient_alignment": outputs.gradients.alignment,
                "gradient_observation": outputs.gradients.observation,
                "ce_kl": outputs.gradients.observation / outputs.gradients.self_coupling,
            }
            return state._replace(priors=nnx.split(model)[1], memory=memory), traces

        state, traces = jax.lax.scan(step, state, None, length=self.steps_per_epoch)
        model = self.model_at(state)
        logits = predict(model, state.batch.inputs, model.frame(), self.evaluation_steps)
        evaluated = {
            "cross_entropy": cross_entropy(logits, state.batch.targets),
            "accuracy": accuracy(logits, state.batch.targets),
            "separation": closest(model.decode[...]) / state.initial_distance,
        }
        last_step = {name: trace[-1] for name, trace in traces.items()}
        return state, last_step | evaluated | {f"step_{name}": trace for name, trace in traces.items()}


def closest(bank: Float[Array, "row dim"]) -> Float[Array, ""]:
    """Return the smallest distance between two rows."""
    squared = jnp.sum((bank[:, None] - bank[None]) ** 2, axis=-1)
    return jnp.sqrt(jnp.min(jnp.where(jnp.eye(len(bank), dtype=bool), jnp.inf, squared)))


class StreamState(NamedTuple):
    """The priors, the learning rule's own state, the source, and held-out sequences."""

    priors: Any
    memory: Any
    source: Float[Array, "token token"]
    held_out: Batch


@dataclass(frozen=True, kw_only=True)
class Stream:
    """An experiment that learns from fresh batches and is evaluated on held-out sequences.

    In ``markov``, the model predicts every next token of a Markov source whose transitions are drawn with the seed. In
    ``recall``, a question follows random tokens, and the answer is the first of them.

    Metrics, evaluated after the epoch on 256 held-out sequences with targets hidden: ``cross_entropy`` in nats, ``accuracy``,
    and ``excess``, the cross-entropy less that of the source itself on the same tokens (less 0 for ``recall``).

    Attributes:
        task: The kind of sequences to learn.
        model: The generative model and its fast flow.
        learning: The learning rule of the priors.
        batch_size: The number of sequences in a training step.
        epochs: The number of evaluations.
        steps_per_epoch: The number of training steps between evaluations.
    """

    task: tasks.Task
    model: Model = field(default_factory=Model)
    learning: Learning = field(default_factory=FreeEnergy)
    batch_size: int = 32
    epochs: int = 10
    steps_per_epoch: int = 200

    HELD_OUT: ClassVar[int] = 256

    def __post_init__(self) -> None:
        check_fields(self)
        if isinstance(self.learning, FreeEnergy) and self.learning.lag:
            raise ValueError(
                f"Stream(learning=FreeEnergy(lag={self.learning.lag})): old beliefs are of other sequences"
            )
        if self.model.vocabulary < len(tasks.SUCCESSORS) or self.model.length < 2:
            raise ValueError(
                f"Stream(model=Model(vocabulary={self.model.vocabulary}, length={self.model.length})): take at least "
                f"{len(tasks.SUCCESSORS)} tokens, in sequences of at least 2"
            )
        if min(self.batch_size, self.epochs, self.steps_per_epoch) < 1:
            raise ValueError(
                f"Stream(batch_size={self.batch_size}, epochs={self.epochs}, steps_per_epoch={self.steps_per_epoch}): "
                "take at least one of each"
            )

    metrics: ClassVar[tuple[str, ...]] = ("cross_entropy", "accuracy", "excess")

    def model_at(self, state: StreamState) -> PureFEP:
        """Return the model as trained so far."""
        return with_priors(self.model, state.priors)

    def draw(self, key: Key[Array, ""], source: Float[Array, "token token"], size: int) -> Batch:
        """Draw ``size`` fresh sequences of the task."""
        m = self.model
        if self.task == "markov":
            tokens = tasks.markov(key, source, size, m.length)
            return Batch(tokens[:, :-1], jax.nn.one_hot(tokens[:, 1:], m.vocabulary))
        tokens = tasks.recall(key, size, m.length, m.vocabulary)
        is_answer = (jnp.arange(m.length) == m.length - 1)[None, :, None]
        return Batch(tokens[:, :-1], is_answer * jax.nn.one_hot(tokens[:, 1:], m.vocabulary))

    def init(self, key: Key[Array, ""]) -> StreamState:
        """Return fresh priors, a source, and held-out sequences of it."""
        model_key, source_key, held_out_key = jax.random.split(key, 3)
        model = PureFEP(self.model, nnx.Rngs(model_key))
        source = tasks.markov_source(source_key, self.model.vocabulary)
        held_out = self.draw(held_out_key, source, self.HELD_OUT)
        memory = self.learning.init(model, held_out.inputs[: self.batch_size])
        return StreamState(nnx.split(model)[1], memory, source, held_out)

    def epoch(self, state: StreamState, key: Key[Array, ""]) -> tuple[StreamState, dict[str, Array]]:
        """Train on fresh batches and evaluate."""

        def step(state: StreamState, key: Array) -> tuple[StreamState, Array]:
            model, batch = self.model_at(state), self.draw(key, state.source, self.batch_size)
            memory, outputs = self.learning.step(model, state.memory, batch)
            return state._replace(priors=nnx.split(model)[1], memory=memory), cross_entropy(
                outputs.hidden, batch.targets
            )

        state, trace = jax.lax.scan(step, state, jax.random.split(key, self.steps_per_epoch))
        model, (x, targets) = self.model_at(state), state.held_out
        logits = predict(model, x, model.frame())
        entropy = cross_entropy(logits, targets)
        source_entropy = cross_entropy(jnp.log(state.source[x] + 1e-30), targets) if self.task == "markov" else 0.0
        metrics = {"cross_entropy": entropy, "accuracy": accuracy(logits, targets), "excess": entropy - source_entropy}
        return state, metrics | {"step_cross_entropy": trace}
