"""Learning curves as a page draws them: where each line goes, and in words what it shows.

Lines are the ``d`` of an SVG path, in a picture of ``WIDTH`` by ``HEIGHT``; the page says what they look like.
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
LEFT, RIGHT, TOP, BOTTOM = 48, 310, 12, 176  # of the axes
BEYOND = 14  # from the last epoch to the axes' end: as much is seen of a limit that holds from that epoch on
APART = 13  # labels, from one line of text to the next
LOGARITHMIC = 30.0  # the axis, where the largest value is so many times the smallest
ROOM = 0.06  # of the axis, above and below what is drawn
MOST = 1e200  # what is larger is drawn there, or two values could be further apart than a float can tell
TICKS = 7  # on an axis, at most about
SPARK_WIDTH, SPARK_HEIGHT, SPARK_EDGE = 96, 24, 3
CROSS = "m-3-3l6 6m0-6l-6 6"

Path = str
Scale = Callable[[Any], Any]


@dataclass(frozen=True)
class Level:
    """A horizontal line with its label: a ``limit`` of a gate or a ``goal``, or a ``floor``.

    ``wrong`` is the area on the wrong side of a limit, empty of a floor; ``at`` is the height of the label.
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
        words: What it shows, for those who do not see it.
        met: The seeds that met every gate, or all where the report does not tell which did.
        missed: The others.
        lost: A cross at the last value of each seed that has none later.
        others: Medians of the parent and of the rungs that a gate or a goal compares it with, by id.
        across: Ticks of the epochs, each with its place.
        up: Ticks of the values.
        notes: What the picture leaves out.
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
    """A curve as small as a word."""

    path: Path
    end: tuple[float, float] | None
    words: str


@dataclass(frozen=True)
class _Line:
    """A level where it belongs: from epoch ``by`` on, or all along."""

    kind: str
    label: str
    value: float
    by: int | None = None
    above: bool = False


def metrics(entry: Entry) -> list[str]:
    """Those that a gate, a goal or an effect of the rung names and that have curves, in this order."""
    named = [c["metric"] for what in ("gates", "goals", "effects") for c in entry[what]]
    return [metric for metric in dict.fromkeys(named) if metric in entry["curves"]]


def missed(entry: Entry) -> Bool[np.ndarray, " seed"] | None:
    """Of each seed whether it misses a gate, or, on a goal row, the first goal; None where the report does not tell."""
    counted = count(entry)
    if counted is None:
        return None
    asked = [c for c in (entry["goals"][:1] if entry["role"] == "goal" else entry["gates"]) if "reached" in c]
    found = np.zeros(counted[1], dtype=bool)
    found[[bad["seed"] for bad in entry["seeds"]["non_finite"]]] = True
    for condition in asked:
        if condition["reached"] is not None:
            found |= [epoch is None or epoch > condition["by"] for epoch in condition["reached"]]
    if not asked and not found.any():  # nothing was asked of a seed by itself
        return None
    return found if np.sum(~found) == counted[0] else None


def chart(entry: Entry, metric: str, document: Document) -> Chart:
    """The curves of all seeds of a rung, with what its gates and goals ask of that metric."""
    values = np.array(entry["curves"][metric], dtype=np.float64)
    epochs = entry["epochs"]
    middle = np.array(median(entry["curves"][metric]))
    others = _others(entry, metric, document)
    asked = [
        (kind, condition)
        for kind, conditions in (("limit", entry["gates"]), ("goal", entry["goals"]))
        for condition in conditions
        if condition["metric"] == metric and condition["kind"] in ("below", "above", "falls")
    ]
    drawn = [
        values.ravel(),
        *(known for _, known in others.values()),
        *(_limit(condition, middle, epochs) for _, condition in asked),
    ]
    floors = _floors(asked)
    everything = np.concatenate([*drawn, np.array([floor for floor in floors if floor])])
    everything = everything[np.isfinite(everything)]
    logarithmic = everything.size > 0 and everything.min() > 0.0 and everything.max() > LOGARITHMIC * everything.min()
    if not logarithmic and 0.0 in floors:
        everything = np.append(everything, 0.0)
    low, high = _range(everything, logarithmic)
    up = _heights(low, high, logarithmic)
    across = _places(epochs[0], epochs[-1])

    levels, notes = _asked(asked, middle, epochs, logarithmic)
    told = missed(entry)
    fails = np.zeros(len(values), dtype=bool) if told is None or len(told) != len(values) else told
    never = int(np.isnan(values).all(axis=1).sum())
    if never:
        notes.append(f"{never} of {len(values)} seeds have no value")
    x = across(np.array(epochs))
    return Chart(
        metric=metric,
        words=_words(entry, metric, middle, None if told is None else fails, logarithmic, [c for _, c in asked], notes),
        met=_lines(x, up(values[~fails])),
        missed=_lines(x, up(values[fails])),
        lost=_crosses(x, up(values)),
        median=_lines(x, up(middle[None])),
        others={id: _lines(across(at), up(known[None])) for id, (at, known) in others.items()},
        levels=_labelled(levels, across, up),
        across=tuple((_rounded(across(tick)), f"{tick:g}") for tick in _epochs(epochs[0], epochs[-1])),
        up=tuple((_rounded(up(tick)), f"{tick:.6g}") for tick in _ticks(low, high, logarithmic)),
        notes=tuple(notes),
    )


