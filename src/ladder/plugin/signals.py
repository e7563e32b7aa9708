"""Interruptions: at Ctrl-C, SIGTERM and SIGHUP a run that climbs rungs ends with its report and pytest's exit code."""

from __future__ import annotations

import atexit
import os
import signal
import sys
import threading
from collections.abc import Callable, Generator, Iterator
from contextlib import ExitStack, contextmanager, suppress
from functools import partial, wraps
from importlib import import_module
from importlib.util import find_spec
from types import FrameType
from typing import Any

import pytest

ENDING = [getattr(signal, name) for name in ("SIGTERM", "SIGHUP") if hasattr(signal, name)]

MODULES = [f"ladder.{name}" for name in ("climb", "report.document", "report.html", "report.terminal")]
MODULES_WITH_JAX = ["ladder.train.compilation", "ladder.train.compiled"]

RETRY_DELAY = 0.1  # seconds
MAX_DEFERRED = 2  # signals; the next one takes effect at once

_exit_code: int | None = None  # of the last run of pytest in this process


class Interrupted(KeyboardInterrupt):
    """A KeyboardInterrupt for a signal that would kill the process; pytest treats it like Ctrl-C."""

    def __init__(self, number: int):
        super().__init__(f"received {signal.Signals(number).name}")
        self.number = number


def _interrupt(number: int, frame: FrameType | None) -> None:
    raise Interrupted(number)


class Interruptions:
    """The handling of signals in one run, undone by pytest's cleanup.

    The cleanup runs in reverse order of registration, so it comes after pytest's last garbage collection, which calls JAX.
    """

    def __init__(self, config: pytest.Config):
        self._config = config
        self._undo = ExitStack()
        self.caught: bool = False
        config.stash[INTERRUPTIONS] = self
        config.add_cleanup(self._undo.close)

    def send_again(self) -> None:
        """Resend an interruption whose exception is lost, from now on."""
        self._undo.callback(self._restore_hook, sys.unraisablehook)
        sys.unraisablehook = partial(self._send_again, sys.unraisablehook)

    def catch(self) -> None:
        """End the run at a signal that would kill it, from now on, unless it is ignored or has another handler."""
        # Under --pdb an interruption opens the debugger, which a signal from outside should not.
        if self.caught or self._config.option.collectonly or self._config.getoption("usepdb"):
            return
        self.caught = True
        # Imported now with interruptions deferred: after an interrupted import NumPy and JAX are unusable in this process.
        with deferred() as waiting:
            for module in [*MODULES, *(MODULES_WITH_JAX if find_spec("jax") else [])]:
                import_module(module)
        if waiting:
            signal.raise_signal(waiting[0])
        if hasattr(self._config, "workerinput"):  # a worker waits for its controller at its end
            atexit.register(_ignore)
        if _in_main_thread():
            for number in ENDING:
                if signal.getsignal(number) == signal.SIG_DFL:
                    self._undo.callback(signal.signal, number, signal.SIG_DFL)
                    signal.signal(number, _interrupt)

    def end(self) -> None:
        """Ignore further interruptions: the end of the run takes a second or two."""
        if self.caught:
            _, release = _defer()
            self._undo.callback(release)
            atexit.register(_ignore)

    def _send_again(self, otherwise: Callable[[Any], object], lost: Any) -> None:
        """Resend a signal whose exception was lost: Python ignores exceptions in ``__del__``, JAX those in garbage collection."""
        if not isinstance(lost.exc_value, KeyboardInterrupt):
            otherwise(lost)
            return
        number = getattr(lost.exc_value, "number", signal.SIGINT)
        main = threading.main_thread().ident
        if main is not None and hasattr(signal, "pthread_kill"):  # it wakes a waiting thread
            again = threading.Timer(RETRY_DELAY, signal.pthread_kill, (main, number))
        else:
            again = threading.Timer(RETRY_DELAY, signal.raise_signal, (number,))
        again.start()
        self._undo.callback(again.cancel)  # after this run the signal would hit another

    def _restore_hook(self, before: Callable[[Any], Any]) -> None:
        if getattr(sys.unraisablehook, "func", None) == self._send_again:  # pytest may have restored its own already
            sys.unraisablehook = before


