"""Learning curves as SVG for the HTML page: the path of each line, and a text alternative.

Lines are the ``d`` of an SVG path, in a picture of ``WIDTH`` by ``HEIGHT``; the page has their styles.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache, partial
from typing import Any

import numpy as np

from ladder.declare.arrays import Bool, Float
from ladder.report.axis import Axis
from ladder.report.schema import Criterion, Document, Entry, Spread
from ladder.report.text import count, find, floor_name, format_number, median

WIDTH, HEIGHT = 400, 214
LEFT, RIGHT, TOP, BOTTOM = 48, 310, 12, 176  # edges of the axes
BEYOND = 14  # from the last epoch to the axes' end: the visible part of a limit that holds from that epoch on
APART = 13  # least distance between two labels
LOGARITHMIC = 30.0  # ratio of the largest to the smallest value above which the axis is logarithmic
MARGIN = 0.06  # above and below the curves, as a share of their range
SPARK_WIDTH, SPARK_HEIGHT, SPARK_EDGE = 96, 24, 3
CROSS = "m-3-3l6 6m0-6l-6 6"

Path = str
Scale = Callable[[Any], Any]
"""A function from values to places in the picture."""


@dataclass(frozen=True)
class Level:
    """A horizontal line with its label: a ``limit`` of a gate or a ``goal``, or a ``floor``.

    ``wrong`` is the path around the wrong side of a limit, empty for a floor; ``at`` is the height of the label.
    """

    kind: str
    label: str
    path: Path
    wrong: Path
    at: float


@dataclass(frozen=True)
class Chart:
    """The curves of one metric.

    Attributes:
        words: The text alternative.
        met: The seeds that met every gate, or all seeds if the report does not say which did.
        missed: The others.
        lost: A cross at the last value of each seed whose curve ends early.
        others: Medians of the parent and of the rungs that a gate or a goal compares it with, by id.
        across: Ticks of the epochs, each with its place.
        up: Ticks of the values.
        notes: Remarks on what the picture leaves out.
    """

    metric: str
    words: str
    met: Path
    missed: Path
    lost: Path
    median: Path
    others: dict[str, Path]
    levels: tuple[Level, ...]
    across: tuple[tuple[float, str], ...]
    up: tuple[tuple[float, str], ...]
    notes: tuple[str, ...]


@dataclass(frozen=True)
class Spark:
    """A sparkline, a curve as small as a word."""

    path: Path
    end: tuple[float, float] | None
    words: str


@dataclass(frozen=True)
class _Line:
    """A horizontal line at a level, from epoch ``by`` on, or across all epochs."""

    kind: str
    label: str
    value: float
    by: int | None = None
    above: bool = False


def metrics(entry: Entry) -> list[str]:
    """Return the metrics with curves that a gate, a goal or an effect of the rung names, in this order."""
    named = [c["metric"] for c in (*entry["gates"], *entry["goals"], *entry["effects"])]
    return [metric for metric in dict.fromkeys(named) if metric in entry["curves"]]


def missed(entry: Entry) -> Bool[np.ndarray, " seed"] | None:
    """Return for each seed whether it misses a gate or, on a goal row, the first goal; None if the report does not say."""
    counted = count(entry)
    if counted is None or entry["seeds"] is None:
        return None
    judging = entry["goals"][:1] if entry["role"] == "goal" else entry["gates"]
    conditions = [condition for condition in judging if condition["kind"] != "comparison"]
    misses = np.zeros(counted[1], dtype=bool)
    misses[[bad["seed"] for bad in entry["seeds"]["non_finite"]]] = True
    for condition in conditions:
        if condition["reached"] is not None:
            misses |= [epoch is None or epoch > condition["by"] for epoch in condition["reached"]]
    if not conditions and not misses.any():  # no condition applies to a single seed
        return None
    return misses if np.sum(~misses) == counted[0] else None


def chart(entry: Entry, metric: str, document: Document) -> Chart:
    """Return the chart of a metric: the curves of all seeds, with the limits of the rung's gates and goals."""
    values = np.array(entry["curves"][metric], dtype=np.float64)
    epochs = entry["epochs"]
    middle = np.array(median(entry["curves"][metric]))
    others = _others(entry, metric, document)
    targets = [
        (kind, condition)
        for kind, conditions in (("limit", entry["gates"]), ("goal", entry["goals"]))
        for condition in conditions
        if condition["metric"] == metric and condition["kind"] in ("below", "above", "falls")
    ]
    drawn = [
        values.ravel(),
        *(medians for _, medians in others.values()),
        *(_limit(condition, middle, epochs) for _, condition in targets),
    ]
    floors = _floors(targets)
    everything = np.concatenate([*drawn, np.array([floor for floor in floors if floor])])
    axis = Axis.around(everything, margin=MARGIN, ratio=LOGARITHMIC, zero=0.0 in floors)
    up = partial(axis.place, start=BOTTOM, end=TOP)
    epoch_axis = Axis(epochs[0], epochs[-1])
    across = partial(epoch_axis.place, start=LEFT + 6, end=RIGHT - BEYOND)

    levels, notes = _levels(targets, middle, epochs, axis.logarithmic)
    misses = missed(entry)
    fails = np.zeros(len(values), dtype=bool) if misses is None or len(misses) != len(values) else misses
    never = int(np.isnan(values).all(axis=1).sum())
    if never:
        notes.append(f"{never} of {len(values)} seeds have no value")
    x = across(np.array(epochs))
    return Chart(
        metric=metric,
        words=_description(
            entry, metric, middle, None if misses is None else fails, axis.logarithmic, [c for _, c in targets], notes
        ),
        met=_lines(x, up(values[~fails])),
        missed=_lines(x, up(values[fails])),
        lost=_crosses(x, up(values)),
        median=_lines(x, up(middle[None])),
        others={id: _lines(across(at), up(medians[None])) for id, (at, medians) in others.items()},
        levels=_labelled(levels, across, up),
        across=tuple((_rounded(across(tick)), f"{tick:g}") for tick in epoch_axis.whole_ticks()),
        up=tuple((_rounded(up(tick)), f"{tick:.6g}") for tick in axis.ticks()),
        notes=tuple(notes),
    )


