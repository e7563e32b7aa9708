"""The JSON data of comparisons and histories."""

import json
import math

import pytest
from nights import LATE, NEVER, SOON, effect, example, gate, of_one_rung, report, rung, write

from ladder.history.agreement import compare_seed_by_seed
from ladder.history.compare import compare
from ladder.history.export import comparison_as_dict, history_as_dict, same_seeds_as_dict
from ladder.history.history import read
from ladder.history.series import EPOCHS


def written(data):
    """Return the data as a script reads it."""
    return json.loads(json.dumps(data, allow_nan=False))


def test_history(tmp_path):
    """A history has every record and every change of every rung; a median of never is null."""
    found = written(history_as_dict(read(write(tmp_path, example(20)))))
    assert set(found) == {"headline", "alpha", "reports", "skipped", "worse", "rungs"}
    assert len(found["reports"]) == 20
    by_id = {each["id"]: each for each in found["rungs"]}
    assert set(by_id) == {"rung1", "rung1[learning_rate=0.0]", "rung2", "rung3[mse]", "rung4[mse]"}
    assert set(by_id["rung2"]) == {"id", "nights", "changes", "fault", "gone", "worse", "told"}
    (step,) = [change for change in by_id["rung2"]["changes"] if change["of"] == EPOCHS]
    fields = "of kind worse still night before after chance p slope first_seen"
    assert set(step) == set(fields.split())
    assert (step["kind"], step["still"], step["first_seen"]) == ("step", True, "2026-10-30, commit 00000000000e")
    assert "rung2" in found["worse"]
    record = by_id["rung1[learning_rate=0.0]"]["nights"][0]
    assert set(record) == {"file", "created", "commit", "verdict", "green", "seeds", "levels"}
    assert (record["seeds"], record["levels"]) == ([0, 64], {EPOCHS: None})


def test_change_that_is_gone(tmp_path):
    """A change says whether it persists, and at which record it is."""
    found = written(history_as_dict(read(write(tmp_path, of_one_rung([SOON] * 5 + [LATE] * 5 + [SOON] * 5)))))
    changes = [(each["night"], each["worse"], each["still"]) for each in found["rungs"][0]["changes"]]
    assert changes == [(5, True, False), (10, False, True)]


def test_comparison():
    """A comparison has every test with its p-values, and the rungs that became worse; a median of never is null."""
    before = report(rung("rung1", (gate(SOON),)), rung("rung2", (gate(SOON),), effects=(effect([0.1] * 16),)))
    after = report(rung("rung1", (gate(NEVER),)), rung("rung2", (gate(LATE),), effects=(effect([0.1] * 16),)))
    found = written(comparison_as_dict(compare(before, after)))
    fields = "headline alpha before after regressions changed differing compared rungs"
    assert set(found) == set(fields.split())
    assert (found["changed"], found["differing"]) == ([], ["rung1", "rung2"])
    assert found["regressions"] == ["rung1", "rung2"]
    fields = "id before after measured tests fault same notes untold worse told"
    assert [set(row) for row in found["rungs"]] == [set(fields.split())] * 2
    fields = "of before after seeds p claims chance corrected found"
    assert set(found["rungs"][0]["tests"][0]) == set(fields.split())
    slower = found["rungs"][1]["tests"][1]
    assert (slower["found"], slower["before"], slower["after"], slower["seeds"]) == ("slower", 2.5, 4.5, [16, 16])
    assert 0.0 < slower["p"]["slower"] <= slower["corrected"]["slower"] <= 0.05
    assert found["rungs"][0]["tests"][1]["after"] is None
    assert not math.isnan(found["rungs"][1]["tests"][2]["before"])


def test_same_seeds():
    """A comparison of the same seeds has every metric that moved; a value that only one report has differs by null."""
    before, after = (
        report(rung("rung1", (gate(SOON),), curves={"loss": [[1.0, 0.5, value]] * 16}), root=3) for value in (0.1, None)
    )
    found = written(same_seeds_as_dict(compare_seed_by_seed(before, after)))
    fields = "headline tolerance before after moved missing differing compared rungs"
    assert set(found) == set(fields.split())
    assert (found["moved"], found["compared"], found["missing"], found["differing"]) == (["rung1"], 1, [], ["rung1"])
    (row,) = found["rungs"]
    assert set(row) == {"id", "before", "after", "seeds", "largest", "moved", "told"}
    assert row["moved"] == [{"metric": "loss", "largest": None, "seeds": 16, "epoch": 12}]


def test_keys_of_the_changed_verdict():
    """A verdict that changed within noise is described and is not a regression."""
    before, after = (rung("rung1", (gate([2] * n + [None] * (16 - n)),)) for n in (15, 13))
    (row,) = written(comparison_as_dict(compare(report(before), report(after))))["rungs"]
    assert (row["told"], row["worse"], row["same"]) == (["PASS → FAIL, within noise"], False, True)


@pytest.mark.parametrize("quantity", ["epochs to target", "differences of loss against rung1"])
def test_untested(quantity):
    """A quantity that an older report does not record is listed as not tested."""
    old = rung("rung1", (gate(SOON),), effects=(effect([]) | {"differences": None},))
    old["gates"][0]["reached"] = None
    (row,) = written(
        comparison_as_dict(compare(report(old), report(rung("rung1", (gate(LATE),), effects=(effect([0.1]),)))))
    )["rungs"]
    assert quantity in row["untold"]
