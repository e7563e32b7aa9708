"""Selection: the rungs among the collected tests, and those that run: what was asked for and all that it requires."""

from __future__ import annotations

import os
import re
import shlex
from collections.abc import Collection, Generator, Iterable, Sequence
from pathlib import Path

import pytest

from ladder.climb import Outcome
from ladder.declare.ladder import Ladder, LadderError
from ladder.declare.rung import Rung
from ladder.judge import calibration
from ladder.judge.sequential import Verdict
from ladder.naming import spelled
from ladder.plugin.collector import REQUIRED, RUNG, WORKER_ERROR
from ladder.plugin.recollect import Recollection
from ladder.plugin.search import named
from ladder.plugin.settings import FULL, Settings
from ladder.plugin.workers import Handover, groups
from ladder.report.document import RunRecord, entry
from ladder.report.schema import Entry
from ladder.report.text import printable

MARKER = re.compile(r"\brung[0-9]+\b")


def rung_of(item: pytest.Item) -> Rung | None:
    """Return the rung that a test climbs: the value of one of its parameters; None if there is none."""
    callspec = getattr(item, "callspec", None)
    if callspec is None:
        return None
    return next((value for value in callspec.params.values() if isinstance(value, Rung)), None)


class CollectedRungs:
    """The rungs of a collection, each with the tests that climb it: more than one where a test of it is repeated."""

    def __init__(self) -> None:
        self.rungs: dict[str, Rung] = {}
        self.items: dict[str, list[pytest.Item]] = {}

    def add(self, items: Iterable[pytest.Item], wanted: Collection[str | int] | None = None) -> list[pytest.Item]:
        """Add the tests of rungs that are not there yet; with ``wanted`` of those ids and numbers alone. Return what was added.

        Raises:
            LadderError: for two rungs of one id.
        """
        there, added = set(self.rungs), []
        for item in items:
            rung = rung_of(item)
            if rung is None or rung.id in there or (wanted is not None and not {rung.id, rung.number} & set(wanted)):
                continue
            if self.rungs.setdefault(rung.id, rung) is not rung:
                raise LadderError(
                    f"{rung.id} is declared twice, by {self.items[rung.id][0].nodeid} and {item.nodeid}; "
                    "give one of them another number or variant"
                )
            self.items.setdefault(rung.id, []).append(item)
            added.append(item)
        return added

    def missing_ids(self) -> set[str]:
        """Return the ids that the rungs name and nobody has declared."""
        return {id for rung in self.rungs.values() for id in rung.named} - set(self.rungs)


def named_by(expression: str) -> set[int]:
    """Return the numbers of the rungs that an ``-m`` expression names."""
    return {int(name.removeprefix("rung")) for name in MARKER.findall(expression)}


def check_markers(expression: str, numbers: Iterable[int]) -> None:
    """Refuse a rung in an ``-m`` expression that nobody declares.

    Raises:
        LadderError: naming it and those there are.
    """
    known = [f"rung{number}" for number in sorted(set(numbers))]
    for name in MARKER.findall(expression):
        if name not in known:
            raise LadderError(f"-m {expression!r}: there is no {name}; there are {', '.join(known) or 'none'}")


def of_other_scales(items: Sequence[pytest.Item], ladder: Ladder, scale: str, asked: bool) -> list[pytest.Item]:
    """Return the rungs among the items that are of another scale than the one that is climbed.

    Where nobody asked for a scale, a selection that holds rungs of another one alone has chosen that.

    Raises:
        LadderError: for a scale that no rung comes in, a selection that holds several others, or a rung of another scale whose
            node id was given.
    """
    known = sorted({each or FULL for scales in ladder.scales.values() for each in scales})
    if known and (scale or FULL) not in (FULL, *known):
        setting = "--ladder-scale=" if asked else "ini ladder_scale = "
        raise LadderError(f"{setting}{scale}: no rung comes in that size; there are {', '.join(known)}")
    sized = {item: rung for item in items if (rung := rung_of(item)) and rung.number in ladder.scales}
    selected = {rung.scale for rung in sized.values()}
    if not asked and selected and scale not in selected:
        scale, *others = sorted(selected)
        if others:
            there = ", ".join(each or FULL for each in (scale, *others))
            raise LadderError(f"the selected rungs come in several sizes, {there}; choose one with --ladder-scale")
    dropped = [item for item, rung in sized.items() if rung.scale != scale]
    if given := [item.name for item in dropped if named(item, itself=True)]:
        raise LadderError(f"{', '.join(given)}: of another scale than the rest; climb each in a run of its own")
    return dropped


