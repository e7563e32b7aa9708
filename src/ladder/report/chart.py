"""Learning curves as SVG for the HTML page: the path of each line, and a text alternative.

Lines are the ``d`` of an SVG path, in a picture of ``WIDTH`` by ``HEIGHT``; the page has their styles.
"""

import math
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np

from ladder.declare.arrays import Bool, Float
from ladder.report.schema import Document, Entry
from ladder.report.text import count, find, format_number, median

WIDTH, HEIGHT = 400, 214
LEFT, RIGHT, TOP, BOTTOM = 48, 310, 12, 176  # edges of the axes
BEYOND = 14  # from the last epoch to the axes' end: the visible part of a limit that holds from that epoch on
APART = 13  # least distance between two labels
LOGARITHMIC = 30.0  # ratio of the largest to the smallest value above which the axis is logarithmic
ROOM = 0.06  # margin above and below the curves, as a share of the axis
MOST = 1e200  # larger values are drawn here: the difference of two values must not overflow a float
TICKS = 7  # largest number of ticks on an axis, about
SPARK_WIDTH, SPARK_HEIGHT, SPARK_EDGE = 96, 24, 3
CROSS = "m-3-3l6 6m0-6l-6 6"

Path = str
Scale = Callable[[Any], Any]


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
    named = [c["metric"] for what in ("gates", "goals", "effects") for c in entry[what]]
    return [metric for metric in dict.fromkeys(named) if metric in entry["curves"]]


def missed(entry: Entry) -> Bool[np.ndarray, " seed"] | None:
    """Return for each seed whether it misses a gate or, on a goal row, the first goal; None if the report does not say."""
    counted = count(entry)
    if counted is None:
        return None
    conditions = [c for c in (entry["goals"][:1] if entry["role"] == "goal" else entry["gates"]) if "reached" in c]
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
    everything = everything[np.isfinite(everything)]
    logarithmic = bool(
        everything.size > 0 and everything.min() > 0.0 and everything.max() > LOGARITHMIC * everything.min()
    )
    if not logarithmic and 0.0 in floors:
        everything = np.append(everything, 0.0)
    low, high = _range(everything, logarithmic)
    up = _heights(low, high, logarithmic)
    across = _places(epochs[0], epochs[-1])

    levels, notes = _levels(targets, middle, epochs, logarithmic)
    misses = missed(entry)
    fails = np.zeros(len(values), dtype=bool) if misses is None or len(misses) != len(values) else misses
    never = int(np.isnan(values).all(axis=1).sum())
    if never:
        notes.append(f"{never} of {len(values)} seeds have no value")
    x = across(np.array(epochs))
    return Chart(
        metric=metric,
        words=_description(
            entry, metric, middle, None if misses is None else fails, logarithmic, [c for _, c in targets], notes
        ),
        met=_lines(x, up(values[~fails])),
        missed=_lines(x, up(values[fails])),
        lost=_crosses(x, up(values)),
        median=_lines(x, up(middle[None])),
        others={id: _lines(across(at), up(medians[None])) for id, (at, medians) in others.items()},
        levels=_labelled(levels, across, up),
        across=tuple((_rounded(across(tick)), f"{tick:g}") for tick in _epochs(epochs[0], epochs[-1])),
        up=tuple((_rounded(up(tick)), f"{tick:.6g}") for tick in _ticks(low, high, logarithmic)),
        notes=tuple(notes),
    )


def spark(values: Sequence[float | None], metric: str) -> Spark:
    """Return a curve without axes, scaled from its smallest value to its largest; logarithmic if a chart would be."""
    curve = np.array(values, dtype=np.float64)
    finite = np.clip(curve[np.isfinite(curve)], -MOST, MOST)
    if not finite.size:
        return Spark("", None, f"{metric} has no value")
    logarithmic = bool(finite.min() > 0.0 and finite.max() > LOGARITHMIC * finite.min())
    low, high = float(finite.min()), float(finite.max())
    top, bottom = SPARK_EDGE, SPARK_HEIGHT - SPARK_EDGE
    up = _heights(low, high, logarithmic, top, bottom) if high > low else lambda y: np.where(np.isfinite(y), bottom, y)
    x = np.linspace(SPARK_EDGE, SPARK_WIDTH - SPARK_EDGE, len(curve)) if len(curve) > 1 else np.array([SPARK_WIDTH / 2])
    at = int(np.flatnonzero(np.isfinite(curve))[-1])
    return Spark(_lines(x, up(curve)[None]), (_rounded(x[at]), _rounded(up(curve)[at])), _course(metric, curve))


def spread(curve: Sequence[Sequence[float | None]]) -> dict[str, list[float | None]]:
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
    for id in dict.fromkeys([entry["parent"], *against]):
        other = find(document, id)
        if other and metric in other["curves"]:
            epochs = np.array(other["epochs"], dtype=np.float64)
            included = epochs <= entry["epochs"][-1]
            curves[id] = epochs[included], np.array(median(other["curves"][metric]))[included]
    return curves


