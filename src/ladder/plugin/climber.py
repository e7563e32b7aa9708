"""Climbing: each rung's test trains, judges and draws it, or measures its limits, and its report takes the outcome along."""

from __future__ import annotations

import os
import time
import uuid
from collections.abc import Generator
from contextlib import suppress
from functools import cached_property
from importlib.util import find_spec
from types import TracebackType
from typing import TYPE_CHECKING, Any

import pytest

from ladder.climb import Climb, Outcome
from ladder.declare.ladder import Ladder
from ladder.declare.rung import Rung
from ladder.evidence.provenance import commit
from ladder.evidence.store import Evidence
from ladder.files import check_writable
from ladder.judge import calibration
from ladder.naming import spelled
from ladder.plugin.live import Live
from ladder.plugin.recollect import Recollection
from ladder.plugin.selection import Selection, rung_of
from ladder.plugin.settings import Settings
from ladder.plugin.workers import Handover
from ladder.report.document import entry
from ladder.report.terminal import line, why
from ladder.report.text import count, printable
from ladder.train.devices import use_all_cores
from ladder.train.progress import ProgressMeter
from ladder.train.timelimit import still_computing
from ladder.train.trainer import Seeds

if TYPE_CHECKING:
    from ladder.train.compilation import CompilationCache

ENTRY = pytest.StashKey[dict[str, Any]]()
NOTE = pytest.StashKey[str]()
PROPERTIES = pytest.StashKey[list[tuple[str, object]]]()


def _from_experiment(traceback: TracebackType | None) -> TracebackType | None:
    """Leave out the frames that lead to the experiment's own; an error of ladder itself keeps them all."""
    start = frame = traceback
    while frame:
        if (
            frame.tb_frame.f_globals.get("__name__") in ("ladder.train.compiled", "ladder.train.checks")
            and "__tracebackhide__" in frame.tb_frame.f_locals
        ):
            start = frame
        frame = frame.tb_next
    return start


def properties(entry: dict[str, Any]) -> list[tuple[str, object]]:
    """Return the properties of a rung's test in ``--junitxml``: rung, verdict, and the ``k`` of ``n`` seeds of the report."""
    k, n = count(entry) or ("", "")
    return [("rung", entry["id"]), ("verdict", entry["verdict"]), ("k", k), ("n", n)]


