"""The charts of the page: their lines lie where the values say."""

import math
import re
from itertools import pairwise

import numpy as np
import pytest

from ladder.report.chart import BOTTOM, LEFT, RIGHT, TOP, chart, missed, spark
from ladder.report.text import find as rung


def points(path):
    """The places that a path goes to, line by line; crosses and closed areas are not understood."""
    lines = []
    for letter, numbers in re.findall(r"([A-Za-z])([^A-Za-z]*)", path):
        values = [float(number) for number in re.findall(r"-?(?:\d+\.?\d*|\.\d+)", numbers)]
        if letter == "M":
            lines.append([tuple(values)])
        elif letter == "l":
            for across, up in zip(values[::2], values[1::2], strict=True):
                x, y = lines[-1][-1]
                lines[-1].append((round(x + across, 1), round(y + up, 1)))
    return lines


def test_limit_and_floor_lines(report):
    """The lines of limit and floor lie at their values, and the limit begins at its epoch."""
    drawn = chart(rung(report, "rung2"), "loss", report)
    limit, floor = (next(level for level in drawn.levels if level.kind == kind) for kind in ("limit", "floor"))
    assert (limit.label, floor.label) == ("limit 0.5", "floor 0.1")
    ticks = {float(tick): at for at, tick in drawn.up}
    (at_half,), (at_floor,) = ({float(y) for _, y in points(level.path)[0]} for level in (limit, floor))
    scale = (ticks[1.5] - ticks[1.0]) / 0.5
    assert at_half == pytest.approx(ticks[1.0] - 0.5 * scale, abs=0.2)
    assert at_floor == pytest.approx(ticks[1.0] - 0.9 * scale, abs=0.2)
    third = {tick: at for at, tick in drawn.across}["3"]
    assert limit.path.startswith(f"M{third} ")
    assert limit.path.endswith(f"H{RIGHT}")
    assert floor.path.startswith(f"M{LEFT:.1f}".removesuffix(".0"))
    assert f"V{TOP}H" in limit.wrong
    assert not floor.wrong
    assert "Condition: loss < 0.5 by epoch 3, met by " in drawn.words
    assert "Floor 0.1" in drawn.words
    curve = points(drawn.median)[0]
    assert curve[-1] == (third, pytest.approx(ticks[1.0] + (medians(report, "rung2")[-1] - 1.0) * scale, abs=0.2))
    assert all(LEFT <= x <= RIGHT and TOP <= y <= BOTTOM for line in points(drawn.met + drawn.missed) for x, y in line)


def medians(report, id):
    return np.median(np.array(rung(report, id)["curves"]["loss"]), axis=0)


def test_fall_line(report):
    """The limit of a fall is drawn relative to the first value of the median curve."""
    drawn = chart(rung(report, "rung1"), "loss", report)
    fall = next(level for level in drawn.levels if level.label == "limit ×0.6")
    limit = next(level for level in drawn.levels if level.label == "limit 0.5")
    ticks = {float(tick): at for at, tick in drawn.up}
    (low, at_low), *_, (high, at_high) = sorted(ticks.items())
    scale = (at_high - at_low) / (high - low)
    between = points(fall.path)[0][0][1] - points(limit.path)[0][0][1]
    assert between == pytest.approx((0.6 * medians(report, "rung1")[0] - 0.5) * scale, abs=0.2)
    assert any("each seed's own start" in note for note in drawn.notes)


def test_missed_seeds(report):
    """Seeds that miss a gate are drawn apart, and their number equals the counted one."""
    broken = rung(report, "rung2")
    passed, of = broken["seeds"]["passed"], broken["seeds"]["of"]
    assert 0 < passed < of
    drawn = chart(broken, "loss", report)
    assert (len(points(drawn.met)), len(points(drawn.missed))) == (passed, of - passed)
    ends = [line[-1][1] for line in points(drawn.met)]
    assert max(ends) > min(line[-1][1] for line in points(drawn.missed)), "lower on the page is a smaller loss"
    assert f"{passed} of {of} seeds meet every gate" in drawn.words
    assert missed(rung(report, "rung3")) is None
    assert missed(rung(report, "rung4")) is None, "a comparison asks nothing of a seed by itself"
    gate = broken["gates"][0]
    for change in ({"reached": [1] * of}, {"reached": [None] * of}):
        assert missed(broken | {"gates": [gate | change]}) is None, "what contradicts the count is not drawn"
    untold = chart(broken | {"gates": [gate | {"reached": None}]}, "loss", report)
    assert (len(points(untold.met)), untold.missed) == (of, "")
    assert "every gate" not in untold.words


