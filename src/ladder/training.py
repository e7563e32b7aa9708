"""Training one experiment on many seeds at once, in one compiled program an epoch."""

import math
import os
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import wait
from dataclasses import dataclass
from functools import partial, wraps
from operator import itemgetter
from typing import Any, Protocol

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import Mesh, NamedSharding, PartitionSpec

from ladder import fingerprint
from ladder.experiment import Experiment, check_experiment, check_name
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
        with jax.transfer_guard("allow"):  # which may be set to watch what experiments transfer
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


def trace(experiment: Experiment) -> None:
    """Run the experiment's Python code once, on abstract arrays; nothing is compiled or computed."""
    jax.eval_shape(lambda key: experiment.epoch(experiment.init(key), key), jax.eval_shape(lambda: jax.random.key(0)))


class Trainer:
    """Compiles an experiment for a block of seeds and trains any seeds in such blocks.

    On a CPU the block is spread over the devices and each device runs its seeds one after another: one seed's arrays
    fit its caches, and a product of many seeds' small matrices is no faster. Elsewhere a device runs all of
    its seeds in one batch. Where ``jax_disable_jit`` is set nothing is compiled: a loop trains one seed after another on
    arrays that can be printed.

    Training raises a ValueError if the experiment reports other metrics than it declares, one that is neither a real scalar
    nor a vector of them, or a state of another form than the one it was given.
    """

    def __init__(self, experiment: Experiment, block: int):
        check_experiment(experiment)
        use_all_cores()
        self.experiment = experiment
        self._eager: bool = jax.config.jax_disable_jit  # type: ignore[attr-defined]
        devices = fingerprint.devices()[: 1 if self._eager else None]
        count = math.gcd(block, len(devices))
        self.block = block
        self._mesh = Mesh(np.asarray(devices[:count]), ("seed",))
        self._sharding = NamedSharding(self._mesh, PartitionSpec("seed"))
        self._sequential = devices[0].platform == "cpu"
        # Wrapped once, so that the check below and the compilation share one trace.
        self._init, self._epoch = jax.jit(_checked_init(experiment)), jax.jit(_checked_epoch(experiment))
        self._programs: tuple[Any, Any] | None = None
        self._last: tuple[Seeds, list[int], Any] | None = None  # whose states are at hand: those trained last

    def _check(self) -> None:
        """Trace the experiment once, so that what it does wrong is told in its own words and not in the compiler's."""
        __tracebackhide__ = True
        key = jax.eval_shape(lambda: jax.random.key(0))
        try:
            state = jax.tree.map(_strong, jax.eval_shape(self._init, key))
            jax.eval_shape(self._epoch, state, key)
        except _RefusedError as error:
            raise ValueError(str(error)) from None  # without JAX's notes on its traceback

    def _over_seeds(self, one: Callable[..., Any]) -> Callable[..., Any]:
        def each(*args: Any) -> Any:
            __tracebackhide__ = True
            try:
                done = [one(*jax.tree.map(itemgetter(seed), args)) for seed in range(self.block)]
            except _RefusedError as error:
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
            history.append({name: np.asarray(value, np.float64) for name, value in jax.device_get(report).items()})
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
        with jax.transfer_guard("allow"):
            init_keys, train_keys = _split(seeds.keys(filled))
            return jax.device_put(init_keys, self._sharding), train_keys

    def _at(self, train_keys: jax.Array, epoch: int) -> jax.Array:
        """Keys of an epoch, counted from 1; 0 is for looking at a state."""
        with jax.transfer_guard("allow"):
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
            f"{when}/{name}": value[: len(numbers)]
            for when, state in (("start", start), ("end", self._last[2]))
            for name, value in jax.device_get(look(state, keys)).items()
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
            if not compiled and self._eager:
                compiled.append(program)
            if not compiled:
                compiled.append(program.lower(state, keys).compile(compiler_options=self._effort(0)))
            found.append({name: value[0] for name, value in jax.device_get(compiled[0](state, keys)).items()})

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


class _RefusedError(ValueError):
    """An experiment's init or epoch returned what cannot be trained."""


def _checked_init(experiment: Experiment) -> Callable[[Any], Any]:
    @wraps(experiment.init)
    def init(key: Any) -> Any:
        __tracebackhide__ = True
        state = experiment.init(key)
        _forms(f"{type(experiment).__qualname__}.init()", state)
        return state

    return init


