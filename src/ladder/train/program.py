"""The compiled program of an experiment: a block of seeds for several epochs, on all devices."""

import math
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import wait
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import cache, partial
from operator import itemgetter
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import Mesh, NamedSharding, PartitionSpec

from ladder.declare.experiment import CompiledExperiment
from ladder.declare.traced import differ_in_numbers_only, traced_components, with_components
from ladder.declare.values import shortened
from ladder.inspection import Inspectable, Inspection, summarise
from ladder.train.checks import VALUE_NEEDED, InvalidExperimentError, checked_epoch, checked_init, value_needed
from ladder.train.constants import TracedFunction
from ladder.train.devices import devices
from ladder.train.state import Form, flatten, is_changed_number, split
from ladder.train.timelimit import in_thread

MOST_EPOCHS = 64  # that one call trains
MOST_BYTES = 2**23  # of the reports of one call, on each device
MOST_SHARED = 16  # programs that later trainers can use

_shared: list["Program"] = []


@dataclass(frozen=True)
class Layout:
    """The rows of a block in which seeds are trained.

    Attributes:
        filled: The number of the seed of each row; a row that is not needed repeats a seed.
        rows: The row of each seed.
        counts: The number of seeds of each device, which are its first rows.
    """

    filled: list[int]
    rows: list[int]
    counts: np.ndarray


