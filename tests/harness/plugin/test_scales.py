"""Rungs that come in several sizes: which one a run climbs, and that nothing of one is taken for the other's."""

import json

import pytest
from toys import HEAD, INI, TEST

# Rung 1 comes in one size. Rungs 2 and 3 come in two, each on the one before of its own; all of 3 is odd, and its full one slow.
FILE = (
    f"{HEAD}from dataclasses import replace\n"
    + """
def sized(scale, **change):
    told = {"scale": scale, "gates": (LEARNS,)}
    root = Rung(number=2, name="root", experiment=Coin(**change), **told)
    top = Rung(
        number=3, name="top", experiment=Coin(shift=0.1, **change), parent=root.id, adds="shift", compare={"loss": ""}, **told
    )
    marks = [pytest.mark.odd] if scale else [pytest.mark.odd, pytest.mark.slow]
    return [root, pytest.param(top, marks=marks)]

ONE = Rung(number=1, name="one", experiment=Coin(shift=0.05), gates=(LEARNS,))
RUNGS = [ONE, *sized("", epochs=4), *sized("small")]
"""
    + TEST
    + """
def test_plain():
    pass
"""
)
ONE, FULL, SMALL = "rung1", ("rung2", "rung3"), ("rung2@small", "rung3@small")


@pytest.fixture
def sizes(pytester, rungs):
    """Writes rungs in two sizes: ``sizes("ladder_scale = small")``, with lines of the ini."""

    def write(ini="", text=FILE):
        pytester.makeini(f"{INI}ladder_seeds = 16\nmarkers =\n    odd\n    slow\n    nightly\n{ini}\n")
        pytester.makepyfile(test_sizes=text)

    return write


def report(pytester):
    return json.loads((pytester.path / "reports" / "ladder.json").read_text())


def climbed(pytester):
    return tuple(rung["id"] for rung in report(pytester)["rungs"])


@pytest.mark.parametrize(
    ("ini", "expected"), [("", FULL), ("ladder_scale = full", FULL), ("ladder_scale = small", SMALL)]
)
def test_default_scale(pytester, sizes, ini, expected):
    """A run without options climbs the scale named in the ini file, or the full one."""
    sizes(ini)
    result = pytester.runpytest()
    assert result.ret == 0
    result.assert_outcomes(passed=4, deselected=2)
    assert climbed(pytester) == (ONE, *expected)


@pytest.mark.parametrize(
    ("expression", "expected"),
    [
        ("rung3", FULL),
        ("rung", (ONE, *FULL)),
        ("rung1 or rung3", (ONE, *FULL)),
        ("odd and rung3", FULL),
        ("not rung3", (ONE, SMALL[0])),
        ("odd and not rung2", SMALL),
        ("odd", SMALL),
        ("not odd", (ONE, SMALL[0])),
        ("slow", FULL),
        ("not slow", (ONE, *SMALL)),
        ("not  rung3", (ONE, SMALL[0])),
        ("not (rung1 or rung3)", SMALL[:1]),
        ("not (slow or not rung2)", FULL[:1]),
    ],
)
def test_scale_by_marker_expression(pytester, sizes, expression, expected):
    """A marker expression that names a rung selects the full scale, and any other the scale of the ini file."""
    sizes("ladder_scale = small")
    assert pytester.runpytest("-m", expression).ret == 0
    assert climbed(pytester) == expected


@pytest.mark.parametrize(
    ("ini", "arguments", "expected"),
    [
        ("", ["--ladder-scale=small"], (ONE, *SMALL)),
        ("", ["--ladder-scale=small", "-m", "rung3"], SMALL),
        ("", ["--ladder-scale=small", "-m", "not rung3"], (ONE, SMALL[0])),
        ("ladder_scale = small", ["--ladder-scale=full"], (ONE, *FULL)),
        ("ladder_scale = small", ["--ladder-scale", "full", "-m", "odd"], FULL),
    ],
)
def test_scale_option(pytester, sizes, ini, arguments, expected):
    """The option --ladder-scale takes precedence over the ini file and the selection."""
    sizes(ini)
    assert pytester.runpytest(*arguments).ret == 0
    assert climbed(pytester) == expected


