"""The selection: the rungs among the collected tests, and those that run, which are the selected ones and all they require."""

from __future__ import annotations

import os
import re
import shlex
from collections.abc import Collection, Generator, Iterable, Mapping, Sequence
from pathlib import Path

import pytest

from ladder.climb import Outcome
from ladder.declare.ladder import Ladder, LadderError
from ladder.declare.rung import Rung
from ladder.declare.verdict import Verdict
from ladder.judge import calibration
from ladder.naming import as_utf8
from ladder.plugin.recollect import Recollection
from ladder.plugin.search import is_named
from ladder.plugin.settings import FULL, Settings
from ladder.plugin.stash import REQUIRED, RUNG, WORKER_ERROR
from ladder.plugin.workers import Handover, groups
from ladder.report.document import RunRecord, entry
from ladder.report.schema import Entry
from ladder.report.text import printable

MARKER = re.compile(r"\brung[0-9]+\b")


def rung_of(item: pytest.Item) -> Rung | None:
    """Return the rung that a test climbs, the value of one of its parameters; None if it climbs none."""
    callspec = getattr(item, "callspec", None)
    if callspec is None:
        return None
    return next((value for value in callspec.params.values() if isinstance(value, Rung)), None)


class CollectedRungs:
    """The rungs of a collection, each with the tests that climb it; there are several if a test is repeated."""

    def __init__(self, ladders: Mapping[Path, str]) -> None:
        """Start without rungs; ``ladders`` are the folders of named ladders."""
        self._ladders = ladders
        self.rungs: dict[str, Rung] = {}
        self.items: dict[str, list[pytest.Item]] = {}

    def add(self, items: Iterable[pytest.Item], only: Collection[str | int] | None = None) -> list[pytest.Item]:
        """Add the tests of rungs that are not there yet, and return the added tests.

        Args:
            items: Tests, of rungs and others.
            only: The ids and numbers of the rungs to add; None for all.

        Raises:
            LadderError: for two rungs with the same id.
        """
        earlier, added = set(self.rungs), []
        for item in items:
            rung = self._named(item)
            if rung is None or rung.id in earlier or (only is not None and not {rung.id, rung.number} & set(only)):
                continue
            if self.rungs.setdefault(rung.id, rung) is not rung:
                raise LadderError(
                    f"{rung.id} is declared twice, by {self.items[rung.id][0].nodeid} and {item.nodeid}; "
                    "give one of them another number or variant, or list their folders in ladder_folders if these are two ladders"
                )
            self.items.setdefault(rung.id, []).append(item)
            added.append(item)
        return added

    def _named(self, item: pytest.Item) -> Rung | None:
        """Return the rung of a test, on the ladder of its folder, also for the test itself."""
        rung = rung_of(item)
        folder = next((each for each in item.path.parents if each in self._ladders), None)
        if rung is None or rung.ladder or folder is None:
            return rung
        named = rung.on_ladder(self._ladders[folder])
        params = item.callspec.params  # type: ignore[attr-defined]  # a test that climbs a rung has parameters
        params |= {name: named for name, value in params.items() if value is rung}
        return named

    def with_id(self, id: str) -> list[str]:
        """Return the id if it is that of a rung, or else the ids with it on ladders with a name."""
        return [id] if id in self.rungs else [each for each in self.rungs if each.partition("/")[2] == id]

    def missing_ids(self) -> set[str]:
        """Return the ids that the rungs name and that were not collected."""
        return {id for rung in self.rungs.values() for id in rung.named} - set(self.rungs)


def rung_numbers(expression: str) -> set[int]:
    """Return the numbers of the rungs that an ``-m`` expression names."""
    return {int(name.removeprefix("rung")) for name in MARKER.findall(expression)}


def check_markers(expression: str, numbers: Iterable[int]) -> None:
    """Raise an error for an ``-m`` expression with an unknown rung.

    Raises:
        LadderError: with the unknown rung and the known ones.
    """
    markers = [f"rung{number}" for number in sorted(set(numbers))]
    for name in MARKER.findall(expression):
        if name not in markers:
            raise LadderError(f"-m {expression!r}: unknown {name}; known rungs: {', '.join(markers) or 'none'}")


