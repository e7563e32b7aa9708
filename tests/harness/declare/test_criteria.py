"""Criteria: the number each takes from a curve, when it holds, and what may not be asked."""

import math

import numpy as np
import pytest

from ladder.declare.criteria import Floor, above, agrees, below, better_than, falls, no_worse_than

SOURCE = "made up for the test"
NAN = math.nan
# Seeds: learns; learns and loses it again; never learns; turns non-finite.
LOSS = np.array([[4.0, 1.0, 0.5], [4.0, 0.5, 3.0], [4.0, 4.0, 4.0], [4.0, 0.5, NAN]])
CURVES = {"loss": LOSS, "score": 5.0 - LOSS, "twin": LOSS + np.array([[0.0, 0.25, -0.5]])}

CASES = {
    "below": (below("loss", 2.0, by=2, source=SOURCE), [1.0, 3.0, 4.0, NAN], [1, 0, 0, 0], "loss < 2 by epoch 2"),
    "above": (above("score", 3.0, by=2, source=SOURCE), [4.0, 2.0, 1.0, NAN], [1, 0, 0, 0], "score > 3 by epoch 2"),
    "falls": (
        falls("loss", 0.5, by=2, source=SOURCE),
        [0.25, 0.75, 1.0, NAN],
        [1, 0, 0, 0],
        "loss at most 0.5 of epoch 1's by epoch 2",
    ),
    "falls since": (
        falls("loss", 0.5, since=2, by=3, source=SOURCE),
        [0.5, 6.0, 1.0, NAN],
        [1, 0, 0, 0],
        "loss at most 0.5 of epoch 2's by epoch 3",
    ),
    "agrees": (
        agrees("loss", "twin", within=0.5, by=2, source=SOURCE),
        [0.5, 0.5, 0.5, NAN],
        [1, 1, 1, 0],
        "loss and twin within 0.5 by epoch 2",
    ),
}
case = pytest.mark.parametrize(("criterion", "statistic", "holds", "text"), CASES.values(), ids=CASES)


@case
def test_criterion(criterion, statistic, holds, text):
    """A criterion has a statistic for each seed, the seeds that meet it, and a text."""
    np.testing.assert_array_equal(criterion.statistic(CURVES), statistic)
    np.testing.assert_array_equal(criterion.holds(CURVES), np.array(holds, bool))
    assert criterion.text == str(criterion) == text


@case
def test_worst(criterion, statistic, holds, text):
    """The worst seed has the statistic that is furthest from the limit."""
    finite = {name: curve[:3] for name, curve in CURVES.items()}
    assert criterion.worst(finite) == (min if "above" in criterion.key else max)(statistic[:3])


def test_every_later_epoch():
    """A criterion must be met at its epoch and at every later one."""
    curves = {"loss": np.array([[9.0, 1.0, 1.0, 1.0], [1.0, 9.0, 1.0, 1.0], [1.0, 1.0, 1.0, 9.0]])}
    for by, expected in [(1, [0, 0, 0]), (2, [1, 0, 0]), (3, [1, 1, 0]), (4, [1, 1, 0])]:
        assert below("loss", 2.0, by=by, source=SOURCE).holds(curves).tolist() == [bool(e) for e in expected]


def test_strictness():
    """Limits are strict for below and above, and inclusive for falls and agrees."""
    curves = {"a": np.array([[2.0, 1.0]]), "b": np.array([[1.0, 2.0]])}
    held = [
        criterion.holds(curves).item()
        for criterion in (
            below("a", 1.0, by=2, source=SOURCE),
            above("b", 2.0, by=2, source=SOURCE),
            falls("a", 0.5, by=2, source=SOURCE),
            agrees("a", "b", within=1.0, by=1, source=SOURCE),
        )
    ]
    assert held == [False, False, True, True]


@pytest.mark.parametrize("start", [0.0, -1.0, NAN])
def test_fall_from_zero(start):
    """A fall from a value that is not positive is never met."""
    curves = {"loss": np.array([[start, 0.0], [0.0, 1.0]])}
    assert not falls("loss", 0.5, by=2, source=SOURCE).holds(curves).any()