def spark(values: Sequence[float | None], metric: str) -> Spark:
    """Return a curve without axes, scaled from its smallest value to its largest; logarithmic if a chart would be."""
    curve = np.array(values, dtype=np.float64)
    finite = curve[np.isfinite(curve)]
    if not finite.size:
        return Spark("", None, f"{metric} has no value")
    axis = Axis.around(finite, margin=0.0, ratio=LOGARITHMIC, half=0.0)
    bottom = SPARK_HEIGHT - SPARK_EDGE
    y = axis.place(curve, bottom, SPARK_EDGE) if axis.high > axis.low else np.where(np.isfinite(curve), bottom, np.nan)
    x = Axis(0, len(curve) - 1).place(np.arange(len(curve)), SPARK_EDGE, SPARK_WIDTH - SPARK_EDGE)
    at = int(np.flatnonzero(np.isfinite(curve))[-1])
    return Spark(_lines(x, y[None]), (_rounded(x[at]), _rounded(y[at])), _course(metric, curve))


def spread(curve: Sequence[Sequence[float | None]]) -> Spread:
    """Return median, low and high over the seeds that have a value, by epoch, as a report has them for its other metrics."""
    columns = [[value for value in column if value is not None] for column in zip(*curve, strict=True)]
    return {
        "median": [value if math.isfinite(value) else None for value in median(curve)],
        "low": [min(column, default=None) for column in columns],
        "high": [max(column, default=None) for column in columns],
    }


def _others(
    entry: Entry, metric: str, document: Document
) -> dict[str, tuple[Float[np.ndarray, " epoch"], Float[np.ndarray, " epoch"]]]:
    """Return the epochs and medians of each rung that this one is compared with, up to its own last epoch."""
    conditions = (*entry["gates"], *entry["goals"])
    against = [c["against"] for c in conditions if c["kind"] == "comparison" and c["metric"] == metric]
    curves = {}
    for id in filter(None, dict.fromkeys([entry["parent"], *against])):
        other = find(document, id)
        if other and metric in other["curves"]:
            epochs = np.array(other["epochs"], dtype=np.float64)
            included = epochs <= entry["epochs"][-1]
            curves[id] = epochs[included], np.array(median(other["curves"][metric]))[included]
    return curves


def _levels(
    targets: Sequence[tuple[str, Criterion]],
    middle: Float[np.ndarray, " epoch"],
    epochs: list[int],
    logarithmic: bool,
) -> tuple[list[_Line], list[str]]:
    """Return the limits and floors that lie on the axis, and a note on each one that does not."""
    levels, notes = [], []
    for kind, condition in targets:
        (limit,) = _limit(condition, middle, epochs)
        if math.isfinite(limit):
            label = f"{kind} {'×' if condition['kind'] == 'falls' else ''}{format_number(condition['limit'])}"
            levels.append(_Line(kind, label, limit, condition["by"], condition["kind"] == "above"))
            if condition["kind"] == "falls":
                notes.append(
                    f"×{format_number(condition['limit'])} is of each seed's own start; the line, of the median's"
                )
        else:
            notes.append(f"{condition['text']} has no line: the median has no value at epoch {condition['since']}")
    for floor, kind in _floors(targets).items():
        word = floor_name(kind)
        if logarithmic and floor <= 0.0:
            notes.append(f"the {word} of {format_number(floor)} is not on a logarithmic axis")
        else:
            levels.append(_Line("floor", f"{word} {format_number(floor)}", floor))
    return levels, notes


def _floors(targets: Sequence[tuple[str, Criterion]]) -> dict[float, str]:
    """Return the floors, each once, with the kind of condition that it belongs to."""
    return {condition["floor"]["value"]: condition["kind"] for _, condition in targets if condition["floor"]}


