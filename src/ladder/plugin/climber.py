"""The climber: it trains, judges and draws the rung of each test, or measures its limits, and attaches the result to the test."""

from __future__ import annotations

import os
import time
import uuid
from collections.abc import Generator, Mapping
from contextlib import suppress
from dataclasses import replace
from functools import cached_property
from importlib.util import find_spec
from types import TracebackType
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from ladder.climb import Climb, Outcome
from ladder.declare.experiment import CompiledExperiment
from ladder.declare.ladder import Ladder
from ladder.declare.rung import Rung
from ladder.diagnose.findings import FailedRun, Finding
from ladder.evidence.provenance import commit
from ladder.evidence.store import Evidence
from ladder.files import check_writable
from ladder.judge import calibration
from ladder.naming import as_utf8
from ladder.plugin.live import Live
from ladder.plugin.recollect import Recollection
from ladder.plugin.selection import Selection, rung_of
from ladder.plugin.settings import Settings
from ladder.plugin.workers import Handover
from ladder.report.document import entry, result
from ladder.report.schema import Entry
from ladder.report.terminal import line, why
from ladder.report.text import count, printable, verdict_and_seeds
from ladder.train.devices import use_all_cores
from ladder.train.pool import share_machine
from ladder.train.progress import ProgressMeter
from ladder.train.timelimit import still_computing
from ladder.train.trainer import Seeds

if TYPE_CHECKING:
    from ladder.pictures import Drawn
    from ladder.train.compilation import CompilationCache

ENTRY = pytest.StashKey[Entry]()
CURVES = pytest.StashKey[Mapping[str, np.ndarray]]()
NOTE = pytest.StashKey[str]()
PROPERTIES = pytest.StashKey[list[tuple[str, object]]]()


def _from_experiment(traceback: TracebackType | None) -> TracebackType | None:
    """Remove the frames before the experiment's own; an error inside ladder keeps all frames."""
    start = frame = traceback
    while frame:
        if (
            frame.tb_frame.f_globals.get("__name__")
            in ("ladder.train.compiled", "ladder.train.program", "ladder.train.checks")
            and "__tracebackhide__" in frame.tb_frame.f_locals
        ):
            start = frame
        frame = frame.tb_next
    return start


def properties(entry: Entry) -> list[tuple[str, object]]:
    """Return the properties of a rung's test in ``--junitxml``: rung, verdict, and the ``k`` of ``n`` seeds of the report."""
    k, n = count(entry) or ("", "")
    return [("rung", entry["id"]), ("verdict", entry["verdict"]), ("k", k), ("n", n)]


