"""Words that comparisons and histories share."""

import math
from collections.abc import Sequence

LISTED = 3  # rungs named in a line that says other things too


def listed(ids: Sequence[str]) -> str:
    """Return the ids of the rungs, or how many there are if they are more than ``LISTED``."""
    return ", ".join(ids) if len(ids) <= LISTED else counted(len(ids))


def counted(number: int, what: str = "rung", plural: str = "") -> str:
    """Return ``1 rung``, ``17 rungs``."""
    return f"{number} {what if number == 1 else plural or f'{what}s'}"


def epoch(value: float) -> str:
    """Return an epoch as text, ``never`` if it is infinite."""
    return f"{value:g}" if math.isfinite(value) else "never"
