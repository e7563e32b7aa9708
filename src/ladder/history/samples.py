"""The numbers of every seed of a rung in a report, for comparison with those of another report."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ladder.declare.arrays import Float
from ladder.report import recorded
from ladder.report.schema import Comparison, Condition, Criterion, Effect, Entry

PATH = (
    10  # epochs of a metric that are compared: more of them say little more of curves, whose epochs resemble each other
)


def conditions(entry: Entry) -> list[Condition]:
    """Return the conditions that a rung is compared on: its gates, or the first goal of a goal row."""
    return list(entry["goals"][:1] if entry["role"] == "goal" else entry["gates"])


def same(one: Condition, other: Condition) -> bool:
    """Return whether two conditions are the same, to the last digit of the limit, which the text rounds."""
    return measures(one) == measures(other) and limit(one) == limit(other)


def measures(condition: Condition) -> tuple[object, ...]:
    """Return what a condition measures, without the limit that it sets."""
    if condition["kind"] == "comparison":
        return "comparison", condition["metric"], condition["against"]
    # The other metric of ``agrees`` is recorded in the text alone.
    other = condition["text"].partition(" within ")[0] if condition["kind"] == "agrees" else ""
    return condition["kind"], condition["metric"], condition["by"], condition["since"], other


def limit(condition: Condition) -> float:
    """Return the limit of a criterion or the margin of a comparison."""
    return condition["margin"] if condition["kind"] == "comparison" else condition["limit"]


def measured_by(condition: Condition) -> str:
    """Return the name of what a condition measures, without its limit: the numbers stay comparable if that is tightened."""
    if condition["kind"] == "comparison":
        return f"{condition['metric']} against {condition['against']}"
    name = at_epoch(condition["metric"], condition["by"])
    return f"{name} of epoch {condition['since']}'s" if condition["since"] else name


def at_epoch(metric: str, epoch: int) -> str:
    """Return the name of the value of a metric at an epoch."""
    return f"{metric} at epoch {epoch}"


def at_limit_of(other: Criterion, one: Criterion, entry: Entry) -> Criterion | None:
    """Return criterion ``one`` of an entry with the limit of ``other``, counted again on the recorded curves.

    Returns:
        The criterion; None if the report does not record the curves that it takes.
    """
    moved: Criterion = {**one, "limit": other["limit"], "text": other["text"]}
    reached = recorded.reached(moved, entry)
    if reached is None:
        return None
    return {**moved, "reached": reached, "passed": sum(epoch is not None and epoch <= one["by"] for epoch in reached)}


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


@dataclass(frozen=True)
class Quantity:
    """Numbers of every seed that need no limit, in two reports: at one epoch, or at each of several.

    Attributes:
        name: The name of the quantity.
        epochs: The epochs at which it is compared.
        before: Its values at each of these epochs, infinite where they are not finite.
        after: The same after.
    """

    name: str
    epochs: tuple[int, ...]
    before: tuple[list[float], ...]
    after: tuple[list[float], ...]


def quantities(before: Entry, after: Entry) -> tuple[list[Quantity], list[str]]:
    """Return the last value and the path of every metric, and what each criterion limits at its epoch, in both reports.

    The path of a metric are its values at up to ``PATH`` of the epochs that both reports record, the last of which has its
    last value.

    Returns:
        The quantities that both reports record, and the metrics and names of those that only one does.
    """
    found: dict[str, Quantity] = {}
    curves = recorded.curves(before), recorded.curves(after)
    untested = sorted(curves[0].keys() ^ curves[1].keys())
    for metric in [metric for metric in curves[0] if metric in curves[1]]:
        one, other = curves[0][metric], curves[1][metric]
        epochs = [epoch for epoch in one.epochs if epoch in other.epochs]
        if not epochs:
            untested.append(metric)
            continue
        chosen = [epochs[i] for i in np.linspace(0, len(epochs) - 1, min(PATH, len(epochs))).round().astype(int)]
        names = {at_epoch(metric, epochs[-1]): chosen[-1:], f"path of {metric}": chosen[:-1]}
        for name, at in names.items():
            if at:
                found[name] = Quantity(
                    name, tuple(at), *(tuple(_numbers(each.at(epoch)) for epoch in at) for each in (one, other))
                )
    limited = _limited(before), _limited(after)
    for name in [name for name in limited[0] if name in limited[1] and name not in found]:
        epoch, values = limited[0][name]
        found[name] = Quantity(name, (epoch,), (values,), (limited[1][name][1],))
    return list(found.values()), untested


def _limited(entry: Entry) -> dict[str, tuple[int, list[float]]]:
    """Return what the criteria of an entry limit, by name: the epoch, and the number of each seed."""
    found = {}
    for condition in (*entry["gates"], *entry["goals"]):
        if condition["kind"] != "comparison" and (values := recorded.values_at_by(condition, entry)) is not None:
            found[measured_by(condition)] = condition["by"], _numbers(values)
    return found


def _numbers(values: Float[np.ndarray, " seed"]) -> list[float]:
    return [value if math.isfinite(value) else math.inf for value in values.tolist()]
