"""How fast the ladder trains its rungs, against a plain training loop: Markdown tables of ratios measured in one run.

Competitors are timed in turn (A B A B) and compared round by round; what is quoted is the median of the rounds and,
in brackets, their range. The plain loop runs in a process of its own: in this one ``Trainer`` shows JAX every core as a
device, and a loop on one of those might not get all cores. There it has JAX's defaults: one device, all threads.
"""

import argparse
import json
import math
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from statistics import median
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
from flax import nnx
from jax import Array

from ladder import Seeds, Trainer
from ladder.manifoldformer import Bench, data
from ladder.training import use_all_cores

RUNGS: dict[int, dict[str, Any]] = {
    1: {"loss": "mse"},
    2: {"loss": "spectral"},
    3: {"loss": "mse+spectral", "latent": "sphere"},
    4: {"loss": "mse+spectral", "latent": "sphere", "dynamics": "residual"},
    5: {"loss": "mse+spectral", "latent": "sphere", "dynamics": "full"},
    6: {"loss": "mse+spectral", "latent": "sphere", "dynamics": "full", "dynamics_init": "zero"},
}
IDS = {1: "rung1", 2: "rung2[spectral]"} | {n: f"rung{n}[mse+spectral]" for n in (3, 4, 5, 6)}
TARGET_SPEEDUP = {1: 2.0, 2: 2.0, 3: 2.0, 4: 2.0, 5: 3.0, 6: 3.0}
TARGET_FIRST_EPOCH, TARGET_COLD, TARGET_WARM = 3.0, 45.0, 30.0  # seconds
BLOCK = 16  # seeds of a climb's first look
ROUNDING = 2.0**-24
# Of the first step's loss: means of terms of order 1 whose spectra are sums of 64; the two sides sum in other orders.
LOSS_TOLERANCE = 64 * ROUNDING


# --- The plain loop ----------------------------------------------------------------------------------------------------


def plain_loss(bench: Bench, params: Any, x: Array) -> Array:
    """The loss of each sequence, by the textbook formulas: full T x T coupling, ``jnp.sin``, a mask.

    The phase error is taken as ``Re(P conj(Y)) / (|P| |Y|)``, as Bench does: the cheap way, to the plain loop's favour.
    """

    def dense(layer: Any, h: Array) -> Array:
        return h @ layer["kernel"] + layer["bias"]

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

    Variants, each on top of the one before: ``plain`` trains on batches of 64 sequences; ``rows`` computes each distinct
    signal once and weights it by how often the batch holds it, and likewise evaluates; ``scan`` compiles the steps of
    an epoch into one program.
    """

    def __init__(self, bench: Bench, variant: str):
        signals, ids = jnp.asarray(data.signals(bench.length)), data.drawn().reshape(data.BATCHES, -1)
        count = np.stack([np.bincount(batch, minlength=len(signals)) for batch in ids]) / ids.shape[1]
        same = np.full(ids.shape[1], 1 / ids.shape[1])
        every = [(signals[batch], jnp.asarray(same, jnp.float32)) for batch in ids]
        once = [(signals, jnp.asarray(weights, jnp.float32)) for weights in count]
        self.batches = every if variant == "plain" else once
        self.held = every if variant == "plain" else [(signals, jnp.asarray(count.mean(axis=0), jnp.float32))]
        self.stacked = jax.tree.map(lambda *leaves: jnp.stack(leaves), *self.batches) if variant == "scan" else None
        self.epochs, self.adam = bench.epochs, optax.adam(1e-3)
        self.initial = jax.jit(lambda key: nnx.to_pure_dict(bench.init(key).params))
        self.start = jax.jit(self.adam.init)

        def loss(params: Any, x: Array, weights: Array) -> Array:
            return jnp.sum(weights * plain_loss(bench, params, x))

        def step(state: Any, batch: tuple[Array, Array]) -> tuple[Any, Array]:
            params, adam = state
            value, gradient = jax.value_and_grad(loss)(params, *batch)
            update, adam = self.adam.update(gradient, adam)
            return (optax.apply_updates(params, update), adam), value

        self.step, self.evaluate = jax.jit(step), jax.jit(loss)
        self.scan = jax.jit(lambda state, batches: jax.lax.scan(step, state, batches))

    def train(self, key: Array) -> dict[str, Any]:
        """Train one seed; the losses of steps and epochs, and the seconds of all and of the evaluations alone."""
        began, evaluating, steps, epochs = time.perf_counter(), 0.0, [], []
        params = self.initial(key)
        state = params, self.start(params)
        for _ in range(self.epochs):
            if self.stacked is not None:
                state, values = self.scan(state, self.stacked)
                steps += np.asarray(values).tolist()
            else:
                values = []
                for batch in self.batches:
                    state, value = self.step(state, batch)
                    values.append(value)
                steps += [float(value) for value in values]  # read after the epoch: steps are queued, not waited for
            evaluated = time.perf_counter()
            epochs.append(float(np.mean([self.evaluate(state[0], *batch) for batch in self.held])))
            evaluating += time.perf_counter() - evaluated
        return {
            "seconds": time.perf_counter() - began, "evaluating": evaluating, "steps": steps, "epochs": epochs,
        }  # fmt: skip

    def compile(self) -> tuple[float, float]:
        """Seconds to compile the step and the evaluation, and the step's FLOPs as XLA counts them."""
        began = time.perf_counter()
        params = self.initial.eval_shape(jax.random.key(0))
        step = self.step.lower((params, self.start.eval_shape(params)), self.batches[0]).compile()
        self.evaluate.lower(params, *self.held[0]).compile()
        return time.perf_counter() - began, float((step.cost_analysis() or {}).get("flops", math.nan))


