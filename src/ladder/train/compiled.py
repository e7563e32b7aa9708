"""The trainer that compiles an experiment with JAX: many seeds at once, one program for every epoch."""

import math
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import wait
from functools import partial
from operator import itemgetter
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import Mesh, NamedSharding, PartitionSpec

from ladder.declare.experiment import Experiment, check_experiment
from ladder.inspection import Inspectable, summarise
from ladder.train.checks import InvalidExperimentError, checked_epoch, checked_init
from ladder.train.devices import devices
from ladder.train.progress import ProgressMeter
from ladder.train.result import Trained
from ladder.train.timelimit import in_thread
from ladder.train.trainer import Seeds


def trace(experiment: Experiment) -> None:
    """Run the experiment's Python code once, on abstract arrays, without compiling or computing anything."""
    jax.eval_shape(lambda key: experiment.epoch(experiment.init(key), key), jax.eval_shape(lambda: jax.random.key(0)))


class CompiledTrainer:
    """A trainer that compiles an experiment for a block of seeds and trains any seeds in such blocks.

    The block is spread over the devices. On a CPU each device runs its seeds one after another: the arrays of one seed fit
    its caches, and batching small matrix products of many seeds is not faster. Other devices run all their seeds in one
    batch. If ``jax_disable_jit`` is set, nothing is compiled: a loop trains one seed after another on concrete arrays.

    Training raises a ValueError if the experiment reports metrics other than those it declares, reports a value that is
    neither a real scalar nor a vector of them, or returns a state whose form has changed.
    """

    def __init__(self, experiment: Experiment, block: int):
        check_experiment(experiment)
        self.experiment = experiment
        self._eager: bool = jax.config.jax_disable_jit  # type: ignore[attr-defined]
        usable = devices()[: 1 if self._eager else None]
        count = math.gcd(block, len(usable))
        self.block = block
        self._mesh = Mesh(np.asarray(usable[:count]), ("seed",))
        self._sharding = NamedSharding(self._mesh, PartitionSpec("seed"))
        self._sequential = usable[0].platform == "cpu"
        # Wrapped once, so that _check and _compile share one trace.
        self._init, self._epoch = jax.jit(checked_init(experiment)), jax.jit(checked_epoch(experiment))
        self._programs: tuple[Any, Any] | None = None
        self._last: tuple[Seeds, list[int], Any] | None = None  # the seeds trained last, and their states

    def _check(self) -> None:
        """Trace one seed alone, so that a mistake in the experiment raises a plain error and not one of the batched program."""
        __tracebackhide__ = True
        key = jax.eval_shape(lambda: jax.random.key(0))
        try:
            state = jax.tree.map(_without_weak_type, jax.eval_shape(self._init, key))
            jax.eval_shape(self._epoch, state, key)
        except InvalidExperimentError as error:
            raise ValueError(str(error)) from None  # without JAX's notes on its traceback

    def _over_seeds(self, one: Callable[..., Any]) -> Callable[..., Any]:
        """Return a function of a block of seeds from a function of one seed."""

        def loop(*args: Any) -> Any:
            __tracebackhide__ = True
            try:
                results = [one(*jax.tree.map(itemgetter(seed), args)) for seed in range(self.block)]
            except InvalidExperimentError as error:
                raise ValueError(str(error)) from None
            return jax.tree.map(lambda *leaves: _stacked(leaves), *results)

        def shard(*args: Any) -> Any:
            if self._sequential:
                return jax.lax.map(lambda args: one(*args), args)
            return jax.vmap(one)(*args)

        if self._eager:
            return loop
        spec = PartitionSpec("seed")
        return jax.shard_map(shard, mesh=self._mesh, in_specs=spec, out_specs=spec, check_vma=False)

    def _compile(self, keys: jax.Array) -> tuple[Any, Any]:
        if self._programs is None and self._eager:
            self._programs = self._over_seeds(self._init), self._over_seeds(self._epoch)
        if self._programs is None:
            self._check()
            initialise = jax.jit(self._over_seeds(self._init)).lower(keys)
            # This program's own structure of the state: objects that init creates, such as an optimiser, differ in every trace.
            state = jax.tree.map(
                lambda leaf: jax.ShapeDtypeStruct(leaf.shape, leaf.dtype, sharding=self._sharding), initialise.out_info
            )
            train = jax.jit(self._over_seeds(self._epoch), donate_argnums=0)
            # Optimising initialisation, which runs once, costs more than it saves. At LLVM's first level training was as fast
            # as at the highest, and compiled in two thirds of the time. XLA compiles without the interpreter's lock, so the
            # two programs compile in parallel; not in an executor, whose threads the interpreter joins at its end.
            initialised = in_thread(partial(initialise.compile, compiler_options=self._compiler_options(0)))
            try:
                trained = train.lower(state, keys).compile(compiler_options=self._compiler_options(1))
            finally:
                wait([initialised])
            self._programs = initialised.result(), trained
        return self._programs

    def _compiler_options(self, level: int) -> dict[str, str | bool]:
        return {"xla_backend_optimization_level": str(level)} if self._sequential else {}

    def __call__(self, seeds: Seeds, numbers: Sequence[int], progress: ProgressMeter | None = None) -> Trained:
        """Train the seeds with these numbers.

        Raises:
            ValueError: if there are no numbers.
        """
        result: Trained | None = None
        for start in range(0, len(numbers), self.block):
            trained = self._train(seeds, numbers[start : start + self.block], progress)
            result = trained if result is None else result.concatenate(trained)
        if result is None:
            raise ValueError("no seeds to train; give at least one")
        return result

    def _train(
        self,
        seeds: Seeds,
        numbers: Sequence[int],
        progress: ProgressMeter | None,
        on_state: Callable[[Any], None] = lambda state: None,
    ) -> Trained:
        """Train a block of seeds; ``on_state`` is called with their states before training and after every epoch."""
        start = time.perf_counter()
        first, last = numbers[0], numbers[-1] + 1
        keys, train_keys = self._keys(seeds, numbers)
        if progress and self._programs is None:
            progress.compiling(first, last)
        initialise, train = self._compile(keys)
        compiled = time.perf_counter()
        state = initialise(keys)
        on_state(state)
        history: list[dict[str, np.ndarray]] = []
        for epoch in range(1, self.experiment.epochs + 1):
            state, report = train(state, self._epoch_keys(train_keys, epoch))
            history.append({name: np.asarray(value, np.float64) for name, value in jax.device_get(report).items()})
            if progress:
                progress.epoch(first, last, epoch, history[-1])
            on_state(state)
        self._last = seeds, list(numbers), state
        return Trained.from_epochs(history, compiled - start, time.perf_counter() - compiled).head(len(numbers))

    def _keys(self, seeds: Seeds, numbers: Sequence[int]) -> tuple[jax.Array, jax.Array]:
        """Return the keys for initialisation and for training of a block.

        A short block is filled with copies of its last seed, whose results are dropped, so that one program serves all blocks.
        """
        filled = [*numbers, *[numbers[-1]] * (self.block - len(numbers))]
        with jax.transfer_guard("allow"):
            init_keys, train_keys = _split(seeds.keys(filled))
            return jax.device_put(init_keys, self._sharding), train_keys

    def _epoch_keys(self, train_keys: jax.Array, epoch: int) -> jax.Array:
        """Return the keys of an epoch, counted from 1; 0 is for inspections."""
        with jax.transfer_guard("allow"):
            return jnp.asarray(jax.device_put(_fold_in(train_keys, epoch), self._sharding))

    def inspect(
        self, seeds: Seeds, numbers: Sequence[int], progress: ProgressMeter | None = None
    ) -> dict[str, np.ndarray] | None:
        """Inspect at most a block of seeds before and after training; they are trained again unless they were trained last.

        Returns:
            Names that start with ``start/`` and ``end/``, with values of shape (seed, ...); None for an experiment that cannot
            be inspected.
        """
        experiment = self.experiment
        if not isinstance(experiment, Inspectable):
            return None
        if self._last is None or self._last[:2] != (seeds, list(numbers)):
            self(seeds, numbers, progress)
        assert self._last is not None
        assert self._programs is not None
        init_keys, train_keys = self._keys(seeds, numbers)
        keys = self._epoch_keys(train_keys, 0)
        program = jax.jit(self._over_seeds(lambda state, key: summarise(experiment.inspect(state, key))))
        start = self._programs[0](init_keys)
        return {
            f"{when}/{name}": value[: len(numbers)]
            for when, state in (("start", start), ("end", self._last[2]))
            for name, value in jax.device_get(program(state, keys)).items()
        }

    def record_states(
        self,
        seeds: Seeds,
        number: int,
        observe: Callable[[Any, jax.Array], Mapping[str, Any]],
        progress: ProgressMeter | None = None,
    ) -> dict[str, np.ndarray]:
        """Train one seed and return ``observe(state, key)`` before training and after every epoch, stacked.

        The function is compiled, and its key is the same each time. A trainer with a block of one trains no other seed for it.
        """
        keys = self._epoch_keys(self._keys(seeds, [number])[1], 0)
        program = jax.jit(self._over_seeds(observe))
        compiled: list[Any] = []
        observed: list[dict[str, np.ndarray]] = []

        def on_state(state: Any) -> None:
            if not compiled and self._eager:
                compiled.append(program)
            if not compiled:
                compiled.append(program.lower(state, keys).compile(compiler_options=self._compiler_options(0)))
            observed.append({name: value[0] for name, value in jax.device_get(compiled[0](state, keys)).items()})

        self._train(seeds, [number], progress, on_state)
        return {name: np.stack([epoch[name] for epoch in observed]) for name in observed[0]}


@jax.jit
def _split(keys: jax.Array) -> tuple[jax.Array, jax.Array]:
    """Return separate keys for initialisation and for training: a model may fold small numbers into its key, as training does."""
    both = jax.vmap(jax.random.split)(keys)
    return both[:, 0], both[:, 1]


@jax.jit
def _fold_in(keys: jax.Array, epoch: int | jax.Array) -> jax.Array:
    return jax.vmap(lambda key: jax.random.fold_in(key, epoch))(keys)


def _without_weak_type(leaf: Any) -> jax.ShapeDtypeStruct:
    """Return a leaf's shape and dtype, without JAX's weak type of Python numbers."""
    return jax.ShapeDtypeStruct(leaf.shape, leaf.dtype)


def _stacked(leaves: Sequence[Any]) -> jax.Array:
    stacked = jnp.stack([jnp.asarray(leaf) for leaf in leaves])
    is_key = jnp.issubdtype(stacked.dtype, jax.dtypes.prng_key)
    return stacked if is_key else jnp.asarray(stacked, stacked.dtype)  # strongly typed, as in a compiled program