@pytest.mark.parametrize("make", [below, above])
def test_tightened(make):
    """A tightened criterion has the stricter limit and its source."""
    asked = make("loss", 2.0, by=2, source=SOURCE, calibrated=True)
    lower, higher = asked.tightened(1.0, "measured"), asked.tightened(3.0, "measured")
    stricter, same = (lower, higher) if make is below else (higher, lower)
    assert (stricter.limit, stricter.source, stricter.by, stricter.calibrated) == (
        1.0 if make is below else 3.0,
        "measured",
        2,
        True,
    )
    assert same is asked


def test_key():
    """The key of a criterion depends on the condition and not on its limit or source."""
    assert below("loss", 2.0, by=2, source="a").key == below("loss", 1.0, by=2, source="b").key
    conditions = [
        below("loss", 1.0, by=2, source=SOURCE),
        below("loss", 1.0, by=3, source=SOURCE),
        below("mse", 1.0, by=2, source=SOURCE),
        above("loss", 1.0, by=2, source=SOURCE),
        falls("loss", 0.5, by=3, source=SOURCE),
        falls("loss", 0.5, by=3, since=2, source=SOURCE),
        agrees("loss", "mse", within=1.0, by=2, source=SOURCE),
        agrees("loss", "twin", within=1.0, by=2, source=SOURCE),
    ]
    assert len({condition.key for condition in conditions}) == len(conditions)


@pytest.mark.parametrize(
    ("comparison", "margin", "text"),
    [
        (better_than("rung1", "loss", source=SOURCE), 0.0, "loss lower than rung1's (median of pairs)"),
        (
            no_worse_than("rung1", "loss", margin=0.1, source=SOURCE),
            0.1,
            "loss at most 0.1 above rung1's (median of pairs)",
        ),
    ],
)
def test_comparisons(comparison, margin, text):
    """A comparison has the other rung, the metric, the margin and a text."""
    assert (comparison.against, comparison.metrics, comparison.margin) == ("rung1", ("loss",), margin)
    assert str(comparison) == text


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: below("loss", NAN, by=1, source=SOURCE), "give a finite number"),
        (lambda: above("loss", NAN, by=1, source=SOURCE), "give a finite number"),
        (lambda: falls("loss", NAN, by=2, source=SOURCE), "give a finite number"),
        (lambda: agrees("a", "b", within=NAN, by=1, source=SOURCE), "give a finite number"),
        (lambda: below("loss", math.inf, by=1, source=SOURCE), "give a finite number"),
        (lambda: below("loss", -1.0, by=1, source=SOURCE), "signed=True"),
        (lambda: below("loss", 0.0, by=1, source=SOURCE), "positive limit"),
        (lambda: falls("loss", 0.0, by=2, source=SOURCE), "factor between 0 and 1"),
        (lambda: falls("loss", -0.5, by=2, source=SOURCE), "factor between 0 and 1"),
        (lambda: falls("loss", 1.0, by=2, source=SOURCE), "factor between 0 and 1"),
        (lambda: agrees("a", "b", within=-0.1, by=1, source=SOURCE), "within 0 or a positive number"),
        (lambda: agrees("a", "a", within=0.1, by=1, source=SOURCE), "compare two metrics"),
        (lambda: below("loss", 1.0, by=0, source=SOURCE), "epochs count from 1"),
        (lambda: agrees("a", "b", within=1.0, by=-1, source=SOURCE), "epochs count from 1"),
        (lambda: falls("loss", 0.5, by=1, source=SOURCE), "earlier epoch with a later one"),
        (lambda: falls("loss", 0.5, by=2, since=3, source=SOURCE), "earlier epoch with a later one"),
        (lambda: falls("loss", 0.5, by=2, since=0, source=SOURCE), "earlier epoch with a later one"),
        (lambda: no_worse_than("rung1", "loss", margin=-0.1, source=SOURCE), "choose 0 or a positive number"),
        (lambda: no_worse_than("rung1", "loss", margin=NAN, source=SOURCE), "margin=nan: give a finite number"),
    ],
)
def test_invalid_criterion(make, message):
    """A criterion that cannot be met or has no source raises an error."""
    with pytest.raises(ValueError, match=message):
        make()


