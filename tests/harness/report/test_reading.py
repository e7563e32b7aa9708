"""Reports read back: those of today as they are, those of older versions brought up to today's."""

import json

import jsonschema_rs
import numpy as np
import pytest
from toys import SOURCE, Coin, Diverges, report_of

from ladder import Rung, above, agrees, below, falls, no_worse_than
from ladder.report.reading import ReportError, load, upgraded
from ladder.report.schema import SCHEMA, VERSION

LEARNS = below("loss", 0.5, by=3, source=SOURCE)
ROOT = Rung(
    number=1,
    name="root",
    experiment=Coin(p=0.5),
    gates=(LEARNS, falls("loss", 0.6, by=3, source=SOURCE), above("loss", 0.2, by=1, source=SOURCE)),
)
NEXT = Rung(
    number=2,
    name="next",
    experiment=Coin(p=0.5, shift=0.1),
    gates=(LEARNS,),
    goals=(no_worse_than("rung1", "loss", margin=0.2, source=SOURCE),),
    parent="rung1",
    adds="shift",
    requires=(),
    compare={"loss": "none"},
)
GONE = Rung(
    number=3, name="gone", experiment=Diverges(share=0.5, step=9), gates=(below("loss", 0.9, by=2, source=SOURCE),)
)

ADDED = {
    "1.1.0": (), "1.2.0": (), "1.3.0": (), "1.4.0": ("missed",), "1.3.9": ("missed",),
    "1.0.0": ("error", "note", "evidence", "attempts", "diagnosis", "pictures", "scale", "expects", "missed"),
}  # fmt: skip
"""What rungs of a version lacked, besides what schema 2 brought."""


@pytest.fixture(scope="module")
def report():
    return report_of(ROOT, NEXT, GONE)


def older(report, version):
    """The report as that version would have written it."""
    gone = ("epochs", "others", "test", "repeat", "asks", *ADDED[version])
    document = json.loads(json.dumps(report)) | {"schema": version}
    document["rungs"] = [
        {name: value for name, value in entry.items() if name not in gone} for entry in document["rungs"]
    ]
    for entry in document["rungs"]:
        for condition in (*entry["gates"], *entry["goals"], *entry["effects"]):
            for name in ("reached", "since", *(("floor",) if version == "1.0.0" else ())):
                condition.pop(name, None)
            if "differences" in condition:
                condition["pairs"] = len(condition.pop("differences"))
        if version == "1.0.0" and entry["seeds"]:
            entry["seeds"]["non_finite"] = [
                {name: value for name, value in seed.items() if name != "tensor"}
                for seed in entry["seeds"]["non_finite"]
            ]
    if version == "1.0.0":
        document = {name: value for name, value in document.items() if name != "complete"} | {"headline": "ALL GREEN"}
    return document


def filed(document, folder):
    path = folder / "ladder.json"
    path.write_text(json.dumps(document))
    return path


def test_round_trip(report, tmp_path):
    """A report of the current schema is loaded exactly as it was written."""
    assert load(filed(report, tmp_path)) == json.loads(json.dumps(report))


@pytest.mark.parametrize("version", ADDED)
def test_older_schema(report, version, tmp_path):
    """A report of an older schema is upgraded to the current one, with all that its curves imply."""
    found = load(filed(older(report, version), tmp_path))
    jsonschema_rs.validator_for(json.loads(SCHEMA.read_text())).validate(found)
    assert (found["schema"], found["complete"]) == (VERSION, True)
    for entry, now in zip(found["rungs"], json.loads(json.dumps(report))["rungs"], strict=True):
        assert entry["epochs"] == now["epochs"]
        for condition, today in zip(entry["gates"] + entry["goals"], now["gates"] + now["goals"], strict=True):
            assert condition.get("reached") == today.get("reached")
            assert condition.get("since") == today.get("since")
            assert condition.get("differences") is None
            assert "pairs" not in condition
        for name in ("verdict", "green", "curves", "adds", "seconds"):
            assert entry[name] == now[name]


def test_epochs_to_a_later_factor(report):
    """A fall since a later epoch counts from that epoch, and no seed meets it from 0 or with non-finite values."""
    document = older(report, "1.4.0")
    entry = document["rungs"][0]
    entry["gates"] = [entry["gates"][1] | {"text": "loss at most 0.5 of epoch 2's by epoch 4", "limit": 0.5}]
    entry["curves"]["loss"] = [[9.0, 1.0, 0.5, 0.5], [9.0, 1.0, 0.6, 0.4], [0.0, 0.0, 0.0, -1.0], [9.0, 1.0, 0.1, 0.1]]
    entry["seeds"]["non_finite"] = [{"seed": 3, "step": 9}]
    (gate,) = upgraded(document)["rungs"][0]["gates"]
    assert (gate["since"], gate["reached"]) == (2, [3, 4, None, None])


def test_earlier_minor_version(report, tmp_path):
    """A field that an earlier minor version lacks is empty after loading."""
    document = json.loads(json.dumps(report)) | {"schema": "2.0.0"}
    now, lacking = json.loads(json.dumps(report)), ("verdict", "rate", "decision")
    for entry, expected in zip(document["rungs"], now["rungs"], strict=True):
        del entry["asks"]
        for lacks, has in ((entry["seeds"], expected["seeds"]),) if entry["seeds"] else ():
            has |= dict.fromkeys(lacking)
            for name in lacking:
                del lacks[name]
        for what in ("gates", "goals", "effects"):
            for lacks, has in zip(entry[what], expected[what], strict=True):
                if "lower" in lacks:
                    del lacks["lower"]
                    has["lower"] = None
    del document["test"]["report_seeds"]
    loaded = load(filed(document, tmp_path))
    assert (loaded["rungs"], loaded["test"]["report_seeds"]) == (now["rungs"], None)


