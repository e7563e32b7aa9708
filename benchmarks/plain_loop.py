"""What the ladder is measured against: the training loop a person would write, the peak of a product, and FLOPs."""

import math
import time
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
from flax import nnx
from jax import Array

from ladder.manifoldformer import Bench, data
from ladder.manifoldformer.encoder import LATENT_DIM


def plain_loss(bench: Bench, params: Any, x: Array) -> Array:
    """The loss of each sequence, by the textbook formulas: full T x T coupling, ``jnp.sin``, a mask.

    The phase error is taken as ``Re(P conj(Y)) / (|P| |Y|)``, as Bench does: the cheap way, to the plain loop's favour.
    """

    def dense(layer: Any, h: Array) -> Array:
        return jnp.asarray(h @ layer["kernel"] + layer["bias"])

    def unit(v: Array) -> Array:
        return v / jnp.maximum(jnp.linalg.norm(v, axis=-1, keepdims=True), 1e-8)

    z = dense(params["encoder"]["out"], jax.nn.relu(dense(params["encoder"]["hidden"], x)))
    if bench.latent == "sphere":
        z = unit(z)
    if bench.dynamics == "residual":
        z = unit(z + dense(params["dynamics"]["step"], z))
    if bench.dynamics == "full":
        moves, time_, keys = params["dynamics"], z.shape[1], z
        spectrum = jnp.fft.rfft(keys, 2 * time_, axis=1) * jnp.fft.rfft(moves["memory"], 2 * time_, axis=0)
        memory = jnp.fft.irfft(spectrum, 2 * time_, axis=1)[:, :time_]
        mask = jnp.tril(jnp.ones((time_, time_)))

        def field(q: Array) -> Array:
            weight = jnp.sin(q @ keys.swapaxes(1, 2) + moves["lag"]) * mask
            force = memory + dense(moves["out"], weight @ keys)
            return force - jnp.sum(force * q, axis=-1, keepdims=True) * q

        k1 = field(z)
        k2 = field(unit(z + 0.5 * k1))
        k3 = field(unit(z + 0.5 * k2))
        k4 = field(unit(z + k3))
        z = unit(z + (k1 + 2 * k2 + 2 * k3 + k4) / 6)
    out = dense(params["decoder"]["out"], jax.nn.relu(dense(params["decoder"]["hidden"], z)))

    total = jnp.zeros(len(x))
    if "mse" in bench.loss:
        total += jnp.mean((out - x) ** 2, axis=(1, 2))
    if "spectral" in bench.loss:
        p, y = jnp.fft.rfft(out, axis=1), jnp.fft.rfft(x, axis=1)
        log = jnp.abs(jnp.log(jnp.abs(p) + 1e-8) - jnp.log(jnp.abs(y) + 1e-8))
        phase = 1 - jnp.real(p * jnp.conj(y)) / (jnp.abs(p) * jnp.abs(y) + 1e-8)
        total += jnp.mean(log, axis=(1, 2)) + jnp.mean(phase, axis=(1, 2))
    return total


