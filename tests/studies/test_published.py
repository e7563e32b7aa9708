"""The comparison of a printed value with many seeds, digit by digit."""

from dataclasses import replace

import numpy as np
import pytest

from ladder.studies.manifoldformer.published import CORE, RUNS, Run, compare, table

RUN = Run(
    name="made up",
    experiment=CORE,
    printed={"mse": {1: "0.250", 2: "0.25"}, "mse+reconstruction": {2: "1.00"}},
    differs="the document has a hat",
    seeds=3,
)
CURVES = {
    "during_mse": np.array([[0.2515, 0.2551], [0.2600, 0.2540], [0.2530, 0.2700]]),
    "during_reconstruction": np.array([[9.0, 0.8], [9.0, 0.7], [9.0, 0.73]]),
}


def test_inside():
    """A printed value is inside if the range has a number that rounds to it."""
    first, second, total = compare(RUN, CURVES)
    assert (first.quantity, first.epoch, first.printed) == ("mse", 1, "0.250")
    assert (first.low, first.median, first.high) == (0.2515, 0.2530, 0.2600)
    assert not first.inside  # 0.2515 is printed 0.252
    assert second.inside  # 0.2540 is printed 0.25
    assert (total.low, total.high) == (pytest.approx(0.954), pytest.approx(1.0551))
    assert total.inside
    assert not replace(total, printed="1.061").inside
    assert replace(total, printed="1.06").inside


def test_table():
    """The table says which values are outside, and why."""
    reason = replace(RUN, outside={("mse", 1): "outside: it was raining"})
    assert "| mse | 1 | 0.250 | 0.253 [0.2515, 0.26] | outside |" in table(RUN, compare(RUN, CURVES))
    text = table(reason, compare(RUN, CURVES))
    assert "| outside: it was raining |" in text
    assert "| mse | 2 | 0.25 | 0.2551 [0.254, 0.27] | inside |" in text
    assert "made up, 3 seeds:" in text
    assert "the document has a hat" in text


def test_reported_metrics():
    """Every run reports all metrics and epochs that were printed of it."""
    for run in RUNS:
        reported = run.experiment.metrics
        for quantity, by_epoch in run.printed.items():
            assert {f"during_{metric}" for metric in quantity.split("+")} <= set(reported)
            assert max(by_epoch) <= run.experiment.epochs
        assert set(run.outside) <= {(quantity, epoch) for quantity, at in run.printed.items() for epoch in at}
