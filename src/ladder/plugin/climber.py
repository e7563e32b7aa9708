"""The role of the process that runs tests: find the rungs, choose which run, climb or calibrate them."""

from __future__ import annotations

import os
import sys
import threading
import time
import uuid
from collections.abc import Generator
from contextlib import suppress
from functools import cached_property
from importlib.util import find_spec
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any

import pytest

from ladder.files import check_writable
from ladder.naming import escaped, spelled
from ladder.plugin.recollect import Recollection
from ladder.plugin.search import may_have_rungs
from ladder.plugin.settings import Settings
from ladder.plugin.signals import Interruptions, was_interrupted
from ladder.plugin.workers import Handover, follow, groups

if TYPE_CHECKING:
    from ladder.climb import Climb, Outcome
    from ladder.declare.ladder import Ladder
    from ladder.declare.rung import Rung
    from ladder.evidence.archive import Evidence
    from ladder.plugin.selection import CollectedRungs
    from ladder.train.compilation import CompilationCache
    from ladder.train.progress import ProgressMeter

ENTRY = pytest.StashKey[dict[str, Any]]()
WORKER_ERROR = "ladder_error"
NOTE = pytest.StashKey[str]()
RUNG = pytest.StashKey[str]()
REQUIRED = pytest.StashKey[bool]()
"""Whether a test runs only because a selected rung requires its own."""
PROPERTIES = pytest.StashKey[list[tuple[str, object]]]()
UNESCAPED = "disable_test_id_escaping_and_forfeit_all_rights_to_community_support"  # an ini option of pytest's


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
    """What ``--junitxml`` is to tell of a rung's test: rung, verdict, and that ``k`` of ``n`` seeds are as the report says."""
    from ladder.report.text import count

    k, n = count(entry) or ("", "")
    return [("rung", entry["id"]), ("verdict", entry["verdict"]), ("k", k), ("n", n)]


