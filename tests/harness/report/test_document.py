"""Reports: the published schema, numbers that JSON has, Markdown that renders, files that are whole or untouched."""

import json
import math
import os
import re
from dataclasses import dataclass, replace

import jsonschema_rs
import numpy as np
import pytest
from toys import SOURCE, Coin, Diverges, SeenFit, report_of

from ladder import Control, Floor, Rung, above, below, better_than, falls, no_worse_than
from ladder.files import append_line, check_writable, write_atomically
from ladder.report import as_json, write
from ladder.report.document import number, with_failed_test
from ladder.report.html import html
from ladder.report.markdown import markdown
from ladder.report.schema import SCHEMA, VERSION
from ladder.report.terminal import lines, why
from ladder.report.text import (
    condition_text,
    expected,
    expected_culprit,
    median_and_range,
    sparkline,
    verdict_label,
)

LEARNS = below("loss", 0.5, by=3, source="a | b\nand the next line")
ROOT = Rung(number=1, name="root", experiment=Coin(), gates=(LEARNS,), goals=(above("loss", 0.1, by=1, source=SOURCE),))
BROKEN = Rung(
    number=2,
    name="unlucky",
    claim="Luck is not needed.",
    experiment=Coin(p=0.0),
    gates=(LEARNS, no_worse_than("rung1", "loss", margin=0.1, source=SOURCE)),
    parent="rung1",
    adds="p",
    compare={"loss": "0.1 against 0.2"},
)
BLOCKED = replace(BROKEN, number=3, name="shifted", experiment=Coin(p=0.0, shift=0.1), parent="rung2", adds="shift")
GOAL = Rung(number=4, name="wish", experiment=Coin(), goals=(better_than("rung1", "loss", source=SOURCE),))
GONE = Rung(number=5, name="gone", experiment=Diverges(share=1.0, step=1), gates=(LEARNS,))
CONTROL = ROOT.as_control(Control("no seed learns"), p=0.0)
FROZEN = Rung(
    number=6,
    name="frozen",
    experiment=SeenFit(rate=0.0),
    gates=(below("loss", 0.01, by=4, source=SOURCE, floor=Floor(0.001, "the noise")),),
    goals=(below("loss", 0.0004, by=4, source="published", floor=Floor(0.001, "the noise")),),
)
FIT = Rung(
    number=1,
    scale="small",
    name="fit",
    experiment=SeenFit(),
    gates=(below("loss", 0.5, by=4, source=SOURCE),),
)
STILL = FIT.as_control(Control("no step, no learning", expects=("never-moves",)), rate=0.0)
RUNGS = (ROOT, CONTROL, BROKEN, BLOCKED, GOAL, GONE, FROZEN)


@pytest.fixture(scope="module")
def report():
    return report_of(*RUNGS)


@pytest.fixture(scope="module")
def green():
    return report_of(ROOT, CONTROL)


@pytest.fixture(scope="module")
def known():
    return report_of(FIT, STILL, FIT.as_control(Control("no step, no learning"), rate=0.0, label="unexplained"))


def rung(report, id):
    return next(entry for entry in report["rungs"] if entry["id"] == id)


def test_schema(report, green, known):
    """A report conforms to the published schema, which admits no extra field and no missing one."""
    schema = json.loads(SCHEMA.read_text())
    jsonschema_rs.meta.validate(schema)
    validator = jsonschema_rs.validator_for
    for document in (report, green, known):
        validator(schema).validate(json.loads(json.dumps(document)))
    for broken in (report | {"extra": 1}, {k: v for k, v in report.items() if k != "culprit"}):
        assert not validator(schema).is_valid(broken)


def test_schema_of_scales_and_expectations(known):
    """The schema requires scale, expects and missed, and ids that are well formed."""
    validator = jsonschema_rs.validator_for(json.loads(SCHEMA.read_text()))
    fit, still, _ = known["rungs"]
    assert (fit["id"], fit["scale"], fit["expects"]) == ("rung1@small", "small", [])
    assert (still["id"], still["scale"], still["expects"]) == ("rung1@small[rate=0.0]", "small", ["never-moves"])
    assert known["schema"] == VERSION
    missed = rung(report_of(FIT, replace(STILL, control=Control("why", expects=("gamed", "never-moves")))), STILL.id)[
        "missed"
    ]
    assert (missed, still["missed"], fit["missed"]) == (["gamed"], [], [])
    asked = ("scale", "expects", "missed")
    without = [{name: value for name, value in fit.items() if name != left_out} for left_out in asked]
    wrong = [fit | {"id": id} for id in ("rung1@", "rung1@[x]", "rung1[x]@small", "rung1@a-b")]
    for broken in (*without, *wrong, fit | {"expects": "gamed"}):
        assert not validator.is_valid(known | {"rungs": [broken]}), broken