def peak_flops(size: int = 2048, tries: int = 6) -> float:
    """The best rate of a square float32 product, in FLOP/s, on the default device with all its threads."""
    product, a = jax.jit(lambda a: a @ a), jnp.ones((size, size))
    product(a).block_until_ready()
    times = []
    for _ in range(tries):
        began = time.perf_counter()
        product(a).block_until_ready()
        times.append(time.perf_counter() - began)
    return 2.0 * size**3 / min(times)


def worker() -> None:
    """Answer requests, one JSON object a line: ``what`` is timed for ``rung``; see ``Worker``."""
    timed: dict[Any, Callable[[Sequence[int]], list[dict[str, Any]]]] = {}
    for line in sys.stdin:
        ask = json.loads(line)
        what, bench = ask["what"], Bench(**RUNGS[ask.get("rung", 1)])
        answer: Any
        if what == "first":
            answer = first_epoch(bench)
        elif what == "compile":
            answer = Plain(bench, "plain").compile()
        elif what == "peak":
            answer = peak_flops()
        else:
            key = what, ask["rung"]
            if key not in timed:
                timed[key] = alone(bench) if what == "alone" else looped(bench, what)
                timed[key](range(1))  # compiles and warms up
            answer = timed[key](range(ask["seeds"]))
        print(json.dumps(answer), flush=True)


def looped(bench: Bench, variant: str) -> Callable[[Sequence[int]], list[dict[str, Any]]]:
    plain = Plain(bench, variant)
    return lambda numbers: [plain.train(key) for key in Seeds().keys(numbers)]


def alone(bench: Bench) -> Callable[[Sequence[int]], list[dict[str, Any]]]:
    """The Trainer's program, one seed at a time, on the one device of a process that has started JAX already."""
    jax.devices()
    trainer = Trainer(bench, 1)
    return lambda numbers: [{"seconds": trainer(Seeds(), [number]).run_seconds} for number in numbers]


def first_epoch(bench: Bench) -> dict[str, float]:
    """When the first epoch of a block of seeds was reported, by the clock and since the Trainer was made."""
    seen: list[float] = []

    class Watch:
        def compiling(self, first: int, last: int) -> None:
            pass

        def epoch(self, first: int, last: int, epoch: int, metrics: dict[str, np.ndarray]) -> None:
            seen.append(time.time())

    began = time.time()
    trained = Trainer(bench, BLOCK)(Seeds(), range(BLOCK), Watch())
    return {"at": seen[0], "since": seen[0] - began, "compile": trained.compile_seconds}


class Worker:
    """This script in another process, with JAX as JAX starts by itself; ``born`` is when it was started."""

    def __init__(self) -> None:
        self.born = time.time()
        command = [sys.executable, __file__, "--worker"]
        self._process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=no_cache()
        )

    def __call__(self, what: str, **more: int) -> Any:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        print(json.dumps({"what": what} | more), file=self._process.stdin, flush=True)
        line = self._process.stdout.readline()
        if not line:
            sys.exit(f"the process that timed {what} {more} ended early; its error is printed above")
        return json.loads(line)

    def close(self) -> None:
        self._process.communicate()


