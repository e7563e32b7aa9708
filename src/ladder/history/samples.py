"""The numbers of every seed of a rung in a report, for comparison with those of another report."""

import math
from collections.abc import Sequence

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


def statistics(entry: Entry, condition: Condition) -> list[float] | None:
    """Return the statistic of each seed that a condition limits, at its epoch, larger if worse; None if it is not recorded.

    A value that is not finite is returned as infinite. For ``above`` the statistic is the negative metric, for ``falls`` the
    ratio to the start; for ``agrees`` a report does not name the other metric.
    """
    if condition["kind"] == "comparison":
        return differences(condition)
    curve, epochs = entry["curves"].get(condition["metric"]), entry["epochs"]
    named = [condition["by"], *([condition["since"]] if condition["since"] else [])]
    if condition["kind"] == "agrees" or not curve or not set(named) <= set(epochs):
        return None
    end, *start = ([seed[epochs.index(epoch)] for seed in curve] for epoch in named)
    if condition["kind"] == "above":
        return [math.inf if value is None else -value for value in end]
    if not start:
        return [math.inf if value is None else value for value in end]
    pairs = zip(end, start[0], strict=True)
    return [math.inf if a is None or b is None or b <= 0.0 else a / b for a, b in pairs]
