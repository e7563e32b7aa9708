"""Training one experiment on many seeds at once, in one compiled program an epoch."""

import math
import os
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import wait
from dataclasses import dataclass
from functools import partial
from typing import Any, Protocol

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import Mesh, NamedSharding, PartitionSpec

from ladder.experiment import Experiment
from ladder.inspection import Inspectable, summarise
from ladder.timelimit import in_thread
from ladder.trained import Trained

# Key streams. Gates, fresh seeds and calibrations draw from different ones, so a threshold is never
# measured on a seed it will judge.
GATE_STREAM, CALIBRATION_STREAM = 0x6A7E, 0xCA11B


@dataclass(frozen=True)
class Seeds:
    """Where seeds come from: seed ``i`` is ``fold_in(fold_in(key(stream), root), i)``.

    The same seed number gives the same keys to every rung, which is what makes comparisons paired.
    """

    root: int = 0
    stream: int = GATE_STREAM

    def keys(self, numbers: Sequence[int]) -> jax.Array:
        """One key for each seed number."""
        base = jax.random.fold_in(jax.random.key(self.stream), self.root)
        return jax.vmap(lambda i: jax.random.fold_in(base, i))(jnp.asarray(numbers, jnp.uint32))


class Watch(Protocol):
    """Told what a training run is doing; every call returns at once."""

    def compiling(self, first: int, last: int) -> None:
        """The program is being compiled; seeds ``first`` up to but not ``last`` are next."""

    def epoch(self, first: int, last: int, epoch: int, metrics: dict[str, np.ndarray]) -> None:
        """These seeds have trained this epoch, and what each of them measured."""


