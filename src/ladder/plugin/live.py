"""The live line, which shows what a rung is doing; there is none without a terminal or if another plugin reports on it."""

import os
from collections.abc import Callable
from contextlib import nullcontext

import numpy as np
import pytest
from rich.cells import set_cell_size

from ladder.declare.rung import Rung
from ladder.report.text import encodable, printable


class Live:
    """A line on pytest's terminal that is overwritten again and again, outside pytest's capture."""

    def __init__(self, config: pytest.Config):
        self._reporter = config.pluginmanager.getplugin("terminalreporter")
        self._capture = config.pluginmanager.getplugin("capturemanager")
        self._visible = False

    def progress(self, rung: Rung) -> "Line | None":
        """Return a line for this rung; None if it would not be seen."""
        reporter = self._reporter
        # A plugin that replaces the reporter (pytest-sugar, pytest-rich) has a live line of its own.
        if type(reporter).__module__ != "_pytest.terminal" or not reporter.isatty or reporter.verbosity < 0:
            return None
        return Line(rung, self._show) if os.environ.get("TERM") != "dumb" else None

    def close(self, line: str) -> None:
        """Replace the live line by ``line`` for good; do nothing if there was none."""
        if self._visible:
            self._show(line)
            self._write("\n")
            self._visible = False

    def _show(self, line: str) -> None:
        if not self._visible:
            self._write("", start=True)
            self._visible = True
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
        """Show that JAX compiles, which could be mistaken for a hang."""
        self._update(first, last, "compiling (takes seconds; cached for the next run)")

    def epoch(self, first: int, last: int, epoch: int, metrics: dict[str, np.ndarray]) -> None:
        """Show the epoch and the median of the headline metric over the seeds in training."""
        metric = self._rung.headline.metric
        value = float(np.median(metrics[metric][: last - first]))
        self._update(first, last, f"epoch {epoch}/{self._rung.experiment.epochs}  {metric} {value:.4g}")

    def _update(self, first: int, last: int, what: str) -> None:
        seeds = f"seed {last}" if last == first + 1 else f"seeds {first + 1}–{last}"
        self._show(printable(f"{self._rung.id}  {seeds}  {what}"))
