"""The series of a rung: the numbers of its seeds in many reports, as samples that can be compared."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import takewhile

import numpy as np

from ladder.declare.verdict import Verdict
from ladder.history.changepoint import Sample
from ladder.history.reports import Report
from ladder.history.samples import conditions, epochs_to_target, in_time, measured_by, same, values_at_by
from ladder.report.schema import Condition, Criterion, Entry
from ladder.report.text import find

EPOCHS, LEARNING = "epochs to target", "seeds that learn"
"""The quantities that every rung with a criterion has; a third is what its first condition limits."""

FAULTS = (Verdict.CRASHED, Verdict.TIMED_OUT)


@dataclass(frozen=True)
class RungRecord:
    """A rung in one report; ``values`` has the sample of every quantity that is recorded."""

    report: Report
    entry: Entry
    values: dict[str, Sample]


@dataclass(frozen=True)
class Change:
    """A step or a trend of one quantity.

    Attributes:
        quantity: The quantity that changed.
        kind: ``step`` or ``trend``.
        worse: Whether it is a change for the worse.
        persists: Whether the last record is on the far side of the step.
        index: The index of the first record after a step, or of the last of a trend.
        before: The median over seeds, or the share, of the records before a step, or in the first third of a trend.
        after: The same of the records after a step, up to the next one, or in the last third of a trend.
        chance: The probability that a seed after has a larger value than one before.
        p: The p-value, corrected for the number of tests.
        slope: The slope of a trend by Theil and Sen, in units per report.
    """

    quantity: str
    kind: str
    worse: bool
    persists: bool
    index: int
    before: float
    after: float
    chance: float
    p: float
    slope: float | None = None


@dataclass(frozen=True)
class Series:
    """A rung over the reports, oldest first, and its changes.

    ``signs`` has every quantity that is recorded, with -1 if a smaller value is worse, else 1. ``fault`` needs no statistics:
    the rung was measured before and now crashes or times out. ``missing`` says that the last nightly run lacks the rung.
    """

    id: str
    records: tuple[RungRecord, ...]
    signs: dict[str, int]
    changes: tuple[Change, ...] = ()
    fault: str = ""
    missing: bool = False

    def levels(self, quantity: str) -> list[float]:
        """Return its median over seeds, or the share of seeds that learn, for each record; NaN where it is not recorded."""
        samples = [record.values.get(quantity) for record in self.records]
        return [math.nan if sample is None else self.level(quantity, sample) for sample in samples]

    def level(self, quantity: str, sample: Sequence[float]) -> float:
        """Return the number that is reported of a sample: its median, or the share of seeds that learn."""
        return 1.0 - float(np.mean(sample)) if quantity == LEARNING else self.signs[quantity] * float(np.median(sample))

    @property
    def main_quantity(self) -> str:
        """The quantity that represents the rung: epochs to target if its median was ever finite; empty if none is recorded."""
        finite = [name for name in self.signs if any(math.isfinite(value) for value in self.levels(name))]
        return next(iter(finite or self.signs), "")

    @property
    def regressions(self) -> list[Change]:
        """The changes for the worse that persist; none of a rung that the last nightly run lacks."""
        return [change for change in self.changes if change.worse and change.persists and not self.missing]

    @property
    def worse(self) -> bool:
        """Return whether the rung became worse and still is."""
        return bool(self.fault or self.regressions)


def series_of_rung(id: str, reports: Sequence[Report], *, missing: bool) -> Series:
    """Return the series of a rung, without changes.

    The quantities are those of its last report with seeds. Of an earlier report, the epochs count only if it has the same
    criteria, and the values only if they measure the same.

    Args:
        id: The rung's id.
        reports: The reports, oldest first.
        missing: Whether the last nightly run lacks the rung.
    """
    climbed = [(report, entry) for report in reports if (entry := find(report.document, id)) is not None]
    judged = [entry for _, entry in climbed if entry["seeds"]]
    if not judged:
        return Series(id, tuple(RungRecord(report, entry, {}) for report, entry in climbed), {}, missing=missing)
    latest = judged[-1]
    criteria = _criteria(latest)
    control = latest["role"] == "control"
    main = None if control and criteria else next(iter(conditions(latest)), None)
    signs = {EPOCHS: -1 if control else 1} if criteria else {}
    if main is not None:
        signs[measured_by(main)] = -1 if main["kind"] == "above" or control else 1
    if criteria and not control:
        signs[LEARNING] = -1
    records = []
    for report, entry in climbed:
        comparable = entry["seeds"] and entry["role"] == latest["role"]
        values = _values(entry, criteria, main, control=control) if comparable else {}
        records.append(RungRecord(report, entry, values))
    recorded = {name: sign for name, sign in signs.items() if any(name in record.values for record in records)}
    return Series(id, tuple(records), recorded, fault="" if missing else _fault(records), missing=missing)


def _criteria(entry: Entry) -> list[Criterion]:
    return [condition for condition in conditions(entry) if condition["kind"] != "comparison"]


def _values(entry: Entry, criteria: Sequence[Criterion], main: Condition | None, *, control: bool) -> dict[str, Sample]:
    """Return the samples of an entry, larger if worse: of a control, which must fail, the numbers change their sign."""
    sign = -1.0 if control else 1.0
    values: dict[str, Sample] = {}
    equal = [[other for other in _criteria(entry) if same(one, other)] for one in criteria]
    matching = [others[0] for others in equal] if all(equal) else []
    if epochs := epochs_to_target(matching):
        values[EPOCHS] = tuple(sign * epoch for epoch in epochs)
        if not control:
            values[LEARNING] = tuple(0.0 if met else 1.0 for met in in_time(matching))
    measured = [each for each in conditions(entry) if main is not None and measured_by(each) == measured_by(main)]
    if measured and (numbers := values_at_by(entry, measured[0])):
        values[measured_by(measured[0])] = tuple(sign * number for number in numbers)
    return values


def _fault(records: Sequence[RungRecord]) -> str:
    """Return a message if a rung crashes or times out now, with since when; else empty."""
    broken = list(takewhile(lambda record: record.entry["verdict"] in FAULTS, reversed(records)))
    if not broken:
        return ""
    last = broken[0].entry
    return f"{last['verdict']} since {broken[-1].report.label}: {last['error']}"
