"""Progress of a training run: who is called after every epoch, and a recorder of what was measured so far."""

import math
from typing import Protocol

import numpy as np

from ladder.train.result import Trained


class ProgressMeter(Protocol):
    """Told what a training run is doing; every call returns at once."""

    def compiling(self, first: int, last: int) -> None:
        """The program is being compiled; seeds ``first`` up to but not ``last`` are next."""

    def epoch(self, first: int, last: int, epoch: int, metrics: dict[str, np.ndarray]) -> None:
        """These seeds have trained this epoch, and what each of them measured."""


class _StoppedError(BaseException):
    """Ends a run that nobody waits for any more; not an Exception, for the run to let pass."""


class ProgressRecorder:
    """A watch that notes what it is told, passes it on to another, and ends the run if asked to."""

    def __init__(self, epochs: int, watch: "ProgressMeter | None"):
        self._epochs = epochs
        self._watch = watch
        self._told: list[dict[str, np.ndarray]] = []
        self._stopped = False

    def stop(self) -> None:
        """Have the run end at its next epoch."""
        self._stopped = True

    def compiling(self, first: int, last: int) -> None:
        """Pass it on."""
        if self._stopped:
            raise _StoppedError
        if self._watch:
            self._watch.compiling(first, last)

    def epoch(self, first: int, last: int, epoch: int, metrics: dict[str, np.ndarray]) -> None:
        """Note it and pass it on."""
        if self._stopped:
            raise _StoppedError
        self._told.append({name: values[: last - first] for name, values in metrics.items()})
        if self._watch:
            self._watch.epoch(first, last, epoch, metrics)

    def so_far(self) -> Trained | None:
        """What was measured, with not-a-number for the epochs that were not trained; None if none was."""
        told = list(self._told)
        if not told:
            return None
        missing = {name: np.full_like(values, math.nan) for name, values in told[0].items()}
        return Trained.from_epochs([*told, *[missing] * (self._epochs - len(told))])
