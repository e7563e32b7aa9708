"""The role of the process that runs tests: find the rungs, choose which run, climb or calibrate them."""

from __future__ import annotations

import sys
from collections.abc import Generator
from typing import TYPE_CHECKING, Any

import pytest

from ladder.files import check_writable
from ladder.plugin.settings import Settings

if TYPE_CHECKING:
    from ladder.climb import Climb, Outcome
    from ladder.plugin.selection import Found
    from ladder.rung import Ladder, Rung

ENTRY = pytest.StashKey[dict[str, Any]]()
WORKER_ERROR = "ladder_error"
NOTE = pytest.StashKey[str]()


class Climber:
    """Hooks over collection and over each rung's test."""

    def __init__(self, config: pytest.Config, settings: Settings):
        self.config = config
        self.settings = settings
        self._climb: Climb | None = None
        self._ladder: Ladder | None = None

    def pytest_make_parametrize_id(self, val: object) -> str | None:
        """A rung's test is named after the rung."""
        # Without this module loaded nothing can be a rung, and loading it would load NumPy.
        rung = sys.modules.get("ladder.rung")
        return val.id if rung is not None and isinstance(val, rung.Rung) else None

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_collection_modifyitems(
        self, session: pytest.Session, items: list[pytest.Item]
    ) -> Generator[None, None, None]:
        """Mark the rungs before ``-m`` selects, and afterwards pull in what the selected ones require."""
        asked = "rung" in self.config.option.markexpr or self.settings.only
        # Where a file could not be imported pytest stops and shows why; rungs missing for that reason are no news.
        if session.testsfailed or ("ladder.rung" not in sys.modules and not asked):
            yield
            return
        from ladder.plugin.selection import climbing_order

        try:
            found = self._find(session, items)
        except ValueError as error:
            if not hasattr(self.config, "workeroutput"):
                raise pytest.UsageError(f"ladder: {error}") from error
            # A worker cannot end the run: it runs nothing and leaves the message to the controller.
            self.config.workeroutput[WORKER_ERROR] = f"ladder: {error}"
            items.clear()
            yield
            return
        yield
        if self._ladder is not None:
            if self.settings.only:
                items[:] = [found.items[id] for id in self.settings.only]
            items[:] = climbing_order(items, found, self._ladder, pull=self.settings.calibrate is None)
            self._count(items)

    def _find(self, session: pytest.Session, items: list[pytest.Item]) -> Found:
        from ladder import calibration
        from ladder.plugin.selection import Found, check_markers
        from ladder.rung import Ladder, LadderError

        found = Found(items)
        if found.gaps() or set(self.settings.only) - set(found.rungs):
            found.widen(session)
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
        for id, item in found.items.items():
            item.add_marker("rung")
            item.add_marker(found.rungs[id].marker)
        return found

    def _count(self, items: list[pytest.Item]) -> None:
        """Have pytest's summary count as deselected only what does not run after all."""
        reporter = self.config.pluginmanager.getplugin("terminalreporter")
        if reporter is not None and "deselected" in reporter.stats:
            running = set(items)
            reporter.stats["deselected"] = [item for item in reporter.stats["deselected"] if item not in running]

    def climb(self, rung: Rung, item: pytest.Item) -> Outcome | None:
        """Climb the rung, or calibrate it; leave with the item what the reporter is to know."""
        from ladder.plugin.live import Live
        from ladder.plugin.selection import rung_of
        from ladder.report.document import entry
        from ladder.report.terminal import line, why
        from ladder.training import Seeds, use_compilation_cache

        own = rung_of(item)
        if self._ladder is None or own is None or own.id != rung.id:
            pytest.fail(
                f"climb({rung.id}) in {item.nodeid}: a test climbs the rung that is its own parameter", pytrace=False
            )
        live = Live(self.config)
        if self._climb is None:
            from ladder.climb import Climb

            if (cache := getattr(self.config, "cache", None)) is not None:
                use_compilation_cache(cache.mkdir("ladder-xla"))
            self._climb = Climb(self._ladder, self.settings.test, Seeds(self.settings.root))
        if self.settings.calibrate is not None:
            self._calibrate(rung, item, live)
            return None
        outcome = self._climb(rung.id, live.watch)
        item.stash[ENTRY] = found = entry(outcome, self._ladder, self.settings.test, self._stale(outcome))
        live.close(line(found))
        if not outcome.green:
            pytest.fail(why(found), pytrace=False)
        return outcome

    def _stale(self, outcome: Outcome) -> list[str]:
        from ladder.calibration import outdated

        assert self._ladder is not None
        base = self._ladder[outcome.rung.calibration or outcome.rung.id]
        return outdated(outcome.rung, base, self.settings.calibrations) if outcome.judgement else []

    def _calibrate(self, rung: Rung, item: pytest.Item, live: Any) -> None:
        from ladder import calibration

        if rung.control or not any(gate.calibrated for gate in rung.criteria):
            pytest.skip(f"{rung.id} has no limits to calibrate")
        target = calibration.path(self.settings.calibrations, rung.id)
        if target.exists() and self.settings.calibrate != "overwrite":
            item.stash[NOTE] = f"{rung.id}: kept {target} (measure it again with --ladder-calibrate=overwrite)"
            return
        check_writable(self.settings.calibrations)
        measured = calibration.calibrate(rung, live.watch(rung))
        calibration.save(measured, self.settings.calibrations)
        limits = ", ".join(f"{key}: {limit:.4g}" for key, limit in measured.limits.items())
        item.stash[NOTE] = f"{rung.id}: {limits} (worst of {measured.seeds} seeds), wrote {target}"
        live.close(item.stash[NOTE])

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_makereport(
        self, item: pytest.Item, call: pytest.CallInfo[None]
    ) -> Generator[None, pytest.TestReport, pytest.TestReport]:
        """Send what was left with the item along with its report, to whichever process writes it up.

        A rung's test is as green as its rung, whatever the test made of it: it cannot be expected to fail, swallow the
        failure, or pass without a climb.
        """
        report = yield
        if call.when != "call" or self._ladder is None:
            return report
        from ladder.climb import Outcome
        from ladder.plugin.selection import rung_of
        from ladder.report.document import entry
        from ladder.report.terminal import why
        from ladder.verdict import Verdict

        rung = rung_of(item)
        if NOTE in item.stash:
            report.ladder_note = item.stash[NOTE]  # type: ignore[attr-defined]  # reports take attributes; xdist sends them
        if rung is None or self.settings.calibrate is not None:
            return report
        if ENTRY not in item.stash:
            error = call.excinfo.exconly() if call.excinfo else "never climbed: its test must call climb(rung)"
            crashed = Outcome(self._ladder[rung.id], Verdict.CRASHED, error=error.splitlines()[0])
            item.stash[ENTRY] = entry(crashed, self._ladder, self.settings.test)
        found = item.stash[ENTRY]
        report.ladder = found  # type: ignore[attr-defined]
        if not found["green"] and not report.failed:
            report.outcome = "failed"
            report.longrepr = why(found)
            if hasattr(report, "wasxfail"):
                del report.wasxfail
        return report