def test_written_files(report, tmp_path):
    """The written JSON contains the report without NaN, and Markdown and HTML are beside it."""
    paths = write(report, tmp_path / "new")
    assert [path.name for path in paths] == ["ladder.json", "ladder.md", "ladder.html"]
    text = paths[0].read_text()
    assert json.loads(text, parse_constant=pytest.fail) == report
    assert rung(report, "rung5")["curves"]["loss"][0] == [None, None, None]
    assert re.search(r'"loss": \[\n\s+\[ ?\d\.\d+, \d\.\d+, \d\.\d+ ?\],', text), "a seed's curve is one line"
    assert paths[1].read_text() == markdown(report)
    assert paths[2].read_text() == html(report, tmp_path / "new")
    assert set((tmp_path / "new").iterdir()) == set(paths)


def test_entries(report):
    """An entry has the rung's role, verdict, changed component, seeds, gates and causes of blocking."""
    told = {entry["id"]: (entry["role"], entry["verdict"], entry["green"]) for entry in report["rungs"]}
    assert told == {
        "rung1": ("gate", "PASS", True),
        "rung1[p=0.0]": ("control", "FAIL", True),
        "rung2": ("gate", "FAIL", False),
        "rung3": ("gate", "BLOCKED", False),
        "rung4": ("goal", "UNDECIDED", True),
        "rung5": ("gate", "FAIL", False),
        "rung6": ("gate", "FAIL", False),
    }
    broken, blocked, gone = (rung(report, id) for id in ("rung2", "rung3", "rung5"))
    assert broken["adds"] == {"component": "p", "changes": [{"component": "p", "from": 1.0, "to": 0.0}]}
    assert (broken["seeds"]["passed"], broken["seeds"]["of"], broken["seeds"]["fail_at"]) == (0, 16, 11)
    assert [gate["kind"] for gate in broken["gates"]] == ["below", "comparison"]
    assert (blocked["blocked_by"], blocked["seeds"], blocked["curves"]) == (["rung2"], None, {})
    assert gone["seeds"]["non_finite"] == [{"seed": seed, "step": 1, "tensor": "step_loss"} for seed in range(16)]
    assert gone["gates"][0]["median"] is None


def test_recorded_epochs():
    """A report of more epochs than it records has every epoch without which a condition cannot be checked."""
    gate = falls("loss", 0.9, by=200, since=137, source=SOURCE)
    long = Rung(number=1, name="long", experiment=Coin(epochs=300), gates=(gate,))
    epochs = rung(report_of(long), "rung1")["epochs"]
    assert {1, 137, 138, 200, 300} <= set(epochs)
    assert len(epochs) < 60


def test_other_metrics():
    """A metric that judges nothing has every seed at a few epochs, the first and the last among them, as the curves have."""

    class Tells(Coin):
        metrics = ("loss", "spare")

        def epoch(self, state, key):
            state, told = super().epoch(state, key)
            return state, told | {"spare": told["loss"]}

    found = rung(report_of(Rung(number=1, name="tells", experiment=Tells(epochs=90), gates=(LEARNS,))), "rung1")
    other, loss = found["others"]["spare"], found["curves"]["loss"]
    assert (len(other["epochs"]), other["epochs"][0], other["epochs"][-1]) == (5, 1, 90)
    columns = [found["epochs"].index(epoch) for epoch in other["epochs"]]
    assert other["seeds"] == [[seed[column] for column in columns] for seed in loss]


def test_entry_of_a_failed_test(report):
    """A failed test gives a new entry, not green and with the reason after other notes; the first entry is unchanged."""
    passed = rung(report, "rung1") | {"note": "it was slow"}
    failed = with_failed_test(passed, "assert 16 == 17")
    assert (failed["green"], failed["note"]) == (
        False, "it was slow; the rung is PASS, but its test failed: assert 16 == 17"
    )  # fmt: skip
    assert passed == rung(report, "rung1") | {"note": "it was slow"}