def no_cache() -> dict[str, str]:
    """The environment without JAX's compilation cache, so that what is called cold is cold."""
    return {name: value for name, value in os.environ.items() if name != "JAX_COMPILATION_CACHE_DIR"}


# --- FLOPs -------------------------------------------------------------------------------------------------------------


def flops(bench: Bench, rows: int) -> tuple[float, float]:
    """FLOPs of one training step on ``rows`` sequences, and of one forward pass: matrix products and FFTs only.

    A product of (m, k) and (k, n) is 2 m k n; the backward pass is two such products for each one forward, save that
    nothing is propagated to the input signal. A real FFT of n is 2.5 n log2 n, its transpose as much. The coupling
    is counted as the full T x T square, four times a pass. Not counted: sines, masks, norms, losses' pointwise
    part, Adam. So the time of those lowers the fraction of the peak; it does not enter the work.
    """
    t, c, d, h = bench.length, data.CHANNELS, 16, 64
    first, dense = 2 * t * c * h, 2 * t * (h * d + d * h + h * c)
    fft = 2.5 * t * math.log2(t) * c * 2 if "spectral" in bench.loss else 0.0  # of prediction and target
    fft_back = fft / 2  # the target needs no gradient
    if bench.dynamics == "residual":
        dense += 2 * t * d * d
    if bench.dynamics == "full":
        dense += 4 * (2 * 2 * t * t * d + 2 * t * d * d)  # q k^T and W k at each of four stages, then the Dense
        n = 2 * t
        fft += 2.5 * n * math.log2(n) * d * 2  # there and back, the kernel's own left out
        fft_back += 2.5 * n * math.log2(n) * d * 2
    forward = first + dense + fft
    return rows * (forward + first + 2 * dense + fft_back), rows * forward


def seed_flops(bench: Bench, rows: int, evaluated: int) -> float:
    """FLOPs of training one seed: 15 steps on ``rows`` and a forward pass on ``evaluated`` sequences, each epoch."""
    return bench.epochs * (data.BATCHES * flops(bench, rows)[0] + flops(bench, evaluated)[1])


# --- Tables ------------------------------------------------------------------------------------------------------------


def table(title: str, head: Sequence[str], rows: Sequence[Sequence[str]], reading: str) -> None:
    cells = [head, ["---", *["---:"] * (len(head) - 1)], *rows]
    lines = "\n".join("| " + " | ".join(row) + " |" for row in cells)
    print(f"\n### {title}\n\n{lines}\n\n{reading}", flush=True)


def spread(values: Sequence[float], digits: int = 2) -> str:
    return f"{median(values):.{digits}f} [{min(values):.{digits}f}–{max(values):.{digits}f}]"


def ratios(above: Sequence[float], below: Sequence[float]) -> list[float]:
    return [a / b for a, b in zip(above, below, strict=True)]


def check_same_work(rung: int, plain: dict[str, Any], steps: np.ndarray, epochs: np.ndarray) -> tuple[float, float]:
    """Stop unless the first step's loss agrees to rounding; the relative differences of that and of any later loss."""
    mine, theirs = np.asarray(plain["steps"] + plain["epochs"]), np.concatenate([steps.ravel(), epochs])
    off = np.abs(mine - theirs) / np.abs(theirs)
    if not off[0] <= LOSS_TOLERANCE:
        sys.exit(
            f"rung {rung}: the first step's loss is {mine[0]!r} in the plain loop but {theirs[0]!r} in Bench, relative "
            f"difference {off[0]:.1e} above {LOSS_TOLERANCE:.1e}: the two do not do the same work, so no times are compared"
        )
    return float(off[0]), float(off.max())