def test_non_finite_values(report):
    """A non-finite value interrupts its curve, and a cross marks the last finite value."""
    half = rung(report, "rung5")
    lost = len(half["seeds"]["non_finite"])
    drawn = chart(half, "loss", report)
    assert drawn.lost.count("M") == lost > 0
    assert [len(line) for line in points(drawn.missed) if len(line) == 1] == [1] * lost
    gap = half | {"curves": {"loss": [[1.0, None, 0.5], [None, None, None]]}, "seeds": None}
    broken = chart(gap, "loss", report)
    assert [len(line) for line in points(broken.met)] == [1, 1]
    assert "1 of 2 seeds have no value" in broken.notes
    assert "NaN" not in repr(broken)
    nothing = chart(gap | {"curves": {"loss": [[None, None, None]]}}, "loss", report)
    assert (nothing.met, nothing.median) == ("", "")
    assert "Median has no value" in nothing.words


@pytest.mark.parametrize(
    ("curve", "logarithmic"),
    [
        ([[1.0, 0.1, 0.03]], True),
        ([[1.0, 0.1, 0.05]], False),
        ([[1.0, 0.1, 0.0]], False),
        ([[1.0, -0.5, 1e-9]], False),
        ([[1.7e308, -1.7e308, 1e-300]], False),
        ([[1.7e308, 1.0, 1e-300]], True),
        ([[2.0, 2.0, 2.0]], False),
        ([[0.0, 0.0, 0.0]], False),
    ],
)
def test_logarithmic_axis(report, curve, logarithmic):
    """The axis is logarithmic if all values are positive and of very different sizes."""
    entry = rung(report, "rung1") | {"curves": {"loss": curve}, "gates": [], "seeds": None, "parent": None}
    drawn = chart(entry, "loss", report)
    assert ("on a logarithmic axis" in drawn.words) == logarithmic
    (line,) = points(drawn.met)
    assert all(TOP <= y <= BOTTOM for _, y in line)
    assert 2 <= len(drawn.up) <= 14
    places = [at for at, _ in drawn.up]
    assert places == sorted(places, reverse=True)
    assert all(math.isfinite(at) and TOP <= at <= BOTTOM for at in places)


def test_floor_of_zero(report):
    """A floor of 0 is left out of a logarithmic axis, and a note says so."""
    floor = {"value": 0.0, "source": "x"}
    entry = rung(report, "rung1") | {"curves": {"loss": [[1.0, 0.1, 0.01]]}, "seeds": None}
    entry["gates"] = [entry["gates"][0] | {"floor": floor}]
    drawn = chart(entry, "loss", report)
    assert [level.kind for level in drawn.levels] == ["limit"]
    assert "the floor of 0 is not on a logarithmic axis" in drawn.notes


def test_overlapping_labels(report):
    """Labels that would overlap are moved apart and stay within the chart."""
    entry = rung(report, "rung1") | {"parent": None}
    gate = entry["gates"][0]
    limits = [gate | {"limit": limit} for limit in (0.5, 0.501, 0.502, 1e6, 0.9999e6, 0.9998e6)]
    levels = chart(entry | {"gates": limits}, "loss", report).levels
    heights = sorted(level.at for level in levels)
    assert len(heights) == 7
    assert all(b - a >= 13 for a, b in pairwise(heights))
    assert TOP <= heights[0] <= heights[-1] <= BOTTOM


def test_compared_rungs(report):
    """The median curves of compared rungs are drawn up to the last epoch of the rung."""
    drawn = chart(rung(report, "rung2"), "loss", report)
    assert {id: [len(line) for line in points(path)] for id, path in drawn.others.items()} == {"rung1": [3]}
    assert not chart(rung(report, "rung1"), "loss", report).others
    assert list(chart(rung(report, "rung4"), "loss", report).others) == ["rung1"], (
        "a root that is compared with another"
    )
    short = rung(report, "rung2") | {"epochs": [1, 2], "curves": {"loss": [[1.0, 2.0]]}, "seeds": None}
    assert len(points(chart(short, "loss", report).others["rung1"])[0]) == 2


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ([2.0, 1.0], "loss from 2 to 1"),
        ([math.nan, 2.0, None], "loss from 2 to 2, then no value"),
        ([1.0], "loss from 1 to 1"),
        ([1.7e308, -1.7e308], "loss from 1.7e+308 to -1.7e+308"),
        ([None, math.nan], "loss has no value"),
    ],
)
def test_spark_description(values, words):
    """The description of a small curve gives its first and last value."""
    drawn = spark(values, "loss")
    assert drawn.words == words
    assert (drawn.end is None) == (drawn.path == "") == (words == "loss has no value")
