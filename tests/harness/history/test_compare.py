"""Two reports against each other: what counts as worse, what is noise, and how often that errs."""

import copy
import itertools
import json
import math
import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from nights import comparison, effect, gate, report, rung, unmeasured
from scipy import stats

from ladder.cli import main
from ladder.history.compare import compare
from ladder.history.significance import EXACT, chance, corrected, fewer, shift
from ladder.judge.sequential import SequentialTest, Verdict

SOON, LATE, NEVER = [2, 3] * 8, [4, 5] * 8, [None] * 16
LOW, HIGH = [-0.1 - 0.01 * i for i in range(16)], [0.1 + 0.01 * i for i in range(16)]
EPOCHS = st.lists(st.sampled_from([1, 2, 3, 4, 5, math.inf]), min_size=1, max_size=12)
REACHED = st.lists(st.sampled_from([1, 3, 6, 9, None]), min_size=16, max_size=16)


def only(diff):
    (row,) = diff.rows
    return row


def one(before, after, **options):
    """The row of one rung, from its two entries."""
    return only(compare(report(before), report(after, night=1), **options))


# The tests themselves.


@given(EPOCHS, EPOCHS)
def test_the_rank_test_counts_every_arrangement(before, after):
    before, after = before[:5], after[:5]
    ranks = stats.rankdata([*before, *after])
    sums = np.array([sum(dealt) for dealt in itertools.combinations(ranks, len(after))])
    seen, found = sum(ranks[len(before) :]), shift(before, after)
    assert found.larger == pytest.approx(np.mean(sums >= seen - 1e-9))
    assert found.smaller == pytest.approx(np.mean(sums <= seen + 1e-9))
    pairs = [(a > b) + 0.5 * (a == b) for a in after for b in before]
    assert found.chance == pytest.approx(np.mean(pairs)) == pytest.approx(chance(before, after))


@pytest.mark.parametrize("n", [5, 64])
def test_without_ties_it_is_scipys_exact_test(n):
    rng = np.random.default_rng(n)
    before, after = rng.normal(size=n).tolist(), (rng.normal(size=n + 3) + 0.4).tolist()
    found = shift(before, after)
    for p, side in ((found.larger, "greater"), (found.smaller, "less"), (found.either, "two-sided")):
        assert p == pytest.approx(stats.mannwhitneyu(after, before, alternative=side, method="exact").pvalue)


def test_a_normal_approximation_would_cry_wolf_where_most_values_are_tied():
    before, after = [3.0] * 64, [3.0] * 61 + [math.inf] * 3
    assert shift(before, after).larger == pytest.approx(fewer((64, 64), (61, 64))) == pytest.approx(0.122, abs=1e-3)
    finite = [3.0] * 61 + [99.0] * 3
    assert stats.mannwhitneyu(finite, before, alternative="greater", method="asymptotic").pvalue < 0.05


def test_more_values_than_can_be_counted_are_approximated():
    rng = np.random.default_rng(0)
    before, after = rng.normal(size=EXACT).tolist(), (rng.normal(size=EXACT) + 0.2).tolist()
    expected = stats.mannwhitneyu(after, before, alternative="greater", method="asymptotic").pvalue
    assert shift(before, after).larger == pytest.approx(expected)
    with pytest.raises(ValueError, match="at least one"):
        shift([], [1.0])


@given(EPOCHS, EPOCHS)
def test_swapping_the_samples_swaps_the_sides(before, after):
    there, back = shift(before, after), shift(after, before)
    assert (there.larger, there.chance) == (pytest.approx(back.smaller), pytest.approx(1.0 - back.chance))


def test_holm():
    assert corrected([0.01, 0.04, 0.03]) == pytest.approx([0.03, 0.06, 0.06])
    assert corrected([0.6, 0.9]) == [1.0, 1.0]
    assert corrected([]) == []


# What counts as worse.


@pytest.mark.parametrize(
    ("after", "found"),
    [(SOON, []), ([2, 3] * 7 + [3, 4], []), (LATE, ["slower"]), (NEVER, ["broke", "slower"]), ([1] * 16, ["faster"])],
)
def test_a_rung_is_slower_or_broken_beyond_noise_or_as_it_was(after, found):
    row = one(rung("rung1", (gate(SOON),)), rung("rung1", (gate(after),)))
    assert sorted(test.found for test in row.tests if test.found) == found
    assert bool(row.worse) == bool({"slower", "broke"} & set(found))


