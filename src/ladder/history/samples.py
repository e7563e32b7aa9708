"""What a report tells of every seed of a rung, as numbers that can be held against those of another report."""

import math
from collections.abc import Sequence
from typing import Any

from ladder.report.schema import Entry

Condition = dict[str, Any]
"""A gate or a goal of a report."""


def conditions(entry: Entry) -> list[Condition]:
    """What a rung is held against: its gates; of a goal row the first goal."""
    return list(entry["goals"][:1] if entry["role"] == "goal" else entry["gates"])


def is_comparison(condition: Condition) -> bool:
    """Whether it compares seeds with those of another rung, so that no seed meets it by itself."""
    return bool(condition["kind"] == "comparison")


def same(one: Condition, other: Condition) -> bool:
    """Whether both ask for the same, to the last digit of the limit, which the text rounds."""
    asked = ("kind", "text", "limit", "by", "since", "against", "margin")
    return all(one.get(name) == other.get(name) for name in asked)


def epochs_to_target(criteria: Sequence[Condition]) -> list[float] | None:
    """Of each seed the epoch at which it had met all of them for good, infinite if it never did; None if that is not told."""
    told = [criterion["reached"] for criterion in criteria]
    if not told or None in told:
        return None
    return [max(math.inf if epoch is None else float(epoch) for epoch in seed) for seed in zip(*told, strict=True)]


def in_time(criteria: Sequence[Condition]) -> list[bool]:
    """Of each seed whether it met all of them by when it must; nothing if that is not told."""
    if any(criterion["reached"] is None for criterion in criteria):
        return []
    told = [[epoch is not None and epoch <= c["by"] for epoch in c["reached"]] for c in criteria]
    return [all(seed) for seed in zip(*told, strict=True)]


def differences(compared: Condition) -> list[float] | None:
    """Of each pair of seeds the difference, infinite where it is not finite here; None if that is not told."""
    if not compared["differences"]:
        return None
    return [math.inf if difference is None else float(difference) for difference in compared["differences"]]


def statistics(entry: Entry, condition: Condition) -> list[float] | None:
    """Of each seed the number that a condition holds against its limit, at its epoch and larger for the worse; None if not told.

    What is not finite is infinite. Of ``above`` it is the metric's negative, of ``falls`` the ratio to the start; of ``agrees`` a
    report does not name the other metric.
    """
    if is_comparison(condition):
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