def test_diagnosis(report):
    """A diagnosis is in the JSON, the Markdown and the failure message of its rung."""
    frozen = rung(report, "rung6")
    first = frozen["diagnosis"]["findings"][0]
    assert first["name"] == "never-moves"
    assert first["text"].startswith("nothing ever moved: 0 of 12 updates, though the gradient's norm reached ")
    assert [stage["name"] for stage in frozen["diagnosis"]["stages"]] == ["input", "output"]
    assert [group["name"] for group in frozen["diagnosis"]["groups"]] == ["w"]
    assert len(frozen["diagnosis"]["latent"]["end_spectrum"]) == 5
    section = markdown(report).partition("### rung6")[2]
    assert "1. nothing ever moved: 0 of 12 updates" in section
    assert re.search(r"^\| output \| 32 × 1 \| ", section, re.M)
    assert re.search(r"^\| w \| .* → .* → .* \| .* at step \d+ \| ", section, re.M)
    assert "0.001: the noise" in section
    assert "  nothing ever moved: 0 of 12 updates" in why(frozen)
    assert rung(report, "rung1")["diagnosis"] is None


def test_floor_of_a_threshold(report):
    """A floor is printed beside its threshold in Markdown, in failure messages and on the terminal."""
    frozen, told = rung(report, "rung6"), "loss < 0.01 by epoch 4 (floor 0.001)"
    overview, _, section = markdown(report).partition("### rung6")
    assert f"| {told} |" in overview
    assert re.search(r"^\| gate \| loss < 0.01 by epoch 4 \| .* \| 0.001: the noise \| made up", section, re.M)
    assert re.search(r"^\| goal \| loss < 0.0004 by epoch 4 \| .* \| 0.001: the noise \| published", section, re.M)
    assert f"{told}: " in why(frozen)
    assert any(line.startswith("rung6") and f"  {told}: " in line for line, _ in lines(report))
    assert f"0/16 seeds met {told}" in lines(report_of(replace(FROZEN, number=1)))[1][0]
    assert not any("floor" in line for line, _ in lines(report) if not line.startswith("rung6"))
    last = frozen["diagnosis"]["findings"][-1]
    assert (last["name"], last["numbers"]) == ("below-floor", {"limit": 0.0004, "floor": 0.001})


@pytest.mark.parametrize(
    ("condition", "expected"),
    [
        (below("loss", 0.1, by=2, source=SOURCE), "loss < 0.1 by epoch 2"),
        (below("loss", 0.1, by=2, source=SOURCE, floor=Floor(0.1, "x")), "loss < 0.1 by epoch 2 (floor 0.1)"),
        (
            below("loss", 0.1, by=2, source=SOURCE, floor=Floor(0.2, "x")),
            "loss < 0.1 by epoch 2 (beyond the floor of 0.2)",
        ),
        (above("loss", 0.1, by=2, source=SOURCE, floor=Floor(0.2, "x")), "loss > 0.1 by epoch 2 (ceiling 0.2)"),
        (
            above("loss", 0.3, by=2, source=SOURCE, floor=Floor(0.2, "x")),
            "loss > 0.3 by epoch 2 (beyond the ceiling of 0.2)",
        ),
        (better_than("rung1", "loss", source=SOURCE), "loss lower than rung1's (median of pairs)"),
    ],
)
def test_threshold_beyond_its_floor(condition, expected):
    """The text of a condition says whether the threshold lies beyond its floor or ceiling."""
    report = report_of(ROOT, Rung(number=2, name="wish", experiment=Coin(), goals=(condition,)))
    (goal,) = rung(report, "rung2")["goals"]
    assert condition_text(goal) == expected


def test_findings_of_the_culprit():
    """The terminal prints the findings of the culprit below its name."""
    shown = [line for line, _ in lines(report_of(replace(FROZEN, number=1)))]
    assert shown[-3].startswith("CULPRIT rung1")
    assert shown[-2].startswith("  nothing ever moved: 0 of 12 updates")
    assert shown[-1].startswith("  loss < 0.0004 by epoch 4 asks for more than its floor of 0.001 allows")