def use_all_cores() -> None:
    """Show every core of a CPU as a device, so that seeds are spread over them; a no-op once JAX has started."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    workers = int(os.environ.get("PYTEST_XDIST_WORKER_COUNT", "1"))
    try:
        if jax.config.jax_num_cpu_devices < 1:  # type: ignore[attr-defined]
            jax.config.update("jax_num_cpu_devices", max(1, cores // workers))
    except RuntimeError:  # the backend is running: seeds share the devices there are
        pass


class Trainer:
    """Compiles an experiment for a block of seeds and trains any seeds in such blocks.

    On a CPU the block is spread over the devices and each device runs its seeds one after another: one seed's arrays
    fit its caches, and a product of many seeds' small matrices is no faster. Elsewhere a device runs all of
    its seeds in one batch.

    Training raises a ValueError if the experiment reports other metrics than it declares, or one that is neither a scalar
    nor a vector.
    """

    def __init__(self, experiment: Experiment, block: int):
        use_all_cores()
        self.experiment = experiment
        devices = jax.devices()
        count = math.gcd(block, len(devices))
        self.block = block
        self._mesh = Mesh(np.asarray(devices[:count]), ("seed",))
        self._sharding = NamedSharding(self._mesh, PartitionSpec("seed"))
        self._sequential = devices[0].platform == "cpu"
        # Wrapped once, so that the check below and the compilation share one trace.
        self._init, self._epoch = jax.jit(experiment.init), jax.jit(experiment.epoch)
        self._programs: tuple[Any, Any] | None = None
        self._last: tuple[Seeds, list[int], Any] | None = None  # whose states are at hand: those trained last

    def _check_report(self) -> None:
        key = jax.eval_shape(lambda: jax.random.key(0))
        report = jax.eval_shape(lambda key: self._epoch(self._init(key), key)[1], key)
        scalars = tuple(name for name, value in report.items() if value.ndim == 0)
        if set(scalars) != set(self.experiment.metrics):
            raise ValueError(
                f"{self.experiment!r} declares the metrics {', '.join(self.experiment.metrics)} but epoch() reports the "
                f"scalars {', '.join(scalars) or '(none)'}; make them the same"
            )
        for name, value in report.items():
            if value.ndim > 1:
                raise ValueError(
                    f"{self.experiment!r}: {name!r} has shape {value.shape}; "
                    "report a scalar (a metric) or a vector over steps (a trace)"
                )

    def _over_seeds(self, one: Callable[..., Any]) -> Callable[..., Any]:
        def shard(*args: Any) -> Any:
            if self._sequential:
                return jax.lax.map(lambda args: one(*args), args)
            return jax.vmap(one)(*args)

        spec = PartitionSpec("seed")
        return jax.shard_map(shard, mesh=self._mesh, in_specs=spec, out_specs=spec, check_vma=False)

    def _compile(self, keys: jax.Array) -> tuple[Any, Any]:
        if self._programs is None:
            self._check_report()
            state = jax.tree.map(
                lambda leaf: jax.ShapeDtypeStruct(leaf.shape, leaf.dtype, sharding=self._sharding),
                jax.eval_shape(jax.vmap(self._init), keys),
            )
            initialise = jax.jit(self._over_seeds(self._init)).lower(keys)
            train = jax.jit(self._over_seeds(self._epoch), donate_argnums=0)
            # Initialisation runs once: effort spent on its random numbers is never paid back. Training measured no
            # faster at LLVM's highest level than at its first, and compiled in two thirds of the time.
            # XLA compiles outside the interpreter's lock: two programs, two cores. Not by an executor, whose threads the
            # interpreter waits for when it ends.
            initialised = in_thread(partial(initialise.compile, compiler_options=self._effort(0)))
            try:
                trained = train.lower(state, keys).compile(compiler_options=self._effort(1))
            finally:
                wait([initialised])
            self._programs = initialised.result(), trained
        return self._programs

    def _effort(self, level: int) -> dict[str, str | bool]:
        return {"xla_backend_optimization_level": str(level)} if self._sequential else {}

    def __call__(self, seeds: Seeds, numbers: Sequence[int], watch: Watch | None = None) -> Trained:
        """Train the seeds of these numbers.

        Raises:
            ValueError: for no numbers.
        """
        done: Trained | None = None
        for start in range(0, len(numbers), self.block):
            trained = self._train(seeds, numbers[start : start + self.block], watch)
            done = trained if done is None else done.joined(trained)
        if done is None:
            raise ValueError("no seeds to train; give at least one")
        return done

    def _train(
        self,
        seeds: Seeds,
        numbers: Sequence[int],
        watch: Watch | None,
        each: Callable[[Any], None] = lambda state: None,
    ) -> Trained:
        """Train a block of seeds; ``each`` is called with the states before training and after every epoch."""
        start = time.perf_counter()
        first, last = numbers[0], numbers[-1] + 1
        keys, train_keys = self._keys(seeds, numbers)
        if watch and self._programs is None:
            watch.compiling(first, last)
        initialise, train = self._compile(keys)
        compiled = time.perf_counter()
        state = initialise(keys)
        each(state)
        history: list[dict[str, np.ndarray]] = []
        for epoch in range(1, self.experiment.epochs + 1):
            state, report = train(state, self._at(train_keys, epoch))
            history.append({name: np.asarray(value, np.float64) for name, value in report.items()})
            if watch:
                watch.epoch(first, last, epoch, history[-1])
            each(state)
        self._last = seeds, list(numbers), state
        return Trained.from_epochs(history, compiled - start, time.perf_counter() - compiled).head(len(numbers))

    def _keys(self, seeds: Seeds, numbers: Sequence[int]) -> tuple[jax.Array, jax.Array]:
        """Keys for initialisation and for training of a block.

        A short one is filled up with seeds that are trained and dropped: one program serves all.
        """
        filled = [*numbers, *[numbers[-1]] * (self.block - len(numbers))]
        init_keys, train_keys = _split(seeds.keys(filled))
        return jax.device_put(init_keys, self._sharding), train_keys

    def _at(self, train_keys: jax.Array, epoch: int) -> jax.Array:
        """Keys of an epoch, counted from 1; 0 is for looking at a state."""
        return jnp.asarray(jax.device_put(_fold_in(train_keys, epoch), self._sharding))

    def inspect(self, seeds: Seeds, numbers: Sequence[int], watch: Watch | None = None) -> dict[str, np.ndarray] | None:
        """What the experiment shows of these seeds, at most a block of them, before training and after it.

        They are trained again unless they were the last to be. Names start with ``start/`` and ``end/``; values are of shape
        (seed, ...). None for an experiment that shows nothing.
        """
        experiment = self.experiment
        if not isinstance(experiment, Inspectable):
            return None
        if self._last is None or self._last[:2] != (seeds, list(numbers)):
            self(seeds, numbers, watch)
        assert self._last is not None
        assert self._programs is not None
        init_keys, train_keys = self._keys(seeds, numbers)
        keys = self._at(train_keys, 0)
        look = jax.jit(self._over_seeds(lambda state, key: summarise(experiment.inspect(state, key))))
        start = self._programs[0](init_keys)
        return {
            f"{when}/{name}": np.asarray(value)[: len(numbers)]
            for when, state in (("start", start), ("end", self._last[2]))
            for name, value in look(state, keys).items()
        }

    def shown(
        self,
        seeds: Seeds,
        number: int,
        look: Callable[[Any, jax.Array], Mapping[str, Any]],
        watch: Watch | None = None,
    ) -> dict[str, np.ndarray]:
        """What ``look(state, key)`` shows of one seed, trained for it: before training and after every epoch, stacked.

        It is compiled; the key is the same each time. With a block of one nothing is trained in vain.
        """
        keys = self._at(self._keys(seeds, [number])[1], 0)
        program = jax.jit(self._over_seeds(look))
        compiled: list[Any] = []
        found: list[dict[str, np.ndarray]] = []

        def each(state: Any) -> None:
            if not compiled:
                compiled.append(program.lower(state, keys).compile(compiler_options=self._effort(0)))
            found.append({name: np.asarray(value)[0] for name, value in compiled[0](state, keys).items()})

        self._train(seeds, [number], watch, each)
        return {name: np.stack([epoch[name] for epoch in found]) for name in found[0]}


@jax.jit
def _split(keys: jax.Array) -> tuple[jax.Array, jax.Array]:
    """Keys for initialisation and for training, apart: a model folds small numbers into its key, as epochs do here."""
    both = jax.vmap(jax.random.split)(keys)
    return both[:, 0], both[:, 1]


@jax.jit
def _fold_in(keys: jax.Array, epoch: int) -> jax.Array:
    return jax.vmap(lambda key: jax.random.fold_in(key, epoch))(keys)
