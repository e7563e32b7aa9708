"""The references of the benchmarks: a training loop written by hand, the peak rate of a matrix product, and FLOP counts."""

import math
import time
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
from flax import nnx
from jax import Array

from ladder.studies.manifoldformer import Flow, Oscillators, Pointwise, Residual
from ladder.studies.manifoldformer.data import BATCH
from ladder.studies.manifoldformer.objective import weights


def plain_loss(experiment: Oscillators, params: Any, x: Array) -> Array:
    """Compute the loss of each sequence by the textbook formulas: full T x T coupling, ``jnp.sin``, a mask.

    The phase error is half the squared distance of the phasors ``P / (|P| + 1e-8)``, without an angle, as in ``losses``: of
    empty bins, and the signals have some, every other formula says something else.
    Bench-scale experiments alone: pointwise encoder, identity task, no noise, no sampling, no alignment.
    """

    def dense(layer: Any, h: Array) -> Array:
        return jnp.asarray(h @ layer["kernel"] + layer["bias"])

    def unit(v: Array) -> Array:
        return v / jnp.maximum(jnp.linalg.norm(v, axis=-1, keepdims=True), 1e-8)

    model, terms = experiment.model, weights(experiment.loss)
    z = dense(params["mean"], jax.nn.relu(dense(params["encoder"]["hidden"], x)))
    if model.latent == "sphere":
        z = unit(z)
    if isinstance(model.dynamics, Residual):
        z = unit(z + dense(params["dynamics"]["step"], z))
    if isinstance(model.dynamics, Flow):
        moves, time_, keys = params["dynamics"], z.shape[1], z
        spectrum = jnp.fft.rfft(keys, 2 * time_, axis=1) * jnp.fft.rfft(moves["memory"]["kernel"], 2 * time_, axis=0)
        memory = jnp.fft.irfft(spectrum, 2 * time_, axis=1)[:, :time_]
        mask = jnp.tril(jnp.ones((time_, time_)))

        def field(q: Array) -> Array:
            weight = jnp.sin(q @ keys.swapaxes(1, 2) + moves["coupling"]["lag"]) * mask
            force = memory + dense(moves["coupling"]["out"], weight @ keys)
            return force - jnp.sum(force * q, axis=-1, keepdims=True) * q

        k1 = field(z)
        k2 = field(unit(z + 0.5 * k1))
        k3 = field(unit(z + 0.5 * k2))
        k4 = field(unit(z + k3))
        z = unit(z + (k1 + 2 * k2 + 2 * k3 + k4) / 6)
    out = dense(params["decoder"]["out"], jax.nn.relu(dense(params["decoder"]["hidden"], z)))

    total = jnp.zeros(len(x))
    if "mse" in terms:
        total += jnp.mean((out - x) ** 2, axis=(1, 2))
    if "spectral" in terms:
        p, y = jnp.fft.rfft(out, axis=1), jnp.fft.rfft(x, axis=1)
        log = jnp.abs(jnp.log(jnp.abs(p) + 1e-8) - jnp.log(jnp.abs(y) + 1e-8))
        apart = p / (jnp.abs(p) + 1e-8) - y / (jnp.abs(y) + 1e-8)
        phase = 0.5 * (jnp.real(apart) ** 2 + jnp.imag(apart) ** 2)
        total += jnp.mean(log, axis=(1, 2)) + jnp.mean(phase, axis=(1, 2))
    return total


