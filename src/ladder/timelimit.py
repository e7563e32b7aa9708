"""Ending a training run that takes too long, with what it has measured so far."""

import math
import threading
from collections.abc import Callable
from concurrent.futures import Future
from typing import TYPE_CHECKING, TypeVar

import numpy as np

from ladder.trained import Trained

if TYPE_CHECKING:
    from ladder.training import Watch

Yield = TypeVar("Yield")


_abandoned: list[threading.Thread] = []


class TimedOutError(Exception):
    """A run took longer than it may."""


class _StoppedError(BaseException):
    """Ends a run that nobody waits for any more; not an Exception, for the run to let pass."""


class Recorder:
    """A watch that notes what it is told, passes it on to another, and ends the run if asked to."""

    def __init__(self, epochs: int, watch: "Watch | None"):
        self._epochs = epochs
        self._watch = watch
        self._told: list[dict[str, np.ndarray]] = []
        self._stopped = False

    def stop(self) -> None:
        """Have the run end at its next epoch."""
        self._stopped = True

    def compiling(self, first: int, last: int) -> None:
        """Pass it on."""
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


def still_computing() -> bool:
    """Whether a run that nobody waits for any more goes on.

    JAX cannot break off a program, and one that runs on keeps the devices to itself: this process can train nothing more, and the
    interpreter's own end would abort it.
    """
    return any(thread.is_alive() for thread in _abandoned)


def within(seconds: float, grace: float, work: Callable[[], Yield], stop: Callable[[], None]) -> Yield:
    """Do the work in a thread of its own and wait for it, so that there is a way on when it does not end.

    Args:
        seconds: How long it may take; without a limit it is done in this thread.
        grace: How long what is being computed has to end after ``stop`` has been called.
        work: What is to be done.
        stop: Asks the work to end early.

    Raises:
        TimedOutError: if it took too long.
    """
    if seconds > threading.TIMEOUT_MAX:
        return work()
    future: Future[Yield] = Future()

    def run() -> None:
        try:
            future.set_result(work())
        except BaseException as error:
            future.set_exception(error)

    thread = threading.Thread(target=run, name="ladder-training", daemon=True)
    thread.start()
    try:
        return future.result(max(seconds, 0.0))
    except BaseException as error:  # the work's own, or the user breaks it off, or the time is over
        if future.done():
            raise
        stop()
        _abandoned.append(thread)
        if not isinstance(error, TimeoutError):
            raise
        thread.join(grace)
        raise TimedOutError from None