def of_other_scales(items: Sequence[pytest.Item], ladder: Ladder, scale: str, is_given: bool) -> list[pytest.Item]:
    """Return the tests of rungs whose scale differs from the one that is climbed.

    If all selected rungs have another scale than the default, that scale is climbed, unless the user has given one.

    Args:
        items: The selected tests.
        ladder: All rungs.
        scale: The scale given, or the default.
        is_given: Whether the user has given the scale.

    Raises:
        LadderError: for a scale that no rung has, selected rungs of several other scales, or a rung of another scale that is
            named by its node id.
    """
    scales = sorted({each or FULL for scales in ladder.scales.values() for each in scales})
    if scales and (scale or FULL) not in (FULL, *scales):
        setting = "--ladder-scale=" if is_given else "ini ladder_scale = "
        raise LadderError(f"{setting}{scale}: unknown scale; known scales: {', '.join(scales)}")
    scaled = {item: rung for item in items if (rung := rung_of(item)) and rung.place in ladder.scales}
    selected = {rung.scale for rung in scaled.values()}
    if not is_given and selected and scale not in selected:
        scale, *others = sorted(selected)
        if others:
            names = ", ".join(each or FULL for each in (scale, *others))
            raise LadderError(f"the selected rungs have several scales, {names}; choose one with --ladder-scale")
    dropped = [item for item, rung in scaled.items() if rung.scale != scale]
    if named := [item.name for item in dropped if is_named(item, itself=True)]:
        raise LadderError(
            f"{', '.join(named)}: this scale differs from that of the other rungs; climb each scale in a run of its own"
        )
    return dropped


def climbing_order(
    items: Sequence[pytest.Item], collected: CollectedRungs, ladder: Ladder, with_required: bool
) -> list[pytest.Item]:
    """Return the items with the rungs together, in climbing order, and if ``with_required`` is set with those they require."""
    chosen: dict[str, list[pytest.Item]] = {}
    for item in items:
        if rung := rung_of(item):
            chosen.setdefault(rung.id, []).append(item)
    if not chosen:
        return list(items)
    ids = ladder.with_required(list(chosen)) if with_required else [id for id in ladder if id in chosen]
    first = next(i for i, item in enumerate(items) if rung_of(item))
    others = [item for item in items[first:] if not rung_of(item)]
    climbed = [item for id in ids for item in chosen.get(id, collected.items[id][:1])]
    return [*items[:first], *climbed, *others]


def check_sources(rungs: Iterable[Rung]) -> None:
    """Check that every number of every rung has a source, as ``ladder_strict`` requires.

    Raises:
        LadderError: with the first rung that lacks one, and what lacks it.
    """
    for rung in rungs:
        if missing := rung.without_source:
            raise LadderError(
                f"{rung.id}: no source for {'; '.join(missing)}; give each its source=, or set ladder_strict = false"
            )


