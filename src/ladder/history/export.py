"""The JSON data of comparisons and histories, for scripts. A number that is not finite, such as a median of never, is null."""

import math
from typing import Any

from ladder.history import description
from ladder.history.agreement import RungAgreement, SameSeeds
from ladder.history.compare import ReportComparison, RungComparison
from ladder.history.history import History
from ladder.history.seedtests import CHANGED, SeedTest
from ladder.history.series import Change, RungRecord, Series
from ladder.report.text import count


def comparison_as_dict(comparison: ReportComparison) -> dict[str, Any]:
    """Return the comparison of two reports as JSON data."""
    return {
        "headline": comparison.headline,
        "alpha": comparison.alpha,
        "before": comparison.before,
        "after": comparison.after,
        "regressions": [row.id for row in comparison.regressions],
        "changed": [row.id for row in comparison.rows if row.tests_with(CHANGED)],
        "differing": [row.id for row in comparison.differing],
        "compared": len(comparison.compared),
        "rungs": [_row(row) for row in comparison.rows],
    }


def _row(row: RungComparison) -> dict[str, Any]:
    return {
        "id": row.id,
        "before": row.before,
        "after": row.after,
        "measured": row.measured,
        "tests": [_test(test) for test in row.tests],
        "fault": row.fault,
        "same": row.same_conditions,
        "notes": row.notes,
        "untold": row.untested,
        "worse": bool(row.regressions),
        "told": row.descriptions,
    }


def _test(test: SeedTest) -> dict[str, Any]:
    return {
        "of": test.quantity,
        "before": _finite(test.before),
        "after": _finite(test.after),
        "seeds": test.seeds,
        "p": test.p,
        "claims": test.claims,
        "chance": test.chance,
        "corrected": test.corrected,
        "found": test.result,
    }


def same_seeds_as_dict(comparison: SameSeeds) -> dict[str, Any]:
    """Return the comparison of two reports of the same seeds as JSON data; a value that only one has differs by null."""
    return {
        "headline": comparison.headline,
        "tolerance": comparison.tolerance,
        "before": comparison.before,
        "after": comparison.after,
        "moved": [row.id for row in comparison.moved],
        "missing": [row.id for row in comparison.missing],
        "differing": [row.id for row in comparison.differing],
        "compared": len(comparison.compared),
        "rungs": [_agreement(row) for row in comparison.rows],
    }


def _agreement(row: RungAgreement) -> dict[str, Any]:
    return {
        "id": row.id,
        "before": row.before,
        "after": row.after,
        "seeds": row.seeds,
        "largest": _finite(row.largest),
        "moved": [
            {
                "metric": moved.metric,
                "largest": _finite(moved.largest),
                "seeds": moved.seeds,
                "epoch": moved.epoch,
            }
            for moved in row.moved
        ],
        "told": row.description,
    }


def history_as_dict(history: History) -> dict[str, Any]:
    """Return a history as JSON data."""
    return {
        "headline": description.headline(history),
        "alpha": history.alpha,
        "reports": [str(report.path) for report in history.reports],
        "skipped": list(history.skipped),
        "worse": [series.id for series in history.worse],
        "rungs": [_series(series) for series in history.series],
    }


def _series(series: Series) -> dict[str, Any]:
    levels = {name: series.levels(name) for name in series.signs}
    return {
        "id": series.id,
        "nights": [
            _record(record, {name: levels[name][i] for name in record.values})
            for i, record in enumerate(series.records)
        ],
        "changes": [_change(change, series) for change in series.changes],
        "fault": series.fault,
        "gone": series.missing,
        "worse": series.worse,
        "told": description.descriptions(series),
    }


def _record(record: RungRecord, levels: dict[str, float]) -> dict[str, Any]:
    return {
        "file": str(record.report.path),
        "created": record.report.created.isoformat(),
        "commit": record.report.commit,
        "verdict": record.entry["verdict"],
        "green": record.entry["green"],
        "seeds": count(record.entry),
        "levels": {name: _finite(level) for name, level in levels.items()},
    }


def _change(change: Change, series: Series) -> dict[str, Any]:
    return {
        "of": change.quantity,
        "kind": change.kind,
        "worse": change.worse,
        "still": change.persists,
        "night": change.index,
        "before": _finite(change.before),
        "after": _finite(change.after),
        "chance": _finite(change.chance),
        "p": _finite(change.p),
        "slope": None if change.slope is None else _finite(change.slope),
        "first_seen": series.records[change.index].report.label,
    }


def _finite(value: float) -> float | None:
    return value if math.isfinite(value) else None
