"""The role of the process that talks to the user: outcomes in the ladder's words, the ladder printed, the report filed."""

from __future__ import annotations

import json
import os
import shlex
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from ladder.files import check_writable, write_atomically
from ladder.judge.sequential import Verdict
from ladder.naming import spelled
from ladder.plugin.climber import REQUIRED, RUNG, WORKER_ERROR
from ladder.plugin.earlier import EarlierReport
from ladder.plugin.settings import Settings
from ladder.plugin.signals import uninterrupted
from ladder.plugin.workers import Handover

NOT_WRITTEN = 73  # EX_CANTCREAT of sysexits.h: every test is green, but the report could not be written


class Reporter:
    """Hooks over reports and the end of the session."""

    def __init__(self, config: pytest.Config, settings: Settings, handover: Handover | None, earlier: EarlierReport):
        self.config = config
        self.settings = settings
        self._handover = handover
        self._earlier = earlier
        self._expected: dict[str, str] = {}
        self._required: list[str] = []
        self._collected = False
        self._uncollected = False  # a file or a folder, in which there may be rungs
        self._skipped: set[str] = set()
        self._beside: set[str] = set()  # tests that asked for more than their rung, and failed
        self._problems: dict[str, None] = {}
        self._entries: dict[str, dict[str, Any]] = {}  # by test: what its last attempt came to
        self._rungs: list[dict[str, Any]] = []
        self._notes: list[str] = []
        self._document: dict[str, Any] | None = None
        self._written: list[Path] = []
        self._errors: list[str] = []
        self._usage_error = ""
        self._started = time.time()

    def pytest_report_header(self) -> list[str]:
        """Say first how to repeat fresh seeds, so that a run that is broken off can be repeated too."""
        told = [self._repeat] if self.settings.fresh else []
        if self._earlier.trouble:
            told.append(f"ladder: the report of an earlier run could not be set aside: {self._earlier.trouble}")
        return told

    @property
    def _repeat(self) -> str:
        return f"ladder: fresh seeds; repeat them with {self.settings.repeat}"

    def pytest_collectreport(self, report: pytest.CollectReport) -> None:
        """Note that there may be rungs in what cannot be collected."""
        self._uncollected |= report.failed

    def pytest_collection_finish(self, session: pytest.Session) -> None:
        """Note which rungs are to be climbed, by the ids of their tests."""
        climbed = [item for item in session.items if RUNG in item.stash]
        self._expected = {item.nodeid: item.stash[RUNG] for item in climbed}
        self._required = [item.stash[RUNG] for item in climbed if item.stash[REQUIRED]]
        self._collected = sys.exception() is None
        self._end_of_collection()

    @pytest.hookimpl(optionalhook=True)
    def pytest_xdist_node_collection_finished(self) -> None:
        """Hear that a worker knows which rungs are to be climbed."""
        if self._handover and self._handover.plan:
            self._required = [test["rung"] for test in self._handover.plan.values() if test["required"]]
            self._earlier.set_aside()

    def _end_of_collection(self) -> None:
        """See to it that the report of an earlier run is set aside where rungs are climbed, and there where none can be."""
        if self._expected or (self._handover and self._handover.plan):
            self._earlier.set_aside()  # once more: another process may have given back what it had set aside
        elif (self._handover.collected if self._handover else self._collected) and not (
            self._uncollected or self.settings.climbs
        ):
            self._earlier.give_back()

    def pytest_report_collectionfinish(self, items: list[pytest.Item]) -> str | None:
        """Say before the climb, not only after it, that its report cannot be written."""
        if any(RUNG in item.stash for item in items) and self.settings.calibrate is None:
            try:
                check_writable(self.settings.reports)
                if self.settings.ctrf:
                    check_writable(self.settings.ctrf.parent)
            except OSError as error:
                return (
                    f"ladder: the report cannot be written: {error}; choose another folder with --ladder-reports"
                    f"{' or --ladder-ctrf' if self.settings.ctrf else ''}"
                )
        return None

    def pytest_report_teststatus(self, report: pytest.TestReport) -> tuple[str, str, str] | None:
        """BLOCKED and UNDECIDED are neither failed nor passed, and never green."""
        entry = getattr(report, "ladder", None)
        again = report.outcome not in ("passed", "failed", "skipped")  # an attempt that a plugin repeats
        if entry is None or again or report.nodeid in self._beside:
            return None
        from ladder.report.text import seeds, verdict_label

        told = f"{verdict_label(entry)} {seeds(entry)}".removesuffix(" –")
        if entry["green"]:
            return "passed", ".", told
        if entry["verdict"] == Verdict.BLOCKED:
            return "blocked", "B", told
        return ("undecided", "U", told) if entry["verdict"] == Verdict.UNDECIDED else ("failed", "F", told)

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Gather what the climber sent; of a test that a plugin repeats the last attempt counts."""
        if report.when == "setup":
            self._entries.pop(report.nodeid, None)
            self._beside.discard(report.nodeid)
        if (entry := getattr(report, "ladder", None)) is not None:
            file, line = Path(spelled(report.location[0])).as_posix(), report.location[1]
            entry["test"] = {"id": report.nodeid, "file": file, "line": (line or 0) + 1}
            entry["repeat"] = shlex.join(["pytest", file, f"--ladder-only={entry['id']}", *self.settings.same_seeds])
            self._entries[report.nodeid] = entry
        if report.skipped:
            self._skipped.add(report.nodeid)
        if report.failed:
            self._failed(report)
        self._problems |= dict.fromkeys(getattr(report, "ladder_problems", ()))
        if note := getattr(report, "ladder_note", ""):
            self._notes.append(note)

    def _failed(self, report: pytest.TestReport) -> None:
        """A rung that is as it should be is not green where its test asks for more, or cannot be taken down."""
        entry = self._entries.get(report.nodeid)
        if entry is not None and entry["green"]:
            self._beside.add(report.nodeid)
            told = f"the rung is {entry['verdict']}, but its test failed: {_reason(report)}"
            entry |= {"green": False, "note": "; ".join(filter(None, [entry["note"], told]))}

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
        return {entry["id"] for entry in self._entries.values()}

    def _planned(self) -> list[str]:
        """The rungs that were to be climbed, in order; of a test that is skipped nothing was expected."""
        plan = {id: test["rung"] for id, test in (self._handover.plan if self._handover else {}).items()}
        climbed = self._climbed
        found = (rung for id, rung in (plan or self._expected).items() if id not in self._skipped or rung in climbed)
        return list(dict.fromkeys(found))

    def _in_order(self, planned: list[str]) -> list[dict[str, Any]]:
        """One entry a rung, in climbing order; of several tests of a rung one that is red, if there is any."""
        worst: dict[str, dict[str, Any]] = {}
        for entry in self._entries.values():  # workers report as they go
            if entry["id"] not in worst or (worst[entry["id"]]["green"] and not entry["green"]):
                worst[entry["id"]] = entry
        place = {id: index for index, id in enumerate(planned)}
        return sorted(worst.values(), key=lambda entry: place.get(entry["id"], len(place)))

    @pytest.hookimpl(tryfirst=True)  # before the hooks that may be interrupted: fixtures, workers that end
    @uninterrupted
    def pytest_sessionfinish(self, session: pytest.Session) -> None:
        """Write the report; trouble with it costs the report and the exit code, not the verdict."""
        self._session = session
        if self._usage_error:
            session.exitstatus = pytest.ExitCode.USAGE_ERROR
        if not self._entries:
            self._end_of_collection()
            return
        planned = self._planned()
        self._rungs = self._in_order(planned)
        with self._noting("the report"):
            self._write(session, planned)
        if self._errors and session.exitstatus == pytest.ExitCode.OK:
            session.exitstatus = NOT_WRITTEN
        if self._document and (summary := os.environ.get("GITHUB_STEP_SUMMARY")):
            from ladder.report.github import append_summary

            with self._noting("the job's summary"):  # which nobody asked for: no reason to be red
                append_summary(self._document, Path(summary))

    def _write(self, session: pytest.Session, planned: list[str]) -> None:
        from ladder import report
        from ladder.evidence import provenance
        from ladder.report.document import document

        self._document = document(
            self._rungs,
            self.settings.test,
            seeds={"root": self.settings.root, "fresh": self.settings.fresh, "repeat": self.settings.repeat},
            environment={
                "command": shlex.join(["pytest", *(spelled(str(each)) for each in self.config.invocation_params.args)]),
                "machine": provenance.machine(),
                "versions": provenance.versions(),
                "commit": provenance.commit(self.config.rootpath, self.settings.written),
            },
            complete=session.exitstatus in (pytest.ExitCode.OK, pytest.ExitCode.TESTS_FAILED)
            and self._climbed == set(planned),
        )
        self._written += report.write(self._document, self.settings.reports)
        if self.settings.ctrf:
            with self._noting(str(self.settings.ctrf)):
                self._write_ctrf(self._document, self.settings.ctrf)

    @pytest.hookimpl(tryfirst=True)
    def pytest_unconfigure(self) -> None:
        """Have no run end with exit code 0 whose report is red, whatever another plugin has made of the outcomes."""
        if self._rungs and self._session.exitstatus == pytest.ExitCode.OK:
            from ladder.report.text import is_green

            if self._document is None or not is_green(self._document):
                self._session.exitstatus = pytest.ExitCode.TESTS_FAILED

    def _write_ctrf(self, document: dict[str, Any], target: Path) -> None:
        from ladder.report.ctrf import ctrf

        write_atomically(target, json.dumps(ctrf(document, self._started, time.time()), indent=1))
        self._written.append(target)

    @contextmanager
    def _noting(self, what: str) -> Iterator[None]:
        """Tell at the end of what could not be written; it keeps nothing else from being written."""
        try:
            yield
        except OSError as error:
            self._errors.append(f"{what} could not be written: {error}")
        except Exception as error:  # a fault of ladder, which is to cost the report and nothing else
            self._errors.append(f"{what} could not be written: {error!r}; that is a fault of ladder")

    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter) -> None:
        """Print the ladder."""
        if self._usage_error:
            terminalreporter.write_line(f"ERROR: {self._usage_error}", red=True)
        for note in self._notes:
            terminalreporter.write_line(note)
        for problem in self._problems:
            terminalreporter.write_line(f"ladder: {problem}", yellow=True)
        if self._document is None:
            self._print_errors(terminalreporter)
            return
        from ladder.report.terminal import lines, why
        from ladder.report.text import encodable, who

        terminalreporter.section("ladder")
        if self._required:
            terminalreporter.write_line(f"not selected, but required and so climbed: {who(self._required)}")
        for entry in self._document["rungs"]:
            if entry["verdict"] == Verdict.UNDECIDED and not entry["green"]:  # pytest prints only what failed
                terminalreporter.write_line(why(entry))
        for line, markup in lines(self._document, verbose=self.config.option.verbose > 0):
            # What the terminal has no characters for pytest would escape, colours included.
            terminalreporter.write_line(encodable(line, terminalreporter._tw._file), **markup)
        if self.settings.fresh:
            terminalreporter.write_line(self._repeat)
        for path in self._written:
            terminalreporter.write_line(f"wrote {path}")
        if os.environ.get("GITHUB_ACTIONS") == "true":
            from ladder.report.github import annotation

            workspace = Path(os.environ.get("GITHUB_WORKSPACE") or self.config.rootpath)
            root = Path(os.path.relpath(self.config.rootpath, workspace))
            if told := annotation(self._document, root):
                terminalreporter.write_line(told)
        self._print_errors(terminalreporter)

    def _print_errors(self, terminalreporter: pytest.TerminalReporter) -> None:
        for error in self._errors:
            terminalreporter.write_line(error, red=True)


def _reason(report: pytest.TestReport) -> str:
    """Return what a test failed for in one line: the message where pytest tells it apart, else the marked line or the last."""
    from ladder.report.text import printable

    crash = getattr(report.longrepr, "reprcrash", None)
    lines = [line.strip() for line in (crash.message if crash else report.longreprtext).splitlines() if line.strip()]
    if not crash:
        lines = [line[1:].strip() for line in lines if line.startswith("E ")] or lines[-1:]
    return printable(lines[0]) if lines else "without a word"
