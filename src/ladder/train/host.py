"""The trainer of host experiments: each seed in a worker process, as many at a time as there are workers."""

import pickle
import sys
import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from multiprocessing import connection
from pathlib import Path
from typing import Any

import numpy as np

from ladder.declare.experiment import HostExperiment, check_experiment, declared_metrics
from ladder.declare.function import FunctionExperiment
from ladder.declare.values import shortened
from ladder.naming import PACKAGE_FOLDERS
from ladder.train import worker
from ladder.train.pool import Worker, WorkerDiedError, worker_count, worker_pool
from ladder.train.progress import ProgressMeter
from ladder.train.result import SeedError, Trained
from ladder.train.trainer import NoReportError, Seeds, check_block, check_training

POLL = 0.2  # seconds between two looks at whether the run was stopped


class StoppedError(Exception):
    """An error for a run that was stopped."""


@dataclass
class _Run:
    """The training of one seed so far.

    Attributes:
        number: The number of the seed.
        reports: The reports of its epochs.
        inspected: The summaries of its inspections, by ``start`` or ``end``.
        error: The error that ended it.
        is_done: Whether it has ended.
    """

    number: int
    reports: list[dict[str, float | np.ndarray]] = field(default_factory=list)
    inspected: dict[str, dict[str, np.ndarray]] = field(default_factory=dict)
    error: worker.Raised | None = None
    is_done: bool = False