class Selection:
    """The rungs of a run, and which of them are climbed.

    Attributes:
        ladder: All rungs, with their measured limits; None if there are none or the selection is invalid.
        folders: Rung to the folder of its test, relative to pytest's root.
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
        """Mark the rungs before other plugins select, and afterwards add the rungs that the selected ones require."""
        added: list[pytest.Item] = []
        try:
            collected, added = self._find(items)
        except ValueError as error:
            # pytest reports the files that failed, which explain a missing rung.
            if session.testsfailed and self._stops_at_failed_files:
                yield
                return
            self._report_failed_collection(session)
            self._refuse(error, items)
        items += added  # for other plugins, which may mark them too
        if self.ladder is not None:
            # Sorted before other plugins select too: --sw assumes that all tests before a failure have passed.
            items[:] = climbing_order(items, collected, self.ladder, with_required=False)
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
        """Return whether pytest ends this run if a file cannot be collected; a worker of xdist goes on."""
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
        file = Path(as_utf8(name)).as_posix()
        return RunRecord(
            location={"id": item.nodeid, "file": file, "line": (line or 0) + 1},
            repeat=shlex.join(["pytest", file, f"--ladder-only={rung.id}", *self._settings.same_seeds]),
        )

    def _report_failed_collection(self, session: pytest.Session) -> None:
        """Report the files that could not be collected here, because a missing rung may be in them."""
        for report in self._recollection.failed:
            session.ihook.pytest_collectreport(report=report)

    def _refuse(self, error: ValueError, items: list[pytest.Item]) -> None:
        """End the run with a usage error; a worker cannot, so it runs no tests and sends the message to the controller."""
        items.clear()  # pytest would run the items even if the collection ends in an error
        message = printable(f"ladder: {error}")
        if self._config.inipath is None and ": unknown " in message:
            message += f"; searched below {self._config.rootpath}, pytest's root; choose another with --rootdir=DIR"
        if not hasattr(self._config, "workeroutput"):
            raise pytest.UsageError(message) from error
        self._config.workeroutput[WORKER_ERROR] = message
        self.ladder = None

    def _choose(
        self, items: list[pytest.Item], collected: CollectedRungs, ladder: Ladder, added: list[pytest.Item]
    ) -> None:
        """Keep the selected rungs and those they require, in climbing order, and the other tests."""
        if self._settings.only:
            only = dict.fromkeys(id for given in self._settings.only for id in collected.with_id(given))
            items[:] = [item for id in only for item in collected.items[id]]
        elif dropped := of_other_scales(items, ladder, self._settings.scale, self._settings.scale_given):
            self._config.hook.pytest_deselected(items=dropped)
            items[:] = [item for item in items if item not in dropped]
        selected = set(items)
        items[:] = climbing_order(items, collected, ladder, with_required=self._settings.calibrate is None)
        for item in items:
            item.stash[REQUIRED] = item not in selected
        self._count(items, added)
        # With --dist each the controller collects too, but only workers announce rungs.
        worker = getattr(self._config, "workerinput", None)
        if self._handover is not None and worker and any(RUNG in item.stash for item in items):
            if worker["ladder_dist"] == "each":
                raise LadderError("--dist each climbs every rung on every worker; choose another, such as --dist load")
            self._announce(items, ladder, self._handover)
            # xdist requires the same tests in the same order from every worker; rungs from a set differ in their order.
            place = {id: index for index, id in enumerate(self._handover.plan)}
            first = next(index for index, item in enumerate(items) if RUNG in item.stash)
            rungs = sorted((item for item in items if RUNG in item.stash), key=lambda item: place.get(item.nodeid, -1))
            items[first : first + len(rungs)] = rungs

    def _announce(self, items: list[pytest.Item], ladder: Ladder, handover: Handover) -> None:
        """Announce to the other processes the rungs, their groups, and the entry to report if a worker dies."""
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
        """Return the rungs of a collection and those that they name, and the tests that pytest had not collected."""
        collected = CollectedRungs(self._settings.ladders)
        collected.add(items)
        added = self._complete(collected, items)
        for id in self._settings.only:
            if not (found := collected.with_id(id)):
                raise LadderError(
                    f"--ladder-only={id}: unknown rung; known rungs: {', '.join(collected.rungs) or 'none'}"
                )
            if len(found) > 1:
                raise LadderError(f"--ladder-only={id}: several ladders have it; give one of {', '.join(found)}")
        numbers = {rung.number for rung in collected.rungs.values()}
        check_markers(self._config.option.markexpr, numbers | set(self._settings.rung_files))
        if collected.rungs:
            rungs = list(collected.rungs.values())
            if self._settings.calibrate is None:
                rungs = [calibration.tightened(rung, self._settings.calibrations) for rung in rungs]
            if self._settings.strict:
                check_sources(rungs)
            self.ladder = Ladder(rungs)
        for number in numbers - set(self._settings.rung_files):
            self._config.addinivalue_line("markers", f"rung{number}: rung {number} and the rungs it requires")
        for id, tests in collected.items.items():
            for item in tests:
                item.stash[RUNG] = id
                self.folders[id] = Path(os.path.relpath(item.path.parent, self._config.rootpath)).as_posix()
                item.add_marker("rung")
                item.add_marker(collected.rungs[id].marker)
        return collected, added

    def _complete(self, collected: CollectedRungs, items: list[pytest.Item]) -> list[pytest.Item]:
        """Add the rungs that are named and that pytest has not collected, the nearest first; return the added tests."""

        def missing() -> set[str | int]:
            numbers = {rung.number for rung in collected.rungs.values()}
            ids = collected.missing_ids() | {id for id in self._settings.only if not collected.with_id(id)}
            return ids | (self._settings.numbers - numbers)

        selected = rung_numbers(self._config.option.markexpr)
        numbers = {rung.number for rung in collected.rungs.values()}
        if not missing() and selected <= numbers and (numbers or not self._settings.selects_rungs):
            return []
        skipped = self._recollection.in_skipped_files()
        items += skipped  # rungs that the search has missed, or other tests, which are deselected
        collected.add(skipped)
        if not missing():
            return []
        of_rungs = [item for tests in collected.items.values() for item in tests]
        # All rungs beside a rung belong to its ladder; from other folders only those are added that are named.
        added = collected.add(self._recollection.beside(of_rungs))
        circles = self._recollection.further_away(of_rungs)
        while missing() and (circle := next(circles, None)) is not None:
            while more := collected.add(circle, missing()):
                added += more
        return added

    def _count(self, items: list[pytest.Item], added: list[pytest.Item]) -> None:
        """Correct pytest's count of deselected tests: without tests that run after all, and those that it did not collect."""
        reporter = self._config.pluginmanager.getplugin("terminalreporter")
        if reporter is not None and "deselected" in reporter.stats:
            running = {*items, *added}
            reporter.stats["deselected"] = [item for item in reporter.stats["deselected"] if item not in running]
