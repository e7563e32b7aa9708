"""The experiment of the case study: a data set, a task, a model and an optimiser."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, ClassVar, Literal, NamedTuple

import jax
import jax.numpy as jnp
import optax
import optax.contrib
from flax import nnx
from jax import Array
from jaxtyping import Float, Int, Key

from ladder.declare.fields import check_fields
from ladder.inspection import Inspection, step_traces
from ladder.studies.geometry.sphere import norm_error, normalise
from ladder.studies.manifoldformer import imputation, losses, objective
from ladder.studies.manifoldformer.data import Batch, Signals, Task
from ladder.studies.manifoldformer.dynamics import Flow, Identity
from ladder.studies.manifoldformer.imputation import MEASURES, ROLLOUTS, Gap
from ladder.studies.manifoldformer.metrics import oracle_distance
from ladder.studies.manifoldformer.model import ManifoldFormer, Model, Output
from ladder.studies.manifoldformer.objective import Refine

Schedule = Literal["constant", "cosine"]


def _matrices(params: Any) -> Any:
    """Return each kernel's dimension numbers for Muon: a matrix from all inputs to all outputs."""

    def dimension_numbers(param: Array) -> optax.contrib.MuonDimensionNumbers | None:
        *inputs, output = range(param.ndim) if param.ndim > 1 else (0,)
        return optax.contrib.MuonDimensionNumbers(tuple(inputs), (output,)) if inputs else None

    return jax.tree.map(dimension_numbers, params)


# The rate here is 1, because the learning rate is a separate factor.
OPTIMISERS: Mapping[str, optax.GradientTransformation] = {
    "adam": optax.adam(1.0),
    "adamw": optax.adamw(1.0),
    "muon": optax.contrib.muon(1.0, consistent_rms=0.2, muon_weight_dimension_numbers=_matrices),
    "sgd": optax.sgd(1.0),
}
Optimiser = Literal["adam", "adamw", "muon", "sgd"]
During = Literal["", "before", "after"]


class TrainingState(NamedTuple):
    """The quantities that training changes."""

    params: Any
    optimiser: optax.OptState
    step: Int[Array, ""]