def section_rungs(quick: bool) -> None:
    """Each published rung: plain loop against Trainer, where the speed-up comes from, and how near the peak it is."""
    rounds, plain_seeds, block, fresh = (2, 1, 4, 1) if quick else (7, 2, BLOCK, 3)
    order, steps = ("plain", "rows", "scan", "alone"), data.BATCHES * Bench().epochs
    other, peaks, speed, parts, work, fractions = Worker(), [], [], [], [], []
    for rung, parameters in RUNGS.items():
        bench, seconds = Bench(**parameters), {what: list[float]() for what in (*order, "ladder")}
        trainer, evaluating, agreed = Trainer(bench, block), list[float](), (math.nan, math.nan)
        trained = trainer(Seeds(), range(block))  # compiles and warms up
        for _ in range(rounds):
            peaks.append(other("peak"))
            for what in order:
                done = other(what, rung=rung, seeds=plain_seeds)
                seconds[what].append(sum(seed["seconds"] for seed in done) / len(done))
                if what == "plain":
                    evaluating.append(sum(seed["evaluating"] for seed in done) / len(done))
                if what != "alone":
                    curves = trained.traces["step_loss"][0], trained.curves["loss"][0]
                    found = check_same_work(rung, done[0], *curves)
                    agreed = found if what == "plain" else agreed
            seconds["ladder"].append(trainer(Seeds(), range(block)).run_seconds / block)
        ratio, target = ratios(seconds["plain"], seconds["ladder"]), TARGET_SPEEDUP[rung]
        without = ratios([a - b for a, b in zip(seconds["plain"], evaluating, strict=True)], seconds["ladder"])
        speed.append([
            IDS[rung], spread(seconds["plain"], 3), spread(seconds["ladder"], 3), spread(ratio), f"{target:g}",
            "yes" if median(ratio) >= target else "**no**", f"{median(without):.2f}", *(f"{off:.0e}" for off in agreed),
        ])  # fmt: skip
        chain = (*order, "ladder")
        factors = [ratios(seconds[a], seconds[b]) for a, b in zip(chain, chain[1:], strict=False)]
        parts.append([IDS[rung], spread(ratio), *(spread(factor) for factor in factors)])
        shares = [median(math.log(f) for f in factor) for factor in factors]
        fractions.append([100 * share / sum(shares) for share in shares])
        work.append((rung, bench, median(seconds["plain"]), median(seconds["ladder"])))
    other.close()
    peak = max(peaks)
    missed = [row[0] for row in speed if row[5] != "yes"]
    table(
        f"Plain loop against ladder ({rounds} rounds; plain {plain_seeds} seeds, ladder {block} at once)",
        ["rung", "plain s/seed", "ladder s/seed", "plain / ladder", "target", "met", "without plain's evaluation",
         "first loss differs by", "any loss by"],
        speed,
        f"Compilation is left out; both initialise, train {steps} steps and evaluate 5 times. "
        f"Targets missed by the median: {', '.join(missed) or 'none'}. \"Without plain's evaluation\" charges evaluation to "
        "the ladder alone: the least the ratio could be if evaluating were free in the plain loop.",
    )  # fmt: skip
    table(
        "Where the ratio comes from (each factor is the time of one variant over that of the next)",
        ["rung", "plain / ladder", "20 rows, not 64", "epoch in one program", "ladder's program", "seeds over cores"],
        parts,
        "Rows: each distinct signal computed once and weighted. One program: the same steps in one `lax.scan`. Ladder's "
        "program: Trainer on one seed and one device (polynomial sine, its own evaluation and compiler options) against "
        "that scan; below 1 it is slower. Seeds over cores: 16 seeds over all cores against one after another with XLA's "
        "threads inside each. Shares of the logarithm, median over rungs: "
        + ", ".join(f"{name} {median(share):.0f} %" for name, share in zip(
            ("rows", "one program", "ladder's program", "cores"), zip(*fractions, strict=True), strict=True)) + ".",
    )  # fmt: skip
    fresh_rows, xla = fresh_processes(fresh)
    firsts = {row[0]: float(row[3].split()[0]) for row in fresh_rows}
    late = [id for id, seconds_ in firsts.items() if seconds_ > TARGET_FIRST_EPOCH]
    table(
        f"Compilation and the first epoch of {BLOCK} seeds, in seconds ({fresh} fresh processes each, no cache)",
        ["rung", "plain compiles", "ladder compiles", "Trainer made to first epoch", "process start to first epoch"],
        fresh_rows,
        f"Target: at most {TARGET_FIRST_EPOCH:g} s to the first epoch; missed after imports by {', '.join(late) or 'none'}. "
        "The last column adds the start of Python and the imports. What is not compilation there is initialising and one "
        "epoch; the first use of JAX in a process is in both.",
    )
    rows = []
    for rung, bench, plain, ladder in work:
        useful, done = seed_flops(bench, 64, 960), seed_flops(bench, 20, 20)
        rows.append([
            IDS[rung], f"{flops(bench, 64)[0] / 1e6:.0f}", f"{xla[rung] / 1e6:.0f}", f"{flops(bench, 20)[0] / 1e6:.0f}",
            f"{100 * useful / plain / peak:.1f} %", f"{100 * useful / ladder / peak:.1f} %",
            f"{100 * done / ladder / peak:.1f} %",
        ])  # fmt: skip
    best = max(float(row[-1].split()[0]) for row in rows)
    table(
        f"Fraction of the matmul peak ({peak / 1e9:.0f} GFLOP/s: float32, 2048 x 2048, all cores, best of the run)",
        ["rung", "MFLOP a step, 64 rows", "XLA's count of it", "MFLOP a step, 20 rows", "plain",
         "ladder, plain's work", "ladder, work done"],
        rows,
        "MFLOP are of matrix products and FFTs alone (see `flops`); XLA's count has pointwise operations too, and whatever "
        "it does not see inside library calls missing. The fractions are of a whole seed, evaluation included. \"Plain's "
        "work\" credits the ladder with rows it did not compute; \"work done\" does not. What "
        f"is below 100 % (at best {best:.0f} % is reached) goes to pointwise work, small products and memory.",
    )  # fmt: skip