def test_evidence_attempts_and_notes(report):
    """The origin of evidence, the latest attempts and the notes of a rung are in text and Markdown."""
    entry = rung(report, "rung1") | {
        "note": "its inspection raised ValueError()",
        "evidence": [{"date": "2026-11-22T09:54:37+00:00", "commit": "1a2b", "seeds": 10}],
        "attempts": {
            "total": 12,
            "latest": [
                {
                    "date": f"2026-11-{day}T09:54:37+00:00",
                    "commit": "",
                    "root": 0,
                    "verdict": v,
                    "k": k,
                    "n": n,
                    "error": "",
                }
                for day, v, k, n in ((20, "", None, None), (21, "FAIL", 3, 16))
            ],
        },
    }
    document = report | {"rungs": [entry], "culprit": None}
    told = "10 of 16 seeds from evidence of 2026-11-22, commit 1a2b"
    assert f"rung1: {told}" in [line for line, _ in lines(document)]
    assert "rung1: its inspection raised ValueError()" in [line for line, _ in lines(document)]
    text = markdown(document)
    assert told in text
    latest = (
        "2026-11-21 09:54, outside git, root 0: FAIL 3/16; 2026-11-20 09:54, outside git, root 0: begun, never ended."
    )
    assert f"12 attempts, the latest first: {latest}" in text


def test_headline(report, green):
    """The headline names the culprit, calls it a suspect if it is not certain, or says that all is green."""
    first = markdown(report).splitlines()[0]
    assert first.startswith(
        '# CULPRIT rung2 "+unlucky" (p: 1.0 → 0.0): 0/16 seeds met loss < 0.5 by epoch 3 (rung1: 16/16); blocks rung3'
    )
    assert report["culprit"]["certain"]
    assert markdown(green).startswith("# ALL GREEN up to rung1; gated rungs passed: 1")
    assert green["culprit"] is None
    assert not first.endswith("climbed")
    broken_off = markdown(report | {"complete": False}).splitlines()[0]
    assert broken_off == f"{first}; BROKEN OFF, not every rung was climbed"
    suspect = report | {"culprit": report["culprit"] | {"certain": False}}
    assert markdown(suspect).startswith("# SUSPECT rung2")


def test_passing_control():
    """A control that passes is not a culprit, but the report is not green."""
    lucky = replace(ROOT, number=2, name="lucky", control=Control("must fail"))
    report = report_of(ROOT, lucky)
    assert (report["rungs"][1]["green"], report["culprit"]) == (False, None)
    assert markdown(report).startswith("# NOT GREEN: rung2 PASS, must FAIL")


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({}, "FAIL, as it must"),
        ({"green": False, "missed": ["gamed"]}, "FAIL, but no gamed"),
        ({"green": False, "missed": ["gamed", "off-by-one"]}, "FAIL, but no gamed or off-by-one"),
        ({"green": False}, "FAIL, but not finite"),
        ({"green": False, "verdict": "PASS", "diagnosis": None}, "PASS, must FAIL"),
        ({"green": False, "verdict": "UNDECIDED", "diagnosis": None}, "UNDECIDED, must FAIL"),
        ({"green": False, "verdict": "TIMED OUT", "diagnosis": None}, "TIMED OUT"),
    ],
)
def test_label_of_a_control(known, change, expected):
    """The label of a red control says what its failure lacked."""
    assert verdict_label(rung(known, STILL.id) | change) == expected


def test_expected_culprit(known):
    """A control that fails as expected is printed as an expected culprit, and the report stays green."""
    broke = "0/16 seeds met loss < 0.5 by epoch 4 (rung1@small: 16/16)"
    line = f'EXPECTED CULPRIT {STILL.id} "+fit" (rate: 0.1 → 0.0): {broke}'
    *_, told, why = lines(known)
    assert told == (line, {})
    assert why[0].startswith("  nothing ever moved: 0 of 12 updates, though the gradient's norm reached ")
    text = markdown(known)
    assert text.startswith("# ALL GREEN up to rung1; gated rungs passed: 1\n")
    assert known["culprit"] is None
    section = text.partition("## Expected culprits")[2].partition("\n## ")[0]
    assert [row for row in section.splitlines() if row.startswith("- ")] == [f"- {line}: {why[0].strip()}."]


def test_unexpected_culprits(report, known):
    """Only a control that failed for its declared reason is an expected culprit."""
    assert [entry["id"] for entry in expected(known)] == [STILL.id]
    missed = rung(known, STILL.id) | {"expects": ["gamed"], "green": False}
    for document in (report, known | {"rungs": [known["rungs"][0], missed]}):
        assert expected(document) == []
        assert not any("EXPECTED" in line for line, _ in lines(document))
        assert "Expected culprits" not in markdown(document)