def test_signed_metric():
    """A signed metric may have a negative limit."""
    curves = {"nll": np.array([[-2.0], [-0.5]])}
    assert below("nll", -1.0, by=1, source=SOURCE, signed=True).holds(curves).tolist() == [True, False]


@pytest.mark.parametrize(
    ("make", "limit", "floor", "beyond"),
    [
        (below, 0.1, 0.2, True),
        (below, 0.2, 0.2, False),
        (falls, 0.1, 0.2, True),
        (falls, 0.3, 0.2, False),
        (above, 0.9, 0.8, True),
        (above, 0.8, 0.8, False),
        (below, 0.1, None, False),
    ],
)
def test_limit_beyond_the_floor(make, limit, floor, beyond):
    """A limit beyond its floor is recognised, and the floor changes nothing else."""
    plain = make("loss", limit, by=2, source=SOURCE)
    floored = make("loss", limit, by=2, source=SOURCE, floor=floor and Floor(floor, "theorem 1"))
    assert floored.beyond_floor is beyond
    assert (floored.text, floored.key) == (plain.text, plain.key)
    np.testing.assert_array_equal(floored.holds(CURVES), plain.holds(CURVES))
    assert not plain.beyond_floor


def test_floor_of_a_tightened_limit():
    """A tightened criterion keeps its floor."""
    asked = below("loss", 2.0, by=2, source=SOURCE, floor=Floor(1.5, "theorem 1"))
    assert asked.tightened(1.0, "measured").beyond_floor


@pytest.mark.ill_typed
@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: below(1, 2.0, by=1), r"below\(1\): metric=1: give a string"),
        (lambda: below("loss", "x", by=1), r"below\('loss'\): limit='x': give a finite number"),
        (lambda: below("loss", 1.0, by="5"), r"below\('loss'\): by='5': give a whole number"),
        (lambda: below("loss", 1.0, by=5.0), "by=5.0: give a whole number"),
        (lambda: falls("loss", 0.5, by=2, since=None), "since=None: give a whole number"),
        (lambda: above("loss", True, by=1), "limit=True: give a finite number"),
        (lambda: below("loss", 1.0, by=1, source=None), "source=None: give a string"),
        (lambda: below("loss", 1.0, by=1, calibrated="yes"), "calibrated='yes': give True or False"),
        (lambda: better_than(3, "loss"), "3 is not a rung; give a Rung, or its id, such as 'rung1'"),
        (lambda: better_than("rung1", 3), "metric=3: give a string"),
    ],
)
def test_wrong_types(make, message):
    """A value of a wrong type is refused with its argument and what to give instead."""
    with pytest.raises(ValueError, match=message):
        make()


@pytest.mark.parametrize(
    ("floor", "source", "message"),
    [
        (0.5, "", r"Floor\(0.5\): say in source= where the number comes from"),
        (0.5, " ", "say in source="),
        (NAN, "theorem 1", r"Floor\(value=nan\): give a finite number"),
        (math.inf, "theorem 1", "give a finite number"),
        pytest.param("0.5", "theorem 1", r"Floor\(value='0.5'\): give a finite number", marks=pytest.mark.ill_typed),
    ],
)
def test_floor(floor, source, message):
    """A floor is finite and has a source."""
    with pytest.raises(ValueError, match=message):
        Floor(floor, source)


@pytest.mark.ill_typed
def test_floor_type():
    """A criterion's floor is a ``Floor``, not a bare number without a source."""
    with pytest.raises(ValueError, match=r"below\('loss'\): floor=0.5: give Floor\(...\) or None"):
        below("loss", 1.0, by=1, source=SOURCE, floor=0.5)