def spark(values: Sequence[float | None], metric: str) -> Spark:
    """A curve without axes, from its smallest value to its largest; logarithmic where a chart would be."""
    curve = np.array(values, dtype=np.float64)
    known = np.clip(curve[np.isfinite(curve)], -MOST, MOST)
    if not known.size:
        return Spark("", None, f"{metric} has no value")
    logarithmic = bool(known.min() > 0.0 and known.max() > LOGARITHMIC * known.min())
    low, high = float(known.min()), float(known.max())
    top, bottom = SPARK_EDGE, SPARK_HEIGHT - SPARK_EDGE
    up = _heights(low, high, logarithmic, top, bottom) if high > low else lambda y: np.where(np.isfinite(y), bottom, y)
    x = np.linspace(SPARK_EDGE, SPARK_WIDTH - SPARK_EDGE, len(curve)) if len(curve) > 1 else np.array([SPARK_WIDTH / 2])
    at = int(np.flatnonzero(np.isfinite(curve))[-1])
    return Spark(_lines(x, up(curve)[None]), (_rounded(x[at]), _rounded(up(curve)[at])), _course(metric, curve))


def spread(curve: Sequence[Sequence[float | None]]) -> dict[str, list[float | None]]:
    """Median and range over the seeds that have a value, epoch by epoch, as the report has it of metrics without curves."""
    known = [[value for value in column if value is not None] for column in zip(*curve, strict=True)]
    return {
        "median": [value if math.isfinite(value) else None for value in median(curve)],
        "low": [min(column, default=None) for column in known],
        "high": [max(column, default=None) for column in known],
    }


def _others(
    entry: Entry, metric: str, document: Document
) -> dict[str, tuple[Float[np.ndarray, " epoch"], Float[np.ndarray, " epoch"]]]:
    """Epochs and medians of the rungs that this one is held against, as far as it was trained itself."""
    conditions = (*entry["gates"], *entry["goals"])
    against = [c["against"] for c in conditions if c["kind"] == "comparison" and c["metric"] == metric]
    found = {}
    for id in dict.fromkeys([entry["parent"], *against]):
        other = find(document, id)
        if other and metric in other["curves"]:
            epochs = np.array(other["epochs"], dtype=np.float64)
            there = epochs <= entry["epochs"][-1]
            found[id] = epochs[there], np.array(median(other["curves"][metric]))[there]
    return found


def _asked(
    asked: Sequence[tuple[str, dict[str, Any]]],
    middle: Float[np.ndarray, " epoch"],
    epochs: list[int],
    logarithmic: bool,
) -> tuple[list[_Line], list[str]]:
    """Limits and floors that have a place on the axis, and a note on each that has none."""
    levels, notes = [], []
    for kind, condition in asked:
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
    for floor, kind in _floors(asked).items():
        word = "ceiling" if kind == "above" else "floor"
        if logarithmic and floor <= 0.0:
            notes.append(f"the {word} of {format_number(floor)} is not on a logarithmic axis")
        else:
            levels.append(_Line("floor", f"{word} {format_number(floor)}", floor))
    return levels, notes


def _floors(asked: Sequence[tuple[str, dict[str, Any]]]) -> dict[float, str]:
    """Each floor once, with the kind of condition that it belongs to."""
    return {condition["floor"]["value"]: condition["kind"] for _, condition in asked if condition["floor"]}


def _limit(condition: dict[str, Any], middle: Float[np.ndarray, " epoch"], epochs: list[int]) -> np.ndarray:
    """Where the limit lies: of a fall it is a share of where the median began."""
    if condition["kind"] != "falls":
        return np.array([condition["limit"]])
    if condition["since"] not in epochs:
        return np.array([np.nan])
    return np.array([condition["limit"] * middle[epochs.index(condition["since"])]])


def _range(values: Float[np.ndarray, " value"], logarithmic: bool) -> tuple[float, float]:
    """The values with some room around them."""
    if not values.size:
        return 0.0, 1.0
    low, high = max(float(values.min()), -MOST), min(float(values.max()), MOST)
    if logarithmic:
        room = math.exp(ROOM * (math.log(high) - math.log(low)))
        return max(low / room, sys.float_info.min), high * room
    room = ROOM * (high - low) if high > low else 0.5 * abs(high) or 1.0
    return low - room, high + room


