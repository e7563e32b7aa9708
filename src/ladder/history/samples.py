"""The numbers of every seed of a rung in a report, for comparison with those of another report."""

import math
from collections.abc import Sequence

from ladder.report import recorded
from ladder.report.schema import Comparison, Condition, Criterion, Effect, Entry


def conditions(entry: Entry) -> list[Condition]:
    """Return the conditions that a rung is compared on: its gates, or the first goal of a goal row."""
    return list(entry["goals"][:1] if entry["role"] == "goal" else entry["gates"])


def same(one: Condition, other: Condition) -> bool:
    """Return whether two conditions are the same, to the last digit of the limit, which the text rounds."""
    fields = ("kind", "text", "limit", "by", "since", "against", "margin")
    return all(one.get(name) == other.get(name) for name in fields)


def epochs_to_target(criteria: Sequence[Criterion]) -> list[float] | None:
    """Return the epoch from which each seed meets all criteria, infinite if it never does; None if it is not recorded."""
    reached = [criterion["reached"] for criterion in criteria if criterion["reached"] is not None]
    if not criteria or len(reached) < len(criteria):
        return None
    return [max(math.inf if epoch is None else float(epoch) for epoch in seed) for seed in zip(*reached, strict=True)]


def in_time(criteria: Sequence[Criterion]) -> list[bool]:
    """Return for each seed whether it met all criteria by their epochs; empty if it is not recorded."""
    met = [
        [epoch is not None and epoch <= criterion["by"] for epoch in criterion["reached"]]
        for criterion in criteria
        if criterion["reached"] is not None
    ]
    return [all(seed) for seed in zip(*met, strict=True)] if len(met) == len(criteria) else []


def differences(compared: Comparison | Effect) -> list[float] | None:
    """Return the difference of each pair of seeds, infinite if it is not finite; None if it is not recorded."""
    if not compared["differences"]:
        return None
    return [math.inf if difference is None else float(difference) for difference in compared["differences"]]


def values_at_by(entry: Entry, condition: Condition) -> list[float] | None:
    """Return the number of each seed that a condition limits, at its epoch, larger if worse; None if it is not recorded.

    A value that is not finite is returned as infinite, and that of ``above`` negative. A comparison limits the differences.
    """
    if condition["kind"] == "comparison":
        return differences(condition)
    values = recorded.values_at_by(condition, entry)
    if values is None:
        return None
    sign = -1.0 if condition["kind"] == "above" else 1.0
    return [sign * value if math.isfinite(value) else math.inf for value in values.tolist()]
