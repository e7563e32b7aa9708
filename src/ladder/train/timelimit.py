"""Ending a training run that takes too long or is interrupted."""

import contextvars
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future, wait
from typing import Any, TypeVar

Yield = TypeVar("Yield")

POLL = 0.5  # seconds; Windows lets no signal through to a thread that waits

_abandoned: list[Future[Any]] = []


class TimedOutError(Exception):
    """A run took longer than it may."""


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
