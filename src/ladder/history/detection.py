"""The detection of changes: the steps and trends of many series, with p-values corrected over all of them.

``docs/nightly.md`` gives the reasons for the test, and its rates of error.
"""

import math
from collections.abc import Iterator, Sequence
from dataclasses import replace

import scipy  # type: ignore[import-untyped]

from ladder.history.changepoint import Contrast, Sample, steps, strongest
from ladder.history.series import Change, Series
from ladder.history.significance import chance, corrected

SMALL = 0.53
"""The least chance of a seed after being worse than one before that is reported: half a small effect by Vargha and Delaney."""


def with_changes(all_series: Sequence[Series], alpha: float) -> list[Series]:
    """Return the series with their changes; the chance that any is reported although nothing changed is at most alpha."""
    tests = [
        (i, quantity, first)
        for i, series in enumerate(all_series)
        for quantity in series.signs
        if (first := strongest(*_samples(series, quantity)[1:]))
    ]
    holm = corrected([first.p for _, _, first in tests])
    changes: list[list[Change]] = [[] for _ in all_series]
    for (i, quantity, first), p in zip(tests, holm, strict=True):
        if p <= alpha:
            changes[i] += _changes(all_series[i], quantity, first, p, alpha, len(tests))
    return [replace(series, changes=tuple(found)) for series, found in zip(all_series, changes, strict=True)]


def _samples(series: Series, quantity: str) -> tuple[list[int], list[Sample], list[int]]:
    """Return the indices, samples and seed roots of the records of a quantity.

    A record that repeats the previous one's seeds and numbers is left out.
    """
    indices: list[int] = []
    for i, record in enumerate(series.records):
        if quantity in record.values:
            last = series.records[indices[-1]] if indices else None
            repeats = last is not None and last.report.root == record.report.root
            if last is None or not (repeats and last.values[quantity] == record.values[quantity]):
                indices.append(i)
    records = [series.records[i] for i in indices]
    return indices, [record.values[quantity] for record in records], [record.report.root for record in records]


def _changes(series: Series, quantity: str, first: Contrast, p: float, alpha: float, tests: int) -> Iterator[Change]:
    """Yield the changes of one quantity that are large enough.

    Args:
        series: The series.
        quantity: The quantity.
        first: Its strongest contrast, which is significant.
        p: The p-value of that contrast, corrected for the number of tests.
        alpha: The largest corrected p-value of a change.
        tests: The number of tests.
    """
    indices, samples, roots = _samples(series, quantity)

    def change(kind: str, index: int, before: Sequence[Sample], after: Sequence[Sample], p: float) -> Change | None:
        was, now = _pooled(before), _pooled(after)
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
    now = _pooled(samples[edges[-2] :])
    for step, start, at, end in zip(all_steps, edges, edges[1:], edges[2:], strict=False):
        corrected_p = p if step.at == first.at else min(1.0, step.p * tests)
        if (jump := change("step", indices[at], samples[start:at], samples[at:end], corrected_p)) is not None:
            larger = chance(_pooled(samples[start:at]), now)
            yield replace(jump, persists=larger >= SMALL if jump.worse else larger <= 1.0 - SMALL)


def _pooled(samples: Sequence[Sample]) -> list[float]:
    return [value for sample in samples for value in sample]


def _slope(indices: Sequence[int], medians: Sequence[float]) -> float | None:
    """Return the median of the slopes between any two records, by Theil and Sen; None if fewer than two medians are finite."""
    finite = [(index, value) for index, value in zip(indices, medians, strict=True) if math.isfinite(value)]
    if len(finite) < 2:
        return None
    return float(scipy.stats.theilslopes([value for _, value in finite], [index for index, _ in finite]).slope)