def _checked_epoch(experiment: Experiment) -> Callable[[Any, Any], tuple[Any, dict[str, Any]]]:
    who = type(experiment).__qualname__

    @wraps(experiment.epoch)
    def epoch(state: Any, key: Any) -> tuple[Any, dict[str, Any]]:
        __tracebackhide__ = True
        before = _forms(who, state)  # now, for it may be changed in place
        structure: object = jax.tree.structure(state)
        done: object = experiment.epoch(state, key)
        if not isinstance(done, tuple | list) or len(done) != 2:
            raise _RefusedError(
                f"{who}.epoch() returns {_form(done)}; return two things, the state and a dict of metrics"
            )
        after, report = done
        if isinstance(report, Mapping):
            report = {name: _array_of(value) for name, value in report.items()}
        _check_report(who, report, experiment.metrics)
        _check_state(who, before, _forms(f"{who}.epoch()", after), structure == jax.tree.structure(after))
        return after, report

    return epoch


def _check_report(who: str, report: Any, metrics: Sequence[str]) -> None:
    __tracebackhide__ = True
    if not isinstance(report, Mapping):
        raise _RefusedError(
            f"{who}.epoch() returns {_form(report)} beside the state; return a dict of metrics, such as "
            f"{{{metrics[0]!r}: {metrics[0]}}}"
        )
    for name, value in report.items():
        try:
            check_name(name)
        except ValueError as error:
            raise _RefusedError(f"{who}.epoch(): {error}") from None
        if not _is_real(value) or np.ndim(value) > 1 or np.size(value) == 0:
            raise _RefusedError(
                f"{who}.epoch() reports {name!r} as {_form(value)}; report a real scalar (a metric) or a vector of them, "
                "one a step (a trace)"
            )
    scalars = [name for name, value in report.items() if np.ndim(value) == 0]
    if set(scalars) != set(metrics):
        raise _RefusedError(
            f"{who} declares the metrics {', '.join(metrics)} but epoch() reports the scalars "
            f"{', '.join(scalars) or '(none)'}; make them the same"
        )


def _check_state(who: str, before: dict[str, str], after: dict[str, str], alike: bool) -> None:
    __tracebackhide__ = True
    changes = [
        f"state{path} was {before.get(path, 'nothing')} and is {after.get(path, 'nothing')}"
        for path in {**before, **after}
        if before.get(path) != after.get(path)
    ]
    if not changes and not alike:
        changes = ["what it holds besides arrays is another"]
    if changes:
        more = f" (and {len(changes) - 1} more)" if len(changes) > 1 else ""
        raise _RefusedError(
            f"{who}.epoch() returns a state of another form: {changes[0]}{more}; keep its structure, shapes and dtypes, for "
            "one program trains all epochs"
        )


def _forms(who: str, state: Any) -> dict[str, str]:
    """The form of every leaf of a state, by path."""
    __tracebackhide__ = True
    found = {jax.tree_util.keystr(path): leaf for path, leaf in jax.tree_util.tree_leaves_with_path(state)}
    for path, leaf in found.items():
        if not _is_array(leaf):
            raise _RefusedError(
                f"{who} returns a state in which state{path} is {_form(leaf)}; a state holds arrays, make all else fields"
            )
    return {path: _form(leaf) for path, leaf in found.items()}


def _form(value: Any) -> str:
    """``float32[3]``, or what else it is."""
    if _is_array(value):
        return f"{jnp.result_type(value)}{list(np.shape(value))}"
    if isinstance(value, tuple):
        return f"a tuple of {len(value)}"
    return "None" if value is None else f"an object of type {type(value).__qualname__}"


def _array_of(value: Any) -> Any:
    """The array that stands for a value, such as a variable of flax; where none does, the value."""
    convert = None if _is_array(value) else getattr(value, "__jax_array__", None)
    return convert() if convert else value


def _is_array(value: Any) -> bool:
    return isinstance(value, jax.Array | np.ndarray | np.generic | bool | int | float | complex)


def _is_real(value: Any) -> bool:
    return _is_array(value) and any(
        jnp.issubdtype(jnp.result_type(value), kind) for kind in (jnp.bool_, jnp.integer, jnp.floating)
    )


def _strong(leaf: Any) -> jax.ShapeDtypeStruct:
    """Its shape and dtype, of which a Python number's is as firm as an array's."""
    return jax.ShapeDtypeStruct(leaf.shape, leaf.dtype)


def _stacked(leaves: Sequence[Any]) -> jax.Array:
    stacked = jnp.stack([jnp.asarray(leaf) for leaf in leaves])
    is_key = jnp.issubdtype(stacked.dtype, jax.dtypes.prng_key)
    return stacked if is_key else jnp.asarray(stacked, stacked.dtype)  # no longer weak, as in a compiled program
