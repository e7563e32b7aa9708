"""Seeds one after another, as ``Trainer`` trains them on a CPU, against ``jax.vmap``: processor time on one and two devices."""

import argparse
import json
import subprocess
import sys
import time
from dataclasses import dataclass, replace
from itertools import pairwise
from statistics import median
from typing import Any, ClassVar

import jax
import jax.numpy as jnp
import optax
from bench_rungs import STARTS, no_cache, ratios, spread, table
from jax import Array

from ladder import Seeds
from ladder.train.compiled import CompiledTrainer
from ladder.train.program import Program, _cpu_options

TIMEOUT = 600  # seconds of a process; with several devices a batched decomposition may stall, see the README


@dataclass(frozen=True)
class Perceptron:
    """A perceptron with two hidden layers, trained by Adam on 1024 points."""

    width: int
    batch: int
    steps: int
    epochs: int
    metrics: ClassVar = ("loss",)

    def init(self, key: Array) -> Any:
        """Return He-initialised layers and the state of Adam."""
        sizes = (16, self.width, self.width, 1)
        layers = [
            (jax.random.normal(key, (m, n)) * (2 / m) ** 0.5, jnp.zeros(n))
            for key, (m, n) in zip(jax.random.split(key, 3), pairwise(sizes), strict=True)
        ]
        return layers, optax.adam(1e-3).init(layers)

    def loss(self, layers: Any, x: Array) -> Array:
        """Compute the squared error of a sine of the sum of the inputs."""
        h = x
        for kernel, bias in layers[:-1]:
            h = jax.nn.relu(h @ kernel + bias)
        out = h @ layers[-1][0] + layers[-1][1]
        return jnp.mean((out[:, 0] - jnp.sin(x.sum(axis=-1))) ** 2)

    def epoch(self, state: Any, key: Array) -> tuple[Any, dict[str, Array]]:
        """Train on random batches, and evaluate on all points."""
        points = jax.random.normal(jax.random.key(1), (1024, 16))

        def step(state: Any, key: Array) -> tuple[Any, None]:
            layers, adam = state
            x = points[jax.random.randint(key, (self.batch,), 0, len(points))]
            update, adam = optax.adam(1e-3).update(jax.grad(self.loss)(layers, x), adam)
            return (optax.apply_updates(layers, update), adam), None

        state, _ = jax.lax.scan(step, state, jax.random.split(key, self.steps))
        return state, {"loss": self.loss(state[0], points)}


CASES: dict[str, tuple[Any, int]] = {  # with the number of seeds
    "rung1": (STARTS[1], 8),
    "rung3[mse]": (replace(STARTS[3], loss="mse"), 8),
    "rung4[mse+spectral]": (STARTS[4], 8),
    "rung5[mse+spectral]": (STARTS[5], 8),
    "rung7": (replace(STARTS[7], epochs=5), 8),
    "rung8@small": (replace(STARTS[8], epochs=3), 8),
} | {
    f"perceptron, width {width}, batch {batch}, {steps} steps an epoch": (
        Perceptron(width, batch, steps, updates // steps),
        16,
    )
    for width, batch, steps, updates in (
        (8, 32, 10, 4000), (32, 32, 10, 4000), (32, 32, 100, 4000), (64, 32, 10, 4000), (128, 128, 10, 1000),
    )
}  # fmt: skip


class VmappedProgram(Program):
    """The program of an experiment with the seeds of each device in one batch, compiled as the loop is."""

    def __init__(self, experiment: Any, block: int):
        super().__init__(experiment, block)
        self._sequential = False

    def _options(self, level: int) -> dict[str, str | bool]:
        return _cpu_options(level)


def measure(case: str, rounds: int) -> dict[str, list[float]]:
    """Return the processor time of the loop and of vmap in every round, and of vmap's compilation."""
    experiment, seeds = CASES[case]
    trainers = {name: CompiledTrainer(experiment, seeds) for name in ("loop", "vmap")}
    trainers["vmap"]._program = VmappedProgram(experiment, seeds)
    times: dict[str, list[float]] = {"compile": [], "loop": [], "vmap": []}
    for done in range(rounds + 1):
        for name, trainer in trainers.items():
            began = time.process_time()
            trainer(Seeds(), range(seeds))
            times[name if done else "compile"].append(time.process_time() - began)
    times["compile"] = [times["compile"][1] - median(times["vmap"])]  # the loop's also compiles what makes keys
    return times


def main() -> None:
    """Read the command line, measure each case in processes of its own and print the table."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--case", action="append", choices=CASES, help="measure only this one (repeatable)")
    parser.add_argument("--quick", action="store_true", help="one round: to see that it works, not to quote")
    parser.add_argument("--devices", type=int, help=argparse.SUPPRESS)
    args = parser.parse_args()
    cases, rounds = args.case or list(CASES), 1 if args.quick else 3
    if args.devices:
        jax.config.update("jax_num_cpu_devices", args.devices)
        print(json.dumps(measure(cases[0], rounds)))
        return
    rows = []
    for case in cases:
        row = [case, str(CASES[case][1])]
        for count in (2, 1):
            command = [sys.executable, __file__, "--case", case, "--devices", str(count), *["--quick"] * args.quick]
            try:
                done = subprocess.run(
                    command, env=no_cache(), stdout=subprocess.PIPE, text=True, check=True, timeout=TIMEOUT
                )
            except subprocess.TimeoutExpired:
                row += ["stalled"] * 4
                continue
            times = json.loads(done.stdout)
            row += [
                *(spread(times[name]) for name in ("loop", "vmap")),
                spread(ratios(times["loop"], times["vmap"])),
                f"{times['compile'][0]:.1f}",
            ]
        rows.append(row)
    table(
        f"Seeds in a loop and by vmap, processor seconds ({rounds} rounds)",
        "experiment | seeds | loop, 2 devices | vmap | loop / vmap | vmap compiles | loop, 1 device | vmap | loop / vmap | "
        "vmap compiles",
        rows,
        "Above 1: vmap is faster. To choose by measuring costs the compilation of a second program.",
    )


if __name__ == "__main__":
    main()