def _limit(condition: Criterion, middle: Float[np.ndarray, " epoch"], epochs: list[int]) -> np.ndarray:
    """Return the level of a limit, for ``falls`` relative to the median at the start, in an array of one value."""
    if condition["kind"] != "falls":
        return np.array([condition["limit"]])
    if condition["since"] not in epochs:
        return np.array([np.nan])
    return np.array([condition["limit"] * middle[epochs.index(condition["since"])]])


def _lines(x: Float[np.ndarray, " epoch"], y: Float[np.ndarray, "seed epoch"]) -> Path:
    """Return the path of the rows, each broken where it has no value; a value between two breaks is a dot."""
    tenths = np.round(10 * x).astype(int).tolist()
    finite = np.isfinite(y)
    heights = np.round(10 * np.where(finite, y, 0.0)).astype(int).tolist()
    return "".join(_line(tenths, row, present) for row, present in zip(heights, finite.tolist(), strict=True))


def _line(x: list[int], y: list[int], finite: list[bool]) -> Path:
    parts: list[str] = []
    last: tuple[int, int] | None = None
    for across, up, present in zip(x, y, finite, strict=True):
        if not present:
            last = None
        elif last is None:
            parts.append(f"M{_tenth(across)} {_tenth(up)}h0")
            last, begun = (across, up), False
        else:
            step = _step(across - last[0], up - last[1])
            parts.append(step if begun else f"l{step.lstrip()}")
            last, begun = (across, up), True
    return "".join(parts)


def _crosses(x: Float[np.ndarray, " epoch"], y: Float[np.ndarray, "seed epoch"]) -> Path:
    """Return the path of crosses, at the last value of each row that ends without one."""
    ends = [(row, int(np.flatnonzero(np.isfinite(row))[-1])) for row in y if np.isfinite(row).any()]
    return "".join(f"M{_rounded(x[at])} {_rounded(row[at])}{CROSS}" for row, at in ends if at < len(row) - 1)


@cache
def _tenth(tenths: int) -> str:
    return f"{tenths / 10:g}".replace("0.", ".", 1) if abs(tenths) < 10 else f"{tenths / 10:g}"


@cache
def _step(across: int, up: int) -> str:
    """Return a relative step of a line in the shortest form of SVG."""
    return f" {_tenth(across)}{_tenth(up)}" if up < 0 else f" {_tenth(across)} {_tenth(up)}"


def _rounded(place: Any) -> float:
    return round(float(place), 1)


def _labelled(lines: Sequence[_Line], across: Scale, up: Scale) -> tuple[Level, ...]:
    """Return lines with labels beside them; labels too close are moved apart, but stay in the picture."""
    lines = sorted(lines, key=lambda line: line.value)
    places = [float(up(line.value)) for line in lines]
    labels, free = [], float(BOTTOM)
    for place in places:
        labels.append(min(place, free))
        free = labels[-1] - APART
    free = float(TOP)
    for n in reversed(range(len(labels))):
        labels[n] = max(labels[n], free)
        free = labels[n] + APART
    levels = []
    for line, place, at in zip(lines, places, labels, strict=True):
        start = _rounded(LEFT if line.by is None else across(line.by))
        path, wrong = f"M{start} {_rounded(place)}H{RIGHT}", ""
        if line.by is not None:
            wrong = f"{path}V{BOTTOM if line.above else TOP}H{start}z"
        levels.append(Level(line.kind, line.label, path, wrong, _rounded(at)))
    return tuple(levels)


def _description(
    entry: Entry,
    metric: str,
    middle: Float[np.ndarray, " epoch"],
    fails: Bool[np.ndarray, " seed"] | None,
    logarithmic: bool,
    conditions: Sequence[Criterion],
    notes: Sequence[str],
) -> str:
    seeds, epochs = len(entry["curves"][metric]), entry["epochs"]
    axis = ", on a logarithmic axis" if logarithmic else ""
    sentences = [f"{metric} of {seeds} seeds, epochs {epochs[0]} to {epochs[-1]}{axis}", _course("median", middle)]
    if fails is not None:
        what = "the first goal" if entry["role"] == "goal" else "every gate"
        sentences.append(f"{int(np.sum(~fails))} of {seeds} seeds meet {what}")
    for condition in conditions:
        sentences.append(f"condition: {condition['text']}, met by {condition['passed']}")
        if floor := condition["floor"]:
            sentences.append(f"{floor_name(condition['kind'])} {format_number(floor['value'])}")
    return ". ".join(f"{part[:1].upper()}{part[1:]}" for part in (*dict.fromkeys(sentences), *notes)) + "."


def _course(what: str, curve: Float[np.ndarray, " epoch"]) -> str:
    """Return the first and the last value as text: ``median from 1.2 to 0.15``."""
    finite = curve[np.isfinite(curve)]
    if not finite.size:
        return f"{what} has no value"
    end = "" if math.isfinite(curve[-1]) else ", then no value"
    return f"{what} from {format_number(float(finite[0]))} to {format_number(float(finite[-1]))}{end}"
