"""The writer: it writes the report in all its forms, prints the ladder, and names the outcomes of rungs' tests."""

from __future__ import annotations

import json
import os
import shlex
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import pytest

from ladder import report
from ladder.declare.verdict import Verdict
from ladder.evidence import provenance
from ladder.files import write_atomically
from ladder.naming import as_utf8
from ladder.plugin.settings import Settings
from ladder.report.ctrf import ctrf
from ladder.report.document import document, with_failed_test
from ladder.report.github import annotation, append_summary
from ladder.report.schema import Document, Entry
from ladder.report.terminal import lines, why
from ladder.report.text import encodable, is_green, printable, verdict_and_seeds, who


class Writer:
    """A writer of the report of a run to files and to the terminal.

    Attributes:
        document: The report; None if it could not be made.
        errors: Messages on files that could not be written.
    """

    def __init__(self, config: pytest.Config, settings: Settings):
        self.document: Document | None = None
        self.errors: list[str] = []
        self._config = config
        self._settings = settings
        self._written: list[Path] = []

    @property
    def is_green(self) -> bool:
        """Return whether there is a report and all its rungs are green."""
        return self.document is not None and is_green(self.document)

    @staticmethod
    def status(entry: Entry) -> tuple[str, str, str]:
        """Return the category, the letter and the word that pytest uses for the outcome of a rung's test."""
        label = verdict_and_seeds(entry)
        if entry["green"]:
            return "passed", ".", label
        if entry["verdict"] == Verdict.BLOCKED:
            return "blocked", "B", label
        return ("undecided", "U", label) if entry["verdict"] == Verdict.UNDECIDED else ("failed", "F", label)

    @classmethod
    def with_failed_test(cls, entry: Entry, report: pytest.TestReport) -> Entry:
        """Return the entry of a green rung whose test failed for another reason, by the test's report."""
        return with_failed_test(entry, cls.reason(report))

    @staticmethod
    def reason(report: pytest.TestReport) -> str:
        """Return a test's failure in one line: pytest's message if there is one, else the marked or last line."""
        crash = getattr(report.longrepr, "reprcrash", None)
        lines = [
            line.strip() for line in (crash.message if crash else report.longreprtext).splitlines() if line.strip()
        ]
        if not crash:
            lines = [line[1:].strip() for line in lines if line.startswith("E ")] or lines[-1:]
        return printable(lines[0]) if lines else "without a message"

    def write(self, rungs: Sequence[Entry], *, complete: bool, began: float, ended: float) -> None:
        """File the report; trouble is noted in ``errors``.

        Args:
            rungs: An entry for each rung, in climbing order.
            complete: Whether every planned rung was climbed.
            began: The start of the run, in seconds since the epoch.
            ended: Its end.
        """
        settings, config = self._settings, self._config
        with self._noting("the report"):
            self.document = document(
                rungs,
                settings.test,
                seeds={"root": settings.root, "fresh": settings.fresh, "repeat": settings.repeat},
                environment={
                    "command": shlex.join(["pytest", *(as_utf8(str(each)) for each in config.invocation_params.args)]),
                    "machine": provenance.machine(),
                    "versions": provenance.versions(),
                    "commit": provenance.commit(config.rootpath, settings.written),
                },
                report_seeds=settings.report_seeds,
                complete=complete,
            )
            self._written += report.write(self.document, settings.reports)
            if settings.ctrf:
                with self._noting(str(settings.ctrf)):
                    write_atomically(settings.ctrf, json.dumps(ctrf(self.document, began, ended), indent=1))
                    self._written.append(settings.ctrf)

    def append_job_summary(self) -> None:
        """Append the report to the summary of the job if this run is a job on GitHub."""
        if self.document and (summary := os.environ.get("GITHUB_STEP_SUMMARY")):
            with self._noting("the job's summary"):
                append_summary(self.document, Path(summary))

    def print(self, terminal: pytest.TerminalReporter, required: Sequence[str]) -> None:
        """Print the ladder and the errors.

        Args:
            terminal: The reporter of pytest.
            required: The rungs that were not selected, but climbed because another rung requires them.
        """
        if self.document is not None:
            self._print(terminal, self.document, required)
        for error in self.errors:
            terminal.write_line(error, red=True)

    def _print(self, terminal: pytest.TerminalReporter, document: Document, required: Sequence[str]) -> None:
        terminal.section("ladder")
        if required:
            terminal.write_line(f"climbed because a selected rung requires them: {who(required)}")
        for entry in document["rungs"]:
            if entry["verdict"] == Verdict.UNDECIDED and not entry["green"]:  # pytest prints only failures
                terminal.write_line(why(entry))
        for line, markup in lines(document, verbose=self._config.option.verbose > 0):
            # Encoded here, because pytest would escape colours too if the terminal lacked a character.
            terminal.write_line(encodable(line, terminal._tw._file), **markup)
        if self._settings.fresh:
            terminal.write_line(self._settings.how_to_repeat)
        for path in self._written:
            terminal.write_line(printable(f"wrote {path}"))
        if os.environ.get("GITHUB_ACTIONS") == "true" and (text := annotation(document, self._root_in_workspace())):
            terminal.write_line(text)

    def _root_in_workspace(self) -> Path:
        """Return pytest's root relative to the folder that GitHub's annotations refer to."""
        root = self._config.rootpath
        try:
            return Path(os.path.relpath(root, os.environ.get("GITHUB_WORKSPACE") or root))
        except ValueError:  # Windows: on another drive
            return root

    @contextmanager
    def _noting(self, what: str) -> Iterator[None]:
        """Add an error in the block to ``errors``, and go on."""
        try:
            yield
        except OSError as error:
            self.errors.append(f"{what} could not be written: {error}")
        except Exception as error:  # a bug of ladder, which must not affect more than the report
            self.errors.append(f"{what} could not be written: {error!r}; this is a bug of ladder")
