"""The reports of many nights: a series for every rung, and where it stepped or drifts.

``docs/nightly.md`` has the reasons for the test, and how often it errs.
"""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from itertools import takewhile
from pathlib import Path
from typing import Any

import numpy as np
from scipy import stats  # type: ignore[import-untyped]

from ladder.history import ALPHA
from ladder.history.changepoint import Contrast, Sample, steps, strongest
from ladder.history.compare import LISTED, changes, counted, identity, listed
from ladder.history.samples import Condition, conditions, epochs_to_target, in_time, is_comparison, same, statistics
from ladder.history.significance import chance, corrected
from ladder.judge.sequential import Verdict
from ladder.report.reading import ReportError, load
from ladder.report.schema import Document, Entry
from ladder.report.text import count, find, format_number, printable

NIGHT = timedelta(hours=12)  # reports so near to each other are of one night, each of some rungs
EPOCHS, LEARNING = "epochs to target", "seeds that learn"

FAULTS = (Verdict.CRASHED, Verdict.TIMED_OUT)

SMALL = 0.53
"""The least chance of a seed after being worse than one before that is told of: half of a small effect by Vargha and Delaney."""


@dataclass(frozen=True)
class Report:
    """A report of the folder."""

    path: Path
    created: datetime
    commit: str
    root: int
    document: Document


@dataclass(frozen=True)
class RungRecord:
    """A rung in one report. ``values`` has the sample of every quantity that is told of it."""

    report: Report
    entry: Entry
    values: dict[str, Sample]

    @property
    def when(self) -> str:
        """Its date and commit, for a reader."""
        commit = f", commit {self.report.commit}" if self.report.commit else ""
        return f"{self.report.created:%Y-%m-%d}{commit}"


@dataclass(frozen=True)
class Change:
    """A step or a trend of one quantity. ``night`` is the first one after a step, of a trend the last.

    ``before`` and ``after`` are medians over seeds, or shares: of the nights on either side of a step, of the first and the last
    third of a trend. ``chance`` is how often a seed after is larger than one before. A trend has a ``slope``, by Theil and Sen,
    in units a night. ``still`` says whether the last night is on its far side.
    """

    of: str
    kind: str
    worse: bool
    still: bool
    night: int
    before: float
    after: float
    chance: float
    p: float
    slope: float | None = None


@dataclass(frozen=True)
class Series:
    """A rung over the nights, oldest first, and what became of it.

    ``signs`` has every quantity that is told of, and -1 where less of it is worse. ``fault`` is what needs no statistics:
    the rung was measured once and crashes now, or runs out of time. ``gone`` says that the last night did without it.
    """

    id: str
    nights: tuple[RungRecord, ...]
    signs: dict[str, int]
    changes: tuple[Change, ...] = ()
    fault: str = ""
    gone: bool = False

    def levels(self, quantity: str) -> list[float]:
        """Its median over seeds, or the share of seeds that learn, night by night; not a number where it is not told."""
        told = [night.values.get(quantity) for night in self.nights]
        return [math.nan if sample is None else self.level(quantity, sample) for sample in told]

    def level(self, quantity: str, sample: Sequence[float]) -> float:
        """What a reader is told of these seeds."""
        return 1.0 - float(np.mean(sample)) if quantity == LEARNING else self.signs[quantity] * float(np.median(sample))

    @property
    def shown(self) -> str:
        """The quantity that stands for the rung: epochs to target where some seed ever got there."""
        known = [name for name in self.signs if any(math.isfinite(value) for value in self.levels(name))]
        return next(iter(known or self.signs), "")

    @property
    def latest(self) -> str:
        """Its last median in words: ``epochs to target: 3``."""
        return f"{self.shown}: {_number(self.levels(self.shown)[-1])}" if self.shown else ""

    @property
    def worse(self) -> list[str]:
        """What became worse and still is, in words."""
        if self.gone:
            return []
        told = [self.tell(change) for change in self.changes if change.worse and change.still]
        return [*([self.fault] if self.fault else []), *told]

    @property
    def told(self) -> list[str]:
        """Everything that became of it, in words."""
        others = [self.tell(change) for change in self.changes if self.gone or not (change.worse and change.still)]
        gone = [f"not climbed since {self.nights[-1].when}"] if self.gone else []
        return [*self.worse, *others, *gone]

    def tell(self, change: Change) -> str:
        """``step for the worse: epochs to target, median 3 → 5, first seen 2026-11-24, commit 1a2b3c4, p = 0.0004 (Holm)``."""
        way = "worse" if change.worse else "better"
        told = f"{change.kind} for the {way}: {change.of}, {_levels(change)}"
        if change.kind == "step":
            told += f", first seen {self.nights[change.night].when}"
            told += "" if change.still else ", gone since"
        elif change.slope:
            told += f" ({change.slope:+.2g} a night)"
        told += f", p = {change.p:.2g} (Holm)"
        if change.kind == "step":
            known = [i for i in range(change.night) if change.of in self.nights[i].values]
            altered = changes(self.nights[known[-1]].entry, self.nights[change.night].entry) if known else []
            told += "".join(f"; {what}" for what in altered)
        return told

    def as_dict(self) -> dict[str, Any]:
        """All of it as JSON has it; a median of never is null."""
        return {
            "id": self.id,
            "nights": [
                {
                    "file": str(night.report.path),
                    "created": night.report.created.isoformat(),
                    "commit": night.report.commit,
                    "verdict": night.entry["verdict"],
                    "green": night.entry["green"],
                    "seeds": count(night.entry),
                    "levels": {name: _finite(self.levels(name)[i]) for name in night.values},
                }
                for i, night in enumerate(self.nights)
            ],
            "changes": [
                {name: _finite(value) if isinstance(value, float) else value for name, value in vars(change).items()}
                | {"first_seen": self.nights[change.night].when}
                for change in self.changes
            ],
            "fault": self.fault,
            "gone": self.gone,
            "worse": bool(self.worse),
            "told": self.told,
        }


