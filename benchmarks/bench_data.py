"""The cost of a data set: time to compile and to train with 100 MB of data against 100 KB of it: ``python bench_data.py``.

The data are a field of the experiment and an array of the module, as one writes them. Both sizes are measured in turns.
"""

import argparse
import statistics
from dataclasses import dataclass
from typing import Any, ClassVar

import jax
import jax.numpy as jnp
import numpy as np

from ladder import CompiledTrainer, Seeds
from ladder.train.devices import use_all_cores

SMALL, LARGE = 25_000, 25_000_000  # numbers of 4 bytes
TARGET = 1.1


@dataclass(frozen=True)
class Regression:
    """A network that is trained on batches from a data set which is a field."""

    data: np.ndarray
    width: int = 64
    epochs: int = 3
    metrics: ClassVar[tuple[str, ...]] = ("loss",)

    def init(self, key: jax.Array) -> Any:
        """Return the parameters of two layers."""
        first, last = jax.random.split(key)
        return {
            "first": jax.random.normal(first, (10, self.width)) / 3,
            "last": jax.random.normal(last, (self.width, 1)) / 8,
        }

    def epoch(self, params: Any, key: jax.Array) -> tuple[Any, dict[str, jax.Array]]:
        """Take 50 steps, each on 32 points of the data."""

        def loss(params: Any, x: jax.Array) -> jax.Array:
            return jnp.mean((jnp.tanh(x @ params["first"]) @ params["last"] - x[:, :1] * x[:, 1:2]) ** 2)

        def step(params: Any, key: jax.Array) -> tuple[Any, jax.Array]:
            start = jax.random.randint(key, (), 0, self.data.size - 320)
            x = jax.lax.dynamic_slice(jnp.asarray(self.data), (start,), (320,)).reshape(32, 10)
            value, gradient = jax.value_and_grad(loss)(params, x)
            return jax.tree.map(lambda p, g: p - 0.1 * g, params, gradient), value

        params, losses = jax.lax.scan(step, params, jax.random.split(key, 50))
        return params, {"loss": losses[-1]}


def seconds(size: int, seed: int) -> tuple[float, float]:
    """Return the times to compile and to train 8 seeds on a new data set of this size."""
    data = np.random.default_rng(seed).normal(size=size).astype(np.float32)
    trained = CompiledTrainer(Regression(data), 8)(Seeds(), range(8))
    return trained.compile_seconds, trained.run_seconds


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    rounds = parser.parse_args().rounds
    use_all_cores()
    seconds(SMALL, 0)  # starts JAX
    measured: dict[int, list[tuple[float, float]]] = {SMALL: [], LARGE: []}
    for number in range(rounds):
        for size in (SMALL, LARGE):
            measured[size].append(seconds(size, 100 + number))
    for name, part in (("compile", 0), ("train", 1)):
        small, large = ([times[part] for times in measured[size]] for size in (SMALL, LARGE))
        ratios = [b / a for a, b in zip(small, large, strict=True)]
        print(
            f"{name:8} 100 KB {statistics.median(small):.2f} s, 100 MB {statistics.median(large):.2f} s: ratio "
            f"{statistics.median(ratios):.2f} [{min(ratios):.2f}, {max(ratios):.2f}]"
            + (f" (target: at most {TARGET})" if part == 0 else "")
        )


if __name__ == "__main__":
    main()
