"""The live line: what a rung is doing now. Silent where the output is not a terminal, or another plugin draws on it."""

import os
from collections.abc import Callable
from contextlib import nullcontext

import numpy as np
import pytest
from rich.cells import set_cell_size

from ladder.declare.rung import Rung
from ladder.report.text import encodable, printable


class Live:
    """Writes one line over itself on pytest's terminal, past its capture."""

    def __init__(self, config: pytest.Config):
        self._reporter = config.pluginmanager.getplugin("terminalreporter")
        self._capture = config.pluginmanager.getplugin("capturemanager")
        self._shown = False

    def progress(self, rung: Rung) -> "Line | None":
        """Return a line for this rung, or None where nobody is looking."""
        reporter = self._reporter
        # A plugin that reports in its own way (pytest-sugar, pytest-rich) writes over a line of its own.
        if type(reporter).__module__ != "_pytest.terminal" or not reporter.isatty or reporter.verbosity < 0:
            return None
        return Line(rung, self._show) if os.environ.get("TERM") != "dumb" else None

    def close(self, line: str) -> None:
        """Leave ``line`` where the live line was; nothing if there was none."""
        if self._shown:
            self._show(line)
            self._write("\n")
            self._shown = False

    def _show(self, line: str) -> None:
        if not self._shown:
            self._write("", start=True)
            self._shown = True
        writer = self._reporter._tw
        columns = set_cell_size(encodable(line, writer._file), writer.fullwidth - 1)
        self._write("\r\x1b[K" + columns.rstrip())

    def _write(self, text: str, start: bool = False) -> None:
        with self._capture.global_and_fixture_disabled() if self._capture else nullcontext():
            if start:
                self._reporter.ensure_newline()
            self._reporter.write(text, flush=True)


class Line:
    """The line of one rung's training; a :class:`~ladder.train.progress.ProgressMeter`."""

    def __init__(self, rung: Rung, show: Callable[[str], None]):
        self._rung = rung
        self._show = show

    def compiling(self, first: int, last: int) -> None:
        """Say so before the wait begins: JAX's first compilation must not look like a hang."""
        self._tell(first, last, "compiling (seconds; kept for the next run)")

    def epoch(self, first: int, last: int, epoch: int, metrics: dict[str, np.ndarray]) -> None:
        """Epoch, and the headline metric's median over the running seeds."""
        metric = self._rung.headline.metric
        value = float(np.median(metrics[metric][: last - first]))
        self._tell(first, last, f"epoch {epoch}/{self._rung.experiment.epochs}  {metric} {value:.4g}")

    def _tell(self, first: int, last: int, what: str) -> None:
        self._show(printable(f"{self._rung.id}  seeds {first + 1}–{last}  {what}"))