INTERRUPTIONS = pytest.StashKey[Interruptions]()


def exit_code(config: pytest.Config, corrected: Callable[[Any], Any]) -> Generator[None, Any, Any]:
    """Return pytest's exit code, also if the run is interrupted while it ends; for a wrapper of ``pytest_cmdline_main``.

    Args:
        config: The configuration of pytest.
        corrected: A function from pytest's exit code to the right one.
    """
    global _exit_code
    _exit_code = 1
    try:
        status = yield
    except KeyboardInterrupt as error:
        interruptions = config.stash.get(INTERRUPTIONS, None)
        if interruptions is None or not interruptions.caught:
            raise
        interruptions.end()
        if not hasattr(config, "workerinput"):
            print(f"ladder: interrupted while the run ended: {str(error) or 'Ctrl-C'}", file=sys.stderr)
        status = pytest.ExitCode.INTERRUPTED
    except SystemExit as error:
        status = corrected(error.code or 0)
        if status == (error.code or 0):
            raise
    status = corrected(status)
    _exit_code = int(status or 0)
    return status


def _ignore() -> None:
    """Ignore interruptions while JAX and other libraries clean up at the interpreter's end."""
    if _in_main_thread():
        for number in (signal.SIGINT, *ENDING):
            signal.signal(number, signal.SIG_IGN)


def _in_main_thread() -> bool:
    return threading.current_thread() is threading.main_thread()


@contextmanager
def deferred() -> Iterator[list[int]]:
    """Defer interruptions to the end of the block and yield the list of deferred signals; a third signal is not deferred."""
    waiting, release = _defer()
    try:
        yield waiting
    finally:
        release()


def _defer() -> tuple[list[int], Callable[[], None]]:
    """Defer interruptions; return the list of deferred signals, and the function that restores the handlers."""
    waiting: list[int] = []
    handlers: dict[int, Any] = {}

    def wait(number: int, frame: FrameType | None) -> None:
        waiting.append(number)
        if len(waiting) > MAX_DEFERRED:
            handlers[number](number, frame)

    def release() -> None:
        for number, handler in handlers.items():
            signal.signal(number, handler)

    if _in_main_thread():
        handlers |= {number: now for number in (signal.SIGINT, *ENDING) if callable(now := signal.getsignal(number))}
    for number in handlers:
        signal.signal(number, wait)
    return waiting, release


def was_interrupted(session: pytest.Session) -> bool:
    """Return whether the run was interrupted, and set its exit status accordingly.

    A second interruption may come before pytest has set the status for the first.
    """
    if isinstance(sys.exception(), KeyboardInterrupt):
        session.exitstatus = pytest.ExitCode.INTERRUPTED
    return session.exitstatus == pytest.ExitCode.INTERRUPTED


def uninterrupted(finish: Callable[[Any, pytest.Session], None]) -> Callable[[Any, pytest.Session], None]:
    """Decorate ``pytest_sessionfinish`` so that interruptions are deferred until it has written the report."""

    @wraps(finish)
    def pytest_sessionfinish(self: Any, session: pytest.Session) -> None:
        with deferred() as waiting:
            was_interrupted(session)
            finish(self, session)
        if waiting and not was_interrupted(session):  # the session is finished, so only its status changes
            session.exitstatus = pytest.ExitCode.INTERRUPTED
            session.shouldstop = f"received {signal.Signals(waiting[0]).name}"

    return pytest_sessionfinish


@atexit.register
def _leave() -> None:
    """Exit without the interpreter's cleanup if a program of JAX is still running, because the cleanup would abort.

    Registered before JAX is imported, and therefore called after its handlers.
    """
    timelimit = sys.modules.get("ladder.train.timelimit")
    if _exit_code is None or timelimit is None or not timelimit.still_computing():
        return
    for stream in (sys.stdout, sys.stderr):
        with suppress(Exception):
            stream.flush()
    os._exit(_exit_code)
