"""Several ladders in a repository: names, ids, selection, culprits, evidence and reports."""

import json
import sys

import pytest
from test_plugin import climbed, report
from toys import INI

FILE = """
import pytest
from toys import Coin
from ladder import Rung, below, better_than

LEARNS = below("loss", 0.5, by=3, source="made up for the test")
ONE = Rung(number=1, name="one", experiment=Coin(), gates=LEARNS)
TWO = Rung(number=2, name="two", experiment=Coin(p={p}), gates=LEARNS, parent={parent}, adds="p", compare=("loss",))
BETTER = better_than("rung1", "loss", source="made up for the test")
THREE = Rung(number=3, name="three", experiment=Coin(shift=-0.5), goals=BETTER, parent="rung1", adds="shift")

@pytest.mark.parametrize("rung", [ONE, TWO, THREE])
def test_it(climb, rung):
    climb(rung)
"""


@pytest.fixture
def ladders(rungs, pytester):
    """Two ladders with rungs of the same ids, in one of which rung 2 does not learn."""
    pytester.makeini(f"{INI}ladder_seeds = 16\nladder_folders = vision language\n")
    for folder, p, parent in (("vision", "0.0", "ONE"), ("language", "0.5", '"rung1"')):
        pytester.mkdir(folder)
        (pytester.path / folder / f"test_{folder}.py").write_text(FILE.format(p=p, parent=parent))


IDS = ["language/rung1", "language/rung2", "language/rung3", "vision/rung1", "vision/rung2", "vision/rung3"]


@pytest.mark.parametrize("options", [(), ("-n", "2")], ids=["one process", "xdist"])
def test_climb(ladders, pytester, options):
    """The rungs of each folder are a ladder of its own, with a culprit of its own, in every form of the report."""
    result = pytester.runpytest_subprocess(*options)
    assert result.ret == 1
    document = report(pytester)
    assert sorted(climbed(pytester)) == IDS
    entries = {entry["id"]: entry for entry in document["rungs"]}
    assert (entries["vision/rung2"]["ladder"], entries["vision/rung2"]["parent"]) == ("vision", "vision/rung1")
    assert entries["vision/rung3"]["goals"][0]["against"] == "vision/rung1"
    found = [document["culprit"], *document["other_culprits"]]
    assert [culprit["rung"] for culprit in found] == ["language/rung2", "vision/rung2"]
    lines = [line for line in result.outlines if line.startswith(("CULPRIT", "SUSPECT"))]
    assert sorted(line.split()[1] for line in lines) == ["language/rung2", "vision/rung2"]
    for name in ("ladder.md", "ladder.html"):
        page = (pytester.path / "reports" / name).read_text()
        assert page.count("CULPRIT language/rung2") + page.count("SUSPECT language/rung2") >= 1
        assert page.count("CULPRIT vision/rung2") >= 1


@pytest.mark.parametrize(
    ("selection", "expected"),
    [
        (["-m", "rung3"], ["language/rung3", "vision/rung3"]),
        (["vision"], [id for id in IDS if id.startswith("vision")]),
        (["--ladder-only", "vision/rung2"], ["vision/rung1", "vision/rung2"]),
        (["vision/test_vision.py::test_it[rung1]"], ["vision/rung1"]),
        (["--ladder-only", "rung1", "vision"], ["vision/rung1"]),
    ],
    ids=["mark", "folder", "only", "node id", "only, in a folder"],
)
def test_selection(ladders, pytester, selection, expected):
    """A mark selects the rungs of every ladder, an id those of one; what they require is on the same ladder."""
    pytester.runpytest_subprocess(*selection)
    assert sorted(climbed(pytester)) == expected


def test_ambiguous_id(ladders, pytester):
    """An id that several ladders have is refused, with the ids to choose from."""
    result = pytester.runpytest_subprocess("--ladder-only=rung2")
    assert result.ret == 4
    result.stderr.fnmatch_lines(["*--ladder-only=rung2: several ladders have it; give one of *language/rung2*"])


def test_attempts(ladders, pytester):
    """Attempts and evidence of a rung are those of its own ladder, and the command in the report repeats it."""
    pytester.runpytest_subprocess("vision")
    pytester.runpytest_subprocess("language")
    entries = {entry["id"]: entry for entry in report(pytester)["rungs"]}
    assert entries["language/rung2"]["attempts"]["total"] == 1
    assert "--ladder-only=language/rung2" in entries["language/rung2"]["repeat"]
    pytester.runpytest_subprocess("language")
    assert report(pytester)["rungs"][0]["evidence"]


def test_commands(ladders, pytester):
    """The commands show and explain rungs by their ids, with and without the ladder."""
    pytester.runpytest_subprocess()
    result = pytester.run(sys.executable, "-m", "ladder", "explain", "vision/rung2")
    assert result.ret == 1
    result.stdout.fnmatch_lines(["vision/rung2: two*"])
    both = pytester.run(sys.executable, "-m", "ladder", "explain", "rung2", "--json")
    assert [entry["id"] for entry in json.loads(both.stdout.str())] == ["language/rung2", "vision/rung2"]


def test_calibrations(ladders, pytester):
    """Each ladder has calibrations of its own."""
    for folder in ("vision", "language"):
        file = pytester.path / folder / f"test_{folder}.py"
        file.write_text(file.read_text().replace('source="made up for the test")\nONE', "calibrated=True)\nONE"))
    assert pytester.runpytest_subprocess("--ladder-calibrate", "--ladder-only=vision/rung1").ret == 0
    files = (pytester.path / "reports" / "calibration").rglob("*.json")
    assert [file.relative_to(pytester.path / "reports" / "calibration").as_posix() for file in files] == [
        "vision/rung1.json"
    ]
    result = pytester.runpytest_subprocess("--ladder-only=vision/rung1")
    assert report(pytester)["rungs"][0]["stale_calibration"] == [], result.stdout.str()


@pytest.mark.parametrize(
    ("folders", "message"),
    [
        ("vision nowhere", "ladder_folders = nowhere: there is no such folder"),
        ("a/vision b/vision", "two folders have the name vision"),
    ],
)
def test_invalid_folders(ladders, pytester, folders, message):
    """A folder that does not exist, or two of the same name, are a usage error."""
    for name in ("a/vision", "b/vision"):
        (pytester.path / name).mkdir(parents=True)
    pytester.makeini(f"{INI}ladder_folders = {folders}\n")
    result = pytester.runpytest_subprocess()
    assert result.ret == 4
    result.stderr.fnmatch_lines([f"*{message}*"])


def test_clash(ladders, pytester):
    """Rungs of the same id on ladders without names are refused, and the message says how to name the ladders."""
    pytester.makeini(f"{INI}ladder_seeds = 16\n")
    result = pytester.runpytest_subprocess()
    assert result.ret == 4
    result.stderr.fnmatch_lines(
        ["*rung1 is declared twice*list their folders in ladder_folders if these are two ladders*"]
    )