def test_seeds_that_get_there_too_late_break_a_rung_without_being_never_there():
    row = one(rung("rung1", (gate([6] * 16),)), rung("rung1", (gate([7] * 16),)))
    assert [test.found for test in row.tests] == ["broke", "slower"]
    assert row.worse[0].startswith("broke: seeds that learn 16/16 → 0/16, p = ")
    assert row.worse[1].startswith("slower: median epoch 6 → 7, p = ")


def test_where_the_median_stays_it_is_told_how_often_a_seed_is_later():
    row = one(rung("rung1", (gate([3] * 64),)), rung("rung1", (gate([3] * 40 + [5] * 24),)))
    assert row.worse[0].startswith("slower: median epoch 3 → 3, later in 69% of pairs of seeds, p = ")


def test_a_seed_has_learned_when_it_meets_the_last_of_its_gates():
    before = rung("rung1", (gate(SOON), gate([1] * 16, metric="mse")))
    after = rung("rung1", (gate(SOON), gate(LATE, metric="mse")))
    assert [test.found for test in one(before, after).tests] == ["", "slower"]
    assert one(before, before).told == []


def test_a_p_value_is_corrected_over_all_rungs():
    worse = [2, 3] * 3 + [3, 4] * 5
    alone = one(rung("rung1", (gate(SOON),)), rung("rung1", (gate(worse),)))
    assert alone.worse
    before = [rung(f"rung{i}", (gate([1, 2] * 8),)) for i in range(2, 40)]
    diff = compare(
        report(rung("rung1", (gate(SOON),)), *before), report(rung("rung1", (gate(worse),)), *before, night=1)
    )
    assert not diff.regressions
    assert diff.headline == "no regression in 39 rungs"


def test_a_test_that_could_find_nothing_costs_the_others_nothing():
    worse = [2, 3] * 3 + [3, 4] * 5
    dull = [rung(f"rung{i}", (gate([3] * 16),)) for i in range(2, 40)]
    diff = compare(report(rung("rung1", (gate(SOON),)), *dull), report(rung("rung1", (gate(worse),)), *dull, night=1))
    assert [row.id for row in diff.regressions] == ["rung1"]


def test_effects_that_are_only_told_cost_the_regressions_nothing():
    worse = [2, 3] * 3 + [3, 4] * 5
    told = [rung(f"rung{i}", (gate([3] * 16),), effects=(effect(LOW),)) for i in range(2, 40)]
    moved = [rung(f"rung{i}", (gate([3] * 16),), effects=(effect([d + 0.001 for d in LOW]),)) for i in range(2, 40)]
    diff = compare(report(rung("rung1", (gate(SOON),)), *told), report(rung("rung1", (gate(worse),)), *moved, night=1))
    assert [row.id for row in diff.regressions] == ["rung1"]


def test_a_verdict_that_turned_by_noise_is_told_and_is_no_regression():
    row = one(rung("rung1", (gate([2] * 15 + [None]),)), rung("rung1", (gate([2] * 13 + [None] * 3),)))
    assert row.told == ["PASS → FAIL, within noise"]
    assert not row.worse


def control(reached, **more):
    return rung("rung1[p=0.0]", (gate(reached),), role="control", **more)


@pytest.mark.parametrize(("after", "worse"), [(NEVER, False), ([2] * 3 + [None] * 13, False), ([2] * 16, True)])
def test_a_control_breaks_when_its_seeds_no_longer_fail(after, worse):
    row = one(control(NEVER), control(after))
    assert bool(row.worse) == worse
    assert not one(control(after), control(NEVER)).worse


def test_every_gate_of_a_control_must_fail_by_itself():
    both = rung("rung1[p=0.0]", (gate(NEVER), gate(NEVER, metric="mse")), role="control")
    half = rung("rung1[p=0.0]", (gate(NEVER), gate([2] * 16, metric="mse")), role="control")
    assert one(both, half).worse[0].startswith("broke: control, seeds that fail mse < 0.5 by epoch 6 16/16 → 0/16")


def test_a_control_breaks_when_its_numbers_are_no_longer_finite():
    bad = control(NEVER)
    bad["seeds"]["non_finite"] = [{"seed": seed, "step": 1, "tensor": "loss"} for seed in range(16)]
    assert one(control(NEVER), bad).worse[0].startswith("broke: control, seeds with finite numbers 16/16 → 0/16")


