"""Ending a training run that takes too long or is interrupted."""

import contextvars
import sys
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future, wait
from typing import Any, TypeVar

T = TypeVar("T")

POLL = 0.5  # seconds; Windows lets no signal through to a thread that waits

_abandoned: list[Future[Any]] = []


class TimedOutError(Exception):
    """A run took longer than it may."""


def still_computing() -> bool:
    """Return whether a run that nobody waits for any more goes on.

    JAX cannot break off a program, and one that runs on keeps the devices to itself: this process can train nothing more, and the
    interpreter's own end would abort it.
    """
    return any(not future.done() for future in _abandoned)


def in_thread(work: Callable[[], T]) -> Future[T]:
    """Start the work in a thread that does not keep the process alive; return its future result."""
    future: Future[T] = Future()

    def run() -> None:
        try:
            future.set_result(work())
        except BaseException as error:
            future.set_exception(error)

    context = contextvars.copy_context()
    threading.Thread(target=context.run, args=(run,), name="ladder-training", daemon=True).start()
    return future


def run_until(deadline: float, grace: float, work: Callable[[], T], stop: Callable[[], None]) -> T:
    """Do the work in a thread, which can be left alone at the deadline or when the user interrupts.

    Settings of JAX that a context manager has made for this thread would not reach it. Without a deadline this thread then does
    the work itself, and an interruption waits until the program that runs has ended.

    Args:
        deadline: The time of the monotonic clock, in seconds, at which the work must be done.
        grace: The seconds that the program that runs at the deadline is given to end.
        work: What is to be done.
        stop: Asks the work to end early.

    Raises:
        TimedOutError: if the work is not done at the deadline.
        ValueError: for a deadline and such settings.
    """
    seconds = deadline - time.monotonic()
    if jax := sys.modules.get("jax"):
        here, there = jax.config.values, in_thread(lambda: jax.config.values).result()
        if own := [name for name in here if here[name] != there[name]]:
            if seconds > threading.TIMEOUT_MAX:
                return work()
            raise ValueError(
                f"JAX has other settings in the thread that trains under a time limit ({', '.join(own)}): set them for all "
                "threads, with jax.config.update, or give no limit"
            )
    return run_with_timeout(seconds, grace, work, stop)


def run_with_timeout(seconds: float, grace: float, work: Callable[[], T], stop: Callable[[], None]) -> T:
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