@dataclass(frozen=True)
class History:
    """Every rung of a folder of reports; ``skipped`` are the files there that are none."""

    alpha: float
    reports: tuple[Report, ...]
    series: tuple[Series, ...]
    skipped: tuple[str, ...] = ()

    @property
    def worse(self) -> list[Series]:
        """The rungs that became worse and still are."""
        return [series for series in self.series if series.worse]

    @property
    def headline(self) -> str:
        """The verdict in one line."""
        over = f"{counted(len(self.series))} over {len(self.reports)} report{'' if len(self.reports) == 1 else 's'}"
        if self.worse:
            first, *others = self.worse
            rest = f"; and {listed([series.id for series in others])}" if others else ""
            return f"WORSE: {first.id} {first.worse[0]}{rest}"
        return f"nothing became worse for good in {over}"

    @property
    def notes(self) -> list[str]:
        """What a reader must know besides."""
        found = []
        if len(self.reports) == 1:
            found.append("one report: there is nothing to hold it against")
        if broken := [printable(str(report.path)) for report in self.reports if not report.document["complete"]]:
            found.append(f"broken off: {', '.join(broken)}")
        if self.skipped:
            shown = ", ".join(self.skipped[:LISTED]) + (", ..." if len(self.skipped) > LISTED else "")
            found.append(f"skipped, being no reports: {len(self.skipped)} ({shown})")
        return found

    def as_dict(self) -> dict[str, Any]:
        """All of it as JSON has it."""
        return {
            "headline": self.headline,
            "alpha": self.alpha,
            "reports": [str(report.path) for report in self.reports],
            "skipped": list(self.skipped),
            "worse": [series.id for series in self.worse],
            "rungs": [series.as_dict() for series in self.series],
        }


def read(folder: Path, alpha: float = ALPHA) -> History:
    """What became of every rung over the reports in a folder.

    Raises:
        ReportError: if it is no folder, or there is no report in it.
    """
    reports, skipped = _reports_in(folder)
    return replace(history(reports, alpha), skipped=tuple(skipped))


def last_climbed(folder: Path, tonight: Document) -> Document:
    """The nights before one as a single report: the last of them, and of rungs that it did not climb what the last that did has.

    A night may climb some rungs alone, or have others BLOCKED: what they were before must not be forgotten over it.

    Raises:
        ReportError: if it is no folder, or there is no report in it that is older than tonight's.
    """
    before = [report for report in _reports_in(folder)[0] if report.created < _created(tonight)]
    if not before:
        raise ReportError(f"{folder} has no report that is older than {tonight['created']}")
    last = before[-1].document
    wanted = {entry["id"] for entry in (*tonight["rungs"], *last["rungs"])}
    found: dict[str, Entry] = {}
    for report in before:
        for entry in report.document["rungs"]:
            if entry["id"] in wanted and (entry["verdict"] != Verdict.BLOCKED or entry["id"] not in found):
                found[entry["id"]] = entry
    return last | {"rungs": list(found.values())}