class Plain:
    """A training loop written by hand: one jitted step of Adam, called from Python, for one seed or for many by ``jax.vmap``.

    It trains and evaluates on batches of 64 sequences; with ``distinct`` it computes each of the 20 signals once and
    weights it by how often the batch holds it. Steps are queued and their losses read after the epoch.

    Args:
        experiment: What is trained.
        distinct: True to compute identical signals once.
        together: True to train many seeds at once: every function is vmapped over an axis of seeds before it is jitted.
    """

    def __init__(self, experiment: Oscillators, distinct: bool, together: bool = False):
        signals, ids = jnp.asarray(experiment.data.clean), experiment.data.training_choices.reshape(-1, BATCH)
        count = np.stack([np.bincount(batch, minlength=len(signals)) for batch in ids])
        same = jnp.full(ids.shape[1], 1 / ids.shape[1])
        if distinct:
            self.batches = [(signals, jnp.asarray(n / n.sum(), jnp.float32)) for n in count]
            self.evaluation_batches = [(signals, jnp.asarray(count.sum(axis=0) / count.sum(), jnp.float32))]
        else:
            self.batches = self.evaluation_batches = [(signals[batch], same) for batch in ids]
        self.epochs, self.adam = experiment.epochs, optax.adam(experiment.learning_rate)

        def initial(key: Array) -> Any:
            return nnx.to_pure_dict(experiment.init(key).params)

        def loss(params: Any, x: Array, weights: Array) -> Array:
            return jnp.sum(weights * plain_loss(experiment, params, x))

        def step(params: Any, adam: Any, x: Array, weights: Array) -> tuple[Any, Any, Array]:
            value, gradient = jax.value_and_grad(loss)(params, x, weights)
            update, adam = self.adam.update(gradient, adam)
            return optax.apply_updates(params, update), adam, value

        def jitted(function: Any, axes: Any = 0) -> Any:
            return jax.jit(jax.vmap(function, in_axes=axes) if together else function)

        self.initial, self.start = jitted(initial), jitted(self.adam.init)
        self.step, self.evaluate = jitted(step, (0, 0, None, None)), jitted(loss, (0, None, None))

    def train(self, key: Array, epochs: int | None = None, batches: int | None = None) -> dict[str, Any]:
        """Train one seed, or as many as there are keys.

        Args:
            key: The key of a seed, or an array of keys if seeds are trained together.
            epochs: The epochs to train, all by default; after fewer, times are those of all in proportion.
            batches: The batches of an epoch to train and evaluate on, all by default; likewise. For evaluations on these same
                batches only, that is unless they are on the distinct signals.

        Returns:
            The losses of all steps that were trained, of shape (step,) or (step, seed); the seconds in all, those of the
            evaluations, and the processor time in all.
        """
        epochs, batches = epochs or self.epochs, batches or len(self.batches)
        began, busy, evaluating, steps = time.perf_counter(), time.process_time(), 0.0, []
        params = self.initial(key)
        adam = jax.block_until_ready(self.start(params))
        initialised, initialised_busy = time.perf_counter(), time.process_time()
        for _ in range(epochs):
            values = []
            for batch in self.batches[:batches]:
                params, adam, value = self.step(params, adam, *batch)
                values.append(value)
            steps += [np.asarray(value).tolist() for value in values]
            evaluated = time.perf_counter()
            np.mean([np.asarray(self.evaluate(params, *batch)) for batch in self.evaluation_batches[:batches]], axis=0)
            evaluating += time.perf_counter() - evaluated
        whole = self.epochs / epochs * len(self.batches) / batches
        return {
            "seconds": initialised - began + whole * (time.perf_counter() - initialised),
            "cpu": initialised_busy - busy + whole * (time.process_time() - initialised_busy),
            "evaluating": whole * evaluating,
            "steps": steps,
        }

    def compile(self) -> tuple[float, float, float]:
        """Return the seconds that step and evaluation take to compile, and the step's FLOPs and bytes as XLA counts them."""
        began = time.perf_counter()
        params = self.initial.eval_shape(jax.random.key(0))
        step = self.step.lower(params, self.start.eval_shape(params), *self.batches[0]).compile()
        self.evaluate.lower(params, *self.evaluation_batches[0]).compile()
        counts = step.cost_analysis() or {}
        operations, moved = (float(counts.get(name, math.nan)) for name in ("flops", "bytes accessed"))
        return time.perf_counter() - began, operations, moved


def peak_flops(size: int = 2048, tries: int = 6) -> float:
    """Measure the best rate of a square float32 product, in FLOP/s, on the default device with all its threads."""
    product, a, best = jax.jit(lambda a: a @ a), jnp.ones((size, size)), math.inf
    for _ in range(tries + 1):  # the first compiles, and is never the best
        began = time.perf_counter()
        product(a).block_until_ready()
        best = min(best, time.perf_counter() - began)
    return 2.0 * size**3 / best


def peak_bytes(size: int = 2**24, tries: int = 6) -> float:
    """Measure the best rate at which a float32 array beyond the caches is read and written, in bytes/s, with all threads."""
    add, a, best = jax.jit(lambda a: a + 1.0), jnp.ones(size), math.inf
    for _ in range(tries + 1):
        began = time.perf_counter()
        add(a).block_until_ready()
        best = min(best, time.perf_counter() - began)
    return 2 * 4.0 * size / best


def flops(experiment: Oscillators, rows: int) -> tuple[float, float]:
    """Count the FLOPs of one training step on ``rows`` sequences, and of one forward pass: matrix products and FFTs only.

    A product of (m, k) and (k, n) is 2 m k n; the backward pass is two such products for each one forward, save that
    nothing is propagated to the input signal. A real FFT of n is 2.5 n log2 n, its transpose as much; the target's
    and the memory kernel's are left out, since neither need be repeated for each row. The coupling is counted as
    the full T x T square, four times a pass. Not counted: sines, masks, norms, the losses' pointwise part, Adam. Their
    time lowers the fraction of the peak; it does not enter the work.
    """
    model = experiment.model
    assert isinstance(model.encoder, Pointwise)
    t, c, d, h = experiment.data.length, experiment.data.channels, model.latent_dim, model.encoder.features
    first, dense, fft = 2 * t * c * h, 2 * t * (h * d + d * model.decoder + model.decoder * c), 0.0
    if "spectral" in weights(experiment.loss):
        fft += 2.5 * t * math.log2(t) * c
    if isinstance(model.dynamics, Residual):
        dense += 2 * t * d * d
    if isinstance(model.dynamics, Flow):
        dense += 4 * (2 * 2 * t * t * d + 2 * t * d * d)  # q k^T and W k, then the Dense, at each of four stages
        fft += 2 * 2.5 * 2 * t * math.log2(2 * t) * d  # there and back, padded to twice the length
    return rows * (2 * first + 3 * dense + 2 * fft), rows * (first + dense + fft)
