"""The learning curves of all seeds with their limits, one panel for each condition."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from ladder.declare.arrays import Bool, Float
from ladder.declare.criteria import Above, Comparison, Criterion, MetricCurves
from ladder.judge.judgement import ComparisonResult, CriterionResult
from ladder.pictures import style
from ladder.report.axis import Axis
from ladder.report.text import floor_name, format_number, median
from ladder.train.result import Trained

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from ladder.climb import Outcome

DECADE = 10.0
MARGIN = 0.07  # above and below the curves, as a share of their range
WRAP = 40  # characters in a line of a panel's title
FEW = 12  # epochs, up to which each point has a marker
ALIKE = 0.005  # share of the axis: seeds no further apart are hidden by the median's line
LINES = ("--", "-.", ":")


@dataclass(frozen=True)
class Panel:
    """A condition and the curves that are drawn for it.

    Attributes:
        title: The condition and its result.
        label: The label of the vertical axis.
        values: The values of each seed, by epoch.
        failed: The seeds that are drawn as failing.
        others: The median by epoch of each rung that it is compared with; NaN where no seed has a value.
        criterion: The condition if it has a limit to draw; None for a comparison.
    """

    title: str
    label: str
    values: Float[np.ndarray, "seed epoch"]
    failed: Bool[np.ndarray, " seed"]
    others: Mapping[str, list[float]]
    criterion: Criterion | None

    @property
    def axis(self) -> Axis:
        """The axis of the values; a floor of zero is no reason for it to be linear."""
        limit = self.criterion.limit if self.criterion else np.nan
        floor = self.criterion.floor.value if self.criterion and self.criterion.floor else np.nan
        drawn = [self.values.ravel(), *map(np.array, self.others.values()), np.array([limit, floor or np.nan])]
        return Axis.around(np.concatenate(drawn), margin=MARGIN, ratio=DECADE, zero=floor == 0.0)


def learning_curves(outcome: Outcome, partners: Mapping[str, Trained]) -> tuple[str, Figure]:
    """Return a caption and the figure of a rung's learning curves.

    A criterion's panel has the curves that its statistic is taken from, for ``Falls`` each seed's ratio to its start epoch.
    Thin lines are seeds, dashed if they do not meet the panel's condition; none is dashed if the rung was not judged.
    """
    panels = _panels(outcome, partners)
    columns = len(panels) if len(panels) < 4 else 2 if len(panels) == 4 else 3
    rows = -(-len(panels) // columns)
    figure, axes = style.panels(rows, columns, {1: 6.4, 2: 4.8}.get(columns, 3.8), 3.1)
    legend: dict[str, Any] = {}
    for panel, ax in zip(panels, axes.flat, strict=False):
        legend |= _draw(panel, ax, sum(panel.values.size for panel in panels) > style.VECTOR_POINTS)
    for ax in axes.flat[len(panels) :]:
        ax.set_axis_off()
    order = ("seed", "seed that does not meet it", "median", "limit", "floor", "ceiling")
    style.legend(figure, {name: legend[name] for name in (*order, *sorted(set(legend) - set(order))) if name in legend})
    assert outcome.trained is not None
    return f"learning curves of {outcome.trained.seeds} seeds", figure


def _panels(outcome: Outcome, partners: Mapping[str, Trained]) -> list[Panel]:
    rung, trained, judged = outcome.rung, outcome.trained, outcome.judgement
    assert trained is not None
    none = np.zeros(trained.seeds, bool)
    parent = {rung.parent_id: partners[rung.parent_id]} if rung.parent_id in partners else {}
    panels = []
    results = [*judged.gates, *judged.goals] if judged else [None] * (len(rung.gates) + len(rung.goals))
    kinds = ["gate"] * len(rung.gates) + ["goal"] * len(rung.goals)
    for kind, condition, result in zip(kinds, (*rung.gates, *rung.goals), results, strict=True):
        if isinstance(condition, Criterion):
            label, failed, others = condition.label, none, parent
            if judged:
                failed = ~(condition.holds(trained.curves) & (trained.first_non_finite_step == 0))
        else:
            label, failed = condition.metric, none
            others = {id: curves for id, curves in partners.items() if id == condition.against}
        medians = {
            id: median(_values(condition, curves.curves))
            for id, curves in others.items()
            if set(condition.metrics) <= set(curves.curves)
        }
        panels.append(
            Panel(
                "\n".join(style.wrapped(f"{kind}: {condition.text}", WRAP)) + _result_text(result),
                label,
                _values(condition, trained.curves),
                failed,
                medians,
                condition if isinstance(condition, Criterion) else None,
            )
        )
    return panels


def _result_text(result: CriterionResult | ComparisonResult | None) -> str:
    if isinstance(result, CriterionResult):
        return f"\nmet by {result.k} of {result.n} seeds"
    if isinstance(result, ComparisonResult):
        interval = result.interval
        median, low, high = map(format_number, (interval.median, interval.low, interval.high))
        return f"\n{result.verdict}: {median} [{low}, {high}]"
    return ""


def _values(condition: Criterion | Comparison, curves: MetricCurves) -> Float[np.ndarray, "seed epoch"]:
    values = condition.series(curves) if isinstance(condition, Criterion) else curves[condition.metric]
    return np.where(np.isfinite(values), values, np.nan)


def _draw(panel: Panel, ax: Axes, raster: bool) -> dict[str, Any]:
    """Draw the panel's lines and return one of each kind for the legend."""
    legend: dict[str, Any] = {}
    seeds, epochs = panel.values.shape
    at = np.arange(1, epochs + 1)
    axis = panel.axis
    ax.set_yscale("log" if axis.logarithmic else "linear")
    marker = "." if epochs <= FEW else ""
    thin: dict[str, Any] = {"lw": 0.8, "marker": marker, "ms": 3, "rasterized": raster}
    for seed, failed in zip(panel.values, panel.failed, strict=True):
        colour, dashes = (style.VERMILLION, "--") if failed else (style.BLUE, "-")
        alpha, level = (0.75, 3) if failed else (0.5, 2)
        (line,) = ax.plot(at, seed, color=colour, ls=dashes, alpha=alpha, zorder=level, **thin)
        legend.setdefault("seed that does not meet it" if failed else "seed", line)
        missing = np.flatnonzero(np.isnan(seed))
        if missing.size and (last := missing[0] - 1) >= 0:
            (cross,) = ax.plot(at[last], seed[last], "x", color=colour, ms=7, mew=1.5, zorder=5)
            legend.setdefault("not trained or not finite from here on", cross)
    (legend["median"],) = ax.plot(at, median(panel.values), color=style.BLACK, lw=2.2, marker=marker, ms=7, zorder=4)
    for (id, values), line_style in zip(panel.others.items(), LINES, strict=False):
        epochs_there = np.arange(1, len(values) + 1)
        (legend[f"median of {id}"],) = ax.plot(
            epochs_there, values, color=style.GREY, lw=2.2, ls=line_style, marker=marker, ms=7, zorder=3
        )
    longest = max(epochs, *map(len, panel.others.values()), 1)
    if longest <= FEW:
        ax.set_xlim(0.7, longest + 0.5)
        ax.set_xticks(range(1, longest + 1))
    else:
        ax.set_xlim(1 - 0.04 * longest, 1.04 * longest)
    ax.set_ylim(axis.low, axis.high)
    if panel.criterion:
        legend |= _draw_limit(panel.criterion, ax)
    complete = panel.values[:, ~np.isnan(panel.values).any(axis=0)]
    heights = axis.place(complete, 0.0, 1.0)
    if seeds > 1 and complete.size and np.ptp(heights, axis=0).max() <= ALIKE:
        clear = 0.25 if abs(heights[0, -1] - 0.5) < 0.15 else 0.5
        style.note(ax, clear, "all seeds lie on the median")
    never = int(np.isnan(panel.values).all(axis=1).sum())
    if never:
        style.note(ax, 0.93, f"{never} of {seeds} seeds: no value")
    ax.set_title(panel.title)
    ax.set_xlabel("epoch")
    ax.set_ylabel(panel.label)
    return legend


