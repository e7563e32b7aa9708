"""The numbers of an axis: its range, its scale, the places of values on it, and its ticks. Nothing here draws."""

import math
import sys
from dataclasses import dataclass
from typing import Any, Self

import numpy as np

from ladder.declare.arrays import Float

LARGEST = 1e200  # larger values are placed here: the difference of two values must not overflow a float
FLAT = 1e-9  # values that differ by a smaller share are rounding errors of one value
TICKS = 7  # largest number of ticks, about


@dataclass(frozen=True)
class Axis:
    """An axis from ``low`` to ``high``, linear or logarithmic; the low end of a logarithmic axis is positive."""

    low: float
    high: float
    logarithmic: bool = False

    @classmethod
    def around(
        cls,
        values: Float[np.ndarray, "..."],
        *,
        margin: float,
        ratio: float = math.inf,
        zero: bool = False,
        half: float | None = None,
    ) -> Self:
        """Return an axis on which all finite values lie; from 0 to 1 if there are none.

        Args:
            values: The values to be drawn.
            margin: The distance from the extreme values to the ends, as a share of the distance between them.
            ratio: The axis is logarithmic if all values are positive and the largest is more than this times the smallest.
            zero: Whether zero must lie on the axis if that is linear; it cannot lie on a logarithmic one.
            half: The distance from the value to the ends if all values are equal; by default half the value.
        """
        values = np.clip(values[np.isfinite(values)], -LARGEST, LARGEST)
        logarithmic = bool(values.size and values.min() > 0.0 and float(values.max()) > ratio * float(values.min()))
        if zero and not logarithmic:
            values = np.append(values, 0.0)
        if not values.size:
            return cls(0.0, 1.0)
        low, high = float(values.min()), float(values.max())
        if logarithmic:
            factor = math.exp(margin * (math.log(high) - math.log(low)))
            return cls(max(low / factor, sys.float_info.min), high * factor, logarithmic=True)
        if half is None:
            half = 0.5 * abs(high) or 1.0
        distance = half if high - low <= FLAT * abs(high) else margin * (high - low)
        return cls(low - distance, high + distance)

    def place(self, values: Any, start: float, end: float) -> Any:
        """Return the places of values in a picture where ``low`` lies at ``start`` and ``high`` at ``end``.

        A place is NaN for NaN and, on a logarithmic axis, for a value that is not positive. On an axis without length all
        values lie in the middle.
        """
        values = np.clip(np.asarray(values, dtype=np.float64), -LARGEST, LARGEST)
        low, high = self.low, self.high
        if self.logarithmic:
            values = np.log(np.where(values > 0.0, values, np.nan))
            low, high = math.log(low), math.log(high)
        if high == low:
            return np.where(np.isnan(values), np.nan, (start + end) / 2)
        return start + (end - start) * (values - low) / (high - low)

    def ticks(self) -> list[float]:
        """Return the ticks: round numbers within the range."""
        low, high = self.low, self.high
        if not self.logarithmic:
            step = _round_step((high - low) / TICKS)
            first = math.ceil(low / step)
            return [n * step for n in range(first, first + 2 * TICKS) if n * step <= high]
        decades = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
        every = max(1, math.ceil(len(decades) / (TICKS + 1)))
        powers = [10.0**n for n in decades if n % every == 0 and low <= 10.0**n <= high]
        if len(powers) > 2:
            return powers
        return [m * 10.0**n for n in decades for m in (1, 2, 5) if low <= m * 10.0**n <= high]

    def whole_ticks(self) -> list[int]:
        """Return the ticks of an axis of epochs: whole numbers, the first epoch among them."""
        first, last = int(self.low), int(self.high)
        step = max(1, round(_round_step((last - first) / TICKS)))
        return [first, *(n for n in range(step, last + 1, step) if n - first > 0.5 * step)]


def _round_step(least: float) -> float:
    """Return the smallest step of at least this length that is 1, 2 or 5 times a power of ten."""
    power = 10.0 ** math.floor(math.log10(least)) if least > 0.0 and math.isfinite(least) else 1.0
    return next((m * power for m in (1, 2, 5) if m * power >= least), 10.0 * power)
