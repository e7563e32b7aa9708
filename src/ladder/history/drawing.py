"""The drawing of a history as one SVG: a row for every rung, its reports from left to right. No plotting library is needed."""

import math
from collections.abc import Iterator, Sequence
from datetime import datetime
from html import escape

import numpy as np

from ladder.history import description
from ladder.history.history import History
from ladder.history.series import LEARNING, Change, RungRecord, Series
from ladder.report.axis import Axis
from ladder.report.text import count, format_number, verdict_label

WIDTH = 1000
LEFT, RIGHT = 290, 900  # edges of the axes; the rung's name is left of them, the axis labels are right of them
TOP, ROW, FOOT = 76, 84, 34
HIGH, LOW = 8, 50  # top and bottom of the axis in a row
STRIP = 64  # position of the verdicts in a row
CELL = 9  # largest width of a verdict
DATES = 7  # largest number of dates on the axis
LONGEST, LONG = 34, 46  # characters of a rung's id that fit, and of the lines below it

# The colours of Okabe and Ito (2008), as in the pictures of a rung; a red verdict is taller too.
STYLE = """
svg{background:#fff;font:12px ui-sans-serif,system-ui,sans-serif}
text{fill:#1f2328}.dim{fill:#656d76}.small{font-size:10.5px}.id{font-weight:600}.head{font-size:15px;font-weight:600}
.worse{fill:#b84500}.better{fill:#00674d}
.rule{stroke:#d0d7de;stroke-width:1}.range{fill:#0072b2;opacity:.2}
.median{fill:none;stroke:#0072b2;stroke-width:1.6;stroke-linejoin:round}.point{fill:#0072b2}
.never{stroke:#d55e00;stroke-width:1.6;fill:none}
.step{stroke-width:1.3;stroke-dasharray:4 3}.step.worse{stroke:#d55e00}.step.better{stroke:#00785a}
.green{fill:#00785a}.red{fill:#d55e00}.none{fill:#8c959f}
@media(prefers-color-scheme:dark){
svg{background:#0d1117}text{fill:#e6edf3}.dim{fill:#9198a1}.rule{stroke:#3d444d}
.worse{fill:#ff9b5e}.better{fill:#3fc59d}
.range{fill:#56b4e9}.median{stroke:#56b4e9}.point{fill:#56b4e9}.green{fill:#2fb98f}.red,.never{fill:#ff8a47}.never{stroke:#ff8a47;fill:none}}
"""


def svg(history: History) -> str:
    """Return the history as an SVG that a screen reader can read and whose text can be searched."""
    height = TOP + ROW * len(history.series) + FOOT
    rows = "".join(
        f'<g transform="translate(0 {TOP + ROW * i})">{"".join(_row(series, history))}</g>\n'
        for i, series in enumerate(history.series)
    )
    title = f"The ladder over {len(history.reports)} reports"
    head = _text(24, 30, _cut(description.headline(history), 105), f"head {'worse' if history.worse else ''}".strip())
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" width="{WIDTH}" height="{height}" '
        f'role="img" aria-labelledby="title desc">\n<title id="title">{escape(title)}</title>\n'
        f'<desc id="desc">{escape(_description(history))}</desc>\n<style>{STYLE}</style>\n'
        f"{head}{_legend()}\n{rows}{''.join(_dates(history, height - FOOT + 14))}</svg>\n"
    )


def _description(history: History) -> str:
    """Return a text alternative to the picture."""
    changes = [f"{series.id}: {what}" for series in history.series for what in description.descriptions(series)]
    return ". ".join([description.headline(history), *changes])


def _row(series: Series, history: History) -> Iterator[str]:
    """Yield the elements of one rung: its name and last verdict, its medians, its verdicts, and its changes."""
    last = series.records[-1].entry
    seeds = count(last)
    yield f'<line class="rule" x1="24" y1="-8" x2="{WIDTH - 24}" y2="-8"/>'
    yield _text(24, 18, _cut(series.id, LONGEST), "id")
    yield _text(
        24,
        35,
        _cut(f"{verdict_label(last)}{f' {seeds[0]}/{seeds[1]}' if seeds else ''}, {description.latest(series)}", LONG),
        "dim small",
    )
    quantity = series.main_quantity
    marked = [change for change in series.changes if change.quantity == quantity]
    labels = [(_short(change, series), description.direction(change)) for change in (marked or series.changes)]
    labels = [(series.fault, "worse")] if series.fault else labels
    for line, (what, direction) in enumerate(labels[-2:]):
        yield _text(24, 51 + 14 * line, _cut(what, LONG), f"small {direction}")
    xs = [_x(record.report.created, history) for record in series.records]
    if quantity:
        yield from _curve(series, quantity, xs)
        for change in marked:
            if change.kind == "step":
                x, style = xs[change.index] - min(6.0, 0.5 * _gap(history)), f"step {description.direction(change)}"
                yield f'<line class="{style}" x1="{x:.1f}" y1="{HIGH - 6}" x2="{x:.1f}" y2="{STRIP + 8}"/>'
    wide = max(1.5, min(CELL, _gap(history) - 1.0))
    for record, x in zip(series.records, xs, strict=True):
        yield _verdict(record, x, wide)


