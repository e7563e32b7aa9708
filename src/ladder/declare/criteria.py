"""Conditions on learning curves: of each seed by itself, or of one rung's seeds against another's.

A criterion turns a seed's curves into a series, one number an epoch, and holds that against a limit. Its statistic is the worst
number from epoch ``by`` on: what a calibration measures and what the report prints.
"""

import math
from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import ClassVar, Self

import numpy as np

from ladder.declare.arrays import Bool, Float

MetricCurves = Mapping[str, Float[np.ndarray, "seed epoch"]]
"""Metric to learning curves; the metrics are evaluated after each epoch, so column ``n - 1`` is epoch ``n``."""


def _check_epoch(criterion: object, by: int) -> None:
    if by < 1:
        raise ValueError(f"{criterion}: epochs count from 1")


def _check_source(criterion: object, source: str) -> None:
    if not source.strip():
        raise ValueError(f"{criterion}: say in source= where the number comes from")


@dataclass(frozen=True, kw_only=True)
class Criterion(ABC):
    """A condition on one seed's curves, met at epoch ``by`` and at every later evaluation.

    ``calibrated`` asks the ladder to tighten the limit to the one that a calibration measured for the rung, kept in
    ``reports/calibration``; the limit given here is then what no calibration may exceed.

    ``floor`` is the best value of the statistic that any model could reach (:mod:`ladder.floors`); of ``above`` the highest.
    A rung refuses a gate whose limit is beyond it. A goal's may be, as a published one is: the report tells.

    Raises:
        ValueError: for a limit that is not finite or cannot be met, an epoch below 1, no source, or a floor that is not
            finite or has none.
    """

    kind: ClassVar[str]
    """The name of the condition in keys and reports."""

    metric: str
    limit: float
    by: int
    source: str
    calibrated: bool = False
    floor: float | None = None
    floor_source: str = ""

    def __post_init__(self) -> None:
        if not math.isfinite(self.limit):
            raise ValueError(f"{self.kind}({self.metric!r}, {self.limit}): choose a finite limit")
        _check_epoch(self, self.by)
        _check_source(self, self.source)
        if self.floor is not None and not (math.isfinite(self.floor) and self.floor_source.strip()):
            raise ValueError(f"{self}: floor={self.floor}: choose a finite floor and say its source in floor_source=")

    @property
    def beyond_floor(self) -> bool:
        """Return whether the limit asks for more than the floor allows."""
        return self.floor is not None and self.limit < self.floor

    @property
    def metrics(self) -> tuple[str, ...]:
        """The metrics it reads."""
        return (self.metric,)

    @property
    def last_epoch(self) -> int:
        """The epoch that must have been trained for it to be judged."""
        return self.by

    @property
    def first_epoch(self) -> int:
        """The first epoch at which it could be met."""
        return 1

    @property
    @abstractmethod
    def text(self) -> str:
        """The condition in words, without its source."""

    @property
    def label(self) -> str:
        """The series in words, for an axis."""
        return self.metric

    @property
    def key(self) -> str:
        """The condition without its limit: what a calibration files a limit under."""
        return f"{self.kind} {' '.join(self.metrics)} by {self.by}"

    def series(self, curves: MetricCurves) -> Float[np.ndarray, "seed epoch"]:
        """Return the number of each seed and epoch that is held against the limit; NaN where there is none."""
        return curves[self.metric]

    def statistic(self, curves: MetricCurves) -> Float[np.ndarray, " seed"]:
        """Return the worst number of each seed from epoch ``by`` on, NaN if one of them is."""
        return np.asarray(np.max(self.series(curves)[:, self.by - 1 :], axis=1))

    def holds(self, curves: MetricCurves) -> Bool[np.ndarray, " seed"]:
        """Return for each seed whether it holds. A statistic that is NaN holds of none."""
        return self._meets(self.statistic(curves))

    def reached(self, curves: MetricCurves) -> Float[np.ndarray, " seed"]:
        """Return the epoch at which each seed has met it for good, be it after ``by``; infinite for one that never does."""
        met = self._meets(self.series(curves))[:, self.first_epoch - 1 :]
        for_good = np.logical_and.accumulate(met[:, ::-1], axis=1)[:, ::-1]
        return np.where(for_good.any(axis=1), self.first_epoch + for_good.argmax(axis=1), np.inf)

    def worst(self, curves: MetricCurves) -> float:
        """Return the statistic of the seed that is furthest from meeting it."""
        return float(np.max(self.statistic(curves)))

    def tightened(self, limit: float, source: str) -> Self:
        """Return the same condition at the stricter of its own limit and ``limit``."""
        return replace(self, limit=limit, source=source) if limit < self.limit else self

    def _meets(self, values: Float[np.ndarray, "..."]) -> Bool[np.ndarray, "..."]:
        return np.asarray(values <= self.limit)

    def __str__(self) -> str:
        return self.text


