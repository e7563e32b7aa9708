"""Ending a training run that takes too long or is interrupted, with what it has measured so far."""

import contextvars
import math
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future, wait
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np

from ladder.trained import Trained

if TYPE_CHECKING:
    from ladder.training import Watch

Yield = TypeVar("Yield")

POLL = 0.5  # seconds; Windows lets no signal through to a thread that waits

_abandoned: list[Future[Any]] = []


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


def still_computing() -> bool:
    """Whether a run that nobody waits for any more goes on.

    JAX cannot break off a program, and one that runs on keeps the devices to itself: this process can train nothing more, and the
    interpreter's own end would abort it.
    """
    return any(not future.done() for future in _abandoned)


def in_thread(work: Callable[[], Yield]) -> Future[Yield]:
    """Start the work in a thread that does not keep the process alive; return its future result."""
    future: Future[Yield] = Future()

    def run() -> None:
        try:
            future.set_result(work())
        except BaseException as error:
            future.set_exception(error)

    context = contextvars.copy_context()
    threading.Thread(target=context.run, args=(run,), name="ladder-training", daemon=True).start()
    return future


def within(seconds: float, grace: float, work: Callable[[], Yield], stop: Callable[[], None]) -> Yield:
    """Do the work in a thread of its own and wait for it, so that there is a way on when it does not end.

    A program of JAX lets no signal through to the thread that runs it; the one that waits here is interrupted at once.

    Args:
        seconds: How long it may take.
        grace: How long what is being computed has to end after ``stop`` has been called; none if the user interrupts it.
        work: What is to be done.
        stop: Asks the work to end early.

    Raises:
        TimedOutError: if it took too long.
    """
    end = time.monotonic() + seconds
    future = in_thread(work)
    try:
        while not future.done():
            if (left := end - time.monotonic()) <= 0.0:
                raise TimedOutError
            wait([future], min(left, POLL))
    except BaseException as error:
        stop()
        _abandoned.append(future)
        if not isinstance(error, KeyboardInterrupt):
            wait([future], min(grace, threading.TIMEOUT_MAX))
        raise
    return future.result()
