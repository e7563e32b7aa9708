"""Training one experiment on many seeds at once, in one compiled program an epoch."""

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
from ladder.train.checks import RefusedError, checked_epoch, checked_init
from ladder.train.devices import devices
from ladder.train.progress import ProgressMeter
from ladder.train.result import Trained
from ladder.train.timelimit import in_thread
from ladder.train.trainer import Seeds


def trace(experiment: Experiment) -> None:
    """Run the experiment's Python code once, on abstract arrays; nothing is compiled or computed."""
    jax.eval_shape(lambda key: experiment.epoch(experiment.init(key), key), jax.eval_shape(lambda: jax.random.key(0)))


class CompiledTrainer:
    """A trainer that compiles an experiment for a block of seeds and trains any seeds in such blocks.

    On a CPU the block is spread over the devices and each device runs its seeds one after another: one seed's arrays
    fit its caches, and a product of many seeds' small matrices is no faster. Elsewhere a device runs all of
    its seeds in one batch. Where ``jax_disable_jit`` is set nothing is compiled: a loop trains one seed after another on
    arrays that can be printed.

    Training raises a ValueError if the experiment reports other metrics than it declares, one that is neither a real scalar
    nor a vector of them, or a state of another form than the one it was given.
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
        # Wrapped once, so that the check below and the compilation share one trace.
        self._init, self._epoch = jax.jit(checked_init(experiment)), jax.jit(checked_epoch(experiment))
        self._programs: tuple[Any, Any] | None = None
        self._last: tuple[Seeds, list[int], Any] | None = None  # whose states are at hand: those trained last

    def _check(self) -> None:
        """Trace the experiment once, so that what it does wrong is told in its own words and not in the compiler's."""
        __tracebackhide__ = True
        key = jax.eval_shape(lambda: jax.random.key(0))
        try:
            state = jax.tree.map(_strong, jax.eval_shape(self._init, key))
            jax.eval_shape(self._epoch, state, key)
        except RefusedError as error:
            raise ValueError(str(error)) from None  # without JAX's notes on its traceback

    def _over_seeds(self, one: Callable[..., Any]) -> Callable[..., Any]:
        def each(*args: Any) -> Any:
            __tracebackhide__ = True
            try:
                done = [one(*jax.tree.map(itemgetter(seed), args)) for seed in range(self.block)]
            except RefusedError as error:
                raise ValueError(str(error)) from None
            return jax.tree.map(lambda *leaves: _stacked(leaves), *done)

        def shard(*args: Any) -> Any:
            if self._sequential:
                return jax.lax.map(lambda args: one(*args), args)
            return jax.vmap(one)(*args)

        if self._eager:
            return each
        spec = PartitionSpec("seed")
        return jax.shard_map(shard, mesh=self._mesh, in_specs=spec, out_specs=spec, check_vma=False)

    def _compile(self, keys: jax.Array) -> tuple[Any, Any]:
        if self._programs is None and self._eager:
            self._programs = self._over_seeds(self._init), self._over_seeds(self._epoch)
        if self._programs is None:
            self._check()
            initialise = jax.jit(self._over_seeds(self._init)).lower(keys)
            # Of this very program: what init makes anew, such as an optimiser in the state, is another in every trace.
            state = jax.tree.map(
                lambda leaf: jax.ShapeDtypeStruct(leaf.shape, leaf.dtype, sharding=self._sharding), initialise.out_info
            )
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

    def __call__(self, seeds: Seeds, numbers: Sequence[int], progress: ProgressMeter | None = None) -> Trained:
        """Train the seeds of these numbers.

        Raises:
            ValueError: for no numbers.
        """
        done: Trained | None = None
        for start in range(0, len(numbers), self.block):
            trained = self._train(seeds, numbers[start : start + self.block], progress)
            done = trained if done is None else done.concatenate(trained)
        if done is None:
            raise ValueError("no seeds to train; give at least one")
        return done

    def _train(
        self,
        seeds: Seeds,
        numbers: Sequence[int],
        progress: ProgressMeter | None,
        each: Callable[[Any], None] = lambda state: None,
    ) -> Trained:
        """Train a block of seeds; ``each`` is called with the states before training and after every epoch."""
        start = time.perf_counter()
        first, last = numbers[0], numbers[-1] + 1
        keys, train_keys = self._keys(seeds, numbers)
        if progress and self._programs is None:
            progress.compiling(first, last)
        initialise, train = self._compile(keys)
        compiled = time.perf_counter()
        state = initialise(keys)
        each(state)
        history: list[dict[str, np.ndarray]] = []
        for epoch in range(1, self.experiment.epochs + 1):
            state, report = train(state, self._at(train_keys, epoch))
            history.append({name: np.asarray(value, np.float64) for name, value in jax.device_get(report).items()})
            if progress:
                progress.epoch(first, last, epoch, history[-1])
            each(state)
        self._last = seeds, list(numbers), state
        return Trained.from_epochs(history, compiled - start, time.perf_counter() - compiled).head(len(numbers))

    def _keys(self, seeds: Seeds, numbers: Sequence[int]) -> tuple[jax.Array, jax.Array]:
        """Return the keys for initialisation and for training of a block.

        A short one is filled up with seeds that are trained and dropped: one program serves all.
        """
        filled = [*numbers, *[numbers[-1]] * (self.block - len(numbers))]
        with jax.transfer_guard("allow"):
            init_keys, train_keys = _split(seeds.keys(filled))
            return jax.device_put(init_keys, self._sharding), train_keys

    def _at(self, train_keys: jax.Array, epoch: int) -> jax.Array:
        """Return the keys of an epoch, counted from 1; 0 is for inspecting a state."""
        with jax.transfer_guard("allow"):
            return jnp.asarray(jax.device_put(_fold_in(train_keys, epoch), self._sharding))

    def inspect(
        self, seeds: Seeds, numbers: Sequence[int], progress: ProgressMeter | None = None
    ) -> dict[str, np.ndarray] | None:
        """Return what the experiment shows of these seeds, at most a block of them, before training and after it.

        They are trained again unless they were the last to be. Names start with ``start/`` and ``end/``; values are of shape
        (seed, ...). None for an experiment that shows nothing.
        """
        experiment = self.experiment
        if not isinstance(experiment, Inspectable):
            return None
        if self._last is None or self._last[:2] != (seeds, list(numbers)):
            self(seeds, numbers, progress)
        assert self._last is not None
        assert self._programs is not None
        init_keys, train_keys = self._keys(seeds, numbers)
        keys = self._at(train_keys, 0)
        look = jax.jit(self._over_seeds(lambda state, key: summarise(experiment.inspect(state, key))))
        start = self._programs[0](init_keys)
        return {
            f"{when}/{name}": value[: len(numbers)]
            for when, state in (("start", start), ("end", self._last[2]))
            for name, value in jax.device_get(look(state, keys)).items()
        }

    def record_states(
        self,
        seeds: Seeds,
        number: int,
        look: Callable[[Any, jax.Array], Mapping[str, Any]],
        progress: ProgressMeter | None = None,
    ) -> dict[str, np.ndarray]:
        """Return ``look(state, key)`` of one seed, trained for it: before training and after every epoch, stacked.

        It is compiled; the key is the same each time. With a block of one nothing is trained in vain.
        """
        keys = self._at(self._keys(seeds, [number])[1], 0)
        program = jax.jit(self._over_seeds(look))
        compiled: list[Any] = []
        found: list[dict[str, np.ndarray]] = []

        def each(state: Any) -> None:
            if not compiled and self._eager:
                compiled.append(program)
            if not compiled:
                compiled.append(program.lower(state, keys).compile(compiler_options=self._effort(0)))
            found.append({name: value[0] for name, value in jax.device_get(compiled[0](state, keys)).items()})

        self._train(seeds, [number], progress, each)
        return {name: np.stack([epoch[name] for epoch in found]) for name in found[0]}


@jax.jit
def _split(keys: jax.Array) -> tuple[jax.Array, jax.Array]:
    """Return keys for initialisation and for training, apart: a model folds small numbers into its key, as epochs do here."""
    both = jax.vmap(jax.random.split)(keys)
    return both[:, 0], both[:, 1]


@jax.jit
def _fold_in(keys: jax.Array, epoch: int | jax.Array) -> jax.Array:
    return jax.vmap(lambda key: jax.random.fold_in(key, epoch))(keys)


def _strong(leaf: Any) -> jax.ShapeDtypeStruct:
    """Return a leaf's shape and dtype, of which a Python number's is as firm as an array's."""
    return jax.ShapeDtypeStruct(leaf.shape, leaf.dtype)


def _stacked(leaves: Sequence[Any]) -> jax.Array:
    stacked = jnp.stack([jnp.asarray(leaf) for leaf in leaves])
    is_key = jnp.issubdtype(stacked.dtype, jax.dtypes.prng_key)
    return stacked if is_key else jnp.asarray(stacked, stacked.dtype)  # no longer weak, as in a compiled program