def fresh_processes(repeats: int) -> tuple[list[list[str]], dict[int, float]]:
    """Compile times and first epochs, each in a process that did nothing before; and XLA's FLOPs of plain steps."""
    rows, xla = [], {}
    for rung in RUNGS:
        plain, found = [], []
        for _ in range(repeats):
            one = Worker()
            seconds, xla[rung] = one("compile", rung=rung)
            plain.append(seconds)
            one.close()
            two = Worker()
            first = two("first", rung=rung)
            found.append((first["compile"], first["since"], first["at"] - two.born))
            two.close()
        rows.append([IDS[rung], spread(plain), *(spread(column) for column in zip(*found, strict=True))])
    return rows, xla


def interleaved(trainers: dict[Any, tuple[Trainer, int]], rounds: int) -> dict[Any, list[float]]:
    """Run seconds of each trainer on its number of seeds, in turn, after a first run of each that compiles."""
    found: dict[Any, list[float]] = {key: [] for key in trainers}
    for round_ in range(rounds + 1):
        for key, (trainer, seeds) in trainers.items():
            seconds = trainer(Seeds(), range(seeds)).run_seconds
            if round_:
                found[key].append(seconds)
    return found


def exponents(x: Sequence[int], y: Sequence[Sequence[float]]) -> list[str]:
    """The power of x by which y grows from one to the next, from the medians of ratios round by round."""
    steps = zip(x, x[1:], y, y[1:], strict=False)
    return ["", *(f"{math.log(median(ratios(d, c))) / math.log(b / a):.2f}" for a, b, c, d in steps)]


def section_seeds(quick: bool) -> None:
    """How run time grows with the number of seeds, all in one block."""
    counts, rounds = ((1, 2, 4, 8), 2) if quick else ((1, 2, 4, 8, 16, 32, 64), 5)
    for rung in (3, 6):
        times = interleaved({n: (Trainer(Bench(**RUNGS[rung]), n), n) for n in counts}, rounds)
        each = {n: [seconds / n for seconds in times[n]] for n in counts}
        growth = exponents(counts, [times[n] for n in counts])
        rows = [[str(n), spread(times[n], 3), spread(each[n], 4), e] for n, e in zip(counts, growth, strict=True)]
        gain = spread(ratios(each[counts[0]], each[counts[-1]]))
        table(
            f"{IDS[rung]}: run time by seeds ({rounds} rounds)",
            ["seeds", "seconds", "seconds a seed", "exponent"],
            rows,
            f"A seed among {counts[-1]} costs 1/{gain} of a seed alone. Exponent 1 from one row to the next means that "
            f"seeds queue for {len(jax.devices())} cores; below 1, that a core was idle or a fixed cost was shared.",
        )


