"""The role of the process that talks to the user: outcomes in the ladder's words, the ladder printed, the report filed."""

from __future__ import annotations

import json
import os
import shlex
import time
from pathlib import Path
from typing import Any

import pytest

from ladder.files import check_writable, write_atomically
from ladder.plugin.climber import RUNG, WORKER_ERROR
from ladder.plugin.settings import Settings
from ladder.plugin.workers import Handover
from ladder.verdict import Verdict

NOT_WRITTEN = 73  # EX_CANTCREAT of sysexits.h: every test is green, but the report could not be written


class Reporter:
    """Hooks over reports and the end of the session."""

    def __init__(self, config: pytest.Config, settings: Settings, handover: Handover | None):
        self.config = config
        self.settings = settings
        self._handover = handover
        self._expected: list[str] = []
        self._problems: dict[str, None] = {}
        self._entries: list[dict[str, Any]] = []
        self._notes: list[str] = []
        self._document: dict[str, Any] | None = None
        self._written: list[Path] = []
        self._error = ""
        self._usage_error = ""
        self._started = time.time()

    def pytest_report_header(self) -> str | None:
        """How to repeat fresh seeds; said first, so that a run that is broken off can be repeated too."""
        return self._repeat if self.settings.fresh else None

    @property
    def _repeat(self) -> str:
        return f"ladder: fresh seeds; repeat them with {self.settings.repeat}"

    def pytest_collection_finish(self, session: pytest.Session) -> None:
        """Note which rungs are to be climbed."""
        self._expected = [item.stash[RUNG] for item in session.items if RUNG in item.stash]

    def pytest_report_collectionfinish(self, items: list[pytest.Item]) -> str | None:
        """Say before the climb, not only after it, that its report cannot be written."""
        if any(RUNG in item.stash for item in items) and self.settings.calibrate is None:
            try:
                check_writable(self.settings.reports)
            except OSError as error:
                return f"ladder: the report cannot be written: {error}; choose another folder with --ladder-reports"
        return None

    def pytest_report_teststatus(self, report: pytest.TestReport) -> tuple[str, str, str] | None:
        """BLOCKED and UNDECIDED are neither failed nor passed, and never green."""
        entry = getattr(report, "ladder", None)
        if entry is None or (report.failed and entry["green"]):  # its test asked for more than the rung
            return None
        from ladder.report.text import seeds, word

        told = f"{word(entry)} {seeds(entry)}"
        if entry["green"]:
            return "passed", ".", told
        if entry["verdict"] == Verdict.BLOCKED:
            return "blocked", "B", told
        return ("undecided", "U", told) if entry["verdict"] == Verdict.UNDECIDED else ("failed", "F", told)

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Gather what the climber sent."""
        if (entry := getattr(report, "ladder", None)) is not None:
            file, line, _ = report.location
            entry["test"] = {"id": report.nodeid, "file": file, "line": (line or 0) + 1}
            entry["repeat"] = shlex.join(["pytest", file, f"--ladder-only={entry['id']}", *self.settings.same_seeds])
            self._entries.append(entry)
        self._problems |= dict.fromkeys(getattr(report, "ladder_problems", ()))
        if note := getattr(report, "ladder_note", ""):
            self._notes.append(note)

    @pytest.hookimpl(optionalhook=True)
    def pytest_testnodedown(self, node: Any) -> None:
        """Hear from an xdist worker that it was asked for what there is not."""
        self._usage_error = getattr(node, "workeroutput", {}).get(WORKER_ERROR, self._usage_error)

    @pytest.hookimpl(optionalhook=True)
    def pytest_handlecrashitem(self, crashitem: str, report: pytest.TestReport) -> None:
        """A rung whose worker died has CRASHED."""
        planned = self._handover.plan.get(crashitem) if self._handover else None
        if planned and planned["rung"] not in self._climbed:  # else it died after the verdict, which stands
            report.ladder = planned["entry"]  # type: ignore[attr-defined]

    @property
    def _climbed(self) -> set[str]:
        return {entry["id"] for entry in self._entries}

    def _planned(self) -> list[str]:
        """The rungs that were to be climbed, in order."""
        return [test["rung"] for test in self._handover.plan.values()] if self._handover else self._expected

    def pytest_sessionfinish(self, session: pytest.Session) -> None:
        """Write the report; a folder that cannot be written costs the report and the exit code, not the verdict."""
        if self._usage_error:
            session.exitstatus = pytest.ExitCode.USAGE_ERROR
        if not self._entries:
            return
        planned = self._planned()
        self._entries.sort(key=lambda entry: planned.index(entry["id"]))  # workers report as they go
        from ladder import fingerprint, report
        from ladder.report.document import document

        self._document = document(
            self._entries,
            self.settings.test,
            seeds={"root": self.settings.root, "fresh": self.settings.fresh, "repeat": self.settings.repeat},
            environment={
                "command": shlex.join(["pytest", *map(str, self.config.invocation_params.args)]),
                "machine": fingerprint.machine(),
                "versions": fingerprint.versions(),
                "commit": fingerprint.commit(self.config.rootpath),
            },
            complete=session.exitstatus in (pytest.ExitCode.OK, pytest.ExitCode.TESTS_FAILED)
            and self._climbed == set(planned),
        )
        try:
            self._written = report.write(self._document, self.settings.reports)
            self._write_for_others(self._document)
        except OSError as error:
            self._error = str(error)
            if session.exitstatus == pytest.ExitCode.OK:
                session.exitstatus = NOT_WRITTEN

    def _write_for_others(self, document: dict[str, Any]) -> None:
        """What whoever runs this pytest collects: GitHub's summary of the job, a CTRF file."""
        if self.settings.ctrf:
            from ladder.report.ctrf import ctrf

            write_atomically(self.settings.ctrf, json.dumps(ctrf(document, self._started, time.time()), indent=1))
            self._written.append(self.settings.ctrf)
        if summary := os.environ.get("GITHUB_STEP_SUMMARY"):
            from ladder.report.github import append_summary

            append_summary(document, Path(summary))

    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter) -> None:
        """Print the ladder."""
        if self._usage_error:
            terminalreporter.write_line(f"ERROR: {self._usage_error}", red=True)
        for note in self._notes:
            terminalreporter.write_line(note)
        for problem in self._problems:
            terminalreporter.write_line(f"ladder: {problem}", yellow=True)
        if self._document is None:
            return
        from ladder.report.terminal import lines, why

        terminalreporter.section("ladder")
        for entry in self._entries:
            if entry["verdict"] == Verdict.UNDECIDED and not entry["green"]:  # pytest prints only what failed
                terminalreporter.write_line(why(entry))
        for line, markup in lines(self._document):
            terminalreporter.write_line(line, **markup)
        if self.settings.fresh:
            terminalreporter.write_line(self._repeat)
        for path in self._written:
            terminalreporter.write_line(f"wrote {path}")
        if os.environ.get("GITHUB_ACTIONS") == "true":
            from ladder.report.github import annotation

            if told := annotation(self._document):
                terminalreporter.write_line(told)
        if self._error:
            terminalreporter.write_line(f"the report could not be written: {self._error}", red=True)
