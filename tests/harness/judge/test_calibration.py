"""Calibration: how many seeds, what is measured and filed, and when it tightens a limit."""

import json
import math
from dataclasses import asdict, replace

import numpy as np
import pytest
from toys import SOURCE, Coin, Diverges

from ladder import Control, Rung, Seeds, Trainer, above, below, falls
from ladder.judge.calibration import calibrate, load, outdated, path, sample_size, save, tightened
from ladder.train.trainer import CALIBRATION_STREAM, GATE_STREAM

GATES = (
    below("loss", 0.9, by=3, source=SOURCE, calibrated=True),
    falls("loss", 0.9, by=3, source=SOURCE, calibrated=True),
    below("loss", 5.0, by=1, source=SOURCE),
)
RUNG = Rung(number=2, name="coin", variant="fair,x", experiment=Coin(), gates=GATES)
BELOW, FALLS = (gate.key for gate in GATES[:2])


@pytest.fixture(scope="module")
def measured():
    return calibrate(RUNG)


@pytest.mark.parametrize(("limits", "seeds"), [(1, 59), (2, 93), (3, 124)])
def test_sample_size(limits, seeds):
    """The sample size is the smallest that satisfies Wilks' condition for that number of limits."""
    assert sample_size(limits) == seeds

    def missed(n):  # chance that the extremes of n seeds leave more than 5 % of all seeds outside
        return sum(math.comb(n, i) * 0.05**i * 0.95 ** (n - i) for i in range(limits))

    assert missed(seeds) <= 0.05 < missed(seeds - 1)


def test_limit(measured):
    """The limit is the worst value over seeds of the calibration stream, which no gate uses."""
    trained = Trainer(Coin(), 31)(Seeds(stream=CALIBRATION_STREAM), range(93))
    loss = trained.curves["loss"]
    assert (measured.rung, measured.seeds) == ("rung2[fair,x]", 93)
    assert measured.limits == {BELOW: loss[:, 2].max(), FALLS: (loss[:, 2] / loss[:, 0]).max()}
    assert measured.medians[BELOW] == np.median(loss[:, 2])
    gate_seeds = Trainer(Coin(), 31)(Seeds(stream=GATE_STREAM), range(93)).curves["loss"]
    assert not np.isin(gate_seeds, loss).any()


def test_limit_from_below():
    """The limit of a metric with a lower bound is the smallest value."""
    asked = above("loss", 0.5, by=1, source=SOURCE, calibrated=True)
    found = calibrate(replace(RUNG, gates=(asked,)))
    assert found.limits[asked.key] < found.medians[asked.key]


def test_source(measured):
    """The source of a limit gives the date, the number of seeds, the median and the confidence."""
    assert measured.source(BELOW).startswith(f"calibration of {measured.created[:10]}: worst of 93 seeds (median ")
    assert f"{measured.medians[BELOW]:.4g}" in measured.source(BELOW)
    assert "bounds 95% of seeds at 95% confidence" in measured.source(BELOW)


def test_round_trip(measured, tmp_path):
    """A calibration is loaded as it was saved, and a second one replaces it."""
    target = save(measured, tmp_path / "new")
    assert target == path(tmp_path / "new", RUNG.id) == tmp_path / "new" / "rung2-fair,x.json"
    assert load(tmp_path / "new", RUNG.id) == measured
    assert load(tmp_path, RUNG.id) is None
    save(replace(measured, seeds=1), tmp_path / "new")
    assert load(tmp_path / "new", RUNG.id).seeds == 1


@pytest.mark.parametrize(
    ("limit", "expected"), [(0.2, 0.2), (0.9, 0.9), (7.0, 0.9)], ids=["stricter", "the same", "looser"]
)
def test_tightening(measured, tmp_path, limit, expected):
    """A calibration replaces a limit only by a stricter one."""
    save(replace(measured, limits=measured.limits | {BELOW: limit}), tmp_path)
    rung = tightened(RUNG, tmp_path)
    assert [gate.limit for gate in rung.gates] == [expected, measured.limits[FALLS], 5.0]
    assert (rung.gates[0].source == SOURCE) == (expected == 0.9)
    assert replace(rung, gates=GATES) == RUNG


