"""Interruptions: a run that climbs rungs ends with its report and pytest's exit code at Ctrl-C and at what would kill it."""

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

NEEDED = [f"ladder.{name}" for name in ("climb", "report.document", "report.html", "report.terminal")]
NEEDED_WITH_JAX = ["ladder.train.compilation", "ladder.train.compiled"]

RETRY = 0.1  # seconds
PATIENCE = 2  # signals

_exit_code: int | None = None  # of the last run of pytest in this process


class Interrupted(KeyboardInterrupt):
    """A signal that kills a process has come: pytest takes it for Ctrl-C."""

    def __init__(self, number: int):
        super().__init__(f"received {signal.Signals(number).name}")
        self.number = number


def _interrupt(number: int, frame: FrameType | None) -> None:
    raise Interrupted(number)


class Interruptions:
    """The signals of one run: what is changed for it is given back when all that is registered later has ended.

    That is, after pytest's own last collection of garbage, in which JAX has a part.
    """

    def __init__(self, config: pytest.Config):
        self._config = config
        self._undo = ExitStack()
        self.caught: bool = False
        config.stash[INTERRUPTIONS] = self
        config.add_cleanup(self._undo.close)

    def send_again(self) -> None:
        """Send an interruption again, from now on, whose exception is lost."""
        self._undo.callback(self._restore_hook, sys.unraisablehook)
        sys.unraisablehook = partial(self._send_again, sys.unraisablehook)

    def catch(self) -> None:
        """End the run, from now on, at a signal that would kill it, unless it is ignored or somebody else handles it."""
        # Ctrl-C under --pdb opens the debugger, which is not what a signal from outside is for.
        if self.caught or self._config.option.collectonly or self._config.getoption("usepdb"):
            return
        self.caught = True
        # An import that is interrupted cannot be made up for: NumPy and JAX are then unusable in this process.
        with held() as waiting:
            for module in [*NEEDED, *(NEEDED_WITH_JAX if find_spec("jax") else [])]:
                import_module(module)
        if waiting:
            signal.raise_signal(waiting[0])
        if hasattr(self._config, "workerinput"):  # it waits for its controller when all is done
            atexit.register(_ignore)
        if _in_main_thread():
            for number in ENDING:
                if signal.getsignal(number) == signal.SIG_DFL:
                    self._undo.callback(signal.signal, number, signal.SIG_DFL)
                    signal.signal(number, _interrupt)

    def end(self) -> None:
        """Have the interruption that has come be the only one: what is left takes a second or two."""
        if self.caught:
            _, release = _hold()
            self._undo.callback(release)
            atexit.register(_ignore)

    def _send_again(self, otherwise: Callable[[Any], object], lost: Any) -> None:
        """Send a signal again whose exception was lost: Python ignores it in ``__del__`` and JAX in what the collector calls."""
        if not isinstance(lost.exc_value, KeyboardInterrupt):
            otherwise(lost)
            return
        number = getattr(lost.exc_value, "number", signal.SIGINT)
        main = threading.main_thread().ident
        if main is not None and hasattr(signal, "pthread_kill"):  # which wakes a thread that waits
            again = threading.Timer(RETRY, signal.pthread_kill, (main, number))
        else:
            again = threading.Timer(RETRY, signal.raise_signal, (number,))
        again.start()
        self._undo.callback(again.cancel)  # after this run it would be another's

    def _restore_hook(self, before: Callable[[Any], Any]) -> None:
        if getattr(sys.unraisablehook, "func", None) == self._send_again:  # pytest may have given back its own already
            sys.unraisablehook = before


INTERRUPTIONS = pytest.StashKey[Interruptions]()


def exit_code(config: pytest.Config, corrected: Callable[[Any], Any]) -> Generator[None, Any, Any]:
    """Return pytest's exit code, also where the run is interrupted while it ends; wraps ``pytest_cmdline_main``.

    Args:
        config: pytest's.
        corrected: Returns the exit code that a run must have instead of one.
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
    """Let no interruption break off what JAX and others do at the interpreter's end."""
    if _in_main_thread():
        for number in (signal.SIGINT, *ENDING):
            signal.signal(number, signal.SIG_IGN)


def _in_main_thread() -> bool:
    return threading.current_thread() is threading.main_thread()


@contextmanager
def held() -> Iterator[list[int]]:
    """Have interruptions wait for the end of the block, in the list; a third one does not wait."""
    waiting, release = _hold()
    try:
        yield waiting
    finally:
        release()


def _hold() -> tuple[list[int], Callable[[], None]]:
    """Hold interruptions back; return the list of them, and what ends it."""
    waiting: list[int] = []
    handlers: dict[int, Any] = {}

    def wait(number: int, frame: FrameType | None) -> None:
        waiting.append(number)
        if len(waiting) > PATIENCE:
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
    """Return whether the run was interrupted, and see that its status says so.

    A second interruption may come before pytest has noted the first one; it is then on its way through.
    """
    if isinstance(sys.exception(), KeyboardInterrupt):
        session.exitstatus = pytest.ExitCode.INTERRUPTED
    return session.exitstatus == pytest.ExitCode.INTERRUPTED


def uninterrupted(finish: Callable[[Any, pytest.Session], None]) -> Callable[[Any, pytest.Session], None]:
    """Have an interruption wait until ``pytest_sessionfinish`` is through with writing."""

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
    timelimit = sys.modules.get("ladder.train.timelimit")
    if _exit_code is None or timelimit is None or not timelimit.still_computing():
        return
    for stream in (sys.stdout, sys.stderr):
        with suppress(Exception):
            stream.flush()
    os._exit(_exit_code)