def test_evidence_of_an_expected_culprit(known):
    """An expected culprit is described by its lost comparison or by the seeds that met every gate."""
    gates = (no_worse_than(FIT.id, "loss", margin=0.1, source=SOURCE),)
    compared = report_of(FIT, replace(STILL, gates=gates))
    assert expected_culprit(rung(compared, STILL.id), compared).startswith(
        f'EXPECTED CULPRIT {STILL.id} "+fit" (rate: 0.1 → 0.0): {gates[0]}: '
    )
    together = rung(known, STILL.id)
    undecided = together | {"gates": [gate | {"verdict": "UNDECIDED"} for gate in together["gates"]]}
    assert expected_culprit(undecided, known).endswith(": 0/16 seeds met every gate (rung1@small: 16/16)")


def test_failure_of_a_control():
    """The failure message of a red control names the missing finding and lists the others."""
    report = report_of(FIT, replace(STILL, control=Control("why", expects=("gamed",))))
    first, *rest = why(rung(report, STILL.id)).splitlines()
    assert first == f"{STILL.id} FAIL, but no gamed: 0/16 seeds met every gate, a rate of at most 0.21"
    assert any(line.startswith("  nothing ever moved") for line in rest)
    assert markdown(report).startswith(f"# NOT GREEN: {STILL.id} FAIL, but no gamed\n")


def columns(row):
    return len(re.findall(r"(?<!\\)\|", row)) - 1


def test_markdown_tables(report):
    """Every row of a Markdown table has as many cells as its head."""
    blocks = [block.splitlines() for block in markdown(report).split("\n\n") if block.startswith("|")]
    assert len(blocks) > len(report["rungs"])
    for table in blocks:
        assert len({columns(row) for row in table}) == 1, table
        assert set(table[1]) <= set("|- ")
        assert all(row.startswith("| ") and row.endswith(" |") for row in table)


def test_markdown_sections(report):
    """Markdown has a section for every rung, with its claim and the sources of its numbers."""
    text = markdown(report)
    for entry in report["rungs"]:
        assert f"### {entry['id']}: {entry['name']}" in text
    assert "Luck is not needed." in text
    assert "Control: no seed learns" in text
    assert "a \\| b and the next line" in text
    assert "0.1 against 0.2" in text


def test_terminal_lines(report, green):
    """The terminal prints one line for every rung and then the culprit."""
    shown = [line for line, _ in lines(report)]
    assert [line.split()[0] for line in shown[:7]] == [entry["id"] for entry in report["rungs"]]
    assert shown[3].endswith("by rung2")
    assert any(
        line.startswith("rung5: seeds that turned non-finite, and what did first: 0 at step 1 (step_loss), 1 ")
        for line in shown
    )
    assert any(line.startswith("CULPRIT rung2") for line in shown)
    assert not any("CULPRIT" in line for line, _ in lines(green))
    assert why(rung(report, "rung3")) == "rung3 BLOCKED: rung2 did not pass"
    assert "adds p: 1.0 → 0.0 to rung1" in why(rung(report, "rung2"))


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ([], ""),
        ([1.0, 1.0], "▁▁"),
        ([0.0, 7.0], "▁█"),
        (list(range(8)), "▁▂▃▄▅▆▇█"),
        ([7.0, 0.0, 3.0], "█▁▄"),
        ([math.nan, 2.0, 1.0, math.inf], "×█▁×"),
        ([math.nan, -math.inf], "××"),
        ([5.0], "▁"),
    ],
)
def test_sparkline(values, expected):
    """A sparkline scales finite values to eight heights and marks the others with a cross."""
    assert sparkline(values) == expected


@pytest.mark.parametrize(
    ("value", "digits", "expected"),
    [(1.23456789, 3, 1.23), (math.nan, 3, None), (-math.inf, None, None), (1234567.0, 3, 1230000.0), (0.1, None, 0.1)],
)
def test_numbers(value, digits, expected):
    """A number is rounded to significant digits, and a non-finite one becomes null."""
    assert number(value, digits) == expected


@pytest.mark.parametrize("failing", ["replace", "chmod", "fsync", "write"])
def test_failed_write(tmp_path, monkeypatch, failing):
    """A file whose replacement cannot be written keeps its content, and no other file remains."""
    target = tmp_path / "ladder.json"
    write_atomically(target, "old")

    def full(*arguments):
        raise OSError("disk full")

    monkeypatch.setattr(os, failing, full)
    with pytest.raises(OSError, match="disk full"):
        write_atomically(target, "new")
    assert target.read_text() == "old"
    assert list(tmp_path.iterdir()) == [target]


