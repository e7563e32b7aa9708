"""The comparison of two reports of the same seeds, which a refactoring leaves equal up to rounding, seed by seed."""

from dataclasses import dataclass

import numpy as np

from ladder.declare.arrays import Bool, Float
from ladder.history.reports import Identity, both_entries, identity
from ladder.history.wording import counted, listed
from ladder.report import recorded
from ladder.report.reading import ReportError
from ladder.report.schema import Document, Entry
from ladder.report.text import verdict_label

TOLERANCE = 0.01
"""The largest relative difference of a value that is rounding, amplified by training; ``docs/nightly.md`` has the measurement."""

FLOOR = 1e-6
"""The largest difference that is rounding whatever the value: eight units in the last place of a float32 at 1.

Metrics such as the deviation of a norm from 1 are nothing but rounding.
"""


@dataclass(frozen=True)
class MovedCurve:
    """A metric whose values differ between two reports of the same seeds.

    Attributes:
        metric: The metric.
        largest: The largest relative difference; infinite where only one report has a value.
        seeds: The number of seeds that differ by more than the tolerance at any epoch.
        epoch: The first recorded epoch at which one does.
    """

    metric: str
    largest: float
    seeds: int
    epoch: int


@dataclass(frozen=True)
class RungAgreement:
    """A rung in two reports of the same seeds: its verdict in each, None where it is missing, and the metrics that moved.

    Attributes:
        id: The rung's id.
        before: The verdict in the earlier report.
        after: The verdict in the later report.
        seeds: The number of seeds that both have; 0 if nothing could be compared.
        largest: The largest relative difference among all metrics, above the floor.
        moved: The metrics that moved beyond the tolerance, that of the largest difference first.
        missing: Whether the later report lacks the rung, or a metric that the earlier one has.
        note: A remark: metrics in one report only, or the reason why nothing was compared.
    """

    id: str
    before: str | None
    after: str | None
    seeds: int = 0
    largest: float = 0.0
    moved: tuple[MovedCurve, ...] = ()
    missing: bool = False
    note: str = ""

    @property
    def description(self) -> str:
        """The metric that moved most, by how much, in how many seeds and since which epoch; else the size of the rounding."""
        if not self.moved:
            return self.note or f"the same to {percent(self.largest)} in {self.seeds} seeds"
        first, *others = self.moved
        start = min(self.moved, key=lambda moved: moved.epoch)
        text = (
            f"up to {percent(first.largest)} in {first.metric}, {first.seeds} of {self.seeds} seeds, "
            f"from epoch {start.epoch} ({start.metric})"
        )
        if others:
            text += f"; and {counted(len(others), 'other metric')}"
        return f"{text}; {self.note}" if self.note else text


@dataclass(frozen=True)
class SameSeeds:
    """The comparison of two reports of the same seeds, rung by rung in climbing order."""

    tolerance: float
    before: Identity
    after: Identity
    rows: tuple[RungAgreement, ...]

    @property
    def moved(self) -> list[RungAgreement]:
        """The rungs whose curves moved."""
        return [row for row in self.rows if row.moved]

    @property
    def compared(self) -> list[RungAgreement]:
        """The rungs whose curves are in both reports."""
        return [row for row in self.rows if row.seeds]

    @property
    def missing(self) -> list[RungAgreement]:
        """The rungs that the later report lacks, or of which it lacks a metric."""
        return [row for row in self.rows if row.missing]

    @property
    def verdicts_changed(self) -> list[RungAgreement]:
        """The rungs of both reports whose verdicts differ."""
        return [row for row in self.rows if row.before and row.after and row.before != row.after]

    @property
    def differing(self) -> list[RungAgreement]:
        """The rungs that moved or are missing, or whose verdicts differ."""
        others = [*self.missing, *self.verdicts_changed]
        return [row for row in self.rows if row.moved or row in others]

    @property
    def headline(self) -> str:
        """The result in one line."""
        if self.moved:
            first, *others = self.moved
            parts = [f"MOVED: {first.id} {first.description}"]
            parts += [f"and {listed([row.id for row in others])}"] if others else []
        elif self.compared:
            largest = max(row.largest for row in self.compared)
            parts = [f"the same curves, to {percent(largest)}, in {listed([row.id for row in self.compared])}"]
        else:
            parts = ["NOTHING TO COMPARE: no curves of the same seeds in both reports"]
        not_compared = [row for row in self.rows if row.before and not row.seeds]
        for what, rows in (("other verdicts", self.verdicts_changed), ("not compared", not_compared)):
            parts += [f"{what}: {listed([row.id for row in rows])}"] if rows else []
        return "; ".join(parts)


