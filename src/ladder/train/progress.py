"""Progress of a training run: callbacks after every epoch, and a recorder of the metrics so far."""

import math
from collections.abc import Collection
from typing import Protocol, runtime_checkable

import numpy as np

from ladder.declare.experiment import check_reported
from ladder.train.result import Trained


@runtime_checkable
class ProgressMeter(Protocol):
    """Receives progress callbacks during training. Must not block."""

    def compiling(self, first: int, last: int) -> None:
        """Note that the program is being compiled; seeds ``first`` up to but not ``last`` are next."""

    def epoch(self, first: int, last: int, epoch: int, metrics: dict[str, np.ndarray]) -> None:
        """Note that these seeds have trained this epoch, with their metrics of shape (seed, ...)."""


class _StoppedError(BaseException):
    """The end of a run that nobody waits for any more. Not an Exception, so that an experiment does not catch it."""


class ProgressRecorder:
    """A meter that records the metrics, forwards them to another meter, and can end the run.

    Args:
        epochs: The number of epochs that the run trains.
        progress: The meter to forward to.
        first: The number of the first seed.
        metrics: The metrics that every report must have.
    """

    def __init__(self, epochs: int, progress: ProgressMeter | None, first: int = 0, metrics: Collection[str] = ()):
        self._epochs = epochs
        self._progress = progress
        self._first = first
        self._metrics = metrics
        self._reports: list[tuple[int, int, dict[str, np.ndarray]]] = []  # first row, epoch, metrics of these rows
        self._stopped = False

    def stop(self) -> None:
        """End the run at its next callback."""
        self._stopped = True

    def compiling(self, first: int, last: int) -> None:
        """Forward the call."""
        if self._stopped:
            raise _StoppedError
        if self._progress:
            self._progress.compiling(first, last)

    def epoch(self, first: int, last: int, epoch: int, metrics: dict[str, np.ndarray]) -> None:
        """Record the metrics and forward them.

        Raises:
            ValueError: if a metric is missing.
        """
        if self._stopped:
            raise _StoppedError
        check_reported(self._metrics, [name for name, values in metrics.items() if values.ndim == 1])
        rows = {name: values[: last - first] for name, values in metrics.items()}
        self._reports.append((first - self._first, epoch, rows))
        if self._progress:
            self._progress.epoch(first, last, epoch, metrics)

    def so_far(self) -> Trained | None:
        """Return the metrics so far, with NaN for all that was not trained; None if no epoch was trained."""
        reports = list(self._reports)
        if not reports:
            return None
        *_, some = reports[0]
        seeds = max(row + len(values) for row, _, report in reports for values in report.values())
        result = {name: np.full((self._epochs, seeds, *values.shape[1:]), math.nan) for name, values in some.items()}
        for row, epoch, report in reports:
            for name, values in report.items():
                result[name][epoch - 1, row : row + len(values)] = values
        return Trained.from_epochs(
            [{name: values[epoch] for name, values in result.items()} for epoch in range(self._epochs)]
        )