def test_markdown_escaping():
    """User text is escaped in Markdown so that it is neither markup nor HTML and remains readable."""
    rung = replace(ROOT, name="<lambda> *new*", claim="# of `seeds` < 3 | <b>[x](y)\nall", control=None)
    document = report_of(rung)
    document["rungs"][0]["repeat"] = "pytest 'a`b'"
    document["rungs"][0]["note"] = "\\alpha"
    told = markdown(document)
    assert "### rung1: \\<lambda> \\*new\\*\n" in told
    assert "\n\\# of \\`seeds\\` < 3 | \\<b>[x\\](y) all\n" in told
    assert "Repeat: ``pytest 'a`b'``" in told
    assert "\\\\alpha." in told
    assert "loss < 0.5 by epoch 3" in told


def test_conditions_of_an_unjudged_rung(report):
    """A rung that was not judged lists the conditions that it would have been judged by."""
    asked = rung(report, "rung3")["asks"][0]
    assert (asked["kind"], asked["text"], asked["source"]) == (
        "gate", "loss < 0.5 by epoch 3", "a | b\nand the next line",
    )  # fmt: skip
    assert not rung(report, "rung2")["asks"]
    section = markdown(report).partition("### rung3")[2].partition("###")[0]
    assert "| gate | loss < 0.5 by epoch 3 | – | – | " in section


def test_ladder_table(report):
    """The table of the ladder gives the bound of each rung's rate and the change to its parent."""
    table = markdown(report).split("\n\n")[2].splitlines()
    rows = {row.split(" | ")[0].removeprefix("| "): row for row in table}
    assert "| 16/16, at least 0.79 |" in rows["rung1"]
    assert rows["rung2"].endswith(f"| loss {median_and_range(rung(report, 'rung2')['effects'][0])} |")
    control = next(entry for entry in report["rungs"] if entry["role"] == "control")
    assert f"0/16, at most {control['seeds']['rate']['high']:.2f} |" in rows[control["id"]]


def test_json_format(report):
    """Lists of numbers are on one line of the JSON, and similar text in strings is unchanged."""
    report = report | {"command": "levels [1,   2]"}
    told = as_json(report)
    assert json.loads(told) == json.loads(json.dumps(report))
    assert re.search(r'"loss": \[\n +\[ 0\.\d+, 0\.\d+', told)


def test_lone_surrogate(tmp_path):
    """A lone surrogate is written as an escape sequence."""
    target = tmp_path / "ladder.md"
    write_atomically(target, "▁█ \udcff")
    append_line(target, "\udcfe")
    assert target.read_text(encoding="utf-8") == "▁█ \\udcff\n\\udcfe\n"


def test_file_mode(tmp_path):
    """A written file is readable by all users."""
    write_atomically(tmp_path / "deep" / "ladder.json", "new")
    assert (tmp_path / "deep" / "ladder.json").stat().st_mode & 0o777 == 0o644


def test_writable_folder(tmp_path):
    """The check of a folder leaves no file in it, and raises an error if it cannot be written to."""
    check_writable(tmp_path / "new")
    assert not list((tmp_path / "new").iterdir())
    (tmp_path / "file").write_text("")
    with pytest.raises(OSError, match="file"):
        check_writable(tmp_path / "file" / "below")


@dataclass(frozen=True, kw_only=True)
class Trains(Coin):
    """A coin with a component of any kind."""

    data: object = None


@pytest.mark.ill_typed
@pytest.mark.parametrize(
    ("data", "told"),
    [
        (np.zeros((1000, 5), np.float32), "float32[1000, 5]"),
        ({"train": [np.zeros(10**6)], "rate": 0.1}, "{'train': [float64[1000000]], 'rate': 0.1}"),
        (math.nan, "nan"),
        (-math.inf, "-inf"),
        (np.float32(0.5), 0.5),
        ("x" * 10**6, f"{'x' * 498}...{'x' * 498}"),
        (list(range(10**6)), f"[{', '.join(map(str, range(24)))}, ...]"),
    ],
)
def test_component_values(data, told):
    """A component is shortened in the report, whatever its type and size, and the report stays valid."""
    root = replace(ROOT, experiment=Trains(epochs=np.int64(3)))
    rung = replace(BROKEN, experiment=Trains(data=data, epochs=np.int64(3)), adds="data")
    found = report_of(root, rung)
    jsonschema_rs.validator_for(json.loads(SCHEMA.read_text())).validate(json.loads(as_json(found)))
    assert found["rungs"][1]["experiment"]["components"]["data"] == told
    assert found["rungs"][1]["adds"]["changes"] == [{"component": "data", "from": None, "to": told}]
    assert all(len(form) < 10**5 for form in (as_json(found), markdown(found)))
