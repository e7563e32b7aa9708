"""Progress of a training run: callbacks after every epoch, and a recorder of the metrics so far."""

import math
from typing import Protocol, runtime_checkable

import numpy as np

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
    """A meter that records the metrics, forwards them to another meter, and can end the run."""

    def __init__(self, epochs: int, progress: "ProgressMeter | None"):
        self._epochs = epochs
        self._progress = progress
        self._epochs_done: list[dict[str, np.ndarray]] = []
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
        """Record the metrics and forward them."""
        if self._stopped:
            raise _StoppedError
        self._epochs_done.append({name: values[: last - first] for name, values in metrics.items()})
        if self._progress:
            self._progress.epoch(first, last, epoch, metrics)

    def so_far(self) -> Trained | None:
        """Return the metrics so far, with NaN for the epochs that were not trained; None if no epoch was trained."""
        done = list(self._epochs_done)
        if not done:
            return None
        missing = {name: np.full_like(values, math.nan) for name, values in done[0].items()}
        return Trained.from_epochs([*done, *[missing] * (self._epochs - len(done))])