@pytest.mark.parametrize(
    ("ini", "selection", "expected"),
    [
        ("", ["test_sizes.py::test_it[rung3@small]"], SMALL),
        ("ladder_scale = small", ["test_sizes.py::test_it[rung3]"], FULL),
        ("ladder_scale = small", ["-m", "slow"], FULL),
        ("", ["-m", "odd and not slow"], SMALL),
        ("", ["-k", "small"], SMALL),
    ],
)
def test_scale_by_selection(pytester, sizes, ini, selection, expected):
    """A selection of tests in one scale only climbs that scale and the rungs that they require in it."""
    sizes(ini)
    assert pytester.runpytest(*selection).ret == 0
    assert climbed(pytester) == expected


def test_scale_without_selected_rungs(pytester, sizes):
    """A scale given by option excludes rungs that are selected in another scale only."""
    sizes()
    result = pytester.runpytest("--ladder-scale=small", "-m", "slow")
    assert result.ret == pytest.ExitCode.NO_TESTS_COLLECTED
    result.assert_outcomes(deselected=6)


@pytest.mark.parametrize("other", [[], ["--ladder-scale=small"], ["--ladder-scale=full"]])
@pytest.mark.parametrize("expected", [FULL, SMALL])
def test_scale_by_id(pytester, sizes, expected, other):
    """A rung id given to --ladder-only decides the scale, whatever the ini file and the option say."""
    sizes("ladder_scale = small")
    assert pytester.runpytest(f"--ladder-only={expected[-1]}", *other).ret == 0
    assert climbed(pytester) == expected


@pytest.mark.parametrize(
    ("ini", "options", "said"),
    [("", ["--ladder-scale=tiny"], "--ladder-scale=tiny"), ("ladder_scale = tiny", [], "ini ladder_scale = tiny")],
)
def test_unknown_scale(pytester, sizes, ini, options, said):
    """A scale in which no rung exists ends the run with one usage error that lists the scales."""
    sizes(ini)
    result = pytester.runpytest(*options)
    assert result.ret == 4
    told = result.stderr.str().strip().splitlines()
    assert told == [f"ERROR: ladder: {said}: unknown scale; known scales: full, small"]
    assert not (pytester.path / "reports").exists()
    assert "Traceback" not in result.stdout.str()
    assert not list(pytester.path.rglob("ladder.*"))


def test_scale_of_unscaled_rungs(pytester, sizes):
    """The option --ladder-scale has no effect on a ladder in which no rung has several scales."""
    sizes(text=FILE.replace("@pytest.mark.parametrize", "RUNGS = [ONE]\n@pytest.mark.parametrize"))
    assert pytester.runpytest("--ladder-scale=tiny").ret == 0
    assert climbed(pytester) == (ONE,)


def test_ambiguous_scale(pytester, sizes):
    """A selection of rungs in several scales ends the run with a usage error if no option chooses one."""
    both = 'RUNGS.append(replace(ONE, number=2, variant="a", scale="tiny"))\n'
    sizes("ladder_scale = tiny", FILE.replace("@pytest.mark.parametrize", f"{both}@pytest.mark.parametrize"))
    result = pytester.runpytest("-m", "odd")
    assert result.ret == 4
    assert "the selected rungs have several scales, full, small; choose one with --ladder-scale" in result.stderr.str()


def test_repeat_command_of_a_scale(pytester, sizes):
    """The report repeats a rung with a command that names its id, and so its scale."""
    sizes("ladder_scale = small")
    pytester.runpytest()
    told = (pytester.path / "reports" / "ladder.md").read_text()
    for id in ("rung1", "rung2@small"):
        assert f"Repeat: `pytest test_sizes.py --ladder-only={id} --ladder-seed-root=0 --ladder-seeds=16`" in told


def test_failure_in_one_scale(pytester, sizes):
    """A rung that fails in one scale blocks no rung of another scale."""
    sizes(text=FILE.replace("epochs=4", "epochs=4, p=0.0"))
    full = pytester.runpytest()
    assert full.parseoutcomes() == {"passed": 2, "failed": 1, "blocked": 1, "deselected": 2}
    assert report(pytester)["culprit"]["blocks"] == ["rung3"]
    assert pytester.runpytest("--ladder-scale=small").ret == 0


def test_evidence_by_scale(pytester, sizes):
    """Evidence and attempts are recorded separately for every scale."""
    sizes()
    told = []
    for scale, *more in (("full",), ("full", "--ladder-rerun"), ("small",), ("full",)):
        pytester.runpytest(f"--ladder-scale={scale}", *more)
        rungs = report(pytester)["rungs"]
        told.append({rung["id"]: (bool(rung["evidence"]), rung["attempts"]["total"]) for rung in rungs})
    assert told == [
        dict.fromkeys((ONE, *FULL), (False, 1)),
        dict.fromkeys((ONE, *FULL), (False, 2)),
        {ONE: (True, 2)} | dict.fromkeys(SMALL, (False, 1)),
        dict.fromkeys((ONE, *FULL), (True, 2)),
    ]