def test_a_control_that_fails_for_another_reason_than_it_must_is_worse_without_statistics():
    asked = {"expects": ["gamed"]}
    missed = control(NEVER, **asked, missed=["gamed"], green=False)
    assert one(control(NEVER, **asked), missed).worse == ["FAIL, but no gamed"]
    assert not one(missed, missed).worse, "it was missed before"
    assert not one(control(NEVER), missed).worse, "it was not asked for before"


@pytest.mark.parametrize("verdict", ["CRASHED", "TIMED OUT"])
def test_a_rung_that_was_measured_and_crashes_is_worse_without_statistics(verdict):
    measured, crashed = rung("rung1", (gate(SOON),)), unmeasured("rung1", verdict, error="MemoryError()")
    assert one(measured, crashed).worse == [f"{verdict}: MemoryError()"]
    assert one(crashed, measured).told == [f"measured again: {verdict} before"]
    assert not one(crashed, crashed).worse
    assert not one(unmeasured("rung1", "BLOCKED"), crashed).worse, "nobody knows whether it would have crashed"


def test_a_blocked_rung_is_a_consequence():
    row = one(rung("rung2", (gate(SOON),)), unmeasured("rung2", "BLOCKED", blocked_by=["rung1"]))
    assert (row.worse, row.told) == ([], ["not measured: blocked by rung1"])


def test_a_goal_row_is_held_against_its_first_goal():
    before, after = (rung("rung1", goals=(gate(r), gate([1] * 16, metric="mse")), role="goal") for r in (SOON, NEVER))
    assert sorted(test.found for test in one(before, after).tests) == ["broke", "slower"]


def compared(differences, verdict, **more):
    return rung("rung2", (comparison(differences, verdict=verdict),), **more)


@pytest.mark.parametrize(
    ("before", "after", "worse"),
    [
        ((LOW, "PASS"), (HIGH, "FAIL"), True),
        ((LOW, "PASS"), (LOW, "UNDECIDED"), False),
        ((LOW, "PASS"), ([x + 0.05 for x in LOW], "PASS"), False),
        ((HIGH, "FAIL"), (LOW, "PASS"), False),
        ((LOW, "PASS"), ([None] * 16, "FAIL"), True),
    ],
)
def test_a_comparison_is_worse_when_its_verdict_turned_and_its_differences_moved(before, after, worse):
    row = one(compared(*before), compared(*after))
    assert bool(row.worse) == worse
    reverse = one(compared(*after), compared(*before))
    assert any(test.found == "better" for test in reverse.tests) == worse


def test_a_control_by_comparison_is_worse_the_other_way():
    assert one(compared(HIGH, "FAIL", role="control"), compared(LOW, "PASS", role="control")).worse
    assert not one(compared(LOW, "PASS", role="control"), compared(HIGH, "FAIL", role="control")).worse


def test_an_effect_that_changed_is_told_and_is_no_regression():
    before, after = (rung("rung2", (gate(SOON),), effects=(effect(d),)) for d in (LOW, HIGH))
    diff = compare(report(before), report(after, night=1))
    assert only(diff).told[0].startswith("changed: loss against rung1, median -0.175 → 0.175, p = ")
    assert not diff.regressions
    assert diff.headline == "no regression in 1 rung; effect changed: rung2"
    assert one(before, rung("rung2", (gate(SOON),), effects=(effect([None] * 16),))).told[0].startswith("changed: ")


# What cannot be compared.


def test_a_rung_of_which_only_an_effect_can_be_compared_is_not_compared():
    before = rung("rung2", (gate(SOON),), effects=(effect(LOW),))
    after = rung("rung2", (gate(LATE, limit=0.5001),), effects=(effect(HIGH),))
    diff = compare(report(before), report(after))
    assert diff.compared == []
    assert diff.headline.startswith("NOTHING TO COMPARE")
    assert diff.headline.endswith("effect changed: rung2; not compared: rung2")


def test_rungs_of_one_report_alone_are_told():
    here, there, common = (rung(id, (gate(SOON),)) for id in ("rung1", "rung2", "rung3"))
    diff = compare(report(here, common), report(there, common, night=1))
    assert [(row.id, row.notes) for row in diff.rows if row.notes] == [
        ("rung2", ("not in the earlier report",)),
        ("rung1", ("not in the later report",)),
    ]
    assert diff.headline == "no regression in 1 rung; gone: rung1"
    broken_off = compare(report(here, common), report(common, night=1, complete=False))
    assert broken_off.headline.endswith("gone: rung1; the later report was broken off")