def test_limits_of_a_control(measured, tmp_path):
    """A control is judged by the calibrated limits of its rung."""
    save(measured, tmp_path)
    control = RUNG.as_control(Control("no seed learns"), p=0.0)
    assert tightened(control, tmp_path).gates == tightened(RUNG, tmp_path).gates != GATES


def test_rung_without_calibration(measured, tmp_path):
    """A rung without a calibration or without calibrated gates is unchanged."""
    assert tightened(RUNG, tmp_path) is RUNG
    save(measured, tmp_path)
    uncalibrated = replace(RUNG, gates=GATES[2:])
    assert tightened(uncalibrated, tmp_path) is uncalibrated


def test_limit_of_another_condition(measured, tmp_path):
    """A calibrated limit of another condition is not used."""
    other = {"below loss by 2": 0.1}
    save(replace(measured, limits=other, medians=other), tmp_path)
    assert tightened(RUNG, tmp_path).gates == GATES


@pytest.mark.parametrize("content", ["", "{", "[]", "null", '{"rung": "rung2"}', '{"fingerprint": {"code": "x"}}'])
def test_damaged_calibration(tmp_path, content):
    """A damaged calibration raises an error that names the file."""
    target = path(tmp_path, RUNG.id)
    target.write_text(content)
    with pytest.raises(ValueError, match=r"rung2-fair,x.json is not a calibration .*; measure it again or restore it"):
        load(tmp_path, RUNG.id)


@pytest.mark.parametrize(
    "change",
    [
        {"rung": "rung3"},
        {"limits": {BELOW: math.inf, FALLS: 0.5}},
        {"medians": {BELOW: math.nan, FALLS: 0.5}},
        {"limits": {BELOW: 0.2}},
        {"limits": None},
        {"limits": {BELOW: "low", FALLS: 0.5}},
    ],
)
def test_calibration_of_another_rung(measured, tmp_path, change):
    """A calibration with another rung or with invalid limits raises an error that names the file."""
    path(tmp_path, RUNG.id).write_text(json.dumps(asdict(measured) | change))
    with pytest.raises(ValueError, match=r"rung2-fair,x.json is not a calibration"):
        load(tmp_path, RUNG.id)


def test_impossible_calibration():
    """A calibration without calibrated gates or with non-finite seeds raises an error."""
    with pytest.raises(ValueError, match=r"rung2\[fair,x\]: no gate says calibrated=True"):
        calibrate(replace(RUNG, gates=GATES[2:]))
    with pytest.raises(ValueError, match=r"calibration seeds \[\d+, .*\] of 59 turned non-finite"):
        calibrate(replace(RUNG, experiment=Diverges(step=12), gates=GATES[:1]))


def test_outdated(measured, tmp_path):
    """A calibration is outdated if the experiment, the code, the backend or the conditions changed."""
    control = RUNG.as_control(Control("no seed learns"), p=0.0)
    assert outdated(RUNG, RUNG, tmp_path) == outdated(control, RUNG, tmp_path) == ["missing"]
    assert outdated(replace(RUNG, gates=GATES[2:]), RUNG, tmp_path) == []
    save(measured, tmp_path)
    assert outdated(RUNG, RUNG, tmp_path) == outdated(control, RUNG, tmp_path) == []
    shifted = replace(RUNG, experiment=Coin(shift=0.01))
    assert outdated(shifted, shifted, tmp_path) == ["experiment"]
    save(replace(measured, fingerprint=replace(measured.fingerprint, code="x", backend="tpu")), tmp_path)
    assert outdated(RUNG, RUNG, tmp_path) == ["code", "backend"]
    asked_more = replace(RUNG, gates=(*GATES, below("loss", 1.5, by=2, source=SOURCE, calibrated=True)))
    assert outdated(asked_more, asked_more, tmp_path) == ["missing"]


def test_json(measured, tmp_path):
    """A calibration is a standard JSON file."""
    stored = json.loads(save(measured, tmp_path).read_text(), parse_constant=pytest.fail)
    assert stored["limits"] == measured.limits