@dataclass(frozen=True, kw_only=True)
class Below(Criterion):
    """A metric that stays below the limit."""

    kind = "below"
    signed: bool = False

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.limit <= 0.0 and not self.signed:
            raise ValueError(
                f"below({self.metric!r}, {self.limit}): no loss or distance gets there; choose a positive limit, or "
                "signed=True for a metric that may be negative"
            )

    @property
    def text(self) -> str:
        """The condition in words."""
        return f"{self.metric} < {self.limit:.4g} by epoch {self.by}"

    def _meets(self, values: Float[np.ndarray, "..."]) -> Bool[np.ndarray, "..."]:
        return np.asarray(values < self.limit)


@dataclass(frozen=True, kw_only=True)
class Above(Criterion):
    """A metric that stays above the limit."""

    kind = "above"

    @property
    def beyond_floor(self) -> bool:
        """Return whether the limit lies above the highest value that can be reached."""
        return self.floor is not None and self.limit > self.floor

    @property
    def text(self) -> str:
        """The condition in words."""
        return f"{self.metric} > {self.limit:.4g} by epoch {self.by}"

    def statistic(self, curves: MetricCurves) -> Float[np.ndarray, " seed"]:
        """Return the smallest value of each seed from epoch ``by`` on, NaN if one of them is."""
        return np.asarray(np.min(self.series(curves)[:, self.by - 1 :], axis=1))

    def worst(self, curves: MetricCurves) -> float:
        """Return the smallest statistic."""
        return float(np.min(self.statistic(curves)))

    def tightened(self, limit: float, source: str) -> Self:
        """Return the same condition at the larger of the two limits."""
        return replace(self, limit=limit, source=source) if limit > self.limit else self

    def _meets(self, values: Float[np.ndarray, "..."]) -> Bool[np.ndarray, "..."]:
        return np.asarray(values > self.limit)


@dataclass(frozen=True, kw_only=True)
class Falls(Criterion):
    """A metric that falls to at most ``limit`` times its value at epoch ``since``."""

    kind = "falls"
    since: int = 1

    def __post_init__(self) -> None:
        super().__post_init__()
        if not 0.0 < self.limit < 1.0:
            raise ValueError(f"falls({self.metric!r}, {self.limit}): choose a factor between 0 and 1")
        if not 1 <= self.since < self.by:
            raise ValueError(
                f"falls({self.metric!r}, since={self.since}, by={self.by}): compare an earlier epoch with a later one"
            )

    @property
    def first_epoch(self) -> int:
        """The one after ``since``."""
        return self.since + 1

    @property
    def text(self) -> str:
        """The condition in words."""
        return f"{self.metric} at most {self.limit:.4g} of epoch {self.since}'s by epoch {self.by}"

    @property
    def label(self) -> str:
        """The series in words, for an axis."""
        return f"{self.metric} / {self.metric} at epoch {self.since}"

    @property
    def key(self) -> str:
        """The condition without its limit."""
        return f"{super().key} since {self.since}"

    def series(self, curves: MetricCurves) -> Float[np.ndarray, "seed epoch"]:
        """Return the ratio to the value at epoch ``since``; NaN where the metric does not start above zero."""
        values = curves[self.metric]
        start = values[:, self.since - 1 : self.since]
        if not start.size:  # of a run that was broken off before
            return np.full_like(values, np.nan)
        with np.errstate(divide="ignore", invalid="ignore"):
            return np.asarray(values / np.where(start > 0.0, start, np.nan))