def test_a_limit_that_changed_is_not_compared_and_the_other_gates_are():
    before = rung("rung1", (gate(SOON), gate(SOON, metric="mse")))
    after = rung("rung1", (gate(NEVER, limit=0.4), gate(LATE, metric="mse")))
    row = one(before, after)
    assert row.notes == ("limit changed, not compared: loss < 0.5 by epoch 6 → loss < 0.4 by epoch 6",)
    assert [test.found for test in row.tests] == ["", "slower"]
    assert (
        "PASS → FAIL, not of the same"
        in one(rung("rung1", (gate(SOON),)), rung("rung1", (gate(NEVER, limit=0.4),))).told
    )
    hidden = one(rung("rung1", (gate(SOON),)), rung("rung1", (gate(SOON, limit=0.5000001),)))
    assert hidden.notes[0].endswith("(0.5) → loss < 0.5 by epoch 6 (0.5000001)")
    assert not hidden.tests


def test_gates_that_came_or_went_are_told():
    before, after = rung("rung1", (gate(SOON),)), rung("rung1", (gate(SOON), gate(NEVER, metric="mse")))
    assert one(before, after).notes == ("newly asked: mse < 0.5 by epoch 6",)
    assert one(after, before).notes == ("no longer asked: mse < 0.5 by epoch 6",)
    assert not one(before, after).worse


def test_what_changed_of_the_experiment_is_told_and_the_rung_is_still_compared():
    before, after = rung("rung1", (gate(SOON),)), rung("rung1", (gate(LATE),))
    after["experiment"] = {"type": "toys.Fit", "epochs": 24, "components": {"p": 0.5, "shift": 1}}
    row = one(before, after)
    assert row.notes == (
        "changed: type: toys.Coin → toys.Fit",
        "changed: epochs: 12 → 24",
        "changed: p: 1.0 → 0.5",
        "changed: shift: not there → 1",
    )
    assert row.worse


def test_a_rung_that_became_something_else_is_not_compared():
    row = one(rung("rung1", (gate(SOON),)), rung("rung1", (gate(NEVER),), role="control"))
    assert row.told == ["was a gate, is a control: not compared"]


def test_what_an_older_report_does_not_tell_is_not_tested():
    old = rung("rung1", (gate(SOON),), effects=(effect([]) | {"differences": None},))
    old["gates"][0]["reached"] = None
    row = one(old, rung("rung1", (gate(LATE),), effects=(effect(HIGH),)))
    assert row.untold == ("epochs to target", "differences of loss against rung1")
    assert [test.of for test in row.tests] == ["seeds that learn"]
    assert row.told == []


# Laws.


@given(REACHED, REACHED)
def test_swapping_the_reports_swaps_better_and_worse(before, after):
    swapped = {"slower": "faster", "faster": "slower", "broke": "mended", "mended": "broke", "": ""}
    there, back = (
        one(rung("rung1", (gate(a),)), rung("rung1", (gate(b),))) for a, b in ((before, after), (after, before))
    )
    assert [swapped[test.found] for test in there.tests] == [test.found for test in back.tests]


@given(REACHED, st.permutations(range(16)))
def test_a_report_against_itself_or_its_seeds_in_another_order_is_never_a_change(reached, order):
    same = rung("rung1", (gate(reached), gate(SOON, metric="mse")), effects=(effect(HIGH),))
    assert one(same, same).told == []
    shuffled = rung(
        "rung1",
        (gate([reached[i] for i in order]), gate([SOON[i] for i in order], metric="mse")),
        effects=(effect([HIGH[i] for i in order]),),
    )
    assert one(same, shuffled).told == []


@given(REACHED, REACHED, st.permutations(range(16)))
def test_the_order_of_seeds_does_not_matter(before, after, order):
    plain = one(rung("rung1", (gate(before),)), rung("rung1", (gate(after),)))
    shuffled = one(rung("rung1", (gate(before),)), rung("rung1", (gate([after[i] for i in order]),)))
    assert plain.tests == shuffled.tests


# How often it errs.