def _reports_in(folder: Path) -> tuple[list[Report], list[str]]:
    """Every report in a folder, by any name, and every night's ``ladder.json`` in the folders in it, oldest first.

    Also the names of the files that are none.

    Raises:
        ReportError: if it is no folder, or there is no report in it.
    """
    if not folder.is_dir():
        raise ReportError(f"{folder} is no folder")
    reports, skipped = [], []
    for path in sorted([*folder.glob("*.json"), *folder.glob("*/ladder.json")]):
        try:
            document = load(path)
            created = _created(document)
        except (OSError, ReportError):
            skipped.append(printable(str(path)))
            continue
        reports.append(Report(path, created, identity(document)["commit"], document["seeds"]["root"], document))
    if not reports:
        raise ReportError(f"{folder} has no report in it{f', only {skipped[0]}' if skipped else ''}")
    return sorted(reports, key=lambda report: report.created), skipped


def _created(document: Document) -> datetime:
    created = datetime.fromisoformat(document["created"])
    return created if created.tzinfo else created.replace(tzinfo=UTC)


def history(reports: Sequence[Report], alpha: float = ALPHA) -> History:
    """The series of every rung in reports from oldest to newest, corrected over all rungs."""
    last = reports[-1].created if reports else None
    latest = [report for report in reports if last is not None and last - report.created <= NIGHT]
    now = {entry["id"] for report in latest for entry in report.document["rungs"]}
    order = [entry["id"] for report in (*latest, *reversed(reports)) for entry in report.document["rungs"]]
    found = [_series(id, reports, gone=id not in now) for id in dict.fromkeys(order)]
    tests = [
        (i, name, first) for i, series in enumerate(found) for name in series.signs if (first := _asked(series, name))
    ]
    holm = corrected([first.p for _, _, first in tests])
    told: dict[int, list[Change]] = {}
    for (i, name, first), p in zip(tests, holm, strict=True):
        if p <= alpha:
            told.setdefault(i, []).extend(_changes(found[i], name, first, p, alpha, len(tests)))
    return History(
        alpha, tuple(reports), tuple(replace(s, changes=tuple(told.get(i, ()))) for i, s in enumerate(found))
    )


def _series(id: str, reports: Sequence[Report], *, gone: bool) -> Series:
    climbed = [(report, entry) for report in reports if (entry := find(report.document, id)) is not None]
    judged = [entry for _, entry in climbed if entry["seeds"]]
    if not judged:
        return Series(id, tuple(RungRecord(report, entry, {}) for report, entry in climbed), {}, gone=gone)
    latest = judged[-1]
    asked = conditions(latest)
    criteria = [condition for condition in asked if not is_comparison(condition)]
    control = latest["role"] == "control"
    headline = None if control and criteria else next(iter(asked), None)
    signs = {EPOCHS: -1 if control else 1} if criteria else {}
    if headline is not None:
        signs[_named(headline)] = -1 if headline["kind"] == "above" or control else 1
    if criteria and not control:
        signs[LEARNING] = -1
    nights = []
    for report, entry in climbed:
        values: dict[str, Sample] = {}
        if entry["seeds"] and entry["role"] == latest["role"]:
            there = [[other for other in conditions(entry) if same(one, other)] for one in criteria]
            epochs = epochs_to_target([other[0] for other in there]) if all(there) else None
            of = [c for c in conditions(entry) if headline is not None and _named(c) == _named(headline)]
            numbers = statistics(entry, of[0]) if of else None
            worse = -1.0 if control else 1.0
            values |= {EPOCHS: tuple(worse * epoch for epoch in epochs)} if epochs else {}
            if epochs and LEARNING in signs:
                values[LEARNING] = tuple(0.0 if met else 1.0 for met in in_time([other[0] for other in there]))
            values |= {_named(of[0]): tuple(worse * number for number in numbers)} if numbers else {}
        nights.append(RungRecord(report, entry, values))
    told = {name: sign for name, sign in signs.items() if any(name in night.values for night in nights)}
    return Series(id, tuple(nights), told, fault="" if gone else _fault(nights), gone=gone)