def _curve(series: Series, quantity: str, xs: Sequence[float]) -> Iterator[str]:
    """Yield the median and quartiles over seeds; a median of never is a cross at the top."""
    medians = series.levels(quantity)
    ranges = [_quartiles(record.values.get(quantity), series.signs[quantity]) for record in series.records]
    ranges = [(level, level) for level in medians] if quantity == LEARNING else ranges
    values = np.array([medians, *zip(*ranges, strict=True)])
    axis = Axis.around(values, margin=0.0, half=0.5)

    def y(value: float) -> float:
        return HIGH + 4 if value == math.inf else float(axis.place(value, LOW, HIGH + 8))

    recorded = [i for i, value in enumerate(medians) if not math.isnan(value)]
    upper = [f"{xs[i]:.1f},{y(ranges[i][1]):.1f}" for i in recorded]
    lower = [f"{xs[i]:.1f},{y(ranges[i][0]):.1f}" for i in reversed(recorded)]
    yield f'<polygon class="range" points="{" ".join([*upper, *lower])}"/>'
    yield f'<polyline class="median" points="{" ".join(f"{xs[i]:.1f},{y(medians[i]):.1f}" for i in recorded)}"/>'
    for i in recorded:
        if math.isfinite(medians[i]):
            yield f'<circle class="point" cx="{xs[i]:.1f}" cy="{y(medians[i]):.1f}" r="2"/>'
        else:
            yield f'<path class="never" d="M{xs[i] - 3:.1f} {HIGH + 1}l6 6m0-6l-6 6"/>'
    beyond = any(math.isinf(end) for i in recorded for end in (medians[i], ranges[i][1]))
    yield _text(RIGHT + 14, HIGH + 8, "never" if beyond else format_number(axis.high), "dim small")
    if np.isfinite(values).any():
        yield _text(RIGHT + 14, LOW + 3, format_number(axis.low), "dim small")


def _quartiles(sample: Sequence[float] | None, sign: int) -> tuple[float, float]:
    if sample is None:
        return math.nan, math.nan
    values = sorted(sign * value for value in sample)
    # Values that occurred, even if others are infinite.
    ends = [values[round(share * (len(values) - 1))] for share in (0.25, 0.75)]
    return ends[0], ends[1]


def _verdict(record: RungRecord, x: float, wide: float) -> str:
    entry = record.entry
    blocked = bool(entry["blocked_by"])
    high = 5 if entry["green"] or blocked else 11
    seeds = count(entry)
    label = f"{record.report.label}: {entry['verdict']}{f' {seeds[0]}/{seeds[1]}' if seeds else ''}"
    style = "none" if blocked else "green" if entry["green"] else "red"
    return (
        f'<rect class="{style}" x="{x - wide / 2:.1f}" y="{STRIP + 5 - high}" width="{wide:.1f}" height="{high}">'
        f"<title>{escape(label)}</title></rect>"
    )


def _legend() -> str:
    """Return a legend of the marks, in one line."""
    y = 52
    marks = [
        (
            24,
            f'<line class="median" x1="24" y1="{y - 4}" x2="44" y2="{y - 4}"/>',
            26,
            "median over seeds, with its quartiles",
        ),
        (300, f'<line class="step worse" x1="300" y1="{y - 12}" x2="300" y2="{y + 3}"/>', 8, "step for the worse"),
        (430, f'<line class="step better" x1="430" y1="{y - 12}" x2="430" y2="{y + 3}"/>', 8, "for the better"),
        (532, f'<rect class="green" x="532" y="{y - 5}" width="{CELL}" height="5"/>', 14, "as it should be"),
        (648, f'<rect class="red" x="648" y="{y - 11}" width="{CELL}" height="11"/>', 14, "not"),
        (698, f'<rect class="none" x="698" y="{y - 5}" width="{CELL}" height="5"/>', 14, "blocked"),
    ]
    return "".join(mark + _text(x + beside, y, what, "dim") for x, mark, beside, what in marks)


def _dates(history: History, y: float) -> Iterator[str]:
    """Yield the labels of at most ``DATES`` dates, evenly spread over the reports."""
    days = list({f"{report.created:%Y-%m-%d}": report for report in history.reports}.items())
    few = sorted({round(i * (len(days) - 1) / (DATES - 1)) for i in range(DATES)})
    for i in few:
        day, report = days[i]
        x = _x(report.created, history)
        yield f'<text class="dim small" x="{x:.1f}" y="{y:.1f}" text-anchor="middle">{day}</text>'


def _x(created: datetime, history: History) -> float:
    """Return the horizontal position of a report, by its date."""
    axis = Axis(history.reports[0].created.timestamp(), history.reports[-1].created.timestamp())
    return float(axis.place(created.timestamp(), LEFT + 10, RIGHT - 10))


def _gap(history: History) -> float:
    """Return the mean distance from one report to the next."""
    return (RIGHT - LEFT - 20) / max(1, len(history.reports) - 1)


def _short(change: Change, series: Series) -> str:
    when = f" {series.records[change.index].report.created:%Y-%m-%d}" if change.kind == "step" else ""
    return f"{change.kind} for the {description.direction(change)}{when}{'' if change.persists else ', gone since'}"


def _cut(text: str, characters: int) -> str:
    return text if len(text) <= characters else f"{text[: characters - 1]}…"


def _text(x: float, y: float, text: str, style: str) -> str:
    return f'<text class="{style}" x="{x}" y="{y}">{escape(text)}</text>'