def climbed(rng, values, looks):
    """Reached epochs of a rung climbed until the default test is satisfied, so that how many seeds there are tells of them."""
    test, reached = SequentialTest(), []
    for look in looks:
        reached += [values[i] for i in rng.integers(len(values), size=look - len(reached))]
        if test.verdict(sum(epoch is not None for epoch in reached), look) is not Verdict.UNDECIDED:
            break
    return gate(reached)


LADDER = ([3, 3, 4, 3, 4], [3] * 19 + [None], [3, 3, 4, 3, 4, None], [2, 3, 4, 5, 6, 7, 8, 9], [3] * 49 + [4], [None])
"""What the seeds of some rungs may do: of all seeds learning, 95 %, 5 in 6, many epochs, hardly any difference, none."""


def told(rng, looks, trials, shared=False, worse=None):
    """How often two reports of 18 rungs show a regression, where none changed, or where the first steps to ``worse``."""
    found = 0
    for _ in range(trials):
        before, after = [], []
        for i in range(18):
            values = LADDER[i % len(LADDER)]
            first = climbed(rng, values, looks)
            again = climbed(rng, worse if worse and i == 0 else values, looks)
            if shared:  # the same seeds, of which one in four is drawn anew: a change that redraws some noise
                again = gate(
                    [
                        new if rng.random() < 0.25 else old
                        for old, new in zip(first["reached"], again["reached"], strict=False)
                    ]
                )
            before.append(rung(f"rung{i}", (first,)))
            after.append(rung(f"rung{i}", (again,)))
        diff = compare(report(*before), report(*after, night=1))
        regressions = [row.id for row in diff.regressions]
        found += "rung0" in regressions if worse else bool(regressions)
    return found / trials


@pytest.mark.nightly
def test_two_reports_of_the_same_thing_show_a_regression_no_more_often_than_said():
    rng = np.random.default_rng(0)
    for name, looks, shared in (
        ("16 seeds", (16,), False),
        ("64 seeds", (64,), False),
        ("16, 32 or 64 seeds", (16, 32, 64), False),
        ("64 seeds, the same", (64,), True),
    ):
        trials = 1000 if looks == (16,) else 300
        rate = told(rng, looks, trials, shared)
        print(f"{name}: {rate:.3f} of {trials} comparisons of 18 unchanged rungs show a regression")
        assert rate <= 0.05 + 3.0 * math.sqrt(0.05 * 0.95 / trials)
    for worse, what in (
        ([3, 4, 4, 4, 4], "3, 3, 4, 3, 4 to 3, 4, 4, 4, 4"),
        ([4, 4, 5, 4, 5], "by one epoch"),
        ([3, 3, 4, 3, 4] * 4 + [None] * 4, "one seed in six breaks"),
        ([3, 3, 4, 3, 4, None, None], "two in seven break"),
    ):
        for looks in ((16,), (64,)):
            rate = told(rng, looks, 100, worse=worse)
            print(f"{what}, {looks[0]} seeds: found in {rate:.2f} of 100")
            assert rate >= 0.7 or looks == (16,)


@pytest.mark.nightly
def test_the_rank_test_alone_errs_no_more_often_than_said():
    rng = np.random.default_rng(1)
    for n, trials in ((16, 20_000), (64, 4_000)):
        for values in ([3, 3, 4, 3, 4, math.inf], [3] * 49 + [math.inf], [3] * 24 + [4]):
            rate = np.mean(
                [
                    shift(rng.choice(values, n).tolist(), rng.choice(values, n).tolist()).larger <= 0.05
                    for _ in range(trials)
                ]
            )
            print(f"{n} seeds of {len(values)} values: {rate:.4f} of {trials} at level 0.05")
            assert rate <= 0.05 + 3.0 * math.sqrt(0.05 * 0.95 / trials)


# The command.


def filed(folder, **reports):
    for name, document in reports.items():
        (folder / f"{name}.json").write_text(json.dumps(document), encoding="utf-8")
    return [str(folder / f"{name}.json") for name in reports]


@pytest.fixture
def pair(tmp_path):
    still = rung("rung2", (gate(SOON),))
    return filed(
        tmp_path,
        a=report(rung("rung1", (gate(SOON),)), still),
        b=report(rung("rung1", (gate(LATE),)), still, night=1),
    )


