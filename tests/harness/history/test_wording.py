"""The words that comparisons and histories share."""

import math

from ladder.history.wording import counted, epoch, listed


def test_listed():
    """A few rungs are named, and more are counted."""
    assert listed(["rung1", "rung2", "rung3"]) == "rung1, rung2, rung3"
    assert listed(["rung1"] * 4) == "4 rungs"


def test_counted():
    """A number agrees with its noun."""
    assert (counted(1), counted(2), counted(2, "quantity", "quantities")) == ("1 rung", "2 rungs", "2 quantities")


def test_epoch():
    """An epoch is a number without needless digits, or never."""
    assert (epoch(3.0), epoch(2.5), epoch(math.inf)) == ("3", "2.5", "never")