class Climber:
    """The hooks around each rung's test.

    Args:
        config: The configuration of pytest.
        settings: The settings of this run.
        handover: The folder that the processes of this run share; None if there is only one process.
        recollection: The folders that pytest has collected.
    """

    def __init__(
        self, config: pytest.Config, settings: Settings, handover: Handover | None, recollection: Recollection
    ):
        self.config = config
        self.settings = settings
        self.select: Selection = Selection(config, settings, handover, recollection)
        self._handover = handover
        self._climb: Climb | None = None
        self._cache: CompilationCache | None = None
        self._leaving = False

    @cached_property
    def evidence(self) -> Evidence:
        """The evidence of this checkout, read and written by this run."""
        checkout = commit(self.config.rootpath, self.settings.written)
        evidence = Evidence(
            self.settings.evidence,
            run=getattr(self.config, "workerinput", {}).get("testrunuid") or uuid.uuid4().hex,
            commit=f"{checkout['sha'][:12]}{'+' if checkout['dirty'] else ''}" if checkout else "",
            rerun=self.settings.rerun,
            ladders=self.select.folders,
        )
        evidence.lock.acquire()
        return evidence

    def climb(self, rung: Rung, item: pytest.Item) -> Outcome | None:
        """Climb or calibrate the rung, and attach the entry or a note to the test."""
        __tracebackhide__ = True
        own = rung_of(item)
        if self.select.ladder is None or own is None or own.id != rung.id:
            pytest.fail(
                f"climb({rung.id}) in {item.nodeid}: a test can only climb the rung that is its parameter",
                pytrace=False,
            )
        live = Live(self.config)
        if self.settings.calibrate is not None:
            self._calibrate(rung, item, live)
            return None
        climb = self._start(self.select.ladder)
        if self._handover:
            self._handover.begin(rung.id)
        deadline = time.monotonic() + self.settings.time_limit
        try:
            outcome = climb(rung.id, live.progress)
        except KeyboardInterrupt:
            raise
        except BaseException as error:  # also those by which other plugins enforce a time limit
            self._give_up_if_computing(item.session)
            error.__traceback__ = _from_experiment(error.__traceback__)
            raise
        if (
            outcome.evidence
            and isinstance(rung.experiment, CompiledExperiment)
            and self.config.pluginmanager.hasplugin("TestmonCollect")
        ):
            from ladder.train.compiled import trace  # imports JAX, an optional dependency

            # pytest-testmon reruns a test if a line that it has run changes; judging from evidence runs none of the experiment.
            trace(rung.experiment)
        drawn = self._draw(climb, outcome, deadline, live.progress(rung)) if self.settings.pictures else None
        record = replace(
            self.select.record(item),
            stale=self._stale(outcome),
            attempts=self.evidence.attempts.for_rung(rung.id),
            pictures=drawn.pictures if drawn else (),
            notes=drawn.trouble if drawn else (),
        )
        item.stash[CURVES] = outcome.trained.curves if outcome.trained else {}
        item.stash[ENTRY] = rung_entry = entry(outcome, self.select.ladder, self.settings.test, record)
        if self._handover:
            self._handover.end(rung.id, outcome.verdict)
        if not self._give_up_if_computing(item.session) and self._cache:
            self._cache.share()
        live.close(line(rung_entry))
        if not outcome.green:
            pytest.fail(why(rung_entry), pytrace=False)
        return outcome

    def _findings(self, run: FailedRun) -> list[Finding]:
        """Return the findings of all implementations of the hook."""
        return [finding for found in self.config.hook.pytest_ladder_findings(run=run) for finding in found]

    def _draw(self, climb: Climb, outcome: Outcome, deadline: float, progress: ProgressMeter | None) -> Drawn:
        """Draw the rung."""
        from ladder.pictures import draw  # imports Matplotlib, an optional dependency

        label = verdict_and_seeds(result(outcome, self.settings.test))
        return draw(climb, outcome, label, self.settings.reports, deadline, progress)

    def _start(self, ladder: Ladder) -> Climb:
        """Return the climb of this process; the first call creates it."""
        if self._climb is None:
            self._set_up_training()
            self._climb = Climb(
                ladder,
                self.settings.test,
                Seeds(self.settings.root),
                report_seeds=self.settings.report_seeds,
                through=self.settings.through,
                evidence=self.evidence,
                time_limit=self.settings.time_limit,
                elsewhere=self._handover.verdict if self._handover else lambda id: None,
                findings=self._findings,
            )
        return self._climb

    def _set_up_training(self) -> None:
        """Share the cores among processes and, to climb, give JAX a cache of programs, before its backend starts."""
        assert self.select.ladder is not None
        processes = getattr(self.config, "workerinput", {}).get("workercount", 1)
        share_machine(self.settings.workers, processes)
        compiles = any(isinstance(rung.experiment, CompiledExperiment) for rung in self.select.ladder.values())
        if not compiles or find_spec("jax") is None:  # a rung that needs JAX reports that it is missing
            return
        use_all_cores(processes)
        cache = getattr(self.config, "cache", None)
        if cache is None or self.settings.calibrate is not None:
            return
        from ladder.train.compilation import CompilationCache  # imports JAX, an optional dependency

        with suppress(OSError):  # without a cache the programs are compiled again
            self._cache = CompilationCache(cache.mkdir("ladder-xla"))

    def _give_up_if_computing(self, session: pytest.Session) -> bool:
        """Leave the remaining rungs to another process, or stop, if a rung is still computing; return whether one is."""
        if not still_computing():
            return False
        if self._handover:
            self._leaving = True
        else:
            session.shouldstop = (
                "a rung that exceeded its time limit is still computing, and JAX cannot cancel it; with -n 1 a new process "
                "climbs the remaining rungs"
            )
        return True

    def pytest_runtest_protocol(self) -> None:
        """End this worker before the next test, once the last one is reported; the controller starts another worker."""
        if self._handover and self._leaving:
            self._handover.leave(self.config.workerinput["workerid"])  # type: ignore[attr-defined]  # set by xdist
            os._exit(0)

    @pytest.hookimpl(trylast=True)
    def pytest_unconfigure(self) -> None:
        """Release the lock and remove this process's folder of programs."""
        if "evidence" in self.__dict__:
            self.evidence.lock.release()
        if self._cache and not still_computing():  # JAX would go on writing to the folder
            self._cache.close()

    def _stale(self, outcome: Outcome) -> list[str]:
        """Return what has changed since the limits of the rung were measured."""
        assert self.select.ladder is not None
        base = self.select.ladder[outcome.rung.calibration or outcome.rung.id]
        return calibration.outdated(outcome.rung, base, self.settings.calibrations) if outcome.judgement else []

    def _calibrate(self, rung: Rung, item: pytest.Item, live: Live) -> None:
        """Measure and save the limits of the rung, unless they are on file, and attach a note to the test."""
        if rung.control or not any(gate.calibrated for gate in rung.criteria):
            pytest.skip(f"{rung.id} has no limits to calibrate")
        target = calibration.path(self.settings.calibrations, rung.id)
        file = as_utf8(str(target))
        if target.exists() and self.settings.calibrate != "overwrite":
            item.stash[NOTE] = f"{rung.id}: kept {file} (measure again with --ladder-calibrate=overwrite)"
            return
        check_writable(self.settings.calibrations)
        self._set_up_training()
        measured = calibration.calibrate(rung, live.progress(rung))
        calibration.save(measured, self.settings.calibrations)
        limits = ", ".join(f"{key}: {limit:.4g}" for key, limit in measured.limits.items())
        item.stash[NOTE] = printable(f"{rung.id}: {limits} (worst of {measured.seeds} seeds), wrote {file}")
        live.close(item.stash[NOTE])

    def _finish(self, entry: Entry, curves: Mapping[str, np.ndarray]) -> list[str]:
        """Call the hook for a rung that has its outcome; return the error that it raised, if any."""
        try:
            self.config.hook.pytest_ladder_rung_finished(entry=entry, curves=curves)
        except (Exception, SystemExit) as error:
            return [f"pytest_ladder_rung_finished raised {error!r} for {entry['id']}; the verdict stands"]
        return []

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtest_setup(self, item: pytest.Item) -> None:
        """Remove what an earlier attempt has attached, because a plugin may run a test again."""
        keys: tuple[pytest.StashKey[Any], ...] = (ENTRY, CURVES, NOTE)
        for key in keys:
            if key in item.stash:
                del item.stash[key]

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_makereport(
        self, item: pytest.Item, call: pytest.CallInfo[None]
    ) -> Generator[None, pytest.TestReport, pytest.TestReport]:
        """Attach the entry of the rung to the report of its test, for the process that writes the ladder's report.

        The test is green only if its rung is green: an expected failure, a caught exception, or a test without a climb does not
        change that.
        """
        report = yield
        broken = call.when == "setup" and report.failed
        if self.select.ladder is None or not (call.when == "call" or broken):
            return report

        rung = rung_of(item)
        if NOTE in item.stash:
            report.ladder_note = item.stash[NOTE]  # type: ignore[attr-defined]  # reports take attributes; xdist sends them
        if rung is None or self.settings.calibrate is not None:
            return report
        if ENTRY not in item.stash:
            if report.skipped and not hasattr(report, "wasxfail"):
                return report
            error = call.excinfo.exconly() if call.excinfo else "not climbed: its test must call climb(rung)"
            item.stash[ENTRY] = self.select.crashed(item, error.splitlines()[0])
            if self._handover:
                self._handover.end(rung.id, item.stash[ENTRY]["verdict"])
        rung_entry = item.stash[ENTRY]
        report.ladder = rung_entry  # type: ignore[attr-defined]
        earlier = item.stash.get(PROPERTIES, [])
        item.stash[PROPERTIES] = properties(rung_entry)
        item.user_properties[:] = [each for each in item.user_properties if each not in earlier] + properties(
            rung_entry
        )
        report.user_properties = list(item.user_properties)
        problems = self.evidence.problems if "evidence" in self.__dict__ else []
        problems = [*problems, *self._finish(rung_entry, item.stash.get(CURVES, {}))]
        report.ladder_problems = [printable(problem) for problem in problems]  # type: ignore[attr-defined]
        if not rung_entry["green"] and not report.failed:
            report.outcome = "failed"
            report.longrepr = why(rung_entry)
            if hasattr(report, "wasxfail"):
                del report.wasxfail
        return report