def _levels(
    targets: Sequence[tuple[str, dict[str, Any]]],
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
        word = "ceiling" if kind == "above" else "floor"
        if logarithmic and floor <= 0.0:
            notes.append(f"the {word} of {format_number(floor)} is not on a logarithmic axis")
        else:
            levels.append(_Line("floor", f"{word} {format_number(floor)}", floor))
    return levels, notes


def _floors(targets: Sequence[tuple[str, dict[str, Any]]]) -> dict[float, str]:
    """Return the floors, each once, with the kind of condition that it belongs to."""
    return {condition["floor"]["value"]: condition["kind"] for _, condition in targets if condition["floor"]}


def _limit(condition: dict[str, Any], middle: Float[np.ndarray, " epoch"], epochs: list[int]) -> np.ndarray:
    """Return the level of a limit, for ``falls`` relative to the median at the start, in an array of one value."""
    if condition["kind"] != "falls":
        return np.array([condition["limit"]])
    if condition["since"] not in epochs:
        return np.array([np.nan])
    return np.array([condition["limit"] * middle[epochs.index(condition["since"])]])


def _range(values: Float[np.ndarray, " value"], logarithmic: bool) -> tuple[float, float]:
    """Return the range of the values with a margin."""
    if not values.size:
        return 0.0, 1.0
    low, high = max(float(values.min()), -MOST), min(float(values.max()), MOST)
    if logarithmic:
        margin = math.exp(ROOM * (math.log(high) - math.log(low)))
        return max(low / margin, sys.float_info.min), high * margin
    margin = ROOM * (high - low) if high > low else 0.5 * abs(high) or 1.0
    return low - margin, high + margin


def _heights(low: float, high: float, logarithmic: bool, top: float = TOP, bottom: float = BOTTOM) -> Scale:
    """Return a function from values to heights in the picture, with ``low`` at the bottom."""
    if logarithmic:
        start, span = math.log(low), math.log(high) - math.log(low)
    else:
        start, span = low, high - low

    def place(value: Any) -> Any:
        value = np.clip(np.asarray(value, dtype=np.float64), -MOST, MOST)
        scaled = np.log(np.where(value > 0.0, value, np.nan)) if logarithmic else value
        return bottom - (bottom - top) * (scaled - start) / span

    return place


def _places(first: int, last: int) -> Scale:
    """Return a function from epochs to horizontal positions in the picture."""
    end = RIGHT - BEYOND
    if last == first:
        return lambda epoch: np.full(np.shape(epoch), (LEFT + end) / 2)
    return lambda epoch: LEFT + 6 + (end - LEFT - 6) * (np.asarray(epoch) - first) / (last - first)


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


def _epochs(first: int, last: int) -> list[int]:
    """Return the ticks of an axis of epochs, whole numbers with the first epoch among them."""
    step = max(1, round(_nice((last - first) / TICKS)))
    return [first, *(n for n in range(step, last + 1, step) if n - first > 0.5 * step)]


def _ticks(low: float, high: float, logarithmic: bool) -> list[float]:
    """Return the ticks of an axis of values, round numbers within their range."""
    if not logarithmic:
        step = _nice((high - low) / TICKS)
        first = math.ceil(low / step)
        return [n * step for n in range(first, first + 2 * TICKS) if n * step <= high]
    decades = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    every = max(1, math.ceil(len(decades) / (TICKS + 1)))
    powers = [10.0**n for n in decades if n % every == 0 and low <= 10.0**n <= high]
    if len(powers) > 2:
        return powers
    return [m * 10.0**n for n in decades for m in (1, 2, 5) if low <= m * 10.0**n <= high]


def _nice(step: float) -> float:
    """Return the next 1, 2 or 5 times a power of ten."""
    power = 10.0 ** math.floor(math.log10(step)) if step > 0.0 and math.isfinite(step) else 1.0
    return next((m * power for m in (1, 2, 5) if m * power >= step), 10.0 * power)


def _description(
    entry: Entry,
    metric: str,
    middle: Float[np.ndarray, " epoch"],
    fails: Bool[np.ndarray, " seed"] | None,
    logarithmic: bool,
    conditions: Sequence[dict[str, Any]],
    notes: Sequence[str],
) -> str:
    seeds, epochs = len(entry["curves"][metric]), entry["epochs"]
    axis = ", on a logarithmic axis" if logarithmic else ""
    sentences = [f"{metric} of {seeds} seeds, epochs {epochs[0]} to {epochs[-1]}{axis}", _course("median", middle)]
    if fails is not None:
        what = "the first goal" if entry["role"] == "goal" else "every gate"
        sentences.append(f"{int(np.sum(~fails))} of {seeds} seeds meet {what}")
    for condition in conditions:
        sentences.append(f"asked: {condition['text']}, met by {condition['passed']}")
        if floor := condition["floor"]:
            sentences.append(
                f"{'ceiling' if condition['kind'] == 'above' else 'floor'} {format_number(floor['value'])}"
            )
    return ". ".join(f"{part[:1].upper()}{part[1:]}" for part in (*dict.fromkeys(sentences), *notes)) + "."


def _course(what: str, curve: Float[np.ndarray, " epoch"]) -> str:
    """Return the first and the last value as text: ``median from 1.2 to 0.15``."""
    finite = curve[np.isfinite(curve)]
    if not finite.size:
        return f"{what} has no value"
    end = "" if math.isfinite(curve[-1]) else ", then no value"
    return f"{what} from {format_number(float(finite[0]))} to {format_number(float(finite[-1]))}{end}"
