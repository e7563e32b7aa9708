"""Interruptions: a run that climbs rungs ends with its report and pytest's exit code at Ctrl-C and at what would kill it."""

from __future__ import annotations

import atexit
import os
import signal
import sys
import threading
from collections.abc import Callable, Generator, Iterator
from contextlib import contextmanager, suppress
from functools import partial, wraps
from importlib import import_module
from types import FrameType
from typing import Any

import pytest

ENDING = [getattr(signal, name) for name in ("SIGTERM", "SIGHUP") if hasattr(signal, name)]

NEEDED = [f"ladder.{name}" for name in ("climb", "compilation", "report.document", "report.html", "report.terminal")]

CAUGHT = pytest.StashKey[bool]()

_exit_code: int | None = None  # of the last run of pytest in this process


class Interrupted(KeyboardInterrupt):
    """A signal that kills a process has come: pytest takes it for Ctrl-C."""


def _interrupt(number: int, frame: FrameType | None) -> None:
    raise Interrupted(f"received {signal.Signals(number).name}")


def catch(config: pytest.Config) -> None:
    """End the run, from now on, at a signal that would kill it, unless it is ignored or somebody else handles it."""
    # Ctrl-C under --pdb opens the debugger, which is not what a signal from outside is for.
    if CAUGHT in config.stash or config.option.collectonly or config.getoption("usepdb"):
        return
    config.stash[CAUGHT] = True
    # An import that is interrupted cannot be made up for: NumPy and JAX are then unusable in this process.
    with held() as waiting:
        for module in NEEDED:
            import_module(module)
    if waiting:
        signal.raise_signal(waiting[0])
    if threading.current_thread() is threading.main_thread():
        for number in ENDING:
            if signal.getsignal(number) == signal.SIG_DFL:
                signal.signal(number, _interrupt)
                config.add_cleanup(partial(_restore, number))


def exit_code(config: pytest.Config) -> Generator[None, Any, Any]:
    """Return pytest's exit code, also where the run is interrupted while it ends; wraps ``pytest_cmdline_main``."""
    global _exit_code
    _exit_code = 1
    try:
        status = yield
    except KeyboardInterrupt as error:
        if CAUGHT not in config.stash:
            raise
        if not hasattr(config, "workerinput"):
            print(f"ladder: interrupted again while the run ended: {str(error) or 'Ctrl-C'}", file=sys.stderr)
        status = pytest.ExitCode.INTERRUPTED
    _exit_code = int(status or 0)
    return status


def _restore(number: int) -> None:
    if signal.getsignal(number) is _interrupt:
        signal.signal(number, signal.SIG_DFL)


@contextmanager
def held() -> Iterator[list[int]]:
    """Have an interruption wait for the end of the block, in the list; a second one does not wait."""
    waiting: list[int] = []

    def wait(number: int, frame: FrameType | None) -> None:
        waiting.append(number)
        if len(waiting) > 1:
            handlers[number](number, frame)

    handlers: dict[int, Any] = {}
    if threading.current_thread() is threading.main_thread():
        handlers = {number: found for number in (signal.SIGINT, *ENDING) if callable(found := signal.getsignal(number))}
    for number in handlers:
        signal.signal(number, wait)
    try:
        yield waiting
    finally:
        for number, handler in handlers.items():
            signal.signal(number, handler)


def was_interrupted(session: pytest.Session) -> bool:
    """Return whether the run was interrupted, and see that its status says so.

    A second interruption may come before pytest has noted the first one; it is then on its way through.
    """
    if isinstance(sys.exception(), KeyboardInterrupt):
        session.exitstatus = pytest.ExitCode.INTERRUPTED
    return session.exitstatus == pytest.ExitCode.INTERRUPTED


def uninterrupted(finish: Callable[[Any, pytest.Session], None]) -> Callable[[Any, pytest.Session], None]:
    """Have an interruption wait until ``pytest_sessionfinish`` is through with writing; a second one does not wait."""

    @wraps(finish)
    def pytest_sessionfinish(self: Any, session: pytest.Session) -> None:
        with held() as waiting:
            was_interrupted(session)
            finish(self, session)
        if waiting and not was_interrupted(session):  # nothing is left to break off
            session.exitstatus = pytest.ExitCode.INTERRUPTED
            session.shouldstop = f"received {signal.Signals(waiting[0]).name}"

    return pytest_sessionfinish


@atexit.register
def _leave() -> None:
    """Leave past the interpreter's own end where a program still runs, for that would abort the process.

    Registered before JAX is imported, and so called after the handlers of all that is imported later.
    """
    timelimit = sys.modules.get("ladder.timelimit")
    if _exit_code is None or timelimit is None or not timelimit.still_computing():
        return
    for stream in (sys.stdout, sys.stderr):
        with suppress(Exception):
            stream.flush()
    os._exit(_exit_code)