def compare_seed_by_seed(before: Document, after: Document, tolerance: float = TOLERANCE) -> SameSeeds:
    """Compare every value that two reports of the same seeds record.

    Raises:
        ReportError: if the reports have different seed roots.
    """
    roots = before["seeds"]["root"], after["seeds"]["root"]
    if roots[0] != roots[1]:
        raise ReportError(
            f"the reports have different seeds, of roots {roots[0]} and {roots[1]}: climb again with "
            f"--ladder-seed-root={roots[0]}, or compare them without --same-seeds"
        )
    rows = tuple(_row(id, one, other, tolerance) for id, one, other in both_entries(before, after))
    return SameSeeds(tolerance, identity(before), identity(after), rows)


def differs(
    before: Float[np.ndarray, "..."], after: Float[np.ndarray, "..."], tolerance: float = TOLERANCE
) -> Bool[np.ndarray, "..."]:
    """Return where two arrays differ by more than rounding; two values that are both not finite are equal."""
    return relative_difference(before, after) > tolerance


def relative_difference(before: Float[np.ndarray, "..."], after: Float[np.ndarray, "..."]) -> Float[np.ndarray, "..."]:
    """Return the differences relative to the larger value, zero for those of at most ``FLOOR``, infinite for a lost value."""
    finite = np.isfinite(before), np.isfinite(after)
    one, other = (np.where(finite[0] & finite[1], values, 0.0) for values in (before, after))
    size = np.abs(other - one)
    relative = np.where(size > FLOOR, size / np.maximum(np.maximum(np.abs(one), np.abs(other)), FLOOR), 0.0)
    return np.where(finite[0] == finite[1], relative, np.inf)


def percent(share: float) -> str:
    """Return a relative difference as text: ``12 %``, ``0.034 %``."""
    return f"{100.0 * share:.2g} %" if np.isfinite(share) else "a value that is not finite"


def _row(id: str, before: Entry | None, after: Entry | None, tolerance: float) -> RungAgreement:
    was, now = (None if entry is None else verdict_label(entry) for entry in (before, after))
    if before is None or after is None:
        note = f"not in the {'later' if after is None else 'earlier'} report"
        return RungAgreement(id, was, now, missing=after is None, note=note)
    curves = recorded.curves(before), recorded.curves(after)
    moved, sizes, seeds, alone = [], [0.0], 0, sorted(curves[0].keys() ^ curves[1].keys())
    for metric in [metric for metric in curves[0] if metric in curves[1]]:
        one, other = curves[0][metric], curves[1][metric]
        epochs = [epoch for epoch in one.epochs if epoch in other.epochs]
        both = min(len(one.values), len(other.values))
        if not epochs:
            alone.append(metric)
            continue
        off = np.stack([relative_difference(one.at(epoch)[:both], other.at(epoch)[:both]) for epoch in epochs], axis=1)
        seeds = max(seeds, both)
        sizes.append(float(off.max()))
        if (beyond := off > tolerance).any():
            moved.append(
                MovedCurve(metric, sizes[-1], int(beyond.any(axis=1).sum()), epochs[beyond.any(axis=0).argmax()])
            )
    note = (
        f"in one report only: {', '.join(alone)}" if alone and seeds else "" if seeds else "no curves in both reports"
    )
    moved.sort(key=lambda each: -each.largest)
    missing = not curves[0].keys() <= curves[1].keys()
    return RungAgreement(id, was, now, seeds, max(sizes), tuple(moved), missing, note)