@dataclass(frozen=True, kw_only=True)
class Oscillators:
    """An experiment in which a ManifoldFormer learns to reproduce or to continue sums of tones.

    Every published run is one of these; the defaults are patch A of the published ablation. AdamW has weight decay 1e-4,
    optax's default. Muon orthogonalises the update of every kernel, read as a matrix from all inputs to all outputs (the
    memory's taps from time to latent), and scales it to the size of Adam's, which the other parameters use (Jordan 2024; Liu
    et al. 2025).

    Metrics are evaluated after the epoch on the held-out sequences, weighted as in the training set, with noise that the
    training set does not have:

    - ``loss`` (the training loss), each of its terms, ``mse``, ``reconstruction``, ``spectral``, ``amplitude`` (RMS ratio),
      and ``oracle_distance`` (of the sampled latent; a Euclidean one is normalised first);
    - on the sphere, ``norm_error`` (the largest ``| |z| - 1 |`` of any latent in any step of the epoch, before and after the
      dynamics);
    - with sampling, ``noise`` (the mean length of its step);
    - with dynamics, ``moved`` (the RMS of their change of the latent over the RMS of the latent);
    - with a gap, filled by roll-out in the latent, ``latent_gap_mse``, ``latent_gap_amplitude`` and ``latent_gap_phase`` (the
      mean size of the phase error, in radians), by roll-out in the signal ``signal_gap_mse`` and so on, and ``gap_mse_ratio``,
      of the former to the latter.

    Traces, one number per step, are ``step_loss``, the batch's loss before the step, and those of
    :func:`~ladder.inspection.step_traces`, with stages over the rows that the step computes.

    Attributes:
        loss: The training objective, as :func:`~ladder.studies.manifoldformer.objective.weights` reads it.
        refine: The second stage of training; None for a single stage.
        gap: The gap to fill, in both ways, after each epoch; None for no imputation. It has no effect on training.
        shuffle: Whether the order of the sequences is drawn anew in each epoch; otherwise it is always the same.
        during: Whether ``during_mse`` and the like are reported too: means over the epoch's steps, each of its own batch
            ``before`` or ``after`` the update, as the published runs printed them. ``after`` costs a forward pass per step.

    Raises:
        ValueError: for a value outside those listed, a batch size that does not divide the training set, a negative rate, and
            combinations that make no sense, with the reason.
    """

    data: Signals = field(default_factory=Signals)
    task: Task = "identity"
    model: Model = field(default_factory=Model)
    loss: str = "mse"
    refine: Refine | None = None
    epochs: int = 5
    gap: Gap | None = None
    batch_size: int = 64
    optimiser: Optimiser = "adam"
    learning_rate: float = 1e-3
    schedule: Schedule = "constant"
    shuffle: bool = False
    during: During = ""

    # A control that trains at rate 0 runs the very program that it is a control of.
    traced_components: ClassVar[tuple[str, ...]] = ("learning_rate",)
    objective: ClassVar[str] = "loss"
    reference: ClassVar[str] = "mse"
    pictures: ClassVar[str] = "ladder.studies.manifoldformer.pictures"

    def __post_init__(self) -> None:
        check_fields(self)
        sequences = self.data.sequences
        if self.batch_size < 1 or sequences % self.batch_size:
            raise ValueError(
                f"Oscillators(batch_size={self.batch_size}): choose a divisor of the {sequences} sequences"
            )
        if not self.learning_rate >= 0.0:
            raise ValueError(f"Oscillators(learning_rate={self.learning_rate}): choose a rate of at least 0")
        if self.epochs < 1:
            raise ValueError(f"Oscillators(epochs={self.epochs}): train at least 1 epoch")
        if self.refine and self.refine.after >= self.epochs:
            raise ValueError(
                f"Oscillators(refine={self.refine!r}, epochs={self.epochs}): the second stage would never begin; train longer"
            )
        if self.gap and self.gap.samples >= self.data.length:
            raise ValueError(
                f"Oscillators(gap={self.gap!r}): there is no sample before it; of {self.data.length} samples leave at least 1"
            )
        identity = self.task == "identity"
        if identity and self.gap:
            raise ValueError(
                f"Oscillators(task='identity', gap={self.gap!r}): such a model continues nothing; choose task='next step'"
            )
        for loss in self._stages:
            objective.check(loss, self.model)
            if identity and "consistency" in objective.weights(loss):
                raise ValueError(
                    f"Oscillators(task='identity', loss={loss!r}): the dynamics are to lead to the present point, not the next; "
                    "choose task='next step', or leave 'consistency' out"
                )
        if self.model.latent_dim < 2 * self.data.tones:
            raise ValueError(
                f"Oscillators: {self.data.tones} tones need a latent of {2 * self.data.tones} coordinates for the oracle, not "
                f"{self.model.latent_dim}; raise model.latent_dim"
            )
        memory = self.model.dynamics.memory if isinstance(self.model.dynamics, Flow) else None
        if memory and memory.taps and memory.taps > self.data.length:
            raise ValueError(
                f"Oscillators: {memory!r} reaches further back than the {self.data.length} samples there are; choose fewer taps"
            )

    @property
    def _stages(self) -> list[str]:
        return [self.loss, *([self.refine.loss] if self.refine else [])]

    @cached_property
    def _terms(self) -> dict[str, list[float]]:
        """Every term of any stage, and its weight in each stage."""
        read = [objective.weights(loss) for loss in self._stages]
        return {name: [stage.get(name, 0.0) for stage in read] for name in dict.fromkeys(n for s in read for n in s)}

    @property
    def _batch_metrics(self) -> tuple[str, ...]:
        """The losses and metrics of a batch, in order."""
        return tuple(dict.fromkeys(("loss", *self._terms, "mse", "reconstruction", "spectral", "oracle_distance")))

    @property
    def metrics(self) -> tuple[str, ...]:
        """The metrics that every epoch reports."""
        model = self.model
        return (
            *self._batch_metrics,
            "amplitude",
            *(["norm_error"] if model.latent == "sphere" else []),
            *(["noise"] if model.sampling else []),
            *([] if isinstance(model.dynamics, Identity) else ["moved"]),
            *([f"{how}_{name}" for how in ROLLOUTS for name in MEASURES] if self.gap else []),
            *(["gap_mse_ratio"] if self.gap else []),
            *([f"during_{name}" for name in self._batch_metrics] if self.during else []),
        )

    @property
    def steps_per_epoch(self) -> int:
        """The number of optimiser steps in one epoch."""
        return self.data.sequences // self.batch_size

    def build(self, key: Key[Array, ""]) -> ManifoldFormer:
        """Build a freshly initialised model."""
        return self.model.build(self.data.length, self.data.channels, key)

    @cached_property
    def _graphdef(self) -> nnx.GraphDef[ManifoldFormer]:
        return nnx.split(nnx.eval_shape(lambda: self.build(jax.random.key(0))))[0]

    @property
    def _optimiser(self) -> optax.GradientTransformation:
        return OPTIMISERS[self.optimiser]

    def init(self, key: Key[Array, ""]) -> TrainingState:
        """Return fresh parameters and optimiser state."""
        params = nnx.split(self.build(key))[1]
        return TrainingState(params, self._optimiser.init(params), jnp.zeros((), jnp.int32))

    def model_at(self, state: TrainingState) -> ManifoldFormer:
        """Return the model with the parameters of this state."""
        return nnx.merge(self._graphdef, state.params)

    def _rate(self, state: TrainingState) -> Float[Array, ""]:
        rate = jnp.asarray(self.learning_rate)
        if self.schedule == "constant":
            return rate
        shape = optax.cosine_decay_schedule(1.0, self.epochs * self.steps_per_epoch)
        return rate * jnp.asarray(shape(state.step))

    def _progress(self, step: Int[Array, ""]) -> Float[Array, ""]:
        return step / (self.epochs * self.steps_per_epoch)

    def measure(self, out: Output, batch: Batch, step: Int[Array, ""]) -> dict[str, Float[Array, "*batch"]]:
        """Compute every loss of each sequence; ``loss`` is the training objective at this step."""
        terms = objective.evaluate(self._terms, out, batch)
        stage = step >= self.refine.after * self.steps_per_epoch if self.refine else None
        loss = sum(
            (
                (weights[0] if stage is None else jnp.where(stage, weights[1], weights[0])) * terms[name]
                for name, weights in self._terms.items()
            ),
            start=jnp.zeros(()),
        )
        z = out.sampled if self.model.latent == "sphere" else normalise(out.sampled)
        others = {name: name for name in ("mse", "reconstruction", "spectral") if name not in terms}
        return (
            {"loss": loss}
            | terms
            | objective.evaluate(others, out, batch)
            | {"oracle_distance": oracle_distance(z, batch.oracle)}
        )

    def epoch(self, state: TrainingState, key: Key[Array, ""]) -> tuple[TrainingState, dict[str, Array]]:
        """Train for one epoch, evaluate, and return the new state with the metrics (scalars) and traces (one number per step)."""
        data = self.data
        order_key, step_key, last_key = jax.random.split(key, 3)
        sequence = jnp.arange(data.sequences)
        rows = data.rows(jax.random.permutation(order_key, sequence) if self.shuffle else sequence, self.batch_size)
        keys = jax.random.split(step_key, self.steps_per_epoch)
        state, (norm_errors, during, traces) = jax.lax.scan(self._train_step, state, (*rows, keys))
        metrics, out = self._evaluate(state, last_key)
        metrics |= {f"during_{name}": jnp.mean(value) for name, value in during.items()}
        if self.model.latent == "sphere":
            metrics["norm_error"] = jnp.maximum(jnp.max(norm_errors), _off_sphere(out))
        return state, metrics | traces

    def _train_step(
        self, state: TrainingState, rows: tuple[Array, ...]
    ) -> tuple[TrainingState, tuple[Array, dict[str, Array], dict[str, Array]]]:
        """Take one optimiser step on one batch; return the new state, the norm error, the batch's losses, and the traces."""
        kind, number, weights, key = rows
        batch = self.data.batch(kind, number, self.task, self.model.latent_dim)
        (loss, (out, means)), gradient = jax.value_and_grad(self._batch_loss, has_aux=True)(
            state.params, batch, weights, key, state.step
        )
        direction, optimiser = self._optimiser.update(gradient, state.optimiser, state.params)
        rate = self._rate(state)
        update = jax.tree.map(lambda u: rate * u, direction)
        params = optax.apply_updates(state.params, update)
        if self.during == "after":
            means = self._batch_loss(params, batch, weights, key, state.step)[1][1]
        traces = step_traces(
            stages=self._forward_stages(batch.input, out), params=params, gradient=gradient, update=update
        )
        outputs = _off_sphere(out), means if self.during else {}, {"step_loss": loss} | traces
        return TrainingState(params, optimiser, state.step + 1), outputs

    def _batch_loss(
        self, params: Any, batch: Batch, weights: Array, key: Array, step: Array
    ) -> tuple[Array, tuple[Output, dict[str, Array]]]:
        """Return the objective on a batch and, beside it, the output of the model and all losses as weighted means."""
        out = nnx.merge(self._graphdef, params)(batch.input, key, self._progress(step))
        means = {name: jnp.sum(weights * each) for name, each in self.measure(out, batch, step).items()}
        return means["loss"], (out, means)

    def _evaluate(self, state: TrainingState, key: Array) -> tuple[dict[str, Array], Output]:
        """Compute the metrics on the held-out sequences, all but those that need the epoch's steps; return also the output."""
        data = self.data
        # Without the barrier XLA spends minutes on constant folding of everything that depends on the data alone.
        batch = jax.lax.optimization_barrier(data.held_out(self.task, self.model.latent_dim))
        share = jnp.asarray(data.held_out_share, jnp.float32)
        out = self.model_at(state)(batch.input, key, self._progress(state.step))
        # The previous step's loss: the next step may begin another stage than the epoch was trained in.
        parts = self.measure(out, batch, state.step - 1) | {"amplitude": losses.amplitude(out.signal, batch.target)}
        if self.gap:
            parts |= self._impute(state, batch, self.gap.samples)
        metrics = {name: jnp.sum(share * value) for name, value in parts.items()}
        if self.gap:
            metrics["gap_mse_ratio"] = metrics["latent_gap_mse"] / metrics["signal_gap_mse"]
        if out.step is not None:
            metrics["noise"] = jnp.mean(_length(out.step))
        if not isinstance(self.model.dynamics, Identity):
            metrics["moved"] = _rms(out.moved - out.aligned) / _rms(out.aligned)
        return metrics, out

    def _impute(self, state: TrainingState, batch: Batch, samples: int) -> dict[str, Float[Array, "*batch"]]:
        """Measure how well each roll-out fills the end of each sequence."""
        whole = jnp.concatenate([batch.clean[..., :1, :], batch.target], axis=-2)
        context, gap = batch.input[..., : whole.shape[-2] - samples, :], whole[..., -samples:, :]
        model = self.model_at(state)
        measures: dict[str, Array] = {}
        for how, roll_out in ROLLOUTS.items():
            measured = imputation.measure(roll_out(model, context, samples), gap)
            measures |= {f"{how}_{name}": jnp.abs(value) for name, value in measured.items()}
        return measures

    def inspect(self, state: TrainingState, key: Key[Array, ""]) -> Inspection:
        """Run every held-out sequence through the model."""
        batch = self.data.held_out(self.task, self.model.latent_dim)
        out = self.model_at(state)(batch.input, key, self._progress(state.step))
        return Inspection(
            stages=self._forward_stages(batch.input, out),
            latent="sampled" if self.model.sampling else "encoded",
            prediction=out.signal,
            target=batch.target,
            noise=None if out.step is None else _length(out.step),
            radius=1.0 if self.model.latent == "sphere" else None,
        )

    def _forward_stages(self, x: Float[Array, "*batch time channel"], out: Output) -> dict[str, Array]:
        """Return the stages of the forward pass, except those that change nothing."""
        return {
            "input": x,
            "encoded": out.encoded,
            **({"sampled": out.sampled} if self.model.sampling else {}),
            **({"aligned": out.aligned} if self.model.alignment else {}),
            "moved": out.moved,
            "output": out.signal,
        }


def _off_sphere(out: Output) -> Float[Array, ""]:
    return jnp.maximum(jnp.max(norm_error(out.sampled)), jnp.max(norm_error(out.moved)))


def _length(v: Float[Array, "*batch latent"]) -> Float[Array, "*batch"]:
    return jnp.sqrt(jnp.sum(v**2, axis=-1))


def _rms(x: Float[Array, "*shape"]) -> Float[Array, ""]:
    return jnp.sqrt(jnp.mean(x**2))
