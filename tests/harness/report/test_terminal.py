"""The ladder on a terminal: what is told in full, what in a line for many, and in which order."""

import re
from itertools import pairwise

import pytest
from toys import SOURCE, Coin, SeenFit, report_of

from ladder import Control, Rung, above, below
from ladder.report.terminal import GLANCE, lines
from ladder.report.text import LISTED, headline, numbers, who

LEARNS = below("loss", 0.5, by=3, source=SOURCE)
ROOT = Rung(number=1, name="root", experiment=Coin(), gates=(LEARNS,))
BROKEN = Rung(
    number=2, name="unlucky", experiment=Coin(p=0.0), gates=(LEARNS,), parent="rung1", adds="p", compare={"loss": ""}
)
BLOCKED = Rung(number=3, name="above", experiment=Coin(), gates=(LEARNS,), requires=("rung2",))
MET = Rung(number=4, name="wish", experiment=Coin(), goals=(LEARNS,))
UNMET = Rung(number=5, name="dream", experiment=Coin(), goals=(above("loss", 9.0, by=1, source=SOURCE),))
FIT = Rung(number=6, name="fit", experiment=SeenFit(), gates=(below("loss", 0.5, by=4, source=SOURCE),))
STILL = FIT.as_control(Control("no step, no learning", expects=("never-moves",)), rate=0.0)
OLD = {"date": "2026-11-22T09:54:37+00:00", "commit": "1a2b", "seeds": 16}
STALE = "limits calibrated before the code changed; measure them again: --ladder-calibrate=overwrite"
REMARKED = {"stale_calibration": ["code"]}


@pytest.fixture(scope="module")
def entries():
    found = report_of(ROOT, ROOT.as_control(Control("no seed learns"), p=0.0), BROKEN, BLOCKED, MET, UNMET, FIT, STILL)
    names = ("passes", "control", "broken", "blocked", "met", "unmet", "fit", "still")
    return found, dict(zip(names, found["rungs"], strict=True))


@pytest.fixture
def ladder(entries):
    """Builds a report: ``ladder(("passes", 20, {"note": "…"}), …)`` is twenty rungs so called, numbered on."""
    document, known = entries

    def build(*kinds):
        rungs = []
        for name, many, *changed in kinds:
            for _ in range(many):
                number = len(rungs) + 1
                variant = f"[{name}]" if name not in ("passes", "broken") else ""
                about = {"id": f"rung{number}{variant}", "number": number}
                rungs.append(known[name] | about | {key: each for change in changed for key, each in change.items()})
        accused = [rung for rung in rungs if rung["role"] == "gate" and rung["verdict"] == "FAIL"]
        blocked = [rung["id"] for rung in rungs if rung["verdict"] == "BLOCKED"]
        culprit = (
            {"rung": accused[0]["id"], "name": "x", "adds": None, "certain": True, "blocks": blocked}
            if accused
            else None
        )
        return document | {"rungs": rungs, "culprit": culprit}

    return build


def told(document, **options):
    return [line for line, _ in lines(document, **options)]


def test_large_green_ladder(ladder):
    """A large ladder with expected verdicts is printed in one line for each kind of rung."""
    kept = {"evidence": [OLD]}
    document = ladder(("passes", 30, kept), ("control", 28, kept), ("met", 10), ("unmet", 7))
    since = "from evidence of 2026-11-22, commit 1a2b"
    assert told(document) == [
        "75 rungs at a glance; -v has a line for each",
        f"30 rungs PASS, {since}: rungs 1–30",
        f"28 controls FAIL, as they must, {since}: rungs 31–58",
        "10 goals MET: rungs 59–68",
        "7 goals UNMET: rungs 69–75",
    ]


@pytest.mark.parametrize(("many", "verbose"), [(75, True), (GLANCE, False)])
def test_line_per_rung(ladder, many, verbose):
    """Every rung has its own line with -v or if the ladder is small."""
    document = ladder(("control", many))
    shown = told(document, verbose=verbose)
    assert [line.split()[0] for line in shown] == [rung["id"] for rung in document["rungs"]]


def test_grouping_threshold(ladder):
    """Rungs are grouped as soon as the ladder is larger than the threshold."""
    assert len(told(ladder(("control", GLANCE + 1)))) == 2


@pytest.mark.parametrize("evidence", [[], [OLD | {"seeds": 15}]], ids=["none", "of some seeds"])
def test_newly_passed_rung(ladder, evidence):
    """A rung that passed on seeds trained in this run has its own line in a large ladder."""
    document = ladder(("control", 20), ("passes", 3, {"evidence": evidence}))
    shown = [line for line in told(document) if re.match(r"rung\d+ ", line)]
    assert [line.split()[:3] for line in shown] == [[f"rung{n}", "PASS", "16/16,"] for n in (21, 22, 23)]
    partly = "rung21, rung22, rung23: 15 of 16 seeds from evidence of 2026-11-22, commit 1a2b"
    assert (told(document)[-1] == partly) == bool(evidence)