class Climber:
    """Hooks over each rung's test.

    Args:
        config: pytest's.
        settings: What the user has asked for.
        handover: What the processes of this run share; None where it has but one.
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
        found = commit(self.config.rootpath, self.settings.written)
        evidence = Evidence(
            self.settings.evidence,
            run=getattr(self.config, "workerinput", {}).get("testrunuid") or uuid.uuid4().hex,
            commit=f"{found['sha'][:12]}{'+' if found['dirty'] else ''}" if found else "",
            rerun=self.settings.rerun,
            ladders=self.select.folders,
        )
        evidence.lock.acquire()
        return evidence

    def climb(self, rung: Rung, item: pytest.Item) -> Outcome | None:
        """Climb the rung, or calibrate it; leave with the item what the reporter is to know."""
        __tracebackhide__ = True
        own = rung_of(item)
        if self.select.ladder is None or own is None or own.id != rung.id:
            pytest.fail(
                f"climb({rung.id}) in {item.nodeid}: a test climbs the rung that is its own parameter", pytrace=False
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
        except BaseException as error:  # a plugin's own time limit may have broken it off
            self._give_up_if_computing(item.session)
            error.__traceback__ = _from_experiment(error.__traceback__)
            raise
        if outcome.evidence and self.config.pluginmanager.hasplugin("TestmonCollect"):
            from ladder.train.compiled import trace

            trace(rung.experiment)  # pytest-testmon runs again the tests whose lines have changed, and none has run
        attempts = self.evidence.attempts.of(rung.id)
        found = entry(outcome, self.select.ladder, self.settings.test, self._stale(outcome), attempts)
        if self.settings.pictures:
            self._draw(climb, outcome, found, deadline, live.progress(rung))
        item.stash[ENTRY] = found
        if self._handover:
            self._handover.end(rung.id, outcome.verdict)
        if not self._give_up_if_computing(item.session) and self._cache:
            self._cache.share()
        live.close(line(found))
        if not outcome.green:
            pytest.fail(why(found), pytrace=False)
        return outcome

    def _draw(
        self, climb: Climb, outcome: Outcome, found: dict[str, Any], deadline: float, progress: ProgressMeter | None
    ) -> None:
        """Draw the rung, and say so in its entry."""
        from ladder.pictures import draw

        drawn = draw(climb, outcome, found, self.settings.reports, deadline, progress)
        found["pictures"] = drawn.pictures
        found["note"] = "; ".join(filter(None, (found["note"], *drawn.trouble)))

    def _start(self, ladder: Ladder) -> Climb:
        """Return this process's climb, begun when its first rung is."""
        if self._climb is None:
            self._set_up_jax()
            self._climb = Climb(
                ladder,
                self.settings.test,
                Seeds(self.settings.root),
                self.evidence,
                self.settings.time_limit,
                elsewhere=self._handover.verdict if self._handover else lambda id: None,
            )
        return self._climb

    def _set_up_jax(self) -> None:
        """Give JAX this process's share of the cores, and a place for its programs; before anything starts its backend."""
        if find_spec("jax") is None:  # the rungs that need it say so
            return
        from ladder.train.compilation import CompilationCache

        use_all_cores(getattr(self.config, "workerinput", {}).get("workercount", 1))
        if (cache := getattr(self.config, "cache", None)) is not None and self.settings.calibrate is None:
            with suppress(OSError):  # no place to keep programs costs time, nothing else
                self._cache = CompilationCache(cache.mkdir("ladder-xla"))

    def _give_up_if_computing(self, session: pytest.Session) -> bool:
        """Leave what is left to another process, where there is one, if a rung still computes; return whether it does."""
        if not still_computing():
            return False
        if self._handover:
            self._leaving = True
        else:
            session.shouldstop = (
                "a rung that ran over its time limit still computes, and JAX cannot break it off; with -n 1 a new process "
                "climbs what is left"
            )
        return True

    def pytest_runtest_protocol(self) -> None:
        """Leave before the next test, now that the last one is reported; the controller starts another worker."""
        if self._handover and self._leaving:
            self._handover.leave(self.config.workerinput["workerid"])  # type: ignore[attr-defined]  # set by xdist
            os._exit(0)

    @pytest.hookimpl(trylast=True)
    def pytest_unconfigure(self) -> None:
        """Leave nothing behind."""
        if "evidence" in self.__dict__:
            self.evidence.lock.release()
        if self._cache and not still_computing():  # it would go on writing there
            self._cache.close()

    def _stale(self, outcome: Outcome) -> list[str]:

        assert self.select.ladder is not None
        base = self.select.ladder[outcome.rung.calibration or outcome.rung.id]
        return calibration.outdated(outcome.rung, base, self.settings.calibrations) if outcome.judgement else []

    def _calibrate(self, rung: Rung, item: pytest.Item, live: Any) -> None:

        if rung.control or not any(gate.calibrated for gate in rung.criteria):
            pytest.skip(f"{rung.id} has no limits to calibrate")
        target = calibration.path(self.settings.calibrations, rung.id)
        shown = spelled(str(target))
        if target.exists() and self.settings.calibrate != "overwrite":
            item.stash[NOTE] = f"{rung.id}: kept {shown} (measure it again with --ladder-calibrate=overwrite)"
            return
        check_writable(self.settings.calibrations)
        self._set_up_jax()
        measured = calibration.calibrate(rung, live.progress(rung))
        calibration.save(measured, self.settings.calibrations)
        limits = ", ".join(f"{key}: {limit:.4g}" for key, limit in measured.limits.items())
        item.stash[NOTE] = printable(f"{rung.id}: {limits} (worst of {measured.seeds} seeds), wrote {shown}")
        live.close(item.stash[NOTE])

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtest_setup(self, item: pytest.Item) -> None:
        """Forget an earlier attempt, where a plugin runs a test again."""
        if ENTRY in item.stash:
            del item.stash[ENTRY]
        if NOTE in item.stash:
            del item.stash[NOTE]

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_makereport(
        self, item: pytest.Item, call: pytest.CallInfo[None]
    ) -> Generator[None, pytest.TestReport, pytest.TestReport]:
        """Send what was left with the item along with its report, to whichever process writes it up.

        A rung's test is as green as its rung, whatever the test made of it: it cannot be expected to fail, swallow the
        failure, or pass without a climb.
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
            error = call.excinfo.exconly() if call.excinfo else "never climbed: its test must call climb(rung)"
            item.stash[ENTRY] = self.select.crashed(rung.id, error.splitlines()[0])
            if self._handover:
                self._handover.end(rung.id, item.stash[ENTRY]["verdict"])
        found = item.stash[ENTRY]
        report.ladder = found  # type: ignore[attr-defined]
        earlier = item.stash.get(PROPERTIES, [])
        item.stash[PROPERTIES] = properties(found)
        item.user_properties[:] = [told for told in item.user_properties if told not in earlier] + properties(found)
        report.user_properties = list(item.user_properties)
        if "evidence" in self.__dict__:
            report.ladder_problems = [printable(problem) for problem in self.evidence.problems]  # type: ignore[attr-defined]
        if not found["green"] and not report.failed:
            report.outcome = "failed"
            report.longrepr = why(found)
            if hasattr(report, "wasxfail"):
                del report.wasxfail
        return report
