"""The reporter: it gathers the entries of rungs in the process that reports to the user, for the writer to print and write."""

from __future__ import annotations

import sys
import time
from functools import cached_property
from typing import TYPE_CHECKING, Any

import pytest

from ladder.files import check_writable
from ladder.plugin.earlier import EarlierReport
from ladder.plugin.settings import Settings
from ladder.plugin.signals import uninterrupted
from ladder.plugin.stash import REQUIRED, RUNG, WORKER_ERROR
from ladder.plugin.workers import Handover

if TYPE_CHECKING:
    from ladder.plugin.writer import Writer
    from ladder.report.schema import Entry

NOT_WRITTEN = 73  # EX_CANTCREAT of sysexits.h: every test is green, but the report could not be written


class Reporter:
    """The hooks for test reports and the end of the session."""

    def __init__(self, config: pytest.Config, settings: Settings, handover: Handover | None, earlier: EarlierReport):
        self.config = config
        self.settings = settings
        self._handover = handover
        self._earlier = earlier
        self._expected: dict[str, str] = {}
        self._required: list[str] = []
        self._collected = False
        self._uncollected = False  # whether a file or folder, which may have rungs, could not be collected
        self._skipped: set[str] = set()
        self._failed_beside: set[str] = set()  # tests that failed although their rung is green
        self._problems: dict[str, None] = {}
        self._entries: dict[str, Entry] = {}  # by test, of its last attempt
        self._rungs: list[Entry] = []
        self._notes: list[str] = []
        self._usage_error = ""
        self._started = time.time()

    @cached_property
    def _writer(self) -> Writer:
        """The writer, whose module loads NumPy; imported nowhere else in the process that reports to the user."""
        from ladder.plugin.writer import Writer  # loads NumPy

        return Writer(self.config, self.settings)

    def pytest_report_header(self) -> list[str]:
        """Show how to repeat fresh seeds at the start, so that an interrupted run can be repeated too."""
        lines = [self.settings.how_to_repeat] if self.settings.fresh else []
        return [*lines, self._not_renamed] if self._earlier.trouble else lines

    @property
    def _not_renamed(self) -> str:
        return f"ladder: the report of an earlier run could not be renamed: {self._earlier.trouble}"

    def pytest_collectreport(self, report: pytest.CollectReport) -> None:
        """Note a failed collection: the file or folder may have rungs."""
        self._uncollected |= report.failed

    def pytest_collection_finish(self, session: pytest.Session) -> None:
        """Note the rungs to climb, by the ids of their tests."""
        self._collected = sys.exception() is None  # pytest calls this hook for an interrupted collection too
        if self._collected:
            climbed = [item for item in session.items if RUNG in item.stash]
            self._expected = {item.nodeid: item.stash[RUNG] for item in climbed}
            self._required = [item.stash[RUNG] for item in climbed if item.stash[REQUIRED]]
            self._place_earlier_report()

    @pytest.hookimpl(optionalhook=True)
    def pytest_xdist_node_collection_finished(self) -> None:
        """Note the required rungs once a worker has announced the plan."""
        if self._handover and self._handover.plan:
            self._required = [test["rung"] for test in self._handover.plan.values() if test["required"]]
        self._place_earlier_report()

    def _place_earlier_report(self) -> None:
        """Restore the report of an earlier run if there is nothing to climb; otherwise rename it."""
        if not self.settings.climbs:
            return
        collected = self._handover.collected if self._handover else self._collected
        rungs = self._expected or (self._handover and self._handover.plan)
        if collected and not (rungs or self._uncollected or self.settings.names_rungs):
            self._earlier.give_back()
        else:  # again, because another process may have restored what it had renamed
            self._earlier.set_aside()

    def pytest_report_collectionfinish(self, items: list[pytest.Item]) -> str | None:
        """Report before the climb, not only after it, that its report cannot be written."""
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
        """Report BLOCKED and UNDECIDED as categories of their own, neither failed nor passed: they are never green."""
        entry = getattr(report, "ladder", None)
        again = report.outcome not in ("passed", "failed", "skipped")  # a plugin will repeat the attempt
        if entry is None or again or report.nodeid in self._failed_beside:
            return None
        return self._writer.status(entry)

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Gather the entry that the climber has attached; if a plugin repeats a test, its last attempt counts."""
        if report.when == "setup":
            self._entries.pop(report.nodeid, None)
            self._failed_beside.discard(report.nodeid)
        if (entry := getattr(report, "ladder", None)) is not None:
            self._entries[report.nodeid] = entry
        if report.skipped:
            self._skipped.add(report.nodeid)
        if report.failed:
            self._failed(report)
        self._problems |= dict.fromkeys(getattr(report, "ladder_problems", ()))
        if note := getattr(report, "ladder_note", ""):
            self._notes.append(note)

    def _failed(self, report: pytest.TestReport) -> None:
        """Make a green rung red if its test fails for another reason, such as a further assertion or its teardown."""
        entry = self._entries.get(report.nodeid)
        if entry is not None and entry["green"]:
            self._failed_beside.add(report.nodeid)
            self._entries[report.nodeid] = self._writer.with_failed_test(entry, report)

    @pytest.hookimpl(optionalhook=True)
    def pytest_testnodedown(self, node: Any) -> None:
        """Note the usage error of an xdist worker, which cannot raise it."""
        self._usage_error = getattr(node, "workeroutput", {}).get(WORKER_ERROR, self._usage_error)

    @pytest.hookimpl(optionalhook=True)
    def pytest_handlecrashitem(self, crashitem: str, report: pytest.TestReport) -> None:
        """Report a rung whose worker died as CRASHED."""
        planned = self._handover.plan.get(crashitem) if self._handover else None
        if planned and planned["rung"] not in self._climbed:  # otherwise it died after the verdict, which stands
            report.ladder = planned["entry"]  # type: ignore[attr-defined]

    @property
    def _climbed(self) -> set[str]:
        return {entry["id"] for entry in self._entries.values()}

    def _planned(self) -> list[str]:
        """Return the planned rungs, in order, without those whose tests were skipped."""
        plan = {id: test["rung"] for id, test in (self._handover.plan if self._handover else {}).items()}
        climbed = self._climbed
        rungs = (rung for id, rung in (plan or self._expected).items() if id not in self._skipped or rung in climbed)
        return list(dict.fromkeys(rungs))

    def _in_order(self, planned: list[str]) -> list[Entry]:
        """Return one entry a rung, in climbing order; where several tests climb a rung, a red one if there is any."""
        worst: dict[str, Entry] = {}
        for entry in self._entries.values():  # workers report as they go
            if entry["id"] not in worst or (worst[entry["id"]]["green"] and not entry["green"]):
                worst[entry["id"]] = entry
        place = {id: index for index, id in enumerate(planned)}
        return sorted(worst.values(), key=lambda entry: place.get(entry["id"], len(place)))

    @pytest.hookimpl(tryfirst=True)  # before the hooks that may be interrupted: fixtures, workers that end
    @uninterrupted
    def pytest_sessionfinish(self, session: pytest.Session) -> None:
        """Write the report; an error affects the report and the exit code, but no verdict."""
        if self._usage_error:
            session.exitstatus = pytest.ExitCode.USAGE_ERROR
        if not self._entries:
            self._place_earlier_report()
            return
        planned = self._planned()
        self._rungs = self._in_order(planned)
        ended = session.exitstatus in (pytest.ExitCode.OK, pytest.ExitCode.TESTS_FAILED)
        self._writer.write(
            self._rungs, complete=ended and self._climbed == set(planned), began=self._started, ended=time.time()
        )
        if self._writer.errors and session.exitstatus == pytest.ExitCode.OK:
            session.exitstatus = NOT_WRITTEN
        self._writer.append_job_summary()  # no option requests it, so an error does not change the exit code

    def corrected(self, status: Any) -> Any:
        """Return the right exit code, even if another plugin has changed it: 0 only if all rungs were climbed and are green."""
        if status != pytest.ExitCode.OK or not self.settings.climbs:
            return status
        if self._rungs and not self._writer.is_green:
            return pytest.ExitCode.TESTS_FAILED
        return status if self._climbed >= set(self._planned()) else pytest.ExitCode.INTERRUPTED

    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter) -> None:
        """Print the ladder."""
        if self._usage_error:
            terminalreporter.write_line(f"ERROR: {self._usage_error}", red=True)
        for note in self._notes:
            terminalreporter.write_line(note)
        for problem in self._problems:
            terminalreporter.write_line(f"ladder: {problem}", yellow=True)
        if self._rungs:
            self._writer.print(terminalreporter, self._required)
        if self._earlier.trouble and not (self._rungs and self._writer.document):
            terminalreporter.write_line(f"{self._not_renamed}; it is not the report of this run", red=True)