@pytest.mark.parametrize(
    ("name", "change", "remark"),
    [
        ("control", REMARKED, STALE),
        ("passes", {"evidence": [OLD], "note": "its picture 'curves' is missing"}, "its picture 'curves' is missing"),
        ("met", {"note": "its inspection raised ValueError()"}, "its inspection raised ValueError()"),
        ("met", {"verdict": "UNDECIDED"}, None),
        ("control", {"green": False, "verdict": "PASS"}, None),
        ("blocked", {}, None),
    ],
)
def test_rung_with_a_remark(ladder, name, change, remark):
    """A rung with a note, or with a verdict that needs attention, has its own line in a large ladder."""
    document = ladder(("control", 20), (name, 1, change))
    shown = told(document)
    id = document["rungs"][-1]["id"]
    assert any(line.startswith(f"{id}  ") for line in shown)
    assert shown[1].startswith("20 controls FAIL, as they must: ")
    assert remark is None or f"{id}: {remark}" in shown


def test_shared_warning(ladder):
    """A warning that many rungs share is printed once, with their numbers."""
    assert told(ladder(("control", 20, REMARKED), ("unmet", 6)))[1:] == [
        "20 controls FAIL, as they must: rungs 1–20",
        "6 goals UNMET: rungs 21–26",
        f"20 rungs (1–20): {STALE}",
    ]


def test_order_of_lines(ladder):
    """Red rungs come last, directly before the culprit."""
    document = ladder(("broken", 1), ("blocked", 60, {"blocked_by": ["rung1"]}), ("control", 20), ("passes", 1))
    shown = lines(document)
    kinds = [
        "82 rungs",
        "20 controls FAIL",
        "rung82  PASS",
        "60 rungs BLOCKED by rung1: rungs 2–61",
        "rung1   FAIL",
        "CULPRIT",
    ]
    assert all(line.startswith(kind) for (line, _), kind in zip(shown, kinds, strict=False)), shown
    assert [markup.get("red", False) for _, markup in shown[:6]] == [False, False, False, True, True, True]
    assert shown[5][0].endswith("; blocks 60 rungs (2–61)")


def test_chain_of_blocked_rungs(ladder):
    """Rungs that are blocked one by another are grouped under the first cause."""
    document = ladder(("broken", 1), ("blocked", 30))
    for under, rung in pairwise(document["rungs"]):
        rung["blocked_by"] = [under["id"]]
    assert "30 rungs BLOCKED by rung1: rungs 2–31" in told(document)


def test_count_of_rungs(ladder):
    """Every rung is either on a line of its own or counted in a group."""
    document = ladder(
        ("passes", 9, {"evidence": [OLD]}),
        ("passes", 2),
        ("control", 8),
        ("met", 1),
        ("unmet", 3),
        ("broken", 2),
        ("blocked", 4),
    )
    shown = told(document)[1:]
    grouped = [int(line.split()[0]) for line in shown if line[0].isdigit()]
    single = [line for line in shown if re.match(r"rung\d+\S*  ", line)]
    assert sum(grouped) + len(single) == len(document["rungs"])


@pytest.mark.parametrize(
    ("evidence", "expected"),
    [
        ([[], []], ""),
        ([[OLD], []], ", 1 of them from evidence of 2026-11-22, commit 1a2b"),
        ([[OLD | {"commit": ""}], [OLD | {"commit": ""}]], ", from evidence of 2026-11-22, outside git"),
        (
            [[OLD], [OLD | {"date": "2026-11-20T00:00:00+00:00", "commit": "ff"}]],
            ", from evidence of 2026-11-20 to 2026-11-22, 2 commits",
        ),
    ],
)
def test_evidence_of_a_group(ladder, evidence, expected):
    """A group of rungs gives the dates and commits of its evidence."""
    document = ladder(("passes", 20), *(("control", 1, {"evidence": each}) for each in evidence))
    assert told(document)[1] == f"2 controls FAIL, as they must{expected}: rung21[control], rung22[control]"


@pytest.mark.parametrize("many", [LISTED, LISTED + 1])
def test_expected_culprits(ladder, many):
    """Expected culprits are printed if there are few of them or with -v."""
    document = ladder(("control", 20), ("still", many))
    shown = sum(line.startswith("EXPECTED CULPRIT") for line in told(document))
    assert shown == (many if many == LISTED else 0)
    assert sum(line.startswith("EXPECTED CULPRIT") for line in told(document, verbose=True)) == many


def test_headline_of_many_rungs(ladder):
    """The headline remains one line if many rungs are red or climbed."""
    red = {"green": False, "verdict": "PASS"}
    assert (
        headline(ladder(("control", 2, red)))
        == "NOT GREEN: rung1[control] PASS, must FAIL, rung2[control] PASS, must FAIL"
    )
    many = ladder(("control", 40, red), ("passes", 1, {"green": False, "verdict": "UNDECIDED"}))
    assert headline(many) == "NOT GREEN: 40 rungs (1–40) PASS, must FAIL; rung41 UNDECIDED"
    assert headline(ladder(("passes", 40)) | {"complete": False}) == "BROKEN OFF; rungs climbed: 40 rungs (1–40)"


@pytest.mark.parametrize(
    ("ids", "expected"),
    [
        ([], ""),
        (["rung3[mse]"], "3"),
        (["rung2", "rung1", "rung2@small[x]", "rung3", "rung7", "rung9", "rung10"], "1–3, 7, 9–10"),
        (["what no rung is called"], ""),
    ],
)
def test_numbers_of_rungs(ids, expected):
    """Numbers of rungs are sorted and joined to ranges, and ids without a number are left out."""
    assert numbers(ids) == expected


def test_who():
    """A few rungs are named by their ids, and many are counted."""
    assert who(["rung1", "rung3[mse]"]) == "rung1, rung3[mse]"
    assert who([f"rung{n}" for n in range(LISTED + 1)]) == f"{LISTED + 1} rungs (0–{LISTED})"