def test_calibration_by_scale(pytester, sizes):
    """Calibrated limits are stored and read separately for every scale."""
    sizes(
        text=FILE.replace("LEARNS = below(", "LEARNS = below(calibrated=True, metric=").replace(
            "0.5, by", "limit=0.5, by"
        )
    )
    folder = pytester.path / "reports" / "calibration"
    limits = {("full", "rung2"): 0.31, ("small", "rung2@small"): 0.32}
    for (scale, id), limit in limits.items():
        pytester.runpytest("--ladder-calibrate", f"--ladder-scale={scale}", "-m", "rung2")
        measured = json.loads((folder / f"{id}.json").read_text())
        assert measured["rung"] == id
        # By hand, for both have measured the same: the full one only trains on.
        (folder / f"{id}.json").write_text(json.dumps(measured | {"limits": dict.fromkeys(measured["limits"], limit)}))
    assert len(list(folder.iterdir())) == 2
    for (scale, id), limit in limits.items():
        pytester.runpytest(f"--ladder-scale={scale}")
        _, root, top = report(pytester)["rungs"]
        assert (root["id"], root["gates"][0]["limit"], root["stale_calibration"]) == (id, limit, [])
        assert top["stale_calibration"] == ["missing"]


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [([], (ONE, *SMALL)), (["-m", "rung3"], FULL)],
)
def test_scale_with_workers(pytester, sizes, arguments, expected):
    """Workers climb the same scale as a single process."""
    sizes("ladder_scale = small")
    result = pytester.runpytest_subprocess("-n", "2", *arguments)
    assert result.ret == 0
    assert climbed(pytester) == expected


def test_collect_only_with_workers(pytester, sizes):
    """The option --collect-only with -n lists the tests of the scale that workers would climb."""
    sizes("ladder_scale = small")
    result = pytester.runpytest_subprocess("-n", "2", "--collect-only", "-q", "-m", "rung3")
    assert result.ret == 0
    result.stdout.fnmatch_lines([f"test_sizes.py::test_it?{id.replace('[', '?').replace(']', '?')}?" for id in FULL])


def test_unknown_scale_with_workers(pytester, sizes):
    """An unknown scale is a usage error when the run has workers, too."""
    sizes()
    result = pytester.runpytest_subprocess("-n", "1", "--ladder-scale=tiny")
    assert result.ret == 4
    assert "unknown scale; known scales: full, small" in result.stdout.str() + result.stderr.str()


NIGHTLY = FILE.replace("pytest.mark.slow", "pytest.mark.nightly").replace(
    "test_plain():", "test_plain():\n    pass\n\n@pytest.mark.nightly\ndef test_minutes():"
)
NIGHTLY = NIGHTLY.replace(
    "RUNGS = [ONE, ",
    'LONG = Rung(number=4, name="long", experiment=Coin(), gates=(LEARNS,))\n'
    "RUNGS = [ONE, pytest.param(LONG, marks=pytest.mark.nightly), ",
)


@pytest.mark.parametrize(
    ("arguments", "expected", "others"),
    [
        ([], (ONE, *SMALL), 1),
        (["--ladder-scale=full"], (ONE, *FULL), 1),
        (["-m", "rung3"], FULL, 0),
        (["-m", "rung"], (ONE, *FULL), 0),
        (["-m", "not rung3"], (ONE, SMALL[0]), 1),
        (["-m", "nightly"], (*FULL, "rung4"), 1),
        (["test_sizes.py::test_it[rung3]"], FULL, 0),
        (["test_sizes.py::test_it[rung4]"], ("rung4",), 0),
        (["test_sizes.py::test_it"], (ONE, *SMALL, "rung4"), 0),
        (["--ladder-only=rung3"], FULL, 0),
        (["--ladder-only=rung4"], ("rung4",), 0),
    ],
)
def test_leave_out(pytester, sizes, arguments, expected, others):
    """Tests with a mark that is left out run if they are named; for a rung in several sizes the scale decides."""
    sizes("ladder_scale = small\nladder_leave_out = nightly", NIGHTLY)
    result = pytester.runpytest(*arguments)
    assert result.ret == 0
    result.assert_outcomes(passed=len(expected) + others, deselected=result.parseoutcomes().get("deselected", 0))
    assert climbed(pytester) == expected
