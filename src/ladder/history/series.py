"""The history of many reports: a series for every rung, with its steps and trends.

``docs/nightly.md`` gives the reasons for the test, and its rates of error.
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
from ladder.history.samples import Condition, conditions, epochs_to_target, in_time, is_comparison, same, values_at_by
from ladder.history.significance import chance, corrected
from ladder.judge.sequential import Verdict
from ladder.report.reading import ReportError, load
from ladder.report.schema import Document, Entry
from ladder.report.text import count, find, format_number, printable

NIGHT = timedelta(hours=12)  # reports so near to each other are of one nightly run, each of some rungs
EPOCHS, LEARNING = "epochs to target", "seeds that learn"

FAULTS = (Verdict.CRASHED, Verdict.TIMED_OUT)

SMALL = 0.53
"""The least chance of a seed after being worse than one before that is reported: half a small effect by Vargha and Delaney."""


@dataclass(frozen=True)
class Report:
    """A report in a folder."""

    path: Path
    created: datetime
    commit: str
    root: int
    document: Document


@dataclass(frozen=True)
class RungRecord:
    """A rung in one report; ``values`` has the sample of every quantity that is recorded."""

    report: Report
    entry: Entry
    values: dict[str, Sample]

    @property
    def when(self) -> str:
        """The date and commit of the report, for a reader."""
        commit = f", commit {self.report.commit}" if self.report.commit else ""
        return f"{self.report.created:%Y-%m-%d}{commit}"


@dataclass(frozen=True)
class Change:
    """A step or a trend of one quantity. ``night`` is the index of the first record after a step, or of the last of a trend.

    ``before`` and ``after`` are medians over seeds, or shares: of the records on either side of a step, or in the first and the
    last third of a trend. ``chance`` is the probability that a seed after is larger than one before. A trend has a ``slope``, by
    Theil and Sen, in units per record. ``still`` says whether the last record is on the far side of the step.
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
    """A rung over the reports, oldest first, and its changes.

    ``signs`` has every quantity that is recorded, with -1 if a smaller value is worse, else 1. ``fault`` needs no statistics:
    the rung was measured before and now crashes or times out. ``gone`` says that the last nightly run lacks the rung.
    """

    id: str
    nights: tuple[RungRecord, ...]
    signs: dict[str, int]
    changes: tuple[Change, ...] = ()
    fault: str = ""
    gone: bool = False

    def levels(self, quantity: str) -> list[float]:
        """Return its median over seeds, or the share of seeds that learn, for each record; NaN where it is not recorded."""
        samples = [record.values.get(quantity) for record in self.nights]
        return [math.nan if sample is None else self.level(quantity, sample) for sample in samples]

    def level(self, quantity: str, sample: Sequence[float]) -> float:
        """Return the number that is reported of a sample: its median, or the share of seeds that learn."""
        return 1.0 - float(np.mean(sample)) if quantity == LEARNING else self.signs[quantity] * float(np.median(sample))

    @property
    def shown(self) -> str:
        """The quantity that represents the rung: epochs to target if its median was ever finite."""
        finite = [name for name in self.signs if any(math.isfinite(value) for value in self.levels(name))]
        return next(iter(finite or self.signs), "")

    @property
    def latest(self) -> str:
        """The last median as text: ``epochs to target: 3``."""
        return f"{self.shown}: {_number(self.levels(self.shown)[-1])}" if self.shown else ""

    @property
    def worse(self) -> list[str]:
        """A description of everything that became worse and still is."""
        if self.gone:
            return []
        descriptions = [self.tell(change) for change in self.changes if change.worse and change.still]
        return [*([self.fault] if self.fault else []), *descriptions]

    @property
    def told(self) -> list[str]:
        """A description of every change, those that are still worse first."""
        others = [self.tell(change) for change in self.changes if self.gone or not (change.worse and change.still)]
        gone = [f"not climbed since {self.nights[-1].when}"] if self.gone else []
        return [*self.worse, *others, *gone]

    def tell(self, change: Change) -> str:
        """Return a change as text.

        ``step for the worse: epochs to target, median 3 → 5, first seen 2026-11-24, commit 1a2b3c4, p = 0.0004 (Holm)``.
        """
        way = "worse" if change.worse else "better"
        text = f"{change.kind} for the {way}: {change.of}, {_levels(change)}"
        if change.kind == "step":
            text += f", first seen {self.nights[change.night].when}"
            text += "" if change.still else ", gone since"
        elif change.slope:
            text += f" ({change.slope:+.2g} a night)"
        text += f", p = {change.p:.2g} (Holm)"
        if change.kind == "step":
            earlier = [i for i in range(change.night) if change.of in self.nights[i].values]
            altered = changes(self.nights[earlier[-1]].entry, self.nights[change.night].entry) if earlier else []
            text += "".join(f"; {what}" for what in altered)
        return text

    def as_dict(self) -> dict[str, Any]:
        """Return the series as JSON data; a median of never is null."""
        return {
            "id": self.id,
            "nights": [
                {
                    "file": str(record.report.path),
                    "created": record.report.created.isoformat(),
                    "commit": record.report.commit,
                    "verdict": record.entry["verdict"],
                    "green": record.entry["green"],
                    "seeds": count(record.entry),
                    "levels": {name: _finite(self.levels(name)[i]) for name in record.values},
                }
                for i, record in enumerate(self.nights)
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
    """The series of every rung of a folder of reports; ``skipped`` are the files there that are not reports."""

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
        """The further remarks for a reader."""
        notes = []
        if len(self.reports) == 1:
            notes.append("one report: there is nothing to hold it against")
        if broken := [printable(str(report.path)) for report in self.reports if not report.document["complete"]]:
            notes.append(f"broken off: {', '.join(broken)}")
        if self.skipped:
            names = ", ".join(self.skipped[:LISTED]) + (", ..." if len(self.skipped) > LISTED else "")
            notes.append(f"skipped, being no reports: {len(self.skipped)} ({names})")
        return notes

    def as_dict(self) -> dict[str, Any]:
        """Return the history as JSON data."""
        return {
            "headline": self.headline,
            "alpha": self.alpha,
            "reports": [str(report.path) for report in self.reports],
            "skipped": list(self.skipped),
            "worse": [series.id for series in self.worse],
            "rungs": [series.as_dict() for series in self.series],
        }


def read(folder: Path, alpha: float = ALPHA) -> History:
    """Return the history of every rung over the reports in a folder.

    Raises:
        ReportError: if it is not a folder, or there is no report in it.
    """
    reports, skipped = _reports_in(folder)
    return replace(history(reports, alpha), skipped=tuple(skipped))


def last_climbed(folder: Path, tonight: Document) -> Document:
    """Return the reports before ``tonight`` merged into one: the last, with the rungs that it lacks from the last that has them.

    A nightly run may climb only some rungs, or have others BLOCKED: their earlier results must not be lost.

    Raises:
        ReportError: if it is not a folder, or there is no report in it that is older than ``tonight``.
    """
    before = [report for report in _reports_in(folder)[0] if report.created < _created(tonight)]
    if not before:
        raise ReportError(f"{folder} has no report that is older than {tonight['created']}")
    last = before[-1].document
    ids = {entry["id"] for entry in (*tonight["rungs"], *last["rungs"])}
    entries: dict[str, Entry] = {}
    for report in before:
        for entry in report.document["rungs"]:
            if entry["id"] in ids and (entry["verdict"] != Verdict.BLOCKED or entry["id"] not in entries):
                entries[entry["id"]] = entry
    return last | {"rungs": list(entries.values())}


def _reports_in(folder: Path) -> tuple[list[Report], list[str]]:
    """Return every report in a folder, of any name, and every ``ladder.json`` in the folders in it, oldest first.

    The second list has the names of the files that are not reports.

    Raises:
        ReportError: if it is not a folder, or there is no report in it.
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
    """Return the series of every rung in reports from oldest to newest, with p-values corrected over all rungs."""
    last = reports[-1].created if reports else None
    latest = [report for report in reports if last is not None and last - report.created <= NIGHT]
    now = {entry["id"] for report in latest for entry in report.document["rungs"]}
    order = [entry["id"] for report in (*latest, *reversed(reports)) for entry in report.document["rungs"]]
    all_series = [_series(id, reports, gone=id not in now) for id in dict.fromkeys(order)]
    tests = [
        (i, name, first)
        for i, series in enumerate(all_series)
        for name in series.signs
        if (first := _strongest(series, name))
    ]
    holm = corrected([first.p for _, _, first in tests])
    changes_by_series: dict[int, list[Change]] = {}
    for (i, name, first), p in zip(tests, holm, strict=True):
        if p <= alpha:
            changes_by_series.setdefault(i, []).extend(_changes(all_series[i], name, first, p, alpha, len(tests)))
    return History(
        alpha,
        tuple(reports),
        tuple(replace(s, changes=tuple(changes_by_series.get(i, ()))) for i, s in enumerate(all_series)),
    )


def _series(id: str, reports: Sequence[Report], *, gone: bool) -> Series:
    climbed = [(report, entry) for report in reports if (entry := find(report.document, id)) is not None]
    judged = [entry for _, entry in climbed if entry["seeds"]]
    if not judged:
        return Series(id, tuple(RungRecord(report, entry, {}) for report, entry in climbed), {}, gone=gone)
    latest = judged[-1]
    judged_by = conditions(latest)
    criteria = [condition for condition in judged_by if not is_comparison(condition)]
    control = latest["role"] == "control"
    headline = None if control and criteria else next(iter(judged_by), None)
    signs = {EPOCHS: -1 if control else 1} if criteria else {}
    if headline is not None:
        signs[_quantity(headline)] = -1 if headline["kind"] == "above" or control else 1
    if criteria and not control:
        signs[LEARNING] = -1
    records = []
    for report, entry in climbed:
        values: dict[str, Sample] = {}
        if entry["seeds"] and entry["role"] == latest["role"]:
            matches = [[other for other in conditions(entry) if same(one, other)] for one in criteria]
            epochs = epochs_to_target([other[0] for other in matches]) if all(matches) else None
            matching = [c for c in conditions(entry) if headline is not None and _quantity(c) == _quantity(headline)]
            numbers = values_at_by(entry, matching[0]) if matching else None
            worse = -1.0 if control else 1.0
            values |= {EPOCHS: tuple(worse * epoch for epoch in epochs)} if epochs else {}
            if epochs and LEARNING in signs:
                values[LEARNING] = tuple(0.0 if met else 1.0 for met in in_time([other[0] for other in matches]))
            values |= {_quantity(matching[0]): tuple(worse * number for number in numbers)} if numbers else {}
        records.append(RungRecord(report, entry, values))
    recorded = {name: sign for name, sign in signs.items() if any(name in record.values for record in records)}
    return Series(id, tuple(records), recorded, fault="" if gone else _fault(records), gone=gone)


def _quantity(condition: Condition) -> str:
    """Return the name of what a condition measures, without its limit: the numbers stay comparable if that is tightened."""
    if is_comparison(condition):
        return f"{condition['metric']} against {condition['against']}"
    name = f"{condition['metric']} at epoch {condition['by']}"
    return f"{name} of epoch {condition['since']}'s" if condition["since"] else name


def _fault(records: Sequence[RungRecord]) -> str:
    """Return a message if a rung crashes or times out now, with since when; else empty."""
    broken = list(takewhile(lambda record: record.entry["verdict"] in FAULTS, reversed(records)))
    if not broken:
        return ""
    last = broken[0].entry
    return f"{last['verdict']} since {broken[-1].when}: {last['error']}"


def _indices(series: Series, quantity: str) -> list[int]:
    """Return the indices of the records of a quantity, but not of those that repeat the previous one's seeds and numbers."""
    indices: list[int] = []
    for i, record in enumerate(series.nights):
        if quantity in record.values:
            last = series.nights[indices[-1]] if indices else None
            repeats = last is not None and last.report.root == record.report.root
            if not (repeats and last is not None and last.values[quantity] == record.values[quantity]):
                indices.append(i)
    return indices


def _samples(series: Series, quantity: str) -> tuple[list[int], list[Sample], list[int]]:
    indices = _indices(series, quantity)
    records = [series.nights[i] for i in indices]
    return indices, [record.values[quantity] for record in records], [record.report.root for record in records]


def _strongest(series: Series, quantity: str) -> Contrast | None:
    _, samples, roots = _samples(series, quantity)
    return strongest(samples, roots)


def _changes(series: Series, quantity: str, first: Contrast, p: float, alpha: float, tests: int) -> Iterator[Change]:
    """Yield the changes of one quantity; ``p`` is that of its strongest contrast, corrected for the number of ``tests``."""
    indices, samples, roots = _samples(series, quantity)

    def change(kind: str, index: int, before: Sequence[Sample], after: Sequence[Sample], p: float) -> Change | None:
        was, now = ([value for sample in side for value in sample] for side in (before, after))
        larger = chance(was, now)
        if 1.0 - SMALL < larger < SMALL:
            return None
        levels = series.level(quantity, was), series.level(quantity, now)
        return Change(quantity, kind, larger > 0.5, True, index, *levels, larger, p)

    if first.at is None:
        third = max(1, len(samples) // 3)
        if (drift := change("trend", indices[-1], samples[:third], samples[-third:], p)) is not None:
            yield replace(drift, slope=_slope(indices, [series.level(quantity, sample) for sample in samples]))
        return
    all_steps = steps(samples, roots, first, alpha / tests)
    edges = [0, *(step.at or 0 for step in all_steps), len(samples)]
    now = [value for sample in samples[edges[-2] :] for value in sample]
    for step, start, at, end in zip(all_steps, edges, edges[1:], edges[2:], strict=False):
        corrected_p = p if step.at == first.at else min(1.0, step.p * tests)
        if (jump := change("step", indices[at], samples[start:at], samples[at:end], corrected_p)) is not None:
            larger = chance([value for sample in samples[start:at] for value in sample], now)
            yield replace(jump, still=larger >= SMALL if jump.worse else larger <= 1.0 - SMALL)


def _slope(indices: Sequence[int], medians: Sequence[float]) -> float | None:
    """Return the median of the slopes between any two records, by Theil and Sen; None if fewer than two medians are finite."""
    finite = [(index, value) for index, value in zip(indices, medians, strict=True) if math.isfinite(value)]
    if len(finite) < 2:
        return None
    return float(stats.theilslopes([value for _, value in finite], [index for index, _ in finite]).slope)


def _levels(change: Change) -> str:
    if change.of == LEARNING:
        return f"{change.before:.0%} → {change.after:.0%}"
    return f"median {_number(change.before)} → {_number(change.after)}"


def _finite(value: float) -> float | None:
    return value if math.isfinite(value) else None


def _number(value: float) -> str:
    return format_number(value) if math.isfinite(value) else "not told" if math.isnan(value) else "never"