def test_other_metrics_of_version_2_1(report, tmp_path):
    """Metrics that judge nothing had no seeds before 2.2; their seeds must have as many epochs as are listed."""
    spread = {"median": [1.0, 2.0], "low": [0.5, 1.0], "high": [2.0, 3.0]}
    document = json.loads(json.dumps(report)) | {"schema": "2.1.0"}
    document["rungs"][0]["others"] = {"norm": spread}
    assert load(filed(document, tmp_path))["rungs"][0]["others"] == {"norm": spread | {"epochs": [], "seeds": []}}
    document["rungs"][0]["others"] = {"norm": spread | {"epochs": [1, 2], "seeds": [[0.5, 1.0], [0.5]]}}
    with pytest.raises(ReportError, match="norm of rung1 has 2 epochs, but a seed has another number"):
        load(filed(document, tmp_path))


def test_later_minor_version(report, tmp_path):
    """Unknown fields are accepted in a report of a later minor version only."""
    document = json.loads(json.dumps(report)) | {"schema": "2.10.0", "mood": "good"}
    document["rungs"][0]["gates"][0]["mood"] = "good"
    assert load(filed(document, tmp_path))["mood"] == "good"
    with pytest.raises(ReportError, match="mood"):
        load(filed(document | {"schema": VERSION}, tmp_path))
    with pytest.raises(ReportError, match=r"rungs/0"):
        load(filed(document | {"rungs": [{}]}, tmp_path))


def test_escape_sequences(report, tmp_path):
    """Control characters in a report are replaced when it is loaded."""
    report = report | {"command": "pytest \x1b]0;mine\x07\n\ttests"}
    assert load(filed(report, tmp_path))["command"] == "pytest \ufffd]0;mine\ufffd\n\ttests"


def test_older_agreement(report):
    """The epoch at which two metrics agreed stays unknown in a report of an older schema."""
    document = older(report, "1.4.0")
    document["rungs"][0]["gates"][0]["kind"] = agrees("a", "b", within=1.0, by=1, source=SOURCE).key.partition(" ")[0]
    assert upgraded(document)["rungs"][0]["gates"][0]["reached"] is None


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"schema": "3.0.0"}, f"is a report of schema 3.0.0; this version of ladder reads up to {VERSION}"),
        ({"schema": None}, "it has no schema version"),
        ({"schema": "1.0.0", "rungs": [{}]}, "is not a report of schema 1.0.0: KeyError('curves')"),
        ({"rungs": [{}]}, f"is not a report of schema {VERSION}: rungs/0: "),
        ({"culprit": 3}, f"is not a report of schema {VERSION}: culprit: "),
    ],
)
def test_unreadable_report(report, tmp_path, change, said):
    """A report that cannot be read raises an error with its path and the reason."""
    path = filed(report | change, tmp_path)
    with pytest.raises(ReportError) as refused:
        load(path)
    assert str(refused.value).startswith(f"{path} ")
    assert said in str(refused.value)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda document: document["rungs"].clear(), "it has no rungs"),
        (lambda document: document["culprit"].update(rung="rung9"), "the culprit, rung9, is not one of its rungs"),
        (lambda document: document["rungs"].append(document["rungs"][1]), "rung2 occurs twice"),
        (
            lambda document: document["rungs"][0]["gates"][0]["reached"].pop(),
            "rung1 has 16 seeds, but loss < 0.5 .* has 15",
        ),
        (
            lambda document: document["rungs"][0]["curves"]["loss"][3].pop(),
            "rung1 has 3 epochs, but loss has another number",
        ),
    ],
)
def test_inconsistent_report(report, tmp_path, change, said):
    """A report whose parts contradict one another raises an error that names the contradiction."""
    document = json.loads(json.dumps(report))
    change(document)
    with pytest.raises(ReportError, match=f"is not a valid report: {said}"):
        load(filed(document, tmp_path))


def test_deeply_nested_report(tmp_path):
    """A file that is nested too deeply raises an error."""
    path = tmp_path / "deep.json"
    path.write_text("[" * 100_000)
    with pytest.raises(ReportError, match="is not a ladder report"):
        load(path)


def test_epochs_to_target(report):
    """Against a count by hand, seed by seed."""
    curve = np.array(report["rungs"][0]["curves"]["loss"])
    for gate in report["rungs"][0]["gates"]:
        for seed, reached in zip(curve, gate["reached"], strict=True):
            met = {
                "below": seed < gate["limit"], "above": seed > gate["limit"], "falls": seed <= gate["limit"] * seed[0]
            }[gate["kind"]]  # fmt: skip
            met[: gate["since"] or 0] = False
            good = [e for e in range(1, len(seed) + 1) if met[e - 1 :].all()]
            assert reached == (good[0] if good else None)
        assert gate["passed"] == sum(e is not None and e <= gate["by"] for e in gate["reached"])