def _heights(low: float, high: float, logarithmic: bool, top: float = TOP, bottom: float = BOTTOM) -> Scale:
    """From values to places, ``low`` at the bottom."""
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
    """From epochs to places."""
    end = RIGHT - BEYOND
    if last == first:
        return lambda epoch: np.full(np.shape(epoch), (LEFT + end) / 2)
    return lambda epoch: LEFT + 6 + (end - LEFT - 6) * (np.asarray(epoch) - first) / (last - first)


def _lines(x: Float[np.ndarray, " epoch"], y: Float[np.ndarray, "seed epoch"]) -> Path:
    """Each row a line, broken where it has no value; a value between two breaks is a dot."""
    tenths = np.round(10 * x).astype(int).tolist()
    known = np.isfinite(y)
    heights = np.round(10 * np.where(known, y, 0.0)).astype(int).tolist()
    return "".join(_line(tenths, row, told) for row, told in zip(heights, known.tolist(), strict=True))


def _line(x: list[int], y: list[int], known: list[bool]) -> Path:
    parts: list[str] = []
    last: tuple[int, int] | None = None
    for across, up, told in zip(x, y, known, strict=True):
        if not told:
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
    """A cross at the last value of each row that ends without one."""
    ends = [(row, int(np.flatnonzero(np.isfinite(row))[-1])) for row in y if np.isfinite(row).any()]
    return "".join(f"M{_rounded(x[at])} {_rounded(row[at])}{CROSS}" for row, at in ends if at < len(row) - 1)


@cache
def _tenth(tenths: int) -> str:
    return f"{tenths / 10:g}".replace("0.", ".", 1) if abs(tenths) < 10 else f"{tenths / 10:g}"


@cache
def _step(across: int, up: int) -> str:
    """A step of a line as short as SVG has it."""
    return f" {_tenth(across)}{_tenth(up)}" if up < 0 else f" {_tenth(across)} {_tenth(up)}"


def _rounded(place: Any) -> float:
    return round(float(place), 1)


def _labelled(lines: Sequence[_Line], across: Scale, up: Scale) -> tuple[Level, ...]:
    """Lines with labels beside them; labels too close are moved apart, and none out of the picture."""
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
    found = []
    for line, place, at in zip(lines, places, labels, strict=True):
        start = _rounded(LEFT if line.by is None else across(line.by))
        path, wrong = f"M{start} {_rounded(place)}H{RIGHT}", ""
        if line.by is not None:
            wrong = f"{path}V{BOTTOM if line.above else TOP}H{start}z"
        found.append(Level(line.kind, line.label, path, wrong, _rounded(at)))
    return tuple(found)


def _epochs(first: int, last: int) -> list[int]:
    """Whole numbers for an axis of epochs, the first among them."""
    step = max(1, round(_nice((last - first) / TICKS)))
    return [first, *(n for n in range(step, last + 1, step) if n - first > 0.5 * step)]


def _ticks(low: float, high: float, logarithmic: bool) -> list[float]:
    """Round numbers within a range of values."""
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
    """The next 1, 2 or 5 times a power of ten."""
    power = 10.0 ** math.floor(math.log10(step)) if step > 0.0 and math.isfinite(step) else 1.0
    return next((m * power for m in (1, 2, 5) if m * power >= step), 10.0 * power)


def _words(
    entry: Entry,
    metric: str,
    middle: Float[np.ndarray, " epoch"],
    fails: Bool[np.ndarray, " seed"] | None,
    logarithmic: bool,
    asked: Sequence[dict[str, Any]],
    notes: Sequence[str],
) -> str:
    seeds, epochs = len(entry["curves"][metric]), entry["epochs"]
    axis = ", on a logarithmic axis" if logarithmic else ""
    told = [f"{metric} of {seeds} seeds, epochs {epochs[0]} to {epochs[-1]}{axis}", _course("median", middle)]
    if fails is not None:
        what = "the first goal" if entry["role"] == "goal" else "every gate"
        told.append(f"{int(np.sum(~fails))} of {seeds} seeds meet {what}")
    for condition in asked:
        told.append(f"asked: {condition['text']}, met by {condition['passed']}")
        if floor := condition["floor"]:
            told.append(f"{'ceiling' if condition['kind'] == 'above' else 'floor'} {format_number(floor['value'])}")
    return ". ".join(f"{part[:1].upper()}{part[1:]}" for part in (*dict.fromkeys(told), *notes)) + "."


def _course(what: str, curve: Float[np.ndarray, " epoch"]) -> str:
    """``median from 1.2 to 0.15``."""
    known = curve[np.isfinite(curve)]
    if not known.size:
        return f"{what} has no value"
    end = "" if math.isfinite(curve[-1]) else ", then no value"
    return f"{what} from {format_number(float(known[0]))} to {format_number(float(known[-1]))}{end}"
