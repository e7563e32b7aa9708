"""The trainer that compiles an experiment with JAX: many seeds at once, one program for every epoch."""

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import reduce
from typing import Any

import jax
import numpy as np

from ladder.declare.experiment import CompiledExperiment, check_experiment
from ladder.train.program import Layout, program_of
from ladder.train.progress import ProgressMeter
from ladder.train.result import Trained
from ladder.train.trainer import Seeds, check_block, check_training

UPDATE = 0.5  # seconds that one call trains, if an epoch is shorter


def trace(experiment: CompiledExperiment) -> None:
    """Run the experiment's Python code once, on abstract arrays, without compiling or computing anything."""
    jax.eval_shape(lambda key: experiment.epoch(experiment.init(key), key), jax.eval_shape(lambda: jax.random.key(0)))


class CompiledTrainer:
    """A trainer that compiles an experiment for at most a block of seeds and trains any seeds in such blocks.

    One compilation serves every number of seeds, and every experiment that differs in traced components only. Every seed is
    inspected before and after training, if the experiment can be.

    Training raises a ValueError if the experiment reports metrics other than those it declares, reports a value that is
    neither a real scalar nor a vector of them, or returns a state whose form has changed.

    Attributes:
        experiment: The experiment.
        block: The largest number of seeds that one call of the program trains.
        at_once: The number of seeds that take about as long as one.
    """

    def __init__(self, experiment: CompiledExperiment, block: int):
        check_experiment(experiment)
        check_block(block)
        self.experiment: CompiledExperiment = experiment
        self.block: int = block
        self._program = program_of(experiment, block)
        self.at_once: int = self._program.at_once

    def __call__(self, seeds: Seeds, numbers: Sequence[int], progress: ProgressMeter | None = None) -> Trained:
        """Train the seeds with these numbers.

        Raises:
            ValueError: if there are no numbers, or one that no seed can have.
        """
        check_training(seeds, numbers)
        blocks = (numbers[start : start + self.block] for start in range(0, len(numbers), self.block))
        return reduce(Trained.concatenate, (self._train(seeds, block, progress) for block in blocks))

    def _train(
        self,
        seeds: Seeds,
        numbers: Sequence[int],
        progress: ProgressMeter | None,
        on_state: Callable[[Any], None] | None = None,
    ) -> Trained:
        """Train a block of seeds; ``on_state`` is called with their states before training and after every epoch."""
        start, program = time.perf_counter(), self._program
        first, last = numbers[0], numbers[-1] + 1
        layout = program.layout(numbers)
        values, counts, init_keys, keys = self._arguments(seeds, layout)
        if progress and not program.is_compiled:
            progress.compiling(first, last)
        program.compile(values, counts, init_keys)
        compiled = time.perf_counter()
        state = program.initialise(values, counts, init_keys)
        inspected = self._inspect("start", layout, values, counts, state, keys)
        if on_state:
            on_state(state)
        history: list[dict[str, np.ndarray]] = []
        epochs = 1  # of the next call: as many as fit into the time between two updates of the live line
        while missing := self.experiment.epochs - len(history):
            called, epochs = time.perf_counter(), min(epochs, missing)
            state, reports = program.train(values, counts, state, keys, len(history) + 1, epochs)
            fetched = {name: np.asarray(value[layout.rows, :epochs], np.float64) for name, value in reports.items()}
            for epoch in range(epochs):
                history.append({name: value[:, epoch] for name, value in fetched.items()})
                if progress:
                    progress.epoch(first, last, len(history), history[-1])
            if on_state:
                on_state(state)
            else:
                pace = UPDATE / (time.perf_counter() - called)  # calls
                epochs = max(1, min(program.most_epochs, int(epochs * pace)))
        inspected |= self._inspect("end", layout, values, counts, state, keys)
        trained = Trained.from_epochs(history, compiled - start, time.perf_counter() - compiled)
        return replace(trained, inspected=inspected, inspection_error=program.inspection_error)

    def _inspect(self, when: str, layout: Layout, *arguments: Any) -> dict[str, np.ndarray]:
        """Return the inspection of a block, as it is stored; empty for an experiment that cannot be inspected."""
        summary = jax.device_get(self._program.inspect(*arguments))
        return {f"{when}/{name}": np.asarray(value[layout.rows], np.float64) for name, value in summary.items()}

    def _arguments(self, seeds: Seeds, layout: Layout) -> tuple[Any, ...]:
        """Return the traced components, the counts, and the keys for initialisation and for training of a block."""
        with jax.transfer_guard("allow"):
            return self._program.put(self.experiment, layout.counts, *_split(seeds.keys(layout.filled)))

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
        layout = self._program.layout([number])
        _, counts, _, keys = self._arguments(seeds, layout)
        program: Any = None
        observed: list[dict[str, np.ndarray]] = []

        def one(_: Any, state: Any, key: jax.Array) -> Any:
            return observe(self._program.join(state), jax.random.fold_in(key, 0))

        def on_state(state: Any) -> None:
            nonlocal program
            if program is None:
                program = self._program.compile_for(one, (), counts, state, keys)
            observed.append(
                {name: value[0] for name, value in jax.device_get(program((), counts, state, keys)).items()}
            )

        self._train(seeds, [number], progress, on_state)
        return {name: np.stack([epoch[name] for epoch in observed]) for name in observed[0]}


@jax.jit
def _split(keys: jax.Array) -> tuple[jax.Array, jax.Array]:
    """Return separate keys for initialisation and for training: a model may fold small numbers into its key, as training does."""
    both = jax.vmap(jax.random.split)(keys)
    return both[:, 0], both[:, 1]
