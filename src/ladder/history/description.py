"""The words of a history: its headline, the description of every change, and notes."""

import math

from ladder.history.compare import experiment_changes
from ladder.history.history import History
from ladder.history.series import LEARNING, Change, Series
from ladder.history.wording import LISTED, counted, listed
from ladder.report.text import format_number, printable


def headline(history: History) -> str:
    """Return the result in one line."""
    over = (
        f"{counted(len(history.series))} over {len(history.reports)} report{'' if len(history.reports) == 1 else 's'}"
    )
    if history.worse:
        first, *others = history.worse
        rest = f"; and {listed([series.id for series in others])}" if others else ""
        return f"WORSE: {first.id} {regressions(first)[0]}{rest}"
    return f"nothing became worse for good in {over}"


def notes(history: History) -> list[str]:
    """Return further remarks for a reader."""
    lines = []
    if len(history.reports) == 1:
        lines.append("one report: there is nothing to compare it with")
    if broken := [printable(str(report.path)) for report in history.reports if not report.document["complete"]]:
        lines.append(f"broken off: {', '.join(broken)}")
    if history.skipped:
        names = ", ".join(history.skipped[:LISTED]) + (", ..." if len(history.skipped) > LISTED else "")
        lines.append(f"skipped, not reports: {len(history.skipped)} ({names})")
    return lines


def regressions(series: Series) -> list[str]:
    """Return a description of everything that became worse and still is."""
    return [*([series.fault] if series.fault else []), *(describe(change, series) for change in series.regressions)]


def descriptions(series: Series) -> list[str]:
    """Return a description of every change, those that are still worse first."""
    others = [describe(change, series) for change in series.changes if change not in series.regressions]
    missing = [f"not climbed since {series.records[-1].report.label}"] if series.missing else []
    return [*regressions(series), *others, *missing]


def describe(change: Change, series: Series) -> str:
    """Return a change as text.

    ``step for the worse: epochs to target, median 3 → 5, first seen 2026-11-24, commit 1a2b3c4, p = 0.0004 (Holm)``.
    """
    text = f"{change.kind} for the {direction(change)}: {change.quantity}, {_levels(change)}"
    if change.kind == "step":
        text += f", first seen {series.records[change.index].report.label}"
        text += "" if change.persists else ", gone since"
    elif change.slope:
        text += f" ({change.slope:+.2g} per report)"
    text += f", p = {change.p:.2g} (Holm)"
    if change.kind == "step":
        earlier = [record.entry for record in series.records[: change.index] if change.quantity in record.values]
        altered = experiment_changes(earlier[-1], series.records[change.index].entry) if earlier else []
        text += "".join(f"; {what}" for what in altered)
    return text


def direction(change: Change) -> str:
    """Return ``worse`` or ``better``."""
    return "worse" if change.worse else "better"


def latest(series: Series) -> str:
    """Return the last median as text: ``epochs to target: 3``; empty if nothing is recorded."""
    name = series.main_quantity
    return f"{name}: {_number(series.levels(name)[-1])}" if name else ""


def _levels(change: Change) -> str:
    if change.quantity == LEARNING:
        return f"{change.before:.0%} → {change.after:.0%}"
    return f"median {_number(change.before)} → {_number(change.after)}"


def _number(value: float) -> str:
    return format_number(value) if math.isfinite(value) else "not recorded" if math.isnan(value) else "never"