class Program:
    """The compiled program of an experiment, for any number of seeds up to a block and any values of traced components.

    The block is spread over the devices. On a CPU each device runs its seeds one after another, as many as there are: the
    arrays of one seed fit its caches, and batching matrix products of many seeds is not faster (``benchmarks/README.md``). Nor
    may ``jax.vmap`` make batches of decompositions there: jaxlib spreads each over XLA's threads from within one of them and
    waits, so that several devices with all threads in such a wait never end. Other devices run all rows in one batch. If
    ``jax_disable_jit`` is set, nothing is compiled: a loop trains one seed after another on concrete arrays.
    """

    def __init__(self, experiment: CompiledExperiment, block: int):
        self._experiment, self._block, self._settings = experiment, block, jax.config.values
        self._eager: bool = jax.config.jax_disable_jit  # type: ignore[attr-defined]
        used = devices()[: 1 if self._eager else block]
        self._sequential = used[0].platform == "cpu"
        self.at_once: int = len(used) if self._sequential else block
        self._device_rows = -(-block // len(used))
        mesh = Mesh(np.asarray(used), ("seed",))
        self._by_seed, self._replicated = (
            NamedSharding(mesh, PartitionSpec("seed")),
            NamedSharding(mesh, PartitionSpec()),
        )
        self._epoch = jax.jit(self._train_epoch)  # jitted, to be traced only once
        self._form: Form  # of the state, known once init has been traced
        self._fixed: frozenset[int] = frozenset()  # places in it of Python's numbers that training leaves as they are
        # Large constants, which keep the keys valid, and the same on all devices.
        self._constants: dict[Any, tuple[Any, jax.Array]] = {}
        self._most_epochs = 1
        self._compiled: tuple[Any, Any] | None = None
        self._inspect: Any = None
        self.inspection_error: str = ""
        self._report: list[tuple[str, str, tuple[int, ...]]] = []  # name, dtype and shape of what an epoch reports

    def serves(self, experiment: CompiledExperiment, block: int) -> bool:
        """Return whether this is also the program of another experiment, under the present settings of JAX."""
        return (
            block == self._block
            and jax.config.values == self._settings
            and differ_in_numbers_only(experiment, self._experiment)
        )

    @property
    def is_compiled(self) -> bool:
        """Return whether the program has been compiled."""
        return self._compiled is not None

    @property
    def most_epochs(self) -> int:
        """The largest number of epochs that a call can train, known once the program has been compiled."""
        return self._most_epochs

    def layout(self, numbers: Sequence[int]) -> Layout:
        """Distribute seeds over the devices evenly."""
        each, filled, rows, counts = self._device_rows, list[int](), list[int](), list[int]()
        for part in np.array_split(np.asarray(numbers, object), self._by_seed.mesh.size):
            rows += range(len(filled), len(filled) + len(part))
            counts.append(len(part))
            filled += [*part, *[numbers[-1]] * (each - len(part))]
        return Layout(filled, rows, np.asarray(counts, np.int32))

    def put(self, experiment: CompiledExperiment, counts: np.ndarray, *keys: jax.Array) -> tuple[Any, ...]:
        """Return the traced components, the counts of a layout and arrays of keys, on the devices."""
        with jax.transfer_guard("allow"):  # the user may have forbidden transfers to find those of experiments
            numbers = _as_arrays(traced_components(experiment), self._replicated)
            return numbers, *(jax.device_put(array, self._by_seed) for array in (counts, *keys))

    def compile(self, numbers: Any, counts: jax.Array, keys: jax.Array) -> None:
        """Trace and compile initialisation, training and inspection, once.

        Raises:
            ValueError: for an experiment that returns what cannot be trained.
        """
        __tracebackhide__ = True
        if self._compiled is not None:
            return
        if self._eager:
            self._fixed = self._fixed_numbers(numbers, keys)
            self._compiled = partial(_loop, self._initialise), partial(_loop, self._train)
            if isinstance(self._experiment, Inspectable):
                self._inspect = partial(_loop, self._summarise)
            return
        try:
            initialise = self._lower(self._initialise, numbers, counts, keys)
            if self._form.numbers and (fixed := self._fixed_numbers(numbers, keys)):
                self._fixed = fixed
                initialise = self._lower(self._initialise, numbers, counts, keys)
            # Optimising initialisation, which runs once, costs more than it saves. At LLVM's first level training was as fast
            # as at the highest, and compiled in two thirds of the time. XLA compiles without the interpreter's lock, so the
            # programs compile in parallel; not in an executor, whose threads the interpreter joins at its end.
            compiling = [initialised := in_thread(partial(initialise.compile, self._options(0)))]
            try:
                state = [
                    jax.ShapeDtypeStruct(leaf.shape, leaf.dtype, sharding=self._by_seed) for leaf in initialise.out_info
                ]
                train = self._lower(self._train, (numbers, *self._span(1, 1)), counts, state, keys, donated=True)
                compiling.append(trained := in_thread(partial(train.compile, self._options(1))))
                with self._inspecting():
                    if isinstance(self._experiment, Inspectable):
                        self._inspect = self.compile_for(self._summarise, numbers, counts, state, keys)
            finally:
                wait(compiling)
        except InvalidExperimentError as error:
            raise ValueError(str(error)) from None  # without JAX's notes on its traceback
        except VALUE_NEEDED as error:
            raise ValueError(value_needed(self._experiment, error)) from None
        self._compiled = initialised.result(), trained.result()

    def compile_for(self, one: Callable[..., Any], *args: Any) -> Callable[..., Any]:
        """Compile a function of one seed for a block, with little optimisation because it runs a few times only.

        Args:
            one: A function of arguments that all seeds share and of arguments for this seed.
            args: The former, the number of seeds of each device, and the latter with an axis of rows.
        """
        try:
            return partial(_loop, one) if self._eager else self._lower(one, *args).compile(self._options(0))
        except VALUE_NEEDED as error:
            raise ValueError(value_needed(self._experiment, error)) from None

    def join(self, arrays: list[jax.Array]) -> Any:
        """Return the state of a seed, as the experiment knows it, from its arrays."""
        return self._form.join(arrays)

    def _options(self, level: int) -> dict[str, str | bool]:
        return _cpu_options(level) if self._sequential else {}

    def initialise(self, numbers: Any, counts: jax.Array, keys: jax.Array) -> Any:
        """Return the untrained states of a block."""
        assert self._compiled is not None
        return self._compiled[0](numbers, counts, keys)

    def train(
        self, numbers: Any, counts: jax.Array, state: Any, keys: jax.Array, first: int, epochs: int
    ) -> tuple[Any, dict[str, np.ndarray]]:
        """Train a block from epoch ``first``, counted from 1; return its states and its reports, of shape (row, epoch, ...).

        The reports have ``most_epochs`` epochs, of which the first ``epochs`` are valid. The state is donated.
        """
        assert self._compiled is not None
        state, packed = self._compiled[1]((numbers, *self._span(first, epochs)), counts, state, keys)
        return state, self._unpacked(jax.device_get(packed))

    def inspect(self, numbers: Any, counts: jax.Array, state: Any, keys: jax.Array) -> dict[str, jax.Array]:
        """Return the summary of each seed's inspection; empty for an experiment that cannot be inspected."""
        with self._inspecting():
            if self._inspect is not None:
                return self._inspect(numbers, counts, state, keys)  # type: ignore[no-any-return]
        return {}

    @contextmanager
    def _inspecting(self) -> Iterator[None]:
        """Keep what an inspection raises as ``inspection_error``: no verdict needs an inspection."""
        try:
            yield
        except Exception as error:
            self._inspect = None
            self.inspection_error = f"the inspection raised {error!r}"

    def _lower(
        self, one: Callable[..., Any], shared: Any, counts: jax.Array, *rows: Any, donated: bool = False
    ) -> "_Lowered":
        """Trace a function of one seed, and lower it for a block of seeds.

        It is traced outside ``jax.shard_map``, in which some libraries, among them diffrax, cannot be traced.

        Args:
            one: A function of arguments that all seeds share and of arguments for this seed.
            shared: The former.
            counts: The number of seeds of each device.
            rows: The latter with an axis of rows.
            donated: Whether the first of the rows is donated.
        """
        traced = TracedFunction(one, shared, *jax.tree.map(_of_one, rows))
        if self._by_seed.mesh.size > 1 and traced.is_ordered:
            raise InvalidExperimentError(
                f"{type(self._experiment).__qualname__} has an ordered effect, such as jax.debug.print(..., ordered=True); seeds "
                f"train on {self._by_seed.mesh.size} devices at once, so leave ordered=True out"
            )

        def shard(constants: Any, shared: Any, counts: jax.Array, rows: tuple[Any, ...]) -> Any:
            of_one = partial(traced, constants, shared)
            if not self._sequential:
                return jax.vmap(of_one)(*rows)
            results = jax.tree.map(
                lambda leaf: jnp.zeros((self._device_rows, *leaf.shape), leaf.dtype), traced.result_shape
            )
            return jax.lax.fori_loop(
                0,
                counts[0],
                lambda row, results: _update(results, of_one(*jax.tree.map(itemgetter(row), rows)), row),
                results,
            )

        block: Callable[..., Any] = shard
        if self._by_seed.mesh.size > 1:
            each, all_of = self._by_seed.spec, self._replicated.spec
            block = jax.shard_map(
                shard, mesh=self._by_seed.mesh, in_specs=(all_of, all_of, each, each), out_specs=each, check_vma=False
            )
        program = jax.jit(
            lambda constants, shared, counts, *rows: block(constants, shared, counts, rows),
            donate_argnums=(3,) if donated else (),
            out_shardings=self._by_seed,  # XLA would replicate arrays without entries
        )
        constants = [self._on_all_devices(key, constant) for key, constant in traced.constants.items()]
        return _Lowered(program.lower(constants, shared, counts, *rows), constants)

    def _on_all_devices(self, key: Any, constant: Any) -> jax.Array:
        """Return a large constant on all devices, once for all programs."""
        if key not in self._constants:
            with jax.transfer_guard("allow"):
                self._constants[key] = constant, jax.device_put(constant, self._replicated)
        return self._constants[key][1]

    def _fixed_numbers(self, numbers: Any, keys: jax.Array) -> frozenset[int]:
        """Return the places in the state of Python's numbers that training leaves as they are, such as the rate of a dropout.

        A module may test such a number, which is not possible with an array. Other numbers, such as a counter, are arrays.
        """
        fixed: frozenset[int] = frozenset()

        def trace(numbers: Any, key: jax.Array) -> None:
            nonlocal fixed
            experiment = with_components(self._experiment, numbers)
            state = experiment.init(key)
            form, _ = split(state)
            before = flatten(state)[0]
            after = flatten(experiment.epoch(state, key)[0])[0] if form.numbers else []
            if len(after) == len(before):
                fixed = frozenset(place for place in form.numbers if not is_changed_number(before[place], after[place]))

        with suppress(Exception):  # the trace that follows raises the same error
            jax.eval_shape(trace, numbers, _of_one(keys))
        return fixed

    def _span(self, first: int, epochs: int) -> tuple[Any, Any]:
        with jax.transfer_guard("allow"):
            return tuple(jax.device_put((np.int32(first), np.int32(epochs)), self._replicated))

    def _initialise(self, numbers: Any, key: jax.Array) -> list[Any]:
        __tracebackhide__ = True
        state = checked_init(with_components(self._experiment, numbers))(key)
        self._form, arrays = split(state, self._fixed)
        return arrays

    def _train_epoch(self, numbers: Any, arrays: list[Any], key: jax.Array) -> tuple[list[Any], dict[str, Any]]:
        __tracebackhide__ = True
        state, report = checked_epoch(with_components(self._experiment, numbers))(self._form.join(arrays), key)
        return self._form.arrays(state), report

    def _train(self, shared: Any, state: Any, key: jax.Array) -> Any:
        """Train one seed for several epochs."""
        __tracebackhide__ = True
        numbers, first, epochs = shared
        if self._eager:  # one epoch at a time
            state, report = self._epoch(numbers, state, jax.random.fold_in(key, first))
            return state, {name: value[None] for name, value in self._packed(report).items()}

        def body(epoch: jax.Array, carry: Any) -> Any:
            state, reports = carry
            state, report = self._epoch(numbers, state, jax.random.fold_in(key, first + epoch))
            return state, _update(reports, self._packed(report), epoch)

        report = jax.eval_shape(lambda: self._packed(self._epoch(numbers, state, key)[1]))
        size = sum(leaf.size * leaf.dtype.itemsize for leaf in report.values())
        self._most_epochs = max(1, min(MOST_EPOCHS, MOST_BYTES // (size * self._device_rows)))
        blank = jax.tree.map(lambda leaf: jnp.zeros((self._most_epochs, *leaf.shape), leaf.dtype), report)
        return jax.lax.fori_loop(0, epochs, body, (state, blank))

    def _packed(self, report: dict[str, Any]) -> dict[str, jax.Array]:
        """Return a report as one vector for each dtype: a program compiles faster the fewer arrays it writes."""
        values = {name: jnp.asarray(value) for name, value in sorted(report.items())}
        self._report = [(name, value.dtype.name, value.shape) for name, value in values.items()]
        return {
            dtype: jnp.concatenate([value.ravel() for value in values.values() if value.dtype.name == dtype])
            for dtype in {value.dtype.name: None for value in values.values()}
        }

    def _unpacked(self, packed: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
        read, report = dict.fromkeys(packed, 0), {}
        for name, dtype, shape in self._report:
            start, read[dtype] = read[dtype], read[dtype] + math.prod(shape)
            values = packed[dtype]
            report[name] = values[..., start : read[dtype]].reshape(*values.shape[:-1], *shape)
        return report

    def _summarise(self, numbers: Any, state: Any, key: jax.Array) -> dict[str, jax.Array]:
        experiment = with_components(self._experiment, numbers)
        assert isinstance(experiment, Inspectable)
        found: object = experiment.inspect(self._form.join(state), jax.random.fold_in(key, 0))
        if not isinstance(found, Inspection):
            raise TypeError(f"inspect() returned {shortened(found, 60)}; return an Inspection of ladder.inspection")
        return summarise(found)


@dataclass(frozen=True)
class _Lowered:
    """A program for a block of seeds, before it is compiled, with the constants that are its first argument."""

    program: Any
    constants: list[jax.Array]

    @property
    def out_info(self) -> Any:
        """The shapes and dtypes of its results."""
        return self.program.out_info

    def compile(self, options: dict[str, str | bool]) -> Callable[..., Any]:
        """Compile it with options of XLA."""
        return partial(self.program.compile(compiler_options=options), self.constants)


def _loop(one: Callable[..., Any], shared: Any, counts: jax.Array, *rows: Any) -> Any:
    """Compute a function of one seed for all seeds of a block, on concrete arrays."""
    __tracebackhide__ = True
    try:
        results = [one(shared, *jax.tree.map(itemgetter(row), rows)) for row in range(int(counts[0]))]
    except InvalidExperimentError as error:
        raise ValueError(str(error)) from None
    return jax.tree.map(lambda *leaves: _stacked(leaves), *results)


def _of_one(leaf: Any) -> jax.ShapeDtypeStruct:
    """Return shape and dtype of one row."""
    return jax.ShapeDtypeStruct(leaf.shape[1:], leaf.dtype)


def program_of(experiment: CompiledExperiment, block: int) -> Program:
    """Return the program of an experiment: an earlier one if the two differ in the values of traced components only."""
    if not traced_components(experiment):
        return Program(experiment, block)
    program = next((each for each in _shared if each.serves(experiment, block)), None) or Program(experiment, block)
    _shared[:] = [*(each for each in _shared if each is not program), program][-MOST_SHARED:]
    return program


@cache
def _cpu_options(level: int) -> dict[str, str | bool]:
    """Return the options with which XLA compiles for a CPU at a level of LLVM's optimisation.

    The first of those that only some versions have keeps XLA from reducing short axes by a library, which is slow: training
    PureFEP took a third of the time with it, and other experiments about the same. The second is for programs that are to
    compile fast, at level 0: without XLA's newer emitters of kernels they compiled in 0.7 of the time, and ran for 1.3.
    """
    options: dict[str, str | bool] = {"xla_backend_optimization_level": str(level)}
    newer: dict[str, str | bool] = {"xla_cpu_experimental_ynn_fusion_type": "LIBRARY_FUSION_TYPE_INDIVIDUAL_DOT"}
    if level == 0:
        newer["xla_cpu_use_fusion_emitters"] = False
    return options | {name: value for name, value in newer.items() if _is_known(name, value)}


@cache
def _is_known(option: str, value: str | bool) -> bool:
    """Return whether this XLA has the option."""
    try:
        jax.jit(jnp.negative).lower(0.0).compile(compiler_options={option: value})
    except Exception:  # the type of the error differs between versions
        return False
    return True


def _as_arrays(numbers: dict[str, Any], sharding: NamedSharding) -> dict[str, jax.Array]:
    """Return traced components as arrays, weakly typed as constants are.

    Raises:
        ValueError: for a whole number that JAX's integers cannot hold.
    """
    try:
        return {name: jax.device_put(value, sharding) for name, value in numbers.items()}
    except OverflowError as error:
        raise ValueError(
            f"a traced component of {numbers} is too large for JAX's integers ({error}); make it a float, or leave it out of "
            "traced_components"
        ) from None


def _update(results: Any, result: Any, index: int | jax.Array) -> Any:
    return jax.tree.map(lambda every, one: jax.lax.dynamic_update_index_in_dim(every, one, index, 0), results, result)


def _stacked(leaves: Sequence[Any]) -> jax.Array:
    stacked = jnp.stack([jnp.asarray(leaf) for leaf in leaves])
    is_key = jnp.issubdtype(stacked.dtype, jax.dtypes.prng_key)
    return stacked if is_key else jnp.asarray(stacked, stacked.dtype)  # strongly typed, as in a compiled program