def _named(condition: Condition) -> str:
    """What a condition looks at, whatever its limit: that may be tightened, and the numbers are still of the same thing."""
    if is_comparison(condition):
        return f"{condition['metric']} against {condition['against']}"
    named = f"{condition['metric']} at epoch {condition['by']}"
    return f"{named} of epoch {condition['since']}'s" if condition["since"] else named


def _fault(nights: Sequence[RungRecord]) -> str:
    """That a rung that was measured once crashes or runs out of time now, and since when."""
    broken = list(takewhile(lambda night: night.entry["verdict"] in FAULTS, reversed(nights)))
    if not broken:
        return ""
    last = broken[0].entry
    return f"{last['verdict']} since {broken[-1].when}: {last['error']}"


def _nights(series: Series, quantity: str) -> list[int]:
    """The nights that tell of it, without those that repeat the one before, on the same seeds and to the same numbers."""
    found: list[int] = []
    for i, night in enumerate(series.nights):
        if quantity in night.values:
            last = series.nights[found[-1]] if found else None
            repeats = last is not None and last.report.root == night.report.root
            if not (repeats and last is not None and last.values[quantity] == night.values[quantity]):
                found.append(i)
    return found


def _samples(series: Series, quantity: str) -> tuple[list[int], list[Sample], list[int]]:
    nights = _nights(series, quantity)
    chosen = [series.nights[i] for i in nights]
    return nights, [night.values[quantity] for night in chosen], [night.report.root for night in chosen]


def _asked(series: Series, quantity: str) -> Contrast | None:
    _, samples, roots = _samples(series, quantity)
    return strongest(samples, roots)


def _changes(series: Series, quantity: str, first: Contrast, p: float, alpha: float, tests: int) -> Iterator[Change]:
    """What became of one quantity; ``p`` is that of its strongest contrast, corrected for the number of ``tests``."""
    nights, samples, roots = _samples(series, quantity)

    def change(kind: str, night: int, before: Sequence[Sample], after: Sequence[Sample], p: float) -> Change | None:
        was, now = ([value for sample in side for value in sample] for side in (before, after))
        larger = chance(was, now)
        if 1.0 - SMALL < larger < SMALL:
            return None
        levels = series.level(quantity, was), series.level(quantity, now)
        return Change(quantity, kind, larger > 0.5, True, night, *levels, larger, p)

    if first.at is None:
        third = max(1, len(samples) // 3)
        if (drift := change("trend", nights[-1], samples[:third], samples[-third:], p)) is not None:
            yield replace(drift, slope=_slope(nights, [series.level(quantity, sample) for sample in samples]))
        return
    found = steps(samples, roots, first, alpha / tests)
    edges = [0, *(step.at or 0 for step in found), len(samples)]
    now = [value for sample in samples[edges[-2] :] for value in sample]
    for step, start, at, end in zip(found, edges, edges[1:], edges[2:], strict=False):
        sure = p if step.at == first.at else min(1.0, step.p * tests)
        if (jump := change("step", nights[at], samples[start:at], samples[at:end], sure)) is not None:
            larger = chance([value for sample in samples[start:at] for value in sample], now)
            yield replace(jump, still=larger >= SMALL if jump.worse else larger <= 1.0 - SMALL)


def _slope(nights: Sequence[int], medians: Sequence[float]) -> float | None:
    """The median of the slopes between any two nights, by Theil and Sen, where two nights have a finite median."""
    finite = [(night, value) for night, value in zip(nights, medians, strict=True) if math.isfinite(value)]
    if len(finite) < 2:
        return None
    return float(stats.theilslopes([value for _, value in finite], [night for night, _ in finite]).slope)


def _levels(change: Change) -> str:
    if change.of == LEARNING:
        return f"{change.before:.0%} → {change.after:.0%}"
    return f"median {_number(change.before)} → {_number(change.after)}"


def _finite(value: float) -> float | None:
    return value if math.isfinite(value) else None


def _number(value: float) -> str:
    return format_number(value) if math.isfinite(value) else "not told" if math.isnan(value) else "never"