def test_the_command_says_the_verdict_first_and_exits_by_it(pair, capsys):
    assert main(["compare", *pair]) == 1
    first, *rest = capsys.readouterr().out.splitlines()
    assert first.startswith("REGRESSION: rung1 slower: median epoch 2.5 → 4.5, p = ")
    assert rest[0] == "A: 2026-10-16T02:00:00+00:00, commit 000000000000, seed root 1000"
    assert [line.split()[0] for line in rest[2:4]] == ["rung", "rung1"]
    assert rest[-1] == "1 rung unchanged"
    assert main(["compare", *reversed(pair)]) == 0
    assert capsys.readouterr().out.startswith("no regression in 2 rungs; better: rung1\n")
    assert main(["compare", *pair, "--alpha", "1e-12"]) == 0


def test_all_lists_the_unchanged_too(pair, capsys):
    assert main(["compare", pair[0], pair[0], "--all"]) == 0
    out = capsys.readouterr().out
    assert [line.split() for line in out.splitlines()[4:]] == [
        [id, "PASS", "PASS", "unchanged"] for id in ("rung1", "rung2")
    ]


def test_json_has_every_p_value_and_the_rungs_to_climb_again(pair, capsys):
    assert main(["compare", *pair, "--json"]) == 1
    found = json.loads(capsys.readouterr().out, parse_constant=pytest.fail)
    assert found["regressions"] == ["rung1"]
    slower = found["rungs"][0]["tests"][1]
    assert (slower["found"], slower["before"], slower["after"], slower["seeds"]) == ("slower", 2.5, 4.5, [16, 16])
    assert 0.0 < slower["p"]["slower"] <= slower["corrected"]["slower"] <= 0.05


def test_json_has_null_for_never(tmp_path, capsys):
    paths = filed(tmp_path, a=report(rung("rung1", (gate(SOON),))), b=report(rung("rung1", (gate(NEVER),))))
    assert main(["compare", *paths, "--json"]) == 1
    assert json.loads(capsys.readouterr().out, parse_constant=pytest.fail)["rungs"][0]["tests"][1]["after"] is None


def test_where_nothing_can_be_compared_the_exit_code_is_2(tmp_path, pair, capsys):
    (other,) = filed(tmp_path, other=report(rung("rung9", (gate(SOON),))))
    assert main(["compare", pair[0], other]) == 2
    assert capsys.readouterr().out.startswith(
        "NOTHING TO COMPARE: nothing that both ask was measured in both; gone: rung1, rung2\n"
    )
    assert main(["compare", pair[0], other, "--json"]) == 2
    assert "NOTHING TO COMPARE" in capsys.readouterr().err
    assert main(["compare", pair[0], str(tmp_path / "none.json")]) == 2


@pytest.mark.parametrize("alpha", ["0", "1", "often", "nan"])
def test_alpha_is_a_probability(alpha, pair, capsys):
    with pytest.raises(SystemExit) as stopped:
        main(["compare", *pair, "--alpha", alpha])
    assert stopped.value.code == 2
    assert "choose a probability between 0 and 1" in capsys.readouterr().err


def test_the_help_has_an_example_and_the_exit_codes(capsys):
    with pytest.raises(SystemExit):
        main(["compare", "--help"])
    out = capsys.readouterr().out
    assert "ladder compare last-week.json reports/ladder.json" in out
    assert "0 no regression, 1 a regression, 2 " in out


@pytest.mark.parametrize("command", ["compare", "history"])
def test_it_works_where_there_is_no_jax(command, pair, tmp_path):
    blocked = "import sys; sys.modules['jax'] = None; from ladder.cli import main; sys.exit(main(sys.argv[1:]))"
    arguments = pair if command == "compare" else [str(tmp_path), "--svg", str(tmp_path / "drawn.svg")]
    ran = subprocess.run([sys.executable, "-c", blocked, command, *arguments], capture_output=True, text=True)
    assert (ran.returncode, ran.stderr) == (1, ""), ran.stderr


def test_the_reports_of_these_tests_are_reports(pair, tmp_path):
    from ladder.report.reading import load

    everything = report(
        control(NEVER),
        compared(LOW, "PASS", effects=(effect(HIGH),)),
        unmeasured("rung3"),
        rung("rung4", goals=(gate(SOON),), role="goal"),
    )
    (path,) = filed(tmp_path, everything=copy.deepcopy(everything))
    assert load(tmp_path / "everything.json") == everything
    assert path