class HostTrainer:
    """A trainer that trains the seeds of a host experiment in worker processes, which are shared by all experiments.

    A seed that raises an error, or whose process dies, ends alone: the result has its error, and NaN from that epoch on. With no
    workers (``share_machine(0)``), seeds train one after another in this process, where a debugger can be used.

    Training raises a ValueError if the experiment cannot be sent to another process, reports values that are neither real numbers
    nor vectors of them, or metrics other than those it declares. It raises a RuntimeError if every seed raises an error in its
    first epoch.

    Attributes:
        experiment: The experiment.
        at_once: The number of seeds that train at the same time.
        block: The number of seeds after which curves are stored.
    """

    def __init__(self, experiment: HostExperiment, block: int):
        check_experiment(experiment)
        check_block(block)
        self.experiment: HostExperiment = experiment
        self.at_once: int = min(block, worker_count() or 1)
        self.block: int = self.at_once
        self._name = type(experiment).__qualname__
        self._pickled: tuple[bytes, Mapping[str, str]] | None = None
        self._stopped = False
        self._first: _Run | None = None  # that has reported, as all others must

    def __call__(self, seeds: Seeds, numbers: Sequence[int], progress: ProgressMeter | None = None) -> Trained:
        """Train the seeds with these numbers.

        Raises:
            ValueError: if there are no numbers, or one that no seed can have.
        """
        check_training(seeds, numbers)
        started = time.perf_counter()
        self._stopped = False
        runs = [_Run(number) for number in numbers]
        train = self._in_workers if worker_count() else self._in_this_process
        train(runs, seeds.integers(numbers), progress)
        return self._trained(runs, time.perf_counter() - started)

    def stop(self) -> None:
        """End the call that runs in another thread, and the processes that train for it."""
        self._stopped = True

    def record_states(
        self,
        seeds: Seeds,
        number: int,
        observe: Callable[[Any, Any], Mapping[str, Any]],
        progress: ProgressMeter | None = None,
    ) -> dict[str, np.ndarray]:
        """Raise an error: the states of a host experiment stay in its processes.

        Raises:
            TypeError: always.
        """
        raise TypeError(
            f"{self._name} trains in processes of its own, whose states cannot be observed; report metrics or traces"
        )

    def _in_workers(self, runs: Sequence[_Run], seeds: Sequence[int], progress: ProgressMeter | None) -> None:
        """Train all runs, as many at a time as there are workers."""
        waiting = deque(zip(runs, seeds, strict=True))
        training: dict[Worker, _Run] = {}
        pool = worker_pool()
        experiment, files = self._pickle()
        try:
            while waiting or training:
                while waiting and (free := pool.idle()):
                    run, seed = waiting.popleft()
                    training[free] = run
                    try:
                        free.train(experiment, files, seed)
                    except WorkerDiedError:  # while it was idle: not by this seed
                        pool.discard(free)
                        del training[free]
                        waiting.appendleft((run, seed))
                ready = connection.wait([used.connection for used in training], POLL)
                if self._stopped:
                    raise StoppedError
                for used in [used for used in training if used.connection in ready]:
                    run = training[used]
                    try:
                        self._take(run, used.receive(), progress)
                    except WorkerDiedError as death:
                        run.error, run.is_done = worker.Raised(str(death), ""), True
                        pool.discard(used)
                        del training[used]
                    else:
                        if run.is_done:
                            pool.release(used)
                            del training[used]
        finally:
            for used in training:
                pool.discard(used)

    def _in_this_process(self, runs: Sequence[_Run], seeds: Sequence[int], progress: ProgressMeter | None) -> None:
        for run, seed in zip(runs, seeds, strict=True):
            for message in worker.train(self.experiment, seed):
                self._take(run, message, progress)

    def _take(self, run: _Run, message: worker.Message, progress: ProgressMeter | None) -> None:
        """Add a message to the run that it belongs to.

        Raises:
            ValueError: for a report that no experiment may make.
        """
        if isinstance(message, worker.Invalid):
            raise ValueError(message.message)
        if isinstance(message, worker.Inspected):
            run.inspected[message.when] = message.summary
        elif isinstance(message, worker.Report):
            self._check(run, message.values)
            run.reports.append(message.values)
            if progress:
                values = {name: np.asarray([value]) for name, value in message.values.items()}
                progress.epoch(run.number, run.number + 1, len(run.reports), values)
        else:
            run.error = message if isinstance(message, worker.Raised) else None
            run.is_done = True

    def _check(self, run: _Run, values: Mapping[str, float | np.ndarray]) -> None:
        """Check the names of an epoch's metrics and the lengths of its traces.

        Raises:
            ValueError: if they are not those that are declared, or not those of the epoch before.
        """
        metrics = {name for name, value in values.items() if np.ndim(value) == 0}
        declared = declared_metrics(self.experiment)
        if declared is not None and metrics != set(declared):
            raise ValueError(
                f"{self._name} declares the metrics {', '.join(declared)} but train() reports the numbers "
                f"{', '.join(sorted(metrics)) or '(none)'}; make them the same"
            )
        if not metrics:
            raise ValueError(
                f"{self._name}.train() reports no number; report at least one metric, such as {{'loss': loss}}"
            )
        if run.reports:
            self._check_same_form(run.reports[0], values, f"epoch {len(run.reports) + 1}", "epoch 1")

    def _check_same_form(
        self, one: Mapping[str, float | np.ndarray], other: Mapping[str, float | np.ndarray], where: str, before: str
    ) -> None:
        for name in {**one, **other}:
            now, then = _form(other.get(name)), _form(one.get(name))
            if now != then:
                raise ValueError(
                    f"{self._name}.train() reports {name!r} as {now} in {where} and as {then} in {before}; report the same "
                    "metrics and traces in every epoch of every seed, and one entry for each step"
                )

    def _trained(self, runs: Sequence[_Run], seconds: float) -> Trained:
        """Return the result of all runs.

        Raises:
            NoReportError: if no run has ended its first epoch.
            ValueError: if runs report different things.
        """
        reported = [run for run in runs if run.reports]
        if not reported:
            first = runs[0]
            assert first.error is not None
            error = NoReportError(
                f"every seed raised an error in its first epoch, {first.number} to {runs[-1].number}; {self._name}.train() "
                f"raised in seed {first.number}: {first.error.error}"
            )
            error.add_note(first.error.traceback)
            raise error
        self._first = self._first or reported[0]
        form = self._first.reports[0]
        for run in reported:
            self._check_same_form(form, run.reports[0], f"seed {run.number}", f"seed {self._first.number}")
        epochs = int(self.experiment.epochs)
        arrays = {name: np.full((len(runs), epochs, *np.shape(value)), np.nan) for name, value in form.items()}
        for row, run in enumerate(runs):
            for epoch, report in enumerate(run.reports):
                for name, value in report.items():
                    arrays[name][row, epoch] = value
        return Trained(
            {name: values for name, values in arrays.items() if values.ndim == 2},
            {name: values for name, values in arrays.items() if values.ndim == 3},
            0.0,
            seconds,
            tuple(
                SeedError(row, len(run.reports) + 1, run.error.error, run.error.traceback)
                for row, run in enumerate(runs)
                if run.error is not None
            ),
            _inspected(runs),
        )

    def _pickle(self) -> tuple[bytes, Mapping[str, str]]:
        """Return the pickled experiment, and the files of modules that another process may not find.

        Raises:
            ValueError: if it cannot be pickled.
        """
        if self._pickled is None:
            try:
                pickled = pickle.dumps(self.experiment, pickle.HIGHEST_PROTOCOL)
            except Exception as error:
                if isinstance(self.experiment, FunctionExperiment):
                    raise ValueError(
                        f"{shortened(self.experiment.function)} cannot be sent to worker processes ({error}); define the "
                        "function, and those in its configuration, by def at the top level of a module, or train with "
                        "--ladder-workers=0"
                    ) from None
                raise ValueError(
                    f"{self._name} cannot be sent to worker processes ({error}); define its class, and the classes and functions "
                    "among its components, at the top level of a module, or open what cannot be pickled in train()"
                ) from None
            self._pickled = pickled, _files()
        return self._pickled


def _files() -> dict[str, str]:
    """Return the source files of the loaded modules that are not in an installed package, by module."""
    files = {name: getattr(module, "__file__", None) or "" for name, module in list(sys.modules.items())}
    return {
        name: file
        for name, file in files.items()
        if file.endswith(".py")
        and name.partition(".")[0] not in {"__main__", "__mp_main__", *sys.stdlib_module_names}
        and PACKAGE_FOLDERS.isdisjoint(Path(file).parts)
    }


def _form(value: float | np.ndarray | None) -> str:
    if value is None:
        return "nothing"
    return f"a vector of {len(value)}" if isinstance(value, np.ndarray) else "a number"


def _inspected(runs: Sequence[_Run]) -> dict[str, np.ndarray]:
    """Return the summaries of all runs, NaN where a run has none or one of another shape than those before it."""
    inspected: dict[str, np.ndarray] = {}
    for row, run in enumerate(runs):
        for when, summary in run.inspected.items():
            for name, value in summary.items():
                rows = inspected.setdefault(f"{when}/{name}", np.full((len(runs), *np.shape(value)), np.nan))
                if rows.shape[1:] == np.shape(value):
                    rows[row] = value
    return inspected
