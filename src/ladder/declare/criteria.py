"""Conditions on learning curves: of each seed by itself, or of one rung's seeds against another's.

A criterion turns a seed's curves into a series, one number an epoch, and holds that against a limit. Its statistic is the worst
number from epoch ``by`` on: what a calibration measures and what the report prints.
"""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import KW_ONLY, dataclass, replace
from typing import TYPE_CHECKING, Any, ClassVar, Protocol, Self, runtime_checkable

import numpy as np

from ladder.declare.arrays import Bool, Float
from ladder.declare.fields import check_fields
from ladder.declare.values import shortened

MetricCurves = Mapping[str, Float[np.ndarray, "seed epoch"]]
"""Metric to learning curves; the metrics are evaluated after each epoch, so column ``n - 1`` is epoch ``n``."""


@runtime_checkable
class HasId(Protocol):
    """Anything with the id of a rung, as a ``Rung`` is."""

    @property
    def id(self) -> str:
        """The rung's id."""


def rung_id(rung: HasId | str) -> str:
    """Return the id of a rung that is given by itself or by its id.

    Raises:
        ValueError: for anything else.
    """
    if isinstance(rung, str):
        return rung
    if isinstance(rung, type) or not isinstance(id := getattr(rung, "id", None), str):
        raise ValueError(f"{shortened(rung)} is not a rung; give a Rung, or its id, such as 'rung1'")
    return id


@dataclass(frozen=True)
class Floor:
    """The best value of a criterion's statistic that any model could reach; of ``above``, the highest.

    Attributes:
        value: The value, in the unit of the statistic (:mod:`ladder.floors`).
        source: Where it comes from.

    Raises:
        ValueError: for a value that is not finite, or no source.
    """

    value: float
    source: str

    def __post_init__(self) -> None:
        check_fields(self)
        if not self.source.strip():
            raise ValueError(f"Floor({self.value!r}): say in source= where the number comes from")


@dataclass(frozen=True)
class Criterion(ABC):
    """A condition on one seed's curves, met at epoch ``by`` and at every later evaluation.

    Attributes:
        metric: The metric that is read.
        by: The epoch from which on it must be met, from 1.
        source: Where the limit comes from; may be left out, and the report says so.
        calibrated: Ask the ladder to tighten the limit to the one that a calibration measured for the rung, kept in
            ``reports/calibration``; the limit given here is then what no calibration may exceed.
        floor: The best value of the statistic that any model could reach. A rung refuses a gate whose limit is beyond it.
            A goal's may be, as a published one is: the report says so.

    Raises:
        ValueError: for a value of another type, a limit that is not finite or cannot be met, or an epoch below 1.
    """

    kind: ClassVar[str]
    """The name of the condition in keys and reports."""

    metric: str
    _: KW_ONLY
    by: int
    source: str = ""
    calibrated: bool = False
    floor: Floor | None = None

    if TYPE_CHECKING:  # a field or a property of each criterion; a property here would be in the way of a field

        @property
        def limit(self) -> float:
            """The number that the statistic is compared with."""

    def __post_init__(self) -> None:
        check_fields(self, f"{self.kind}({shortened(self.metric)})")
        if self.by < 1:
            raise ValueError(f"{self}: epochs count from 1")

    @property
    def beyond_floor(self) -> bool:
        """Return whether the limit asks for more than the floor allows."""
        return self.floor is not None and self.limit < self.floor.value

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
    def named_epochs(self) -> tuple[int, ...]:
        """The epochs without which a curve does not show whether it is met."""
        return (self.first_epoch, self.by)

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
        """The condition without its limit, under which a calibration is filed."""
        return f"{self.kind} {' '.join(self.metrics)} by {self.by}"

    def series(self, curves: MetricCurves) -> Float[np.ndarray, "seed epoch"]:
        """Return the number of each seed and epoch that is compared with the limit; NaN where there is none."""
        return curves[self.metric]

    def statistic(self, curves: MetricCurves) -> Float[np.ndarray, " seed"]:
        """Return the worst number of each seed from epoch ``by`` on, NaN if one of them is."""
        return np.asarray(np.max(self.series(curves)[:, self.by - 1 :], axis=1))

    def holds(self, curves: MetricCurves) -> Bool[np.ndarray, " seed"]:
        """Return whether each seed meets the condition. A seed whose statistic is NaN does not."""
        return self._meets(self.statistic(curves))

    def reached(self, curves: MetricCurves) -> Float[np.ndarray, " seed"]:
        """Return the epoch from which on each seed meets the limit, be it after ``by``; infinite for a seed that never does."""
        met = self._meets(self.series(curves))[:, self.first_epoch - 1 :]
        for_good = np.logical_and.accumulate(met[:, ::-1], axis=1)[:, ::-1]
        return np.where(for_good.any(axis=1), self.first_epoch + for_good.argmax(axis=1), np.inf)

    def worst(self, curves: MetricCurves) -> float:
        """Return the statistic of the seed that is furthest from meeting it."""
        return float(np.max(self.statistic(curves)))

    def tightened(self, limit: float, source: str) -> Self:
        """Return the same condition at the stricter of its own limit and ``limit``."""
        return self._at(limit, source) if limit < self.limit else self

    def _at(self, limit: float, source: str) -> Self:
        change: dict[str, Any] = {"limit": limit, "source": source}
        return replace(self, **change)

    def _meets(self, values: Float[np.ndarray, "..."]) -> Bool[np.ndarray, "..."]:
        return np.asarray(values <= self.limit)

    def __str__(self) -> str:
        return self.text


