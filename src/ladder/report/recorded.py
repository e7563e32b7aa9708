"""The criteria of a report, applied to the curves that it records.

A report records curves at some epochs only. The statistic of a criterion, the worst number from epoch ``by`` on, was computed
from the whole curve and cannot be computed again from the recorded one; ``values_at_by`` is the number at epoch ``by`` alone.
"""

from dataclasses import dataclass

import numpy as np

from ladder.declare.arrays import Float
from ladder.declare.criteria import Above, Below, Criterion, Falls
from ladder.report import schema
from ladder.report.schema import Entry


@dataclass(frozen=True)
class RecordedCurve:
    """The values of every seed of a metric at the epochs that a report records, NaN where there is none."""

    epochs: list[int]
    values: Float[np.ndarray, "seed epoch"]

    def at(self, epoch: int) -> Float[np.ndarray, " seed"]:
        """Return the value of each seed at one of the epochs."""
        return self.values[:, self.epochs.index(epoch)]


def curves(entry: Entry) -> dict[str, RecordedCurve]:
    """Return the curves of every seed that a report records: of metrics that judge nothing at a few epochs, if at all."""
    judged = {metric: (entry["epochs"], seeds) for metric, seeds in entry["curves"].items()}
    others = {metric: (spread["epochs"], spread["seeds"]) for metric, spread in entry["others"].items()}
    return {
        metric: RecordedCurve(epochs, np.array(seeds, dtype=np.float64))
        for metric, (epochs, seeds) in (judged | others).items()
        if seeds and epochs
    }


def criterion(condition: schema.Criterion, epochs: list[int]) -> Criterion | None:
    """Return a condition of a report as a criterion on recorded curves: its epochs are columns of these, counted from 1.

    Args:
        condition: A gate or a goal that is not a comparison.
        epochs: The epochs at which the curves are recorded.

    Returns:
        The criterion; None if the report does not record what it needs: an epoch that it names, or the other metric of
        ``agrees``, or if nobody could have declared it.
    """
    by, since = condition["by"], condition["since"]
    if by not in epochs or (since and since not in epochs):
        return None
    metric, limit, source, by = condition["metric"], condition["limit"], condition["source"], epochs.index(by) + 1
    try:
        match condition["kind"]:
            case "below":
                return Below(metric=metric, limit=limit, by=by, source=source, signed=True)
            case "above":
                return Above(metric=metric, limit=limit, by=by, source=source)
            case "falls" if since:
                return Falls(metric=metric, limit=limit, by=by, source=source, since=epochs.index(since) + 1)
    except ValueError:
        pass
    return None


def values_at_by(condition: schema.Criterion, entry: Entry) -> Float[np.ndarray, " seed"] | None:
    """Return the number of each seed that the condition limits, at epoch ``by``; None if the report does not record it."""
    applied = _applied(condition, entry)
    if applied is None:
        return None
    with np.errstate(over="ignore"):  # of a ratio
        return applied[0].series(applied[1])[:, applied[0].by - 1]


def reached(condition: schema.Criterion, entry: Entry) -> list[int | None] | None:
    """Return the epoch from which on each seed meets the condition at every recorded epoch; None for a seed that does not.

    The whole is None if the report does not record what it takes.
    """
    applied = _applied(condition, entry)
    if applied is None:
        return None
    bad = {seed["seed"] for seed in entry["seeds"]["non_finite"]} if entry["seeds"] else set()
    with np.errstate(over="ignore"):
        columns = applied[0].reached(applied[1])
    return [
        entry["epochs"][int(column) - 1] if np.isfinite(column) and seed not in bad else None
        for seed, column in enumerate(columns)
    ]


def _applied(
    condition: schema.Criterion, entry: Entry
) -> tuple[Criterion, dict[str, Float[np.ndarray, "seed epoch"]]] | None:
    """Return the criterion of a condition and the curves of its metric; None if the report does not record them."""
    found, curve = criterion(condition, entry["epochs"]), entry["curves"].get(condition["metric"])
    return None if found is None or not curve else (found, {condition["metric"]: np.array(curve, dtype=np.float64)})
