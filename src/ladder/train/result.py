"""The result of training some seeds. Nothing here loads JAX: curves are stored, judged and drawn without it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Self

import numpy as np

from ladder.declare.arrays import Float, Int

# The order in which the tensors of one step are computed, by the first part of a trace's name (``ladder.inspection``
# writes them). A trace with any other name is placed at the loss.
_LOSS_ORDER, _TRACE_ORDER = 1, {"stage": 0, "gradient": 2, "update": 3, "weight": 4}


@dataclass(frozen=True)
class NonFinite:
    """The first non-finite value of a seed, counted from 0: its step, counted from 1, and its trace or metric."""

    seed: int
    step: int
    tensor: str


@dataclass(frozen=True)
class SeedError:
    """An error that ended the training of a seed.

    Attributes:
        seed: The seed, counted from 0.
        epoch: The epoch in which it was raised, counted from 1.
        error: The error in one line.
        traceback: Its traceback, from the experiment's code on; empty if a process died without one.
    """

    seed: int
    epoch: int
    error: str
    traceback: str


@dataclass(frozen=True)
class Trained:
    """The result of training one experiment on some seeds.

    Attributes:
        curves: Metric to values of shape (seed, epoch); NaN from the epoch on in which a seed raised an error.
        traces: Trace to values of shape (seed, epoch, step), likewise.
        compile_seconds: Time to trace and compile, spent once.
        run_seconds: Time to initialise and train.
        errors: The errors of the seeds that raised one, in the order of the seeds.
        inspected: :func:`ladder.inspection.summarise` of each seed, values of shape (seed, ...), before training under ``start/``
            and after it under ``end/``; NaN for a seed without one, and empty if the experiment cannot be inspected.
        inspection_error: The error of an inspection that failed, in one line.
    """

    curves: dict[str, Float[np.ndarray, "seed epoch"]]
    traces: dict[str, Float[np.ndarray, "seed epoch step"]]
    compile_seconds: float
    run_seconds: float
    errors: tuple[SeedError, ...] = ()
    inspected: dict[str, Float[np.ndarray, "seed ..."]] = field(default_factory=dict)
    inspection_error: str = ""

    @classmethod
    def from_epochs(
        cls,
        epochs: Sequence[Mapping[str, Float[np.ndarray, "seed ..."]]],
        compile_seconds: float = 0.0,
        run_seconds: float = 0.0,
    ) -> Self:
        """Build a result from the reports of all epochs: one number for each seed is a metric, several are a trace."""
        stacked = {name: np.stack([epoch[name] for epoch in epochs], axis=1) for name in epochs[0]}
        return cls(
            {name: values for name, values in stacked.items() if values.ndim == 2},
            {name: values for name, values in stacked.items() if values.ndim == 3},
            compile_seconds,
            run_seconds,
        )

    def __repr__(self) -> str:
        curves = [f"{name}{list(curve.shape)}" for name, curve in self.curves.items()]
        return f"Trained({', '.join(curves)}; {len(self.traces)} traces)"

    @property
    def seeds(self) -> int:
        """The number of seeds that were trained."""
        return len(next(iter(self.curves.values())))

    @cached_property
    def first_non_finite(self) -> tuple[NonFinite, ...]:
        """The first non-finite value of each seed that has one and did not raise an error.

        The step is known from the traces; if only a metric is non-finite, it is the last step of that epoch. Among values that
        become non-finite in the same step, the first is the one computed first: stages in forward order, loss, gradients,
        updates, weights, then metrics; ties are broken by name. Without traces every epoch counts as one step.
        """
        steps = self._steps
        traces = sorted(self.traces, key=lambda name: (_TRACE_ORDER.get(name.partition("/")[0], _LOSS_ORDER), name))
        first: dict[int, NonFinite] = {}
        for name, values in [
            *((n, self.traces[n]) for n in traces),
            *((n, c[..., None]) for n, c in self.curves.items()),
        ]:
            for seed, bad in enumerate(~np.isfinite(values)):
                if bad.any():
                    epoch, step = divmod(int(bad.argmax()), bad.shape[1])
                    candidate = NonFinite(seed, epoch * steps + (step + 1 if name in self.traces else steps), name)
                    if seed not in first or candidate.step < first[seed].step:
                        first[seed] = candidate
        raised = {error.seed for error in self.errors}
        return tuple(first[seed] for seed in sorted(first) if seed not in raised)

    @cached_property
    def first_non_finite_step(self) -> Int[np.ndarray, " seed"]:
        """The step of ``first_non_finite`` for each seed, 0 for one that stayed finite.

        The values of a seed that raised an error end with the epoch before; its step is the first of the epoch.
        """
        steps = np.zeros(self.seeds, int)
        for bad in self.first_non_finite:
            steps[bad.seed] = bad.step
        for error in self.errors:
            steps[error.seed] = (error.epoch - 1) * self._steps + 1
        return steps

    @property
    def _steps(self) -> int:
        """The number of steps of an epoch; 1 without traces."""
        return max((trace.shape[2] for trace in self.traces.values()), default=1)

    def continues(self, other: "Trained") -> bool:
        """Return whether both have the same curves and traces, over the same number of epochs and steps."""

        def shapes(trained: Trained) -> dict[tuple[str, str], tuple[int, ...]]:
            kinds = {"curve": trained.curves, "trace": trained.traces}
            return {(kind, name): array.shape[1:] for kind, arrays in kinds.items() for name, array in arrays.items()}

        return shapes(self) == shapes(other)

    def select(self, seeds: Sequence[int] | slice) -> "Trained":
        """Return the results of these seeds only."""
        raised = {error.seed: error for error in self.errors}
        selected = np.arange(self.seeds)[seeds].tolist()
        return Trained(
            {name: curve[seeds] for name, curve in self.curves.items()},
            {name: trace[seeds] for name, trace in self.traces.items()},
            self.compile_seconds,
            self.run_seconds,
            tuple(replace(raised[seed], seed=row) for row, seed in enumerate(selected) if seed in raised),
            {name: values[seeds] for name, values in self.inspected.items()},
            self.inspection_error,
        )

    def head(self, seeds: int) -> "Trained":
        """Return the results of the first ``seeds`` seeds."""
        return self.select(slice(seeds))

    def concatenate(self, more: "Trained") -> "Trained":
        """Return the results of these seeds, followed by those of ``more``."""
        return Trained(
            {name: np.concatenate([curve, more.curves[name]]) for name, curve in self.curves.items()},
            {name: np.concatenate([trace, more.traces[name]]) for name, trace in self.traces.items()},
            self.compile_seconds + more.compile_seconds,
            self.run_seconds + more.run_seconds,
            (*self.errors, *(replace(error, seed=self.seeds + error.seed) for error in more.errors)),
            {
                name: np.concatenate([values, more.inspected[name]])
                for name, values in self.inspected.items()
                if name in more.inspected and values.shape[1:] == more.inspected[name].shape[1:]
            },
            self.inspection_error or more.inspection_error,
        )
