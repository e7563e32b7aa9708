"""The reports of many nights: where a rung stepped or drifts, what is noise, and how often that errs."""

import json
import math
import re
from datetime import timedelta
from itertools import count
from pathlib import Path
from xml.etree import ElementTree as ET

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from nights import START, comparison, example, gate, learning, report, rung, unmeasured, write

from ladder.cli import main
from ladder.cli.history import LEGEND
from ladder.history.changepoint import strongest
from ladder.history.drawing import svg
from ladder.history.samples import values_at_by
from ladder.history.series import EPOCHS, LEARNING, Report, history, last_climbed, read

SOON, LATE, NEVER = [2, 3] * 8, [4, 5] * 8, [None] * 16
SVG = "{http://www.w3.org/2000/svg}"


@pytest.fixture
def nights(tmp_path):
    """The history of a folder with these reports, one a night."""
    folders = count()

    def of(*reports):
        return read(write(tmp_path / f"nights{next(folders)}", reports))

    return of


def nightly(reached, **more):
    """One rung, a night for every list of epochs."""
    return [report(rung("rung1", (gate(epochs),), **more), night=night) for night, epochs in enumerate(reached)]


def only(history):
    (series,) = history.series
    return series


def epochs(series):
    """What became of the epochs to target."""
    return [change for change in series.changes if change.of == EPOCHS]


# Steps and trends.