class Plain:
    """The loop a person would write: one jitted step of Adam, called from Python, one seed at a time.

    It trains and evaluates on batches of 64 sequences; with ``distinct`` it computes each of the 20 signals once and
    weights it by how often the batch holds it. Steps are queued and their losses read after the epoch.
    """

    def __init__(self, bench: Bench, distinct: bool):
        signals, ids = jnp.asarray(data.signals(bench.length)), data.drawn().reshape(data.BATCHES, -1)
        count = np.stack([np.bincount(batch, minlength=len(signals)) for batch in ids])
        same = jnp.full(ids.shape[1], 1 / ids.shape[1])
        if distinct:
            self.batches = [(signals, jnp.asarray(n / n.sum(), jnp.float32)) for n in count]
            self.held = [(signals, jnp.asarray(count.sum(axis=0) / count.sum(), jnp.float32))]
        else:
            self.batches = self.held = [(signals[batch], same) for batch in ids]
        self.epochs, self.adam = bench.epochs, optax.adam(bench.learning_rate)
        self.initial = jax.jit(lambda key: nnx.to_pure_dict(bench.init(key).params))
        self.start = jax.jit(self.adam.init)

        def loss(params: Any, x: Array, weights: Array) -> Array:
            return jnp.sum(weights * plain_loss(bench, params, x))

        def step(params: Any, adam: Any, x: Array, weights: Array) -> tuple[Any, Any, Array]:
            value, gradient = jax.value_and_grad(loss)(params, x, weights)
            update, adam = self.adam.update(gradient, adam)
            return optax.apply_updates(params, update), adam, value

        self.step, self.evaluate = jax.jit(step), jax.jit(loss)

    def train(self, key: Array) -> dict[str, Any]:
        """Train one seed: the losses of all steps, and the seconds of everything and of the evaluations alone."""
        began, evaluating, steps = time.perf_counter(), 0.0, []
        params = self.initial(key)
        adam = self.start(params)
        for _ in range(self.epochs):
            values = []
            for batch in self.batches:
                params, adam, value = self.step(params, adam, *batch)
                values.append(value)
            steps += [float(value) for value in values]
            evaluated = time.perf_counter()
            np.mean([self.evaluate(params, *batch) for batch in self.held])
            evaluating += time.perf_counter() - evaluated
        return {"seconds": time.perf_counter() - began, "evaluating": evaluating, "steps": steps}

    def compile(self) -> tuple[float, float]:
        """Seconds to compile the step and the evaluation, and the step's FLOPs as XLA counts them."""
        began = time.perf_counter()
        params = self.initial.eval_shape(jax.random.key(0))
        step = self.step.lower(params, self.start.eval_shape(params), *self.batches[0]).compile()
        self.evaluate.lower(params, *self.held[0]).compile()
        return time.perf_counter() - began, float((step.cost_analysis() or {}).get("flops", math.nan))


def peak_flops(size: int = 2048, tries: int = 6) -> float:
    """The best rate of a square float32 product, in FLOP/s, on the default device with all its threads."""
    product, a, best = jax.jit(lambda a: a @ a), jnp.ones((size, size)), math.inf
    for _ in range(tries + 1):  # the first compiles, and is never the best
        began = time.perf_counter()
        product(a).block_until_ready()
        best = min(best, time.perf_counter() - began)
    return 2.0 * size**3 / best


def flops(bench: Bench, rows: int) -> tuple[float, float]:
    """FLOPs of one training step on ``rows`` sequences, and of one forward pass: matrix products and FFTs only.

    A product of (m, k) and (k, n) is 2 m k n; the backward pass is two such products for each one forward, save that
    nothing is propagated to the input signal. A real FFT of n is 2.5 n log2 n, its transpose as much; the target's
    and the memory kernel's are left out, since neither need be repeated for each row. The coupling is counted as
    the full T x T square, four times a pass. Not counted: sines, masks, norms, the losses' pointwise part, Adam. Their
    time lowers the fraction of the peak; it does not enter the work.
    """
    t, c, d, h = bench.length, data.CHANNELS, LATENT_DIM, 64
    first, dense, fft = 2 * t * c * h, 2 * t * (h * d + d * h + h * c), 0.0
    if "spectral" in bench.loss:
        fft += 2.5 * t * math.log2(t) * c
    if bench.dynamics == "residual":
        dense += 2 * t * d * d
    if bench.dynamics == "full":
        dense += 4 * (2 * 2 * t * t * d + 2 * t * d * d)  # q k^T and W k, then the Dense, at each of four stages
        fft += 2 * 2.5 * 2 * t * math.log2(2 * t) * d  # there and back, padded to twice the length
    return rows * (2 * first + 3 * dense + 2 * fft), rows * (first + dense + fft)
