"""The training time of the published core, its growth with the length of the sequences, and its parts.

Every part of a step is an experiment of its own, so that ``Trainer`` times it as it times the whole: one seed on each core.
Sides of a ratio are timed in turn; what is quoted is the median of the rounds and, in brackets, their range.
"""

import argparse
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from statistics import median
from typing import Any, ClassVar

import jax
import jax.numpy as jnp
from bench_rungs import exponents, interleaved, met, ratios, spread, table
from flax import nnx
from jax import Array

from ladder import Seeds, Trainer
from ladder.studies.geometry.sphere import normalise
from ladder.studies.manifoldformer import Flow, Oscillators, coupling
from ladder.studies.manifoldformer.data import Batch
from ladder.studies.manifoldformer.dynamics import FlowDynamics
from ladder.studies.manifoldformer.model import ManifoldFormer, Output
from ladder.studies.manifoldformer.published import CORE
from ladder.studies.manifoldformer.sampling import draw
from ladder.train.devices import use_all_cores

SEEDS, BLOCKS, TARGET = 16, (16, 8), 300.0
LENGTHS = (128, 256, 512, 1024, 2048)
ROWS = 16  # of a step by length, not the published 64: the longest takes a second or two, not a minute a round
PARTS = ("noise", "encoder", "sampling", "memory", "coupling", "decoder", "loss", "evaluation")
PEAK = 1024  # rows and columns of the product that a core's peak is measured with


