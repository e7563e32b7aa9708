"""The role of the process that talks to the user: outcomes in the ladder's words, the ladder printed, the report filed."""

from __future__ import annotations

import sys
import time
from functools import cached_property
from typing import TYPE_CHECKING, Any

import pytest

from ladder.files import check_writable
from ladder.plugin.collector import REQUIRED, RUNG, WORKER_ERROR
from ladder.plugin.earlier import EarlierReport
from ladder.plugin.settings import Settings
from ladder.plugin.signals import uninterrupted
from ladder.plugin.workers import Handover

if TYPE_CHECKING:
    from ladder.plugin.writer import Writer
    from ladder.report.schema import Entry

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
        self._beside: set[str] = set()  # tests that failed although their rung did not
        self._problems: dict[str, None] = {}
        self._entries: dict[str, Entry] = {}  # by test, of its last attempt
        self._rungs: list[Entry] = []
        self._notes: list[str] = []
        self._usage_error = ""
        self._started = time.time()

    @cached_property
    def _writer(self) -> Writer:
        """The part of the plugin that needs NumPy: this is the one door to it in the process that talks to the user."""
        from ladder.plugin.writer import Writer

        return Writer(self.config, self.settings)

    def pytest_report_header(self) -> list[str]:
        """Say first how to repeat fresh seeds, so that a run that is broken off can be repeated too."""
        lines = [self.settings.how_to_repeat] if self.settings.fresh else []
        return [*lines, self._not_set_aside] if self._earlier.trouble else lines

    @property
    def _not_set_aside(self) -> str:
        return f"ladder: the report of an earlier run could not be set aside: {self._earlier.trouble}"

    def pytest_collectreport(self, report: pytest.CollectReport) -> None:
        """Note that there may be rungs in what cannot be collected."""
        self._uncollected |= report.failed

    def pytest_collection_finish(self, session: pytest.Session) -> None:
        """Note which rungs are to be climbed, by the ids of their tests."""
        self._collected = sys.exception() is None  # pytest says that it is finished also where it was broken off
        if self._collected:
            climbed = [item for item in session.items if RUNG in item.stash]
            self._expected = {item.nodeid: item.stash[RUNG] for item in climbed}
            self._required = [item.stash[RUNG] for item in climbed if item.stash[REQUIRED]]
            self._place_earlier_report()

    @pytest.hookimpl(optionalhook=True)
    def pytest_xdist_node_collection_finished(self) -> None:
        """Hear that a worker knows which rungs are to be climbed."""
        if self._handover and self._handover.plan:
            self._required = [test["rung"] for test in self._handover.plan.values() if test["required"]]
        self._place_earlier_report()

    def _place_earlier_report(self) -> None:
        """Give the report of an earlier run its place back where nothing is to be climbed, else see that it is set aside."""
        if not self.settings.climbs:
            return
        collected = self._handover.collected if self._handover else self._collected
        rungs = self._expected or (self._handover and self._handover.plan)
        if collected and not (rungs or self._uncollected or self.settings.names_rungs):
            self._earlier.give_back()
        else:  # maybe once more: another process may have given back what it had set aside
            self._earlier.set_aside()

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
        """Report BLOCKED and UNDECIDED as neither failed nor passed: they are never green."""
        entry = getattr(report, "ladder", None)
        again = report.outcome not in ("passed", "failed", "skipped")  # an attempt that a plugin repeats
        if entry is None or again or report.nodeid in self._beside:
            return None
        return self._writer.status(entry)

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Gather what the climber sent; of a test that a plugin repeats the last attempt counts."""
        if report.when == "setup":
            self._entries.pop(report.nodeid, None)
            self._beside.discard(report.nodeid)
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
        """Mark a green rung as not green, because its test asserts more and fails, or cannot be torn down."""
        entry = self._entries.get(report.nodeid)
        if entry is not None and entry["green"]:
            self._beside.add(report.nodeid)
            self._entries[report.nodeid] = self._writer.with_failed_test(entry, report)

    @pytest.hookimpl(optionalhook=True)
    def pytest_testnodedown(self, node: Any) -> None:
        """Hear from an xdist worker that it was asked for what there is not."""
        self._usage_error = getattr(node, "workeroutput", {}).get(WORKER_ERROR, self._usage_error)

    @pytest.hookimpl(optionalhook=True)
    def pytest_handlecrashitem(self, crashitem: str, report: pytest.TestReport) -> None:
        """Report a rung whose worker died as CRASHED."""
        planned = self._handover.plan.get(crashitem) if self._handover else None
        if planned and planned["rung"] not in self._climbed:  # else it died after the verdict, which stands
            report.ladder = planned["entry"]  # type: ignore[attr-defined]

    @property
    def _climbed(self) -> set[str]:
        return {entry["id"] for entry in self._entries.values()}

    def _planned(self) -> list[str]:
        """Return the rungs that were to be climbed, in order; nothing was expected of a test that is skipped."""
        plan = {id: test["rung"] for id, test in (self._handover.plan if self._handover else {}).items()}
        climbed = self._climbed
        found = (rung for id, rung in (plan or self._expected).items() if id not in self._skipped or rung in climbed)
        return list(dict.fromkeys(found))

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
        """Write the report; trouble with it costs the report and the exit code, not the verdict."""
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
        self._writer.append_job_summary()  # which nobody asked for: trouble with it is no reason to be red

    def corrected(self, status: Any) -> Any:
        """Return the exit code of a run, whatever another plugin has made of it: 0 is for one that climbed all, and all green."""
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
            terminalreporter.write_line(f"{self._not_set_aside}; it is not this run's", red=True)