@dataclass(frozen=True)
class Below(Criterion):
    """A metric that is below a limit at epoch ``by`` and after.

    >>> below("mse", 0.05, by=20, source="half of the variance of the targets").text
    'mse < 0.05 by epoch 20'

    Attributes:
        limit: What it must be below; positive, as no loss or distance is negative.
        signed: Allow a limit that is not positive, of a metric that may be negative.
    """

    kind = "below"
    limit: float
    _: KW_ONLY
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


@dataclass(frozen=True)
class Above(Criterion):
    """A metric that is above a limit at epoch ``by`` and after.

    >>> above("accuracy", 0.9, by=5, source="logistic regression").text
    'accuracy > 0.9 by epoch 5'
    """

    kind = "above"
    limit: float

    @property
    def beyond_floor(self) -> bool:
        """Return whether the limit lies above the highest value that can be reached."""
        return self.floor is not None and self.limit > self.floor.value

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
        return self._at(limit, source) if limit > self.limit else self

    def _meets(self, values: Float[np.ndarray, "..."]) -> Bool[np.ndarray, "..."]:
        return np.asarray(values > self.limit)


@dataclass(frozen=True)
class Falls(Criterion):
    """A metric that has fallen to at most ``limit`` times its value at epoch ``since``, at epoch ``by`` and after.

    >>> falls("loss", 0.5, by=10, source="the healthy rungs halve it").text
    "loss at most 0.5 of epoch 1's by epoch 10"

    Attributes:
        limit: The factor, between 0 and 1.
        since: The epoch whose value it is compared with, before ``by``.
    """

    kind = "falls"
    limit: float
    _: KW_ONLY
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
        """The epoch after ``since``."""
        return self.since + 1

    @property
    def named_epochs(self) -> tuple[int, ...]:
        """The epochs without which a curve does not show whether it is met."""
        return (self.since, *super().named_epochs)

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


@dataclass(frozen=True)
class Agrees(Criterion):
    """Two metrics that differ by at most ``within`` at epoch ``by`` and after.

    >>> agrees("mse", "mse_again", within=1e-6, by=1, source="two ways to compute it").text
    'mse and mse_again within 1e-06 by epoch 1'

    Attributes:
        other: The metric that ``metric`` is compared with.
        within: The largest difference that is allowed.
    """

    kind = "agrees"
    other: str
    _: KW_ONLY
    within: float

    @property
    def limit(self) -> float:
        """The largest difference that is allowed."""
        return self.within

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

    def _at(self, limit: float, source: str) -> Self:
        return replace(self, within=limit, source=source)

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
        ValueError: for a value of another type, or a margin that is negative or not finite.
    """

    metric: str
    against: str
    margin: float
    source: str = ""

    def __post_init__(self) -> None:
        check_fields(self, "comparison")
        if self.margin < 0.0:
            raise ValueError(
                f"comparison of {self.metric!r} with {self.against} at margin {self.margin}: choose 0 or a positive number"
            )

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


below = Below
above = Above
falls = Falls
agrees = Agrees


def better_than(against: HasId | str, metric: str, *, source: str = "") -> Comparison:
    """Return the condition that ``metric`` ends lower than on the rung ``against``, paired over seeds."""
    return Comparison(metric=metric, against=rung_id(against), margin=0.0, source=source)


def no_worse_than(against: HasId | str, metric: str, *, margin: float, source: str = "") -> Comparison:
    """Return the condition that ``metric`` ends at most ``margin`` higher than on the rung ``against``, paired over seeds."""
    return Comparison(metric=metric, against=rung_id(against), margin=margin, source=source)