@dataclass(frozen=True, kw_only=True)
class Part:
    """One part of the training step of an experiment, forward and backward, repeated.

    ``noise`` draws a batch; ``encoder``, ``sampling``, ``memory`` and ``decoder`` are the module's; ``coupling`` is the whole
    of the RK4 step with no memory in it, and ``square`` the same without causal blocks; ``loss`` is all that is trained on;
    ``evaluation`` is what the end of an epoch does. ``peak`` is a matrix product.
    """

    of: Oscillators
    what: str
    epochs: int = 1

    metrics: ClassVar[tuple[str, ...]] = ("size",)

    @property
    def times(self) -> int:
        """The number of repetitions in an epoch: enough that Trainer's overhead of a few milliseconds does not count."""
        return 4 if self.what in ("evaluation", "peak") else max(4, 2**13 // self.of.data.length)

    @property
    def samples(self) -> int:
        """The length of the model's input."""
        return self.of.data.length - (self.of.task == "next step")

    @cached_property
    def _built(self) -> Oscillators:
        flow = self.of.model.dynamics
        assert isinstance(flow, Flow)
        if self.what in ("coupling", "square"):
            return replace(self.of, model=replace(self.of.model, dynamics=replace(flow, memory=None)))
        return self.of

    def init(self, key: Array) -> Any:
        """Draw parameters, a signal and a latent trajectory for each row of a batch."""
        signal, latent = jax.random.split(key)
        shape = self.of.batch_size, self.samples
        x = jax.random.normal(signal, (*shape, self.of.data.channels))
        z = normalise(jax.random.normal(latent, (*shape, self.of.model.latent_dim)))
        return self._built.init(key).params, x, z

    def _do(self, model: ManifoldFormer, x: Array, z: Array, key: Array) -> Array:
        """Compute the part once and return a number that depends on it."""
        of, rows = self._built, jnp.arange(self.of.batch_size)

        def size(*values: Array) -> Array:
            return sum((jnp.sum(value**2) for value in values), start=jnp.zeros(()))

        def output(p: Array, z: Array) -> Output:
            return Output(z, jnp.ones_like(z), z, z, None, z, z, p, p)

        if self.what == "noise":  # no seed has the same noise twice: the key is but what the compiler cannot foresee
            number = rows + jax.random.bits(key, (), "uint8").astype(int)
            return size(of.data.batch(rows % len(of.data.tone_choices), number, of.task, z.shape[-1]).input)
        if self.what == "encoder":
            mean, sigma = model.encode(x)
            return size(mean, *([] if sigma is None else [sigma]))
        if self.what == "sampling":
            return size(draw(z, 0.7 * jnp.abs(z), key, of.model.latent)[0])
        if self.what == "memory":
            assert isinstance(model.dynamics, FlowDynamics)
            assert model.dynamics.memory is not None
            return size(model.dynamics.memory(z))
        if self.what in ("coupling", "square"):
            return size(model.dynamics(z) + z)
        if self.what == "decoder":
            return size(model.decoder(z))
        if self.what == "loss":
            target = jnp.roll(x, 1, axis=0)
            batch = Batch(target, target, target, z)
            return jnp.mean(of.measure(output(x, z), batch, jnp.zeros((), int))["loss"])
        if self.what == "evaluation":
            batch = of.data.held_out(of.task, z.shape[-1])
            return size(*of.measure(model(batch.input, key), batch, jnp.zeros((), int)).values())
        product = jnp.full((PEAK, PEAK), jnp.mean(x))
        return size(product @ product)

    def epoch(self, state: Any, key: Array) -> tuple[Any, dict[str, Array]]:
        """Repeat the part, each time with slightly other arguments, so that no result can be reused."""
        params, x, z = state
        graph = self._built._graphdef
        slope_of = {"encoder": (0,), "sampling": (2,), "loss": (1, 2)}.get(self.what, (0, 2))

        def part(params: Any, x: Array, z: Array, key: Array) -> Array:
            return self._do(nnx.merge(graph, params), x, z, key)

        def once(nudge: Array, key: Array) -> tuple[Array, None]:
            given = params, x + nudge, z + nudge, key
            if self.what in ("noise", "evaluation", "peak"):
                result = part(*given)
            else:
                value, slopes = jax.value_and_grad(part, slope_of)(*given)
                result = sum((jnp.sum(leaf) for leaf in jax.tree.leaves(slopes)), start=value)
            return 1e-12 * jnp.sin(result), None

        with query_block(self.samples if self.what == "square" else coupling.QUERY_BLOCK):
            nudge = jax.lax.scan(once, jnp.zeros(()), jax.random.split(key, self.times))[0]
        return state, {"size": nudge}


class query_block:  # noqa: N801  # a context manager
    """Set the number of rows of a causal block, for what is traced within this context."""

    def __init__(self, rows: int):
        self._rows, self._was = rows, coupling.QUERY_BLOCK

    def __enter__(self) -> None:
        coupling.QUERY_BLOCK = self._rows

    def __exit__(self, *_: object) -> None:
        coupling.QUERY_BLOCK = self._was


def section_core(quick: bool) -> None:
    """Time the published run as it was trained."""
    seeds, blocks, rounds = (4, (4, 2), 1) if quick else (SEEDS, BLOCKS, 3)
    experiment = replace(CORE, epochs=1, data=replace(CORE.data, batches=2)) if quick else CORE
    trainers = {block: Trainer(experiment, block) for block in blocks}
    compiling = {block: trainer(Seeds(), range(seeds)).compile_seconds for block, trainer in trainers.items()}
    runs: dict[int, list[float]] = {block: [] for block in blocks}
    for _ in range(rounds):
        for block, trainer in trainers.items():
            runs[block].append(trainer(Seeds(), range(seeds)).run_seconds)
    steps = experiment.epochs * experiment.steps_per_epoch
    rows = []
    for block in blocks:
        total = compiling[block] + median(runs[block])
        step = [1000 * seconds * len(jax.devices()) / seeds / steps for seconds in runs[block]]
        rows.append([
            str(block), f"{compiling[block]:.1f}", spread(runs[block], 1), spread(ratios(runs[block], runs[blocks[0]])),
            f"{total:.1f}", f"{TARGET:g}", met(total, TARGET), spread(step, 0),
        ])  # fmt: skip
    table(
        f"The published core: {experiment.epochs} epochs of {experiment.steps_per_epoch} steps, {seeds} seeds ({rounds} rounds)",
        f"seeds a block | compiles, s | trains, s | over a block of {blocks[0]} | together, s | at most, s | met | "
        "ms a step and core",
        rows,
        f"On {len(jax.devices())} cores, from making the Trainer to the last epoch's report, nothing cached. A step and core: "
        "each core trains one seed at a time, so that is what a step takes, with its share of evaluation.",
    )


def saved(samples: int, block: int = coupling.QUERY_BLOCK) -> float:
    """Return the fraction of the full square of queries and keys that causal blocks do not compute; at most a half."""
    done = sum(
        (min(start + block, samples) - start) * min(start + block, samples) for start in range(0, samples, block)
    )
    return 1.0 - done / samples**2


def section_length(quick: bool) -> None:
    """Time a training step and its parts for sequences of growing length."""
    lengths, rounds = ((64, 128), 1) if quick else (LENGTHS, 5)
    whole = {
        t: replace(CORE, data=replace(CORE.data, length=t, batches=1 if quick else 3), batch_size=ROWS, epochs=1)
        for t in lengths
    }
    names = ("step", *PARTS, "square", "peak")
    devices = len(jax.devices())
    cases: dict[Any, Any] = {
        (t, name): of if name == "step" else Part(of=of, what=name) for t, of in whole.items() for name in names
    }
    trainers = {key: Trainer(case, devices) for key, case in cases.items()}
    compiling = {t: trainers[t, "step"](Seeds(), range(devices)).compile_seconds for t in lengths}
    times_by_part = interleaved({key: (trainer, devices) for key, trainer in trainers.items()}, rounds)
    each = {}
    for (t, name), seconds in times_by_part.items():
        steps = whole[t].steps_per_epoch
        # Evaluation is once an epoch: what is quoted is its part in a step.
        times = {"step": steps, "evaluation": cases[t, "evaluation"].times * steps}.get(name) or cases[t, name].times
        each[t, name] = [s / times for s in seconds]

    def by_part(cell: Callable[[int, str], str], columns: Sequence[str]) -> list[list[str]]:
        return [[str(t), *(cell(t, name) for name in columns)] for t in lengths]

    def share(t: int, name: str) -> str:
        return f"{1000 * median(each[t, name]):.2f} ({100 * median(ratios(each[t, name], each[t, 'step'])):.0f} %)"

    def explained(t: int) -> str:
        return f"{100 * sum(median(ratios(each[t, name], each[t, 'step'])) for name in PARTS):.0f} %"

    table(
        f"A training step of {ROWS} sequences by their length, ms a core ({rounds} rounds)",
        f"length | step | {' | '.join(PARTS)} | all parts",
        [
            [row[0], spread([1000 * s for s in each[t, "step"]], 1), *row[1:], explained(t)]
            for t, row in zip(lengths, by_part(share, PARTS), strict=True)
        ],
        "Parts are forward and backward, each alone in a program of its own, and their share of the step. What they leave is "
        "the optimiser, traces, and what moves data between them; more than 100 % says that in the step they share work. "
        f"Evaluation is of all {(kinds := len(CORE.data.tone_choices))} sequences once an epoch, so {kinds / ROWS:g} steps' "
        f"forward passes in {whole[lengths[0]].steps_per_epoch} steps. The published step is of {CORE.batch_size} "
        "sequences, not "
        f"{ROWS}: every part is proportional to them.",
    )
    columns = ("step", *PARTS)
    growth = {name: exponents(lengths, [each[t, name] for t in lengths]) for name in columns}
    table(
        "The power of the length by which each grows, from one length to the next",
        f"length | {' | '.join(columns)}",
        [[str(t), *(growth[name][n] for name in columns)] for n, t in enumerate(lengths)],
        "1 is a fixed time a sample; the memory and the loss, by FFT, are of O(T log T), the coupling is of O(T²). What has "
        "the largest share bounds the step; where the step's exponent nears 2, the coupling does.",
    )
    rows, best = [], 2.0 * PEAK**3 / min(s for t in lengths for s in each[t, "peak"])
    for t in lengths:
        samples = Part(of=whole[t], what="coupling").samples
        # Four evaluations, two products each, forward and twice backward.
        square = 4 * 2 * 3 * 2.0 * ROWS * samples**2 * CORE.model.latent_dim
        done = square * (1.0 - saved(samples))
        rate = done / median(each[t, "coupling"])
        rows.append([
            str(t), f"{square / 1e9:.2f}", f"{100 * saved(samples):.0f} %",
            spread(ratios(each[t, "square"], each[t, "coupling"])),
            f"{rate / 1e9:.1f}", f"{100 * rate / best:.0f} %", f"{compiling[t]:.1f}",
        ])  # fmt: skip
    table(
        f"The coupling, four times a step, in causal blocks of {coupling.QUERY_BLOCK} queries",
        "length | GFLOP of full squares | blocks save | time without blocks over with | GFLOP/s of the rest | of the peak | "
        "the step compiles, s",
        rows,
        f"Products alone, of {ROWS} sequences: two forward and, as usual, twice as many backward, whatever is computed again "
        f"instead of being stored. The peak is {best / 1e9:.0f} GFLOP/s on each core "
        f"at once (float32, {PEAK} x {PEAK}). What that leaves of 100 % is the sine of each pair, and products with only "
        f"{CORE.model.latent_dim} columns. Blocks are unrolled: the program grows with the length, and compiling with it.",
    )


SECTIONS = {"core": section_core, "length": section_length}


def main() -> None:
    """Read the command line and print the tables."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--section", action="append", choices=SECTIONS, help="print only this one (repeatable)")
    parser.add_argument(
        "--quick", action="store_true", help="few seeds and repeats: to see that it works, not to quote"
    )
    args = parser.parse_args()
    jax.config.update("jax_enable_compilation_cache", False)  # what is called compiling is
    use_all_cores()  # before JAX starts, which asking for its devices does
    print(f"JAX {jax.__version__} on {jax.default_backend()}, {len(jax.devices())} devices")
    for name in args.section or SECTIONS:
        SECTIONS[name](args.quick)
        print(
            f"\nLoad average of the last minute: {os.getloadavg()[0]:.1f}, up to {len(jax.devices())} of it this run's."
        )


if __name__ == "__main__":
    main()