def climbing_order(
    items: Sequence[pytest.Item], found: CollectedRungs, ladder: Ladder, pull: bool
) -> list[pytest.Item]:
    """Return the items with the rungs together, in climbing order, and if ``pull`` is set those that they require."""
    chosen: dict[str, list[pytest.Item]] = {}
    for item in items:
        if rung := rung_of(item):
            chosen.setdefault(rung.id, []).append(item)
    if not chosen:
        return list(items)
    ids = ladder.with_required(list(chosen)) if pull else [id for id in ladder if id in chosen]
    first = next(i for i, item in enumerate(items) if rung_of(item))
    others = [item for item in items[first:] if not rung_of(item)]
    climbed = [item for id in ids for item in chosen.get(id, found.items[id][:1])]
    return [*items[:first], *climbed, *others]


class Selection:
    """The rungs of a run, and which of them are climbed.

    Attributes:
        ladder: All rungs, at their measured limits; None where there are none or the selection was refused.
        folders: Rung to the folder of its test, from pytest's root.
    """

    def __init__(
        self, config: pytest.Config, settings: Settings, handover: Handover | None, recollection: Recollection
    ):
        self.ladder: Ladder | None = None
        self.folders: dict[str, str] = {}
        self._config = config
        self._settings = settings
        self._handover = handover
        self._recollection = recollection

    def __call__(self, session: pytest.Session, items: list[pytest.Item]) -> Generator[None, None, None]:
        """Mark the rungs before other plugins select, and afterwards pull in what the selected ones require."""
        added: list[pytest.Item] = []
        try:
            collected, added = self._find(items)
        except ValueError as error:
            # pytest shows the files that failed; rungs missing for that are no news.
            if session.testsfailed and self._stops_at_failed_files:
                yield
                return
            self._report_failed_collection(session)
            self._refuse(error, items)
        items += added  # for other plugins to see, and to mark as they mark the others
        if self.ladder is not None:
            # Also before other plugins choose: what comes before a failure is what --sw takes for passed.
            items[:] = climbing_order(items, collected, self.ladder, pull=False)
        yield
        numbers = self._settings.numbers
        items[:] = [item for item in items if item not in added or ((rung := rung_of(item)) and rung.number in numbers)]
        if self.ladder is not None:
            try:
                self._choose(items, collected, self.ladder, added)
            except ValueError as error:
                self._refuse(error, items)

    @property
    def _stops_at_failed_files(self) -> bool:
        """Return whether pytest ends this run where a file cannot be collected; a worker of xdist goes on without it."""
        return not (hasattr(self._config, "workeroutput") or self._config.option.continue_on_collection_errors)

    def crashed(self, item: pytest.Item, error: str) -> Entry:
        """Return the entry of a rung that CRASHED without an outcome."""
        rung = rung_of(item)
        assert self.ladder is not None
        assert rung is not None
        outcome = Outcome(self.ladder[rung.id], Verdict.CRASHED, error=error)
        return entry(outcome, self.ladder, self._settings.test, self.record(item))

    def record(self, item: pytest.Item) -> RunRecord:
        """Return the record of a rung's test: its place, and the command that climbs the rung again on the same seeds."""
        rung = rung_of(item)
        assert rung is not None
        name, line, _ = item.location
        file = Path(spelled(name)).as_posix()
        return RunRecord(
            location={"id": item.nodeid, "file": file, "line": (line or 0) + 1},
            repeat=shlex.join(["pytest", file, f"--ladder-only={rung.id}", *self._settings.same_seeds]),
        )

    def _report_failed_collection(self, session: pytest.Session) -> None:
        """Have pytest show the files in which a missing rung may be and that could not be collected."""
        for report in self._recollection.failed:
            session.ihook.pytest_collectreport(report=report)

    def _refuse(self, error: ValueError, items: list[pytest.Item]) -> None:
        """End the run; a worker cannot, it runs nothing and leaves the message to the controller."""
        items.clear()  # a collection that ends in an error still counts as finished, and its items as to be run
        where = self._config.rootpath
        hint = f"; below {where}, pytest's root, which --rootdir=DIR chooses" if self._config.inipath is None else ""
        told = printable(f"ladder: {error}{hint}")
        if not hasattr(self._config, "workeroutput"):
            raise pytest.UsageError(told) from error
        self._config.workeroutput[WORKER_ERROR] = told
        self.ladder = None

    def _choose(
        self, items: list[pytest.Item], found: CollectedRungs, ladder: Ladder, added: list[pytest.Item]
    ) -> None:
        """Keep the rungs asked for and what they require, in climbing order, and the other tests."""
        if self._settings.only:
            items[:] = [item for id in dict.fromkeys(self._settings.only) for item in found.items[id]]
        elif dropped := of_other_scales(items, ladder, self._settings.scale, self._settings.scale_asked):
            self._config.hook.pytest_deselected(items=dropped)
            items[:] = [item for item in items if item not in dropped]
        selected = set(items)
        items[:] = climbing_order(items, found, ladder, pull=self._settings.calibrate is None)
        for item in items:
            item.stash[REQUIRED] = item not in selected
        self._count(items, added)
        # The controller collects too where it is to do nothing else.
        worker = getattr(self._config, "workerinput", None)
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
                    "entry": self.crashed(item, "its worker process died"),
                }
                for item in climbed
            }
        )

    def _find(self, items: list[pytest.Item]) -> tuple[CollectedRungs, list[pytest.Item]]:
        """Find the rungs of a collection and those that they name; returns the tests of those that pytest had left out."""
        found = CollectedRungs()
        found.add(items)
        added = self._complete(found, items)
        for id in self._settings.only:
            if id not in found.rungs:
                raise LadderError(
                    f"--ladder-only={id}: there is no such rung; there are {', '.join(found.rungs) or 'none'}"
                )
        numbers = {rung.number for rung in found.rungs.values()}
        check_markers(self._config.option.markexpr, numbers | set(self._settings.rung_files))
        if found.rungs:
            rungs = list(found.rungs.values())
            if self._settings.calibrate is None:
                rungs = [calibration.tightened(rung, self._settings.calibrations) for rung in rungs]
            self.ladder = Ladder(rungs)
        for number in numbers - set(self._settings.rung_files):
            self._config.addinivalue_line("markers", f"rung{number}: rung {number} and what it requires")
        for id, tests in found.items.items():
            for item in tests:
                item.stash[RUNG] = id
                self.folders[id] = Path(os.path.relpath(item.path.parent, self._config.rootpath)).as_posix()
                item.add_marker("rung")
                item.add_marker(found.rungs[id].marker)
        return found, added

    def _complete(self, found: CollectedRungs, items: list[pytest.Item]) -> list[pytest.Item]:
        """Add the rungs that pytest has left out and that are named, nearest first; returns the tests that were added."""

        def missing() -> set[str | int]:
            numbers = {rung.number for rung in found.rungs.values()}
            return (
                found.missing_ids() | (set(self._settings.only) - set(found.rungs)) | (self._settings.numbers - numbers)
            )

        asked = named_by(self._config.option.markexpr)
        numbers = {rung.number for rung in found.rungs.values()}
        if not missing() and asked <= numbers and (numbers or not self._settings.asked):
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
        reporter = self._config.pluginmanager.getplugin("terminalreporter")
        if reporter is not None and "deselected" in reporter.stats:
            running = {*items, *added}
            reporter.stats["deselected"] = [item for item in reporter.stats["deselected"] if item not in running]