class Climber:
    """Hooks over collection and over each rung's test."""

    def __init__(
        self, config: pytest.Config, settings: Settings, handover: Handover | None, interruptions: Interruptions
    ):
        self.config = config
        self.settings = settings
        self._handover = handover
        self._interruptions = interruptions
        self._climb: Climb | None = None
        self._cache: CompilationCache | None = None
        self._ladder: Ladder | None = None
        self._leaving = False
        self._recollection = Recollection(config)
        self._ladders: dict[str, str] = {}  # rung to the folder of its test
        self._ended = threading.Event()

    @cached_property
    def evidence(self) -> Evidence:
        """The evidence of this checkout, read and written by this run."""
        from ladder.evidence.archive import Evidence
        from ladder.evidence.provenance import commit

        found = commit(self.config.rootpath, self.settings.written)
        evidence = Evidence(
            self.settings.evidence,
            run=getattr(self.config, "workerinput", {}).get("testrunuid") or uuid.uuid4().hex,
            commit=f"{found['sha'][:12]}{'+' if found['dirty'] else ''}" if found else "",
            rerun=self.settings.rerun,
            ladders=self._ladders,
        )
        evidence.announce()
        return evidence

    def pytest_collectstart(self, collector: pytest.Collector) -> None:
        """Remember the folders, in case that rungs have to be looked for which pytest was not pointed at."""
        self._recollection.collected(collector)

    def pytest_ignore_collect(self, collection_path: Path) -> bool | None:
        """Skip files that seem to hold no rung where rungs alone are asked for: they are not even imported."""
        if not self.settings.asked:
            return None
        expression = "" if self.settings.only else self.config.option.markexpr
        if may_have_rungs(collection_path, expression):
            return None
        self._recollection.skipped(collection_path)
        return True

    def pytest_make_parametrize_id(self, val: object) -> str | None:
        """A rung's test is named after the rung, in ASCII as all tests unless pytest has been told otherwise."""
        # Without this module loaded nothing can be a rung, and loading it would load NumPy.
        rung = sys.modules.get("ladder.declare.rung")
        if rung is None or not isinstance(val, rung.Rung):
            return None
        return val.id if self.config.getini(UNESCAPED) else escaped(val.id)

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_collection_modifyitems(
        self, session: pytest.Session, items: list[pytest.Item]
    ) -> Generator[None, None, None]:
        """Mark the rungs before ``-m`` selects, and afterwards pull in what the selected ones require."""
        # Where a file could not be imported pytest stops and shows why; rungs missing for that reason are no news.
        if session.testsfailed or ("ladder.declare.rung" not in sys.modules and not self.settings.asked):
            yield
            return
        added: list[pytest.Item] = []
        try:
            found, added = self._find(items)
        except ValueError as error:
            self._report_failed_collection(session)
            self._refuse(error, items)
        items += added  # for other plugins to see, and to mark as they mark the others
        if self._ladder is not None:
            from ladder.plugin.selection import climbing_order

            # Also before other plugins choose: what comes before a failure is what --sw takes for passed.
            items[:] = climbing_order(items, found, self._ladder, pull=False)
        yield
        items[:] = [item for item in items if item not in added]
        if self._ladder is not None:
            try:
                self._choose(items, found, self._ladder, added)
            except ValueError as error:
                self._refuse(error, items)

    def pytest_collection_finish(self, session: pytest.Session) -> None:
        """From here on, where rungs are climbed, an interruption ends with the report."""
        if self._handover and WORKER_ERROR not in getattr(self.config, "workeroutput", {}) and sys.exception() is None:
            self._handover.collect()
        if any(RUNG in item.stash for item in session.items):
            self._interruptions.catch()
            if self._handover and hasattr(self.config, "workerinput"):
                follow(self._handover, self._ended)

    @pytest.hookimpl(optionalhook=True)
    def pytest_xdist_node_collection_finished(self) -> None:
        """The same, in the process that talks to the user and does not collect."""
        if self._handover and self._handover.plan:
            self._interruptions.catch()

    def _report_failed_collection(self, session: pytest.Session) -> None:
        """Have pytest show the files in which a missing rung may be and that could not be collected."""
        for report in self._recollection.failed:
            session.ihook.pytest_collectreport(report=report)

    def _refuse(self, error: ValueError, items: list[pytest.Item]) -> None:
        """End the run; a worker cannot, it runs nothing and leaves the message to the controller."""
        from ladder.report.text import printable

        items.clear()  # a collection that ends in an error still counts as finished, and its items as to be run
        told = printable(f"ladder: {error}")
        if not hasattr(self.config, "workeroutput"):
            raise pytest.UsageError(told) from error
        self.config.workeroutput[WORKER_ERROR] = told
        self._ladder = None

    def _choose(
        self, items: list[pytest.Item], found: CollectedRungs, ladder: Ladder, added: list[pytest.Item]
    ) -> None:
        """Keep the rungs asked for and what they require, in climbing order, and the other tests."""
        from ladder.declare.ladder import LadderError
        from ladder.plugin.selection import climbing_order, of_other_scales

        if self.settings.only:
            items[:] = [item for id in dict.fromkeys(self.settings.only) for item in found.items[id]]
        elif dropped := of_other_scales(items, ladder, self.settings.scale, self.settings.scale_asked):
            self.config.hook.pytest_deselected(items=dropped)
            items[:] = [item for item in items if item not in dropped]
        selected = set(items)
        items[:] = climbing_order(items, found, ladder, pull=self.settings.calibrate is None)
        for item in items:
            item.stash[REQUIRED] = item not in selected
        self._count(items, added)
        worker = getattr(self.config, "workerinput", None)  # the controller collects too where it is to do nothing else
        if self._handover is not None and worker and any(RUNG in item.stash for item in items):
            if worker["ladder_dist"] == "each":
                raise LadderError("--dist each climbs every rung on every worker; choose another, such as --dist load")
            self._announce(items, ladder, self._handover)
            # xdist wants the same tests in the same order of every worker; rungs made from a set are in another in each.
            place = {id: index for index, id in enumerate(self._handover.plan)}
            first = next(index for index, item in enumerate(items) if RUNG in item.stash)
            rungs = sorted((item for item in items if RUNG in item.stash), key=lambda item: place.get(item.nodeid, -1))
            items[first : first + len(rungs)] = rungs

    def _announce(self, items: list[pytest.Item], ladder: Ladder, handover: Handover) -> None:
        """Tell the other processes which rungs there are, what joins them, and how to report one whose worker dies."""
        climbed = [item for item in items if RUNG in item.stash]
        together = groups(ladder, list(dict.fromkeys(item.stash[RUNG] for item in climbed)))
        handover.announce(
            {
                item.nodeid: {
                    "rung": (id := item.stash[RUNG]),
                    "required": item.stash[REQUIRED],
                    "group": together[id],
                    "entry": self._crashed(id, "its worker process died"),
                }
                for item in climbed
            }
        )

    def _crashed(self, id: str, error: str) -> dict[str, Any]:
        from ladder.climb import Outcome
        from ladder.judge.sequential import Verdict
        from ladder.report.document import entry

        assert self._ladder is not None
        return entry(Outcome(self._ladder[id], Verdict.CRASHED, error=error), self._ladder, self.settings.test)

    def _find(self, items: list[pytest.Item]) -> tuple[CollectedRungs, list[pytest.Item]]:
        """Find the rungs of a collection and those that they name; returns the tests of those that pytest had left out."""
        from ladder.declare.ladder import Ladder, LadderError
        from ladder.judge import calibration
        from ladder.plugin.selection import CollectedRungs, check_markers

        found = CollectedRungs()
        found.add(items)
        added = self._complete(found, items)
        for id in self.settings.only:
            if id not in found.rungs:
                raise LadderError(
                    f"--ladder-only={id}: there is no such rung; there are {', '.join(found.rungs) or 'none'}"
                )
        numbers = {rung.number for rung in found.rungs.values()}
        check_markers(self.config.option.markexpr, numbers | set(self.settings.rung_files))
        if found.rungs:
            rungs = list(found.rungs.values())
            if self.settings.calibrate is None:
                rungs = [calibration.tightened(rung, self.settings.calibrations) for rung in rungs]
            self._ladder = Ladder(rungs)
        for number in numbers - set(self.settings.rung_files):
            self.config.addinivalue_line("markers", f"rung{number}: rung {number} and what it requires")
        for id, tests in found.items.items():
            for item in tests:
                item.stash[RUNG] = id
                self._ladders[id] = Path(os.path.relpath(item.path.parent, self.config.rootpath)).as_posix()
                item.add_marker("rung")
                item.add_marker(found.rungs[id].marker)
        return found, added

    def _complete(self, found: CollectedRungs, items: list[pytest.Item]) -> list[pytest.Item]:
        """Add the rungs that pytest has left out and that are named, nearest first; returns the tests that were added."""
        from ladder.plugin.selection import named_by

        def missing() -> set[str]:
            return found.missing_ids() | (set(self.settings.only) - set(found.rungs))

        asked = named_by(self.config.option.markexpr)
        numbers = {rung.number for rung in found.rungs.values()}
        if not missing() and asked <= numbers and (numbers or not self.settings.asked):
            return []
        seen = self._recollection.in_skipped_files()
        items += seen  # the search was wrong about their files, or they hold no rung after all and are deselected
        found.add(seen)
        if not missing():
            return []
        of_rungs = [item for tests in found.items.values() for item in tests]
        # All that is declared beside a rung is of its ladder; from further away comes only what is named.
        added = found.add(self._recollection.beside(of_rungs))
        circles = self._recollection.further_away(of_rungs)
        while missing() and (circle := next(circles, None)) is not None:
            while more := found.add(circle, missing()):
                added += more
        return added

    def _count(self, items: list[pytest.Item], added: list[pytest.Item]) -> None:
        """Have pytest's summary count as deselected only what it has collected and what does not run after all."""
        reporter = self.config.pluginmanager.getplugin("terminalreporter")
        if reporter is not None and "deselected" in reporter.stats:
            running = {*items, *added}
            reporter.stats["deselected"] = [item for item in reporter.stats["deselected"] if item not in running]

    def climb(self, rung: Rung, item: pytest.Item) -> Outcome | None:
        """Climb the rung, or calibrate it; leave with the item what the reporter is to know."""
        from ladder.plugin.live import Live
        from ladder.plugin.selection import rung_of
        from ladder.report.document import entry
        from ladder.report.terminal import line, why

        __tracebackhide__ = True
        own = rung_of(item)
        if self._ladder is None or own is None or own.id != rung.id:
            pytest.fail(
                f"climb({rung.id}) in {item.nodeid}: a test climbs the rung that is its own parameter", pytrace=False
            )
        live = Live(self.config)
        if self.settings.calibrate is not None:
            self._calibrate(rung, item, live)
            return None
        climb = self._start(self._ladder)
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
        attempts = self.evidence.attempts(rung.id)
        found = entry(outcome, self._ladder, self.settings.test, self._stale(outcome), attempts)
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
        """This process's climb, begun when its first rung is."""
        if self._climb is None:
            from ladder.climb import Climb
            from ladder.train.trainer import Seeds

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
        from ladder.train.devices import use_all_cores

        use_all_cores(getattr(self.config, "workerinput", {}).get("workercount", 1))
        if (cache := getattr(self.config, "cache", None)) is not None and self.settings.calibrate is None:
            with suppress(OSError):  # no place to keep programs costs time, nothing else
                self._cache = CompilationCache(cache.mkdir("ladder-xla"))

    def _give_up_if_computing(self, session: pytest.Session) -> bool:
        """A rung still computes and keeps the devices: what is left is for another process, where there is one."""
        from ladder.train.timelimit import still_computing

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

    @pytest.hookimpl(tryfirst=True)
    def pytest_keyboard_interrupt(self) -> None:
        """An interrupted run ends by itself."""
        self._interruptions.end()

    @pytest.hookimpl(tryfirst=True)
    def pytest_sessionfinish(self, session: pytest.Session) -> None:
        """Have the workers of an interrupted run end too."""
        self._ended.set()
        if self._handover and not hasattr(self.config, "workerinput") and was_interrupted(session):
            self._handover.interrupt()

    @pytest.hookimpl(trylast=True)
    def pytest_unconfigure(self) -> None:
        """Leave nothing behind."""
        if "evidence" in self.__dict__:
            self.evidence.close()
        if self._cache:
            from ladder.train.timelimit import still_computing

            if not still_computing():  # it would go on writing there
                self._cache.close()

    def _stale(self, outcome: Outcome) -> list[str]:
        from ladder.judge.calibration import outdated

        assert self._ladder is not None
        base = self._ladder[outcome.rung.calibration or outcome.rung.id]
        return outdated(outcome.rung, base, self.settings.calibrations) if outcome.judgement else []

    def _calibrate(self, rung: Rung, item: pytest.Item, live: Any) -> None:
        from ladder.judge import calibration
        from ladder.report.text import printable

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
        if self._ladder is None or not (call.when == "call" or broken):
            return report
        from ladder.plugin.selection import rung_of
        from ladder.report.terminal import why
        from ladder.report.text import printable

        rung = rung_of(item)
        if NOTE in item.stash:
            report.ladder_note = item.stash[NOTE]  # type: ignore[attr-defined]  # reports take attributes; xdist sends them
        if rung is None or self.settings.calibrate is not None:
            return report
        if ENTRY not in item.stash:
            if report.skipped and not hasattr(report, "wasxfail"):
                return report
            error = call.excinfo.exconly() if call.excinfo else "never climbed: its test must call climb(rung)"
            item.stash[ENTRY] = self._crashed(rung.id, error.splitlines()[0])
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