@dataclass(frozen=True, kw_only=True)
class Agrees(Criterion):
    """Two metrics that differ by at most ``limit``."""

    kind = "agrees"
    other: str

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.limit < 0.0 or self.metric == self.other:
            raise ValueError(
                f"agrees({self.metric!r}, {self.other!r}, within={self.limit}): compare two metrics within 0 or a positive number"
            )

    @property
    def metrics(self) -> tuple[str, ...]:
        """The two metrics."""
        return (self.metric, self.other)

    @property
    def text(self) -> str:
        """The condition in words."""
        return f"{self.metric} and {self.other} within {self.limit:.4g} by epoch {self.by}"

    @property
    def label(self) -> str:
        """The series in words, for an axis."""
        return f"|{self.metric} − {self.other}|"

    def series(self, curves: MetricCurves) -> Float[np.ndarray, "seed epoch"]:
        """Return the absolute difference of the two metrics."""
        with np.errstate(invalid="ignore"):
            return np.asarray(np.abs(curves[self.metric] - curves[self.other]))


@dataclass(frozen=True, kw_only=True)
class Comparison:
    """A paired comparison with another rung on the last epoch's metric, the same keys on both sides.

    Holds when the upper end of the interval of the median difference, this rung's value less the other's, stays
    below ``margin``: 0 for *better*, a positive number fixed beforehand for *no worse*.

    Raises:
        ValueError: for a margin that is negative or not finite, or no source.
    """

    metric: str
    against: str
    margin: float
    source: str

    def __post_init__(self) -> None:
        if not (math.isfinite(self.margin) and self.margin >= 0.0):
            raise ValueError(
                f"comparison of {self.metric!r} with {self.against} at margin {self.margin}: choose 0 or a positive number"
            )
        _check_source(self, self.source)

    @property
    def metrics(self) -> tuple[str, ...]:
        """The metric it reads, on both sides."""
        return (self.metric,)

    @property
    def text(self) -> str:
        """The condition in words, without its source."""
        if self.margin == 0.0:
            return f"{self.metric} lower than {self.against}'s (median of pairs)"
        return f"{self.metric} at most {self.margin:.4g} above {self.against}'s (median of pairs)"

    def __str__(self) -> str:
        return self.text


def below(
    metric: str,
    limit: float,
    *,
    by: int,
    source: str,
    signed: bool = False,
    calibrated: bool = False,
    floor: float | None = None,
    floor_source: str = "",
) -> Below:
    """``metric`` below ``limit`` at epoch ``by`` and after."""
    return Below(
        metric=metric,
        limit=limit,
        by=by,
        source=source,
        signed=signed,
        calibrated=calibrated,
        floor=floor,
        floor_source=floor_source,
    )


def above(
    metric: str,
    limit: float,
    *,
    by: int,
    source: str,
    calibrated: bool = False,
    floor: float | None = None,
    floor_source: str = "",
) -> Above:
    """``metric`` above ``limit`` at epoch ``by`` and after."""
    return Above(
        metric=metric,
        limit=limit,
        by=by,
        source=source,
        calibrated=calibrated,
        floor=floor,
        floor_source=floor_source,
    )


def falls(
    metric: str,
    to: float,
    *,
    by: int,
    source: str,
    since: int = 1,
    calibrated: bool = False,
    floor: float | None = None,
    floor_source: str = "",
) -> Falls:
    """``metric`` at most ``to`` times its value at epoch ``since``, at epoch ``by`` and after."""
    return Falls(
        metric=metric,
        limit=to,
        by=by,
        source=source,
        since=since,
        calibrated=calibrated,
        floor=floor,
        floor_source=floor_source,
    )


def agrees(metric: str, other: str, *, within: float, by: int, source: str) -> Agrees:
    """``metric`` and ``other`` at most ``within`` apart at epoch ``by`` and after."""
    return Agrees(metric=metric, other=other, limit=within, by=by, source=source)


def better_than(against: str, metric: str, *, source: str) -> Comparison:
    """``metric`` ends lower than on the rung ``against``, paired over seeds."""
    return Comparison(metric=metric, against=against, margin=0.0, source=source)


def no_worse_than(against: str, metric: str, *, margin: float, source: str) -> Comparison:
    """``metric`` ends at most ``margin`` higher than on the rung ``against``, paired over seeds."""
    return Comparison(metric=metric, against=against, margin=margin, source=source)
