"""Time limits and interruptions of training runs."""

import contextvars
import sys
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future, wait
from typing import Any, TypeVar

T = TypeVar("T")

POLL = 0.5  # seconds; on Windows a thread that waits receives no signal

_abandoned: list[Future[Any]] = []


class TimedOutError(Exception):
    """An error for a run that exceeds its time limit."""


def still_computing() -> bool:
    """Return whether a run that nobody waits for any more is still computing.

    JAX cannot cancel a program, and a program that goes on occupies the devices: this process can train nothing more, and a
    normal exit of the interpreter would abort.
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
    """Do the work in a thread that can be abandoned at the deadline or at an interruption.

    Settings of JAX that a context manager has made for the calling thread do not apply in other threads. If there are any and
    there is no deadline, the calling thread does the work, and an interruption waits until the current program has ended.

    Args:
        deadline: The time of the monotonic clock, in seconds, at which the work must be done.
        grace: The seconds to wait, after the deadline, for the program that is running.
        work: The work to do.
        stop: A function that makes the work end early.

    Raises:
        TimedOutError: if the work is not done at the deadline.
        ValueError: if there are such settings and a deadline.
    """
    seconds = deadline - time.monotonic()
    if jax := sys.modules.get("jax"):
        own, other = jax.config.values, in_thread(lambda: jax.config.values).result()
        if different := [name for name in own if own[name] != other[name]]:
            if seconds > threading.TIMEOUT_MAX:
                return work()
            raise ValueError(
                f"JAX has other settings in the thread that trains under a time limit ({', '.join(different)}): set them for all "
                "threads, with jax.config.update, or set no time limit"
            )
    return run_with_timeout(seconds, grace, work, stop)


def run_with_timeout(seconds: float, grace: float, work: Callable[[], T], stop: Callable[[], None]) -> T:
    """Do the work in a thread of its own and wait for it, so that the caller can go on if it does not end.

    A thread that runs a program of JAX receives no signals; the thread that waits here can be interrupted at once.

    Args:
        seconds: The time limit.
        grace: The seconds to wait after ``stop`` for the program that is running; an interruption does not wait.
        work: The work to do.
        stop: A function that makes the work end early.

    Raises:
        TimedOutError: if the work is not done within the time limit.
    """
    end = time.monotonic() + seconds
    future = in_thread(work)
    try:
        while not future.done():
            if (remaining := end - time.monotonic()) <= 0.0:
                raise TimedOutError
            wait([future], min(remaining, POLL))
    except BaseException as error:
        stop()
        _abandoned.append(future)
        if not isinstance(error, KeyboardInterrupt):
            wait([future], min(grace, threading.TIMEOUT_MAX))
        raise
    return future.result()