def section_length(quick: bool) -> None:
    """How run time grows with the length of the sequences: one epoch of a few seeds."""
    lengths, rounds, seeds = ((64, 128, 256), 2, 2) if quick else ((64, 128, 256, 512), 5, 4)
    benches = {(r, t): Bench(**RUNGS[r], length=t, epochs=1) for r in (3, 6) for t in lengths}
    times = interleaved({key: (Trainer(bench, seeds), seeds) for key, bench in benches.items()}, rounds)
    growth = {r: exponents(lengths, [times[r, t] for t in lengths]) for r in (3, 6)}
    rows, ends = [], (lengths[0], lengths[-1])
    dynamics = {t: [1 - a / b for a, b in zip(times[3, t], times[6, t], strict=True)] for t in lengths}
    for i, t in enumerate(lengths):
        coupling, whole = 4 * 4 * t * t * 16 * 3, flops(benches[6, t], 1)[0]
        rows.append([
            str(t), spread([s / seeds for s in times[3, t]], 4), growth[3][i], spread([s / seeds for s in times[6, t]], 4),
            growth[6][i], f"{100 * median(dynamics[t]):.0f} %", f"{100 * coupling / whole:.0f} %",
        ])  # fmt: skip
    table(
        f"Run time by length (one epoch, {seeds} seeds, {rounds} rounds)",
        ["length", "rung 3 s/seed", "exponent", "rung 6 s/seed", "exponent", "dynamics' share of rung 6's time",
         "coupling's share of its FLOPs"],
        rows,
        "Rung 3 is pointwise in time, O(T), but for the loss's FFTs, O(T log T): an exponent near 1 says that samples bound "
        "it. Rung 6 adds the memory, O(T log T), and the coupling, O(T²), evaluated four times a step: an exponent "
        f"near 2 says that the coupling does. From T = {ends[0]} to {ends[1]} the dynamics' share goes from "
        f"{100 * median(dynamics[ends[0]]):.0f} to {100 * median(dynamics[ends[1]]):.0f} % of the time.",
    )  # fmt: skip


def section_climb(quick: bool) -> None:
    """Wall time of pytest climbing the published variants, with an empty compilation cache and again with a full one."""
    root = Path(__file__).resolve().parents[1]
    wall: dict[str, list[float]] = {"cold": [], "warm": []}
    said: set[str] = set()
    for _ in range(1 if quick else 3):
        with tempfile.TemporaryDirectory() as folder:
            command = [sys.executable, "-m", "pytest", "tests/ladder", "-q", "-o", f"cache_dir={folder}/cache",
                       f"--ladder-reports={folder}/reports", *(f"--ladder-only={id}" for id in IDS.values())]  # fmt: skip
            for state in wall:
                began = time.perf_counter()
                done = subprocess.run(command, cwd=root, env=no_cache(), capture_output=True, text=True)
                wall[state].append(time.perf_counter() - began)
                said.add(f"exit {int(done.returncode)}: {(done.stdout.strip().splitlines() or ['no output'])[-1]}")
    targets = {"cold": TARGET_COLD, "warm": TARGET_WARM}
    table(
        f"`pytest --ladder-only` of {', '.join(IDS.values())}, with all they require",
        ["compilation cache", "wall seconds", "target", "met"],
        [[state, spread(s, 1), f"{targets[state]:g}", "yes" if median(s) <= targets[state] else "**no**"]
         for state, s in wall.items()],
        f"Cold less warm is what the compilation cache saves ({spread([a - b for a, b in zip(*wall.values(), strict=True)], 1)}"
        f" s); the rest is imports, tracing and training. pytest said: {'; '.join(sorted(said))}.",
    )  # fmt: skip


SECTIONS = {"rungs": section_rungs, "seeds": section_seeds, "length": section_length}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--section", action="append", choices=SECTIONS, help="print only this one (repeatable)")
    parser.add_argument("--climb", action="store_true", help="time pytest climbing the ladder, too")
    parser.add_argument(
        "--quick", action="store_true", help="fewer seeds and repeats: to see that it works, not to quote"
    )
    parser.add_argument("--worker", action="store_true", help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.worker:
        worker()
        return
    use_all_cores()  # before JAX starts, which asking for its backend would do
    load = os.getloadavg()[0] if hasattr(os, "getloadavg") else math.nan
    print(
        f"JAX {jax.__version__}, {jax.default_backend()}, {os.cpu_count()} cores; load at start {load:.1f}", flush=True
    )
    for name in args.section or ([] if args.climb else SECTIONS):
        SECTIONS[name](args.quick)
    if args.climb:
        section_climb(args.quick)


if __name__ == "__main__":
    main()