def _draw_limit(criterion: Criterion, ax: Axes) -> dict[str, Any]:
    """Draw the limit from its epoch on, hatch its wrong side, draw the floor, and return the lines for the legend."""
    legend: dict[str, Any] = {}
    (left, right), (low, high) = ax.get_xlim(), ax.get_ylim()
    wrong = low if isinstance(criterion, Above) else high
    ax.fill_between(
        [criterion.by, right],
        [criterion.limit] * 2,
        [wrong] * 2,
        facecolor="none",
        edgecolor=style.LIGHT,
        hatch="///",
        lw=0.0,
        zorder=1,
    )
    (legend["limit"],) = ax.plot(
        [criterion.by, right], [criterion.limit] * 2, color=style.GREEN, lw=2.2, zorder=6, solid_capstyle="butt"
    )
    labels = [(criterion.limit, f"limit\n{format_number(criterion.limit)}", style.GREEN)]
    if criterion.floor is not None and (criterion.floor.value > 0.0 or ax.get_yscale() == "linear"):
        floor, name = criterion.floor.value, floor_name(criterion.kind)
        (legend[name],) = ax.plot([left, right], [floor, floor], color=style.BLACK, lw=1.4, ls=":", zorder=6)
        labels.append((floor, f"{name}\n{format_number(floor)}", style.BLACK))
    style.at_right(ax, labels)
    return legend