@pytest.mark.parametrize(
    ("reached", "worse", "told"),
    [
        ([SOON] * 3 + [SOON[::-1]] * 3, False, []),
        ([SOON] * 9 + [LATE], True, [("step", True, True, 9)]),
        ([SOON] * 5 + [LATE] * 5, True, [("step", True, True, 5)]),
        ([SOON] * 5 + [NEVER] * 5, True, [("step", True, True, 5)]),
        ([LATE] * 5 + [SOON] * 5, False, [("step", False, True, 5)]),
        ([SOON] * 5 + [LATE] * 5 + [SOON] * 5, False, [("step", True, False, 5), ("step", False, True, 10)]),
        ([SOON] * 3 + [LATE] * 2 + [NEVER] * 10, True, [("step", True, True, 3), ("step", True, True, 5)]),
        ([[2 + night // 4] * 8 + [3 + night // 4] * 8 for night in range(12)], True, None),
        ([SOON], False, []),
        ([SOON, LATE], True, [("step", True, True, 1)]),
    ],
)
def test_a_step_is_found_where_it_is_and_is_worse_only_while_it_lasts(reached, worse, told, nights):
    history = nights(*nightly(reached))
    series = only(history)
    assert bool(history.worse) == worse
    if told is not None:
        assert [(c.kind, c.worse, c.still, c.night) for c in epochs(series)] == told


def test_a_drift_is_a_trend(nights):
    paces = [[min(12, epoch + (night * 16 + seed) // 40) for seed, epoch in enumerate(SOON)] for night in range(16)]
    (change,) = epochs(only(nights(*nightly(paces))))
    assert (change.kind, change.worse, change.still) == ("trend", True, True)
    assert change.slope == pytest.approx(0.4, abs=0.1)


def test_seeds_that_learn_are_counted_by_themselves(nights):
    rng = np.random.default_rng(4)

    def noisy(broken):  # epochs so wide that some seeds more that never get there are lost among them
        return [None if rng.random() < broken else int(rng.integers(1, 7)) for _ in range(64)]

    series = only(nights(*nightly([noisy(0.0 if night < 5 else 0.12) for night in range(10)])))
    told = next(told for told in series.worse if LEARNING in told)
    assert re.match(r"step for the worse: seeds that learn, 100% → 8\d%, first seen 2026-10-21, ", told)


def test_a_step_names_its_night_its_commit_and_what_changed_then(nights):
    reports = nightly([SOON] * 4 + [LATE] * 4)
    for later in reports[4:]:
        later["rungs"][0]["experiment"] = {"type": "toys.Coin", "epochs": 12, "components": {"p": 0.5}}
    (told,) = only(nights(*reports)).worse
    assert told.startswith(
        "step for the worse: epochs to target, median 2.5 → 4.5, first seen 2026-10-20, commit 000000000004, p = "
    )
    assert told.endswith(" (Holm); changed: p: 1.0 → 0.5")


def test_a_control_is_worse_when_its_seeds_get_there(nights):
    history = nights(*nightly([NEVER] * 5 + [SOON] * 5, role="control"))
    assert only(history).worse[0].startswith("step for the worse: epochs to target, median never → 2.5, ")


def test_of_a_loss_more_is_worse_and_of_a_bound_from_below_less(nights):
    rng = np.random.default_rng(0)

    def lossy(night, kind):
        values = (rng.random(16) + (3.0 if night >= 5 else 0.0)).tolist()
        return report(rung("rung1", (gate(SOON, kind=kind),), values=values), night=night)

    for kind, way in (("below", "worse"), ("above", "better")):
        history = nights(*(lossy(night, kind) for night in range(10)))
        (told,) = only(history).told
        assert told.startswith(f"step for the {way}: loss at epoch 6, median 0.")
        assert bool(history.worse) == (way == "worse")


def test_a_comparison_is_followed_by_its_differences(nights):
    differences = [[-0.1 - 0.01 * i + (0.5 if night >= 5 else 0.0) for i in range(16)] for night in range(10)]
    reports = [report(rung("rung2", (comparison(d),)), night=night) for night, d in enumerate(differences)]
    assert only(nights(*reports)).worse[0].startswith("step for the worse: loss against rung1, median -0.175 → 0.325, ")


@pytest.mark.parametrize(("small", "told"), [(1, False), (13, True)])
def test_what_is_sure_but_small_is_not_told(small, told, nights):
    before, after = [3] * 64, [4] * small + [3] * (64 - small)
    history = nights(*nightly([before] * 30 + [after] * 30))
    assert bool(only(history).changes) == told


def test_a_limit_that_changed_leaves_the_nights_before_it_out(nights):
    reports = [report(rung("rung1", (gate(SOON),)), night=night) for night in range(5)]
    reports += [report(rung("rung1", (gate(LATE, limit=0.4),)), night=night) for night in range(5, 10)]
    series = only(nights(*reports))
    assert [EPOCHS in night.values for night in series.nights] == [False] * 5 + [True] * 5
    assert not series.changes


# What needs no statistics, and what is not there.


def test_a_rung_that_crashes_now_and_did_not_once_is_worse(nights):
    crashed = [report(unmeasured("rung1", error="MemoryError()"), night=night) for night in (3, 4)]
    history = nights(*nightly([SOON] * 3), *crashed)
    assert only(history).worse == ["CRASHED since 2026-10-19, commit 000000000003: MemoryError()"]


def test_a_rung_that_always_crashed_or_recovered_or_is_blocked_is_not(nights):
    for reports in (
        [report(unmeasured("rung1"), night=night) for night in range(3)],
        [report(unmeasured("rung1"), night=0), *nightly([SOON, SOON])[1:]],
        [*nightly([SOON]), report(unmeasured("rung1", "BLOCKED", blocked_by=["rung0"]), night=1)],
    ):
        history = nights(*reports)
        assert not history.worse


def test_a_rung_that_the_last_night_did_without_counts_for_nothing(nights):
    reports = nightly([SOON] * 5 + [LATE] * 5)
    reports.append(report(rung("rung2", (gate(SOON),)), night=10))
    history = nights(*reports)
    assert [series.id for series in history.series] == ["rung2", "rung1"]
    assert not history.worse
    assert history.series[1].told[-1] == "not climbed since 2026-10-25, commit 000000000009"


def test_a_climb_once_more_in_the_same_night_does_not_make_the_others_gone(nights):
    reports = [report(rung("rung1", (gate(SOON),)), rung("rung2", (gate(SOON),)), night=night) for night in range(5)]
    reports.append(report(rung("rung2", (gate(SOON),)), night=4.2, root=77))
    assert not any(series.gone for series in nights(*reports).series)


# The same seeds night after night.


def test_nights_on_the_same_seeds_are_not_taken_for_more_than_they_are(nights):
    rng = np.random.default_rng(5)
    before = rng.choice([3, 3, 4, 5], size=64).tolist()
    after = [min(12, e + (i % 3 == 0)) for i, e in enumerate(before)]  # of one seed in three an epoch more

    def reports(root):
        for night in range(40):
            epochs = list(before if night < 20 else after)
            epochs[night] += 1  # so that no night repeats another to the last seed
            yield report(rung("rung1", (gate(epochs),)), night=night, root=root)

    same = nights(*reports(0))
    assert not same.worse
    assert nights(*reports(None)).worse, "on seeds of their own as many nights are sure"


def test_on_the_same_seeds_a_rung_that_breaks_is_still_found(nights):
    history = nights(*(report(rung("rung1", (gate(SOON if n < 5 else NEVER),)), night=n, root=0) for n in range(10)))
    assert [change.night for change in epochs(only(history))] == [5]


# Laws.


@settings(max_examples=10)
@given(st.lists(st.lists(st.sampled_from([1.0, 2.0, 3.0, math.inf]), min_size=4, max_size=4), min_size=2, max_size=6))
def test_turning_the_values_round_leaves_the_strongest_contrast(samples):
    roots = list(range(len(samples)))
    there = strongest([tuple(sample) for sample in samples], roots)
    back = strongest([tuple(-value for value in sample) for sample in samples], roots)
    assert (there is None) == (back is None)
    if there is not None and back is not None:
        assert there.p == pytest.approx(back.p, abs=0.1)


@settings(max_examples=10)
@given(st.lists(st.permutations([1.0, 2.0, 2.0, math.inf]), min_size=2, max_size=6))
def test_the_same_seeds_in_any_order_are_never_a_change(samples):
    found = strongest([tuple(sample) for sample in samples], list(range(len(samples))))
    assert found is not None
    assert found.p > 0.9


@pytest.mark.parametrize(
    ("kind", "expected"),
    [("below", [0.5, math.inf]), ("above", [-0.5, math.inf]), ("falls", [0.25, math.inf]), ("agrees", None)],
)
def test_what_a_condition_holds_against_its_limit(kind, expected):
    condition = gate([1, None]) | {"kind": kind, "since": 1 if kind == "falls" else None}
    entry = rung("rung1", (condition,)) | {"epochs": [1, 6], "curves": {"loss": [[2.0, 0.5], [2.0, None]]}}
    assert values_at_by(entry, condition) == expected


# How often it errs.


def unfiled(documents):
    """The history of reports that were never written."""
    return history(
        [Report(Path(), START + timedelta(days=n), "", d["seeds"]["root"], d) for n, d in enumerate(documents)]
    )


@pytest.mark.nightly
def test_unchanged_nights_show_a_change_no_more_often_than_said():
    rng = np.random.default_rng(0)
    kinds = {
        "3 of 6 at epoch 3, one in six never": lambda: rng.choice([3, 3, 4, 3, 4, math.inf], 64),
        "one in fifty never": lambda: np.where(rng.random(64) < 0.02, math.inf, 3.0),
        "a loss": lambda: rng.standard_normal(64),
    }
    for total, trials in ((10, 1000), (60, 400)):
        for name, draw in kinds.items():
            found = [strongest([tuple(draw()) for _ in range(total)], list(range(total))) for _ in range(trials)]
            rate = sum(one is not None and one.p <= 0.05 for one in found) / trials
            print(f"{total} unchanged nights, {name}: {rate:.3f} of {trials} at level 0.05")
            assert rate <= 0.05 + 3.0 * math.sqrt(0.05 * 0.95 / trials)


@pytest.mark.nightly
def test_unchanged_folders_are_told_to_be_worse_no_more_often_than_said():
    rng = np.random.default_rng(1)
    for total, trials in ((10, 400), (60, 100)):
        found = 0
        for _ in range(trials):
            reports = [
                report(*(rung(f"rung{i}", **learning(rng, 2.5 + 0.1 * i)) for i in range(1, 11)), night=night)
                for night in range(total)
            ]
            found += bool(unfiled(reports).worse)
        print(f"{total} nights of 10 unchanged rungs: {found} of {trials} folders are told to be worse")
        assert found <= trials * 0.05 + 3.0 * math.sqrt(trials * 0.05 * 0.95)


@pytest.mark.nightly
def test_noise_redrawn_on_the_same_seeds_is_told_to_be_worse_no_more_often_than_said():
    rng = np.random.default_rng(3)
    trials, found = 200, 0
    for _ in range(trials):
        reports = []
        for night in range(40):
            if night in (0, 13, 29):  # a change that makes no rung worse, and redraws what its seeds do
                rungs = [rung(f"rung{i}", **learning(rng, 2.5 + 0.1 * i)) for i in range(1, 11)]
            reports.append(report(*rungs, night=night, root=0))
        found += bool(unfiled(reports).worse)
    print(f"40 nights on the same seeds, redrawn twice: {found} of {trials} folders are told to be worse")
    assert found <= trials * 0.05 + 3.0 * math.sqrt(trials * 0.05 * 0.95)


@pytest.mark.nightly
def test_how_soon_a_step_is_found():
    rng = np.random.default_rng(2)
    for total, trials in ((10, 40), (60, 20)):
        for what, pace, never in (
            ("6 % slower", 1.06, 0.02),
            ("12 % slower", 1.12, 0.02),
            ("25 % slower", 1.25, 0.02),
            ("15 % never", 1.0, 0.15),
        ):
            for since in (1, 3, 5):
                found = 0
                for _ in range(trials):
                    reports = []
                    for night in range(total):
                        after = night >= total - since
                        others = [rung(f"rung{i}", **learning(rng, 2.5 + 0.1 * i)) for i in range(2, 11)]
                        first = rung(
                            "rung1", **learning(rng, 2.6 * (pace if after else 1.0), never=never if after else 0.02)
                        )
                        reports.append(report(first, *others, night=night))
                    told = unfiled(reports)
                    found += "rung1" in [series.id for series in told.worse]
                assert found == trials or what != "25 % slower" or since == 1
                print(
                    f"{what} since the last {since} of {total} nights: found in {found} of {trials} folders of 10 rungs"
                )


# The command.


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    made = write(tmp_path_factory.mktemp("nights"), example(20))
    (made / "other.json").write_text("{}")
    (made / "003" / "again").mkdir()
    (made / "003" / "again" / "ladder.json").write_text(json.dumps(report(rung("rung9", (gate(SOON),)), night=3)))
    return made


def test_the_command_says_the_verdict_first_and_exits_by_it(tmp_path, capsys):
    worse = write(tmp_path / "worse", nightly([SOON] * 5 + [LATE] * 5))
    assert main(["history", str(worse)]) == 1
    out = capsys.readouterr().out.splitlines()
    assert out[0].startswith(
        "WORSE: rung1 step for the worse: epochs to target, median 2.5 → 4.5, first seen 2026-10-21"
    )
    assert out[2].split()[:4] == ["rung1", "●●●●●●●●●●", "16/16", "▁▁▁▁▁█████"]
    assert out[-1].startswith("rung1: step for the worse: ")
    still = write(tmp_path / "still", nightly([SOON] * 5))
    assert main(["history", str(still)]) == 0
    assert capsys.readouterr().out.startswith("nothing became worse for good in 1 rung over 5 reports\n")
    assert main(["history", str(worse), "--alpha", "1e-9"]) == 0


def test_rungs_of_earlier_nights_alone_are_named_in_one_line(tmp_path, capsys):
    reports = [*nightly([SOON] * 5 + [LATE] * 5), report(rung("rung2", (gate(SOON),)), night=10)]
    assert main(["history", str(write(tmp_path / "nights", reports))]) == 0
    assert capsys.readouterr().out.splitlines()[-2:] == [LEGEND, "not climbed in the last night: rung1"]


def test_a_night_without_numbers_is_a_dot(tmp_path, capsys):
    reports = nightly([SOON] * 3)
    reports[1] = report(unmeasured("rung1", "BLOCKED", blocked_by=["rung0"]), night=1)
    assert main(["history", str(write(tmp_path / "nights", reports))]) == 0
    assert capsys.readouterr().out.splitlines()[2].split()[1:4] == ["●·●", "16/16", "▁·▁"]


def test_files_that_are_no_reports_are_named_and_a_climb_once_more_is_no_night(folder, capsys):
    main(["history", str(folder)])
    assert f"skipped, being no reports: 1 ({folder / 'other.json'})" in (out := capsys.readouterr().out)
    assert "rung9" not in out


def test_a_folder_without_reports_exits_2(tmp_path, capsys):
    assert main(["history", str(tmp_path)]) == 2
    assert f"{tmp_path} has no report in it" in capsys.readouterr().err
    (tmp_path / "x.json").write_text("{}")
    assert main(["history", str(tmp_path)]) == 2
    assert "only" in capsys.readouterr().err
    assert main(["history", str(tmp_path / "none")]) == 2
    assert f"{tmp_path / 'none'} is no folder" in capsys.readouterr().err


def test_each_rung_is_compared_with_the_last_night_that_climbed_it(tmp_path, capsys):
    one, two = rung("rung1", (gate(SOON),)), rung("rung2", (gate(SOON),))
    blocked = unmeasured("rung2", "BLOCKED", blocked_by=["rung1"])
    gone, crashed = rung("rung3", (gate(SOON),)), unmeasured("rung1", "CRASHED")
    write(tmp_path, [report(one, two, gone, night=0), report(one, night=1), report(crashed, blocked, night=2)])
    tonight = report(one, rung("rung2", (gate(LATE),)), night=3)
    before = last_climbed(tmp_path, tonight)
    assert {entry["id"]: entry["verdict"] for entry in before["rungs"]} == {"rung1": "CRASHED", "rung2": "PASS"}
    assert before["created"] == report(night=2)["created"]
    later = tmp_path / "later.json"
    later.write_text(json.dumps(tonight))
    assert main(["compare", str(tmp_path), str(later)]) == 1
    assert "REGRESSION: rung2 slower" in capsys.readouterr().out
    later.write_text(json.dumps(report(one, night=0)))
    assert main(["compare", str(tmp_path), str(later)]) == 2
    assert "has no report that is older than" in capsys.readouterr().err


def test_json_has_the_nights_and_what_became_of_them(folder, capsys):
    assert main(["history", str(folder), "--json"]) in (0, 1)
    found = json.loads(capsys.readouterr().out, parse_constant=pytest.fail)
    assert len(found["reports"]) == 20
    by_id = {each["id"]: each for each in found["rungs"]}
    assert set(by_id) == {"rung1", "rung1[learning_rate=0.0]", "rung2", "rung3[mse]", "rung4[mse]"}
    (step,) = [change for change in by_id["rung2"]["changes"] if change["of"] == EPOCHS]
    assert (step["kind"], step["first_seen"]) == ("step", "2026-10-30, commit 00000000000e")
    assert "rung2" in found["worse"]
    assert by_id["rung1[learning_rate=0.0]"]["nights"][0]["levels"] == {EPOCHS: None}


def test_the_drawing_is_xml_that_can_be_read_out(folder, tmp_path):
    target = tmp_path / "deep" / "history.svg"
    main(["history", str(folder), "--svg", str(target)])
    root = ET.fromstring(target.read_text(encoding="utf-8"))
    assert root.get("role") == "img"
    ids = [element.get("id") for element in (root.find(f"{SVG}title"), root.find(f"{SVG}desc"))]
    assert root.get("aria-labelledby").split() == ids
    assert "rung2: step for the worse" in root.find(f"{SVG}desc").text
    texts = [text.text for text in root.iter(f"{SVG}text")]
    assert {"rung1", "rung2", "rung3[mse]", "rung4[mse]", "never"} <= set(texts)
    titles = [title.text for title in root.iter(f"{SVG}title")]
    assert any("BLOCKED" in title for title in titles)
    assert len(root.findall(f".//{SVG}rect")) == 5 * 20 + 3


def test_a_drawing_escapes_what_a_report_says_and_stands_whatever_there_is(nights):
    wild = unmeasured("rung1[<&>]", error="<b>")
    drawn = svg(nights(report(wild), *[report(rung("rung1[<&>]"), night=1)]))
    root = ET.fromstring(drawn)
    assert "rung1[<&>]" in [text.text for text in root.iter(f"{SVG}text")]


def test_a_drawing_that_cannot_be_written_exits_2(folder, tmp_path, capsys):
    (tmp_path / "file").write_text("")
    assert main(["history", str(folder), "--svg", str(tmp_path / "file" / "x.svg")]) == 2
    assert "cannot be written" in capsys.readouterr().err
