"""The plugin, as a user meets it: what is selected, in which order, with which exit code, and what is written."""

import json
import os
import pty
import re
import shlex
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from toys import HEAD, TEST, Coin

from ladder import Seeds, Trainer
from ladder.report.text import what_decides


def report(pytester, folder="reports"):
    return json.loads((pytester.path / folder / "ladder.json").read_text())


def climbed(pytester):
    return [rung["id"] for rung in report(pytester)["rungs"]]


def curves(pytester):
    return [rung["curves"]["loss"] for rung in report(pytester)["rungs"]]


@pytest.mark.parametrize(
    "selection",
    [
        ["-m", "rung2"],
        ["test_rung2_shift.py"],
        ["test_rung2_shift.py::test_it[rung2]"],
        ["--ladder-only", "rung2"],
        ["--ladder-only=rung2", "test_rung3_p.py"],
    ],
    ids=["marker", "path", "node", "only", "only, elsewhere"],
)
def test_selection_with_requirements(pytester, rungs, selection):
    """A selected rung is climbed together with every rung that it requires."""
    rungs(coin="Coin()", shift="Coin(shift=0.1)", p="Coin(shift=0.1, p=0.0)")
    result = pytester.runpytest(*selection)
    assert result.ret == 0
    result.assert_outcomes(passed=2)
    assert climbed(pytester) == ["rung1", "rung2"]


def test_order_of_tests(pytester, rungs):
    """Tests that climb no rung stay in place, and rungs are climbed in the order of their numbers."""
    rungs(coin="Coin()", shift="Coin(shift=0.1)")
    (pytester.path / "test_rung1_coin.py").rename(pytester.path / "test_z_rung1.py")
    pytester.makepyfile(test_a="def test_a(): pass", test_y="def test_y(): pass")
    result = pytester.runpytest("-v")
    order = re.findall(r"^(test_\w+)\.py::\S+ ", result.stdout.str(), re.M)
    assert order == ["test_a", "test_z_rung1", "test_rung2_shift", "test_y"]


def test_failure_and_blocking(pytester, rungs):
    """A rung that fails is red, is named as the culprit and blocks every rung that requires it."""
    rungs(coin="Coin()", p="Coin(p=0.0)", shift="Coin(p=0.0, shift=0.1)")
    result = pytester.runpytest()
    assert result.ret == 1
    assert result.parseoutcomes() == {"passed": 1, "failed": 1, "blocked": 1}
    result.stdout.fnmatch_lines(
        [
            "*rung2 FAIL: 0/16 seeds met every gate, a rate of at most 0.21",
            "*adds p: 1.0 → 0.0 to rung1",
            "*0/16  loss < 0.5 by epoch 3: *",
            "rung1  PASS*16/16*",
            "rung2  FAIL*0/16*",
            "rung3  BLOCKED*by rung2",
            'CULPRIT rung2 "+p" (p: 1.0 → 0.0): 0/16 seeds met loss < 0.5 by epoch 3 (rung1: 16/16); blocks rung3',
            "wrote *ladder.json",
            "wrote *ladder.md",
            "wrote *ladder.html",
        ]
    )
    assert "Traceback" not in result.stdout.str()
    assert (pytester.path / "reports" / "ladder.md").read_text().startswith("# CULPRIT rung2")
    assert [rung["verdict"] for rung in report(pytester)["rungs"]] == ["PASS", "FAIL", "BLOCKED"]


def test_climbing_through(pytester, rungs):
    """With --ladder-through a blocked rung is trained and shown, and is neither green nor a culprit."""
    rungs(coin="Coin()", p="Coin(p=0.0)", shift="Coin(p=0.0, shift=0.1)")
    result = pytester.runpytest("--ladder-through")
    assert result.ret == 1
    assert result.parseoutcomes() == {"passed": 1, "failed": 1, "blocked": 1}
    result.stdout.fnmatch_lines(
        [
            "rung3  BLOCKED (FAIL)  0/16, at most 0.21*",
            "rung3: stands on rung2, which did not pass; climbed because of --ladder-through",
            "CULPRIT rung2 *",
        ]
    )
    blocked = report(pytester)["rungs"][2]
    assert (blocked["verdict"], blocked["seeds"]["verdict"], blocked["green"]) == ("BLOCKED", "FAIL", False)
    assert len(blocked["curves"]["loss"]) == 16
    assert blocked["repeat"].endswith(" --ladder-through")


def test_undecided_rung(pytester, rungs):
    """An undecided rung makes the run red."""
    losses = np.sort(Trainer(Coin(), 16)(Seeds(), range(16)).curves["loss"][:, -1])
    rungs(coin="Coin()", limit=float(losses[13:15].mean()))
    result = pytester.runpytest()
    assert report(pytester)["rungs"][0]["seeds"]["passed"] == 14
    assert result.ret == 1
    assert result.parseoutcomes() == {"undecided": 1}
    result.stdout.fnmatch_lines(
        ["rung1 UNDECIDED: 14/16 seeds met every gate, a rate of 0.55–0.99", "rung1  UNDECIDED  14/16, 0.55–0.99*"]
    )
    (entry,) = report(pytester)["rungs"]
    (line,) = what_decides(entry)
    result.stdout.fnmatch_lines([f"rung1: {line}"])
    decision = entry["seeds"]["decision"]
    start = (
        f"{decision['looks'][-1]} seeds decide it with a chance of {decision['chance']:.0%} at the rate so far: pytest "
    )
    assert line.startswith(start)
    assert line.endswith(f"--ladder-seeds={','.join(map(str, decision['looks']))}")
    result = pytester.runpytest(*shlex.split(line.partition(": pytest ")[2]))
    assert report(pytester)["rungs"][0]["seeds"]["of"] > 16, "the command as printed trains more seeds"
    decision["chance"] = 0.0
    assert what_decides(entry) == [f"more seeds do not decide it at the rate so far, not even {decision['looks'][-1]}"]


@pytest.mark.parametrize("option", [[], ["--ladder-through"]], ids=["plain", "through"])
def test_raising_experiment(pytester, rungs, option):
    """An experiment that raises an exception fails its test, crashes its rung and blocks the rungs that require it.

    What is compared with it cannot be judged, so ``--ladder-through`` does not train it either.
    """
    rungs(broken="Misreports(epochs=3)", epochs="Misreports(epochs=4)")
    result = pytester.runpytest(*option)
    assert result.ret == 1
    assert result.parseoutcomes() == {"failed": 1, "blocked": 1}
    result.stdout.fnmatch_lines(
        [
            "E*ValueError: Misreports*declares the metrics loss but*",
            "rung1  CRASHED*ValueError: Misreports*",
            "rung2  BLOCKED*by rung1",
        ]
    )
    assert [rung["verdict"] for rung in report(pytester)["rungs"]] == ["CRASHED", "BLOCKED"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["-m", "rung9"], "*unknown rung9; known rungs: rung1, rung2"),
        (["-m", "not rung9"], "*unknown rung9; known rungs: rung1, rung2"),
        (["--ladder-only=rung9"], "*--ladder-only=rung9: unknown rung; known rungs: rung1, rung2"),
        (["--ladder-only=rung2[x]"], "*unknown rung; known rungs: rung1, rung2"),
        (["--ladder-seeds=0"], "*seeds 0: choose increasing numbers of seeds*"),
        (["--ladder-seeds=abc"], "*seeds 'abc': give whole numbers*"),
        (["--ladder-seeds=4"], "*seeds 4: even if every seed learns, a PASS*needs 10 seeds*"),
        (["--ladder-seeds=32,16"], "*seeds 32,16: choose increasing*"),
        (["--ladder-seed-root=-1"], "*--ladder-seed-root=-1: choose a number from 0*"),
        (["--ladder-seed-root=4294967296"], "*--ladder-seed-root=4294967296: choose a number from 0*"),
        (["--ladder-fresh-seeds", "--ladder-seed-root=1"], "*give only one of them"),
        (["-o", "ladder_alpha=often"], "*ladder_alpha = 'often': give a number between 0 and 1"),
        (["-o", "ladder_report_seeds=0"], "*ladder_report_seeds = '0': give a number of seeds, at least 1, such as 16"),
        (["-o", "ladder_report_seeds=-1.5"], "*ladder_report_seeds = '-1.5': give a number of seeds*"),
        (["-o", "ladder_p0=0.99"], "*p0=0.99, p1=0.95: choose 0 < p0 < p1 < 1"),
        (["--ladder-calibrate=again"], "*--ladder-calibrate=again: choose missing or overwrite*"),
    ],
)
def test_wrong_option(pytester, rungs, arguments, message):
    """A wrong option ends the run with one usage error and without a report."""
    rungs(coin="Coin()", shift="Coin(shift=0.1)")
    result = pytester.runpytest(*arguments)
    assert result.ret == 4
    result.stderr.fnmatch_lines([message])
    assert "Traceback" not in result.stderr.str() + result.stdout.str()
    assert not (pytester.path / "reports").exists()


@pytest.mark.parametrize(
    ("experiments", "message"),
    [
        (
            {"coin": "Coin()", "shift": "Coin(shift=0.1, p=0.5)"},
            "*they differ in 2 components: p*shift*rung between them",
        ),
        ({"coin": "Coin()", "shift": "Coin()"}, "*but the two experiments are the same"),
    ],
)
def test_bad_ladder(pytester, rungs, experiments, message):
    """A ladder with a wrong declaration is refused before anything is trained."""
    rungs(**experiments, test="open('trained', 'w').close()")
    result = pytester.runpytest()
    assert result.ret == 4
    result.stderr.fnmatch_lines([message])
    assert not (pytester.path / "trained").exists()


def test_duplicate_rung(pytester, rungs):
    """A rung that is declared in two files ends the run with a usage error that names both files."""
    rungs(coin="Coin()")
    (pytester.path / "test_rung1_more.py").write_text((pytester.path / "test_rung1_coin.py").read_text())
    result = pytester.runpytest()
    assert result.ret == 4
    result.stderr.fnmatch_lines(["*rung1 is declared twice, by test_rung1_coin.py*and test_rung1_more.py*"])


def test_fresh_seeds(pytester, rungs):
    """Fresh seeds differ from the default ones, and the printed option repeats them."""
    rungs(coin="Coin()")
    pytester.runpytest()
    default = curves(pytester)
    fresh = pytester.runpytest("--ladder-fresh-seeds")
    drawn = curves(pytester)
    option = re.search(r"repeat them with (--ladder-seed-root=[0-9]+)", fresh.stdout.str())
    assert option is not None
    assert report(pytester)["seeds"] == {"root": int(option[1].split("=")[1]), "fresh": True, "repeat": option[1]}
    pytester.runpytest(option[1])
    assert curves(pytester) == drawn != default


def test_unwritable_report(pytester, rungs):
    """A run that cannot write its report still prints the verdicts, and exits with a code other than 0."""
    rungs(coin="Coin()")
    (pytester.path / "file").write_text("")
    result = pytester.runpytest("--ladder-reports=file/reports")
    assert result.ret == 73
    result.stdout.fnmatch_lines(
        ["ladder: the report cannot be written:*", "rung1  PASS*16/16*", "the report could not be written:*"]
    )
    rungs(coin="Coin(p=0.0)")
    result = pytester.runpytest("--ladder-reports=file/reports")
    assert result.ret == 1
    result.stdout.fnmatch_lines(["rung1  FAIL*", "the report could not be written:*"])


def test_run_without_rungs(pytester):
    """A run without rungs writes no report and does not import JAX."""
    pytester.makepyfile(test_plain="def test_plain(): pass")
    # jaxtyping's own plugin loads NumPy; that is not ours to mend.
    program = (
        "import sys, pytest; code = pytest.main(['-q', '-p', 'no:jaxtyping']); "
        "assert not {'jax', 'numpy'} & set(sys.modules); sys.exit(code)"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "1 passed" in done.stdout
    assert "ladder" not in done.stdout
    assert not (pytester.path / "reports").exists()


def test_unclimbed_rung(pytester, rungs):
    """A rung whose test never calls climb(rung) is CRASHED."""
    rungs(coin="Coin()", test="pass")
    result = pytester.runpytest()
    assert result.ret == 1
    result.stdout.fnmatch_lines(["rung1  CRASHED*not climbed: its test must call climb(rung)"])


@pytest.mark.parametrize(
    ("test", "verdict"),
    [
        ("try: climb(rung)\n    except BaseException: pass", "FAIL"),
        ("pytest.xfail('known')", "CRASHED"),
    ],
    ids=["swallowed", "xfail"],
)
def test_red_rung_in_a_passing_test(pytester, rungs, test, verdict):
    """A rung that is red stays red when its test catches the exception or calls pytest.xfail."""
    rungs(coin="Coin(p=0.0)", test=test)
    assert pytester.runpytest().ret == 1
    assert [(rung["verdict"], rung["green"]) for rung in report(pytester)["rungs"]] == [(verdict, False)]


def test_test_with_own_assertions(pytester, rungs):
    """A failed assertion of the test makes a PASS not green, and a test may climb no rung but its own."""
    rungs(coin="Coin()", test="assert climb(rung).trained.seeds == 17")
    result = pytester.runpytest()
    assert result.parseoutcomes() == {"failed": 1}
    (entry,) = report(pytester)["rungs"]
    assert (entry["verdict"], entry["green"]) == ("PASS", False)
    assert entry["note"].startswith("the rung is PASS, but its test failed: ")
    result.stdout.fnmatch_lines(["FAILED test_rung1_coin.py::*"])
    assert (pytester.path / "reports" / "ladder.md").read_text().startswith("# NOT GREEN: rung1 PASS")
    rungs(coin="Coin()", test="climb(Rung(number=2, name='x', experiment=Coin(), gates=(LEARNS,)))")
    result = pytester.runpytest()
    assert result.parseoutcomes() == {"failed": 1}
    result.stdout.fnmatch_lines(["*a test can only climb the rung that is its parameter"])


@pytest.mark.parametrize(
    ("test", "reason"),
    [
        ("assert climb(rung).judgement.k == 17", "AssertionError: assert 16 == 17"),
        ("climb(rung); raise ValueError('\\n\\nno' + chr(27) + 'where')", "ValueError:"),
        ("climb(rung); pytest.fail('once\\nmore')", "Failed: once"),
        ("climb(rung); pytest.fail('once\\nmore', pytrace=False)", "Failed: once"),
        ("climb(rung); pytest.fail(chr(27) + ']0;mine')", "Failed: \ufffd]0;mine"),
        ("climb(rung); request.getfixturevalue('missing')", "fixture 'missing' not found"),
    ],
    ids=["assert", "raise", "fail", "without a traceback", "escape", "fixture"],
)
def test_note_on_a_failed_test(pytester, rungs, test, reason):
    """The note of a rung whose test failed after a PASS quotes the first line of the failure."""
    rungs(coin="Coin()", test=test)
    file = pytester.path / "test_rung1_coin.py"
    file.write_text(file.read_text().replace("test_it(climb,", "test_it(request, climb,"))
    pytester.runpytest()
    assert report(pytester)["rungs"][0]["note"] == f"the rung is PASS, but its test failed: {reason}"


@pytest.mark.parametrize("style", ["long", "short", "line", "native", "no", "auto"])
@pytest.mark.parametrize("workers", [[], pytest.param(["-n", "1"], marks=pytest.mark.nightly)], ids=["alone", "worker"])
def test_note_by_traceback_style(pytester, rungs, style, workers):
    """The note of a failed test is the same for every value of --tb, with and without a worker."""
    rungs(coin="Coin()", test="assert climb(rung).judgement.k == 17")
    (pytester.runpytest_subprocess if workers else pytester.runpytest)(f"--tb={style}", *workers)
    assert report(pytester)["rungs"][0]["note"].endswith("test failed: AssertionError: assert 16 == 17")


@pytest.mark.parametrize("limit", [[], ["--ladder-time-limit=600"]], ids=["no limit", "in a thread"])
def test_traceback_of_a_wrong_experiment(pytester, rungs, limit):
    """The traceback of a mistake in an experiment leaves out the frames of ladder."""
    rungs(coin="Misreports(epochs=3)")
    told = pytester.runpytest(*limit).stdout.str()
    failure = told.partition("= FAILURES =")[2].partition("= ladder =")[0]
    assert re.findall(r"^(?:E +)?(\S+\.py:\d+|ValueError): .*", failure, re.M) == [
        "ValueError",
        "test_rung1_coin.py:12",
    ]
    assert "removed its internal frames" not in failure
    assert len(failure.splitlines()) < 20


def test_traceback_of_a_raising_experiment(pytester, rungs):
    """The traceback of an exception in an experiment ends at the user's line that raised it."""
    rungs(coin="Raises()")
    file = pytester.path / "test_rung1_coin.py"
    raises = "class Raises(Coin):\n    def epoch(self, state, key):\n        return state['gone'], {}\n"
    file.write_text(file.read_text().replace("LEARNS =", f"{raises}\nLEARNS =", 1))
    told = pytester.runpytest().stdout.str()
    failure = told.partition("= FAILURES =")[2].partition("= ladder =")[0]
    assert re.findall(r"^(\S+\.py):\d+: ?", failure, re.M) == ["test_rung1_coin.py"] * 2
    assert "rung1  CRASHED  –  KeyError: 'gone'" in told


def test_traceback_of_an_internal_error(pytester, rungs, monkeypatch):
    """The traceback of an exception inside ladder is printed in full."""

    def fails(*arguments):
        raise ZeroDivisionError

    monkeypatch.setattr("ladder.climb.judge", fails)
    rungs(coin="Coin()")
    pytester.runpytest().stdout.fnmatch_lines(["*climb.py:*", "*ZeroDivisionError*"])


SETTINGS = [
    "JAX_DEBUG_NANS=1",
    "JAX_ENABLE_X64=1",
    "JAX_LOG_COMPILES=1",
    "JAX_CHECK_TRACER_LEAKS=1",
    "JAX_NUMPY_RANK_PROMOTION=raise",
    "JAX_NUMPY_DTYPE_PROMOTION=strict",
    "JAX_TRACEBACK_FILTERING=off",
    "JAX_TRANSFER_GUARD=disallow",
]


@pytest.mark.parametrize(
    "setting", ["JAX_DISABLE_JIT=1", *(pytest.param(each, marks=pytest.mark.nightly) for each in SETTINGS)]
)
def test_jax_debug_settings(pytester, rungs, monkeypatch, setting):
    """Warnings are errors here, as they are in this project."""
    monkeypatch.setenv(*setting.split("="))
    rungs(coin="Coin()", p="Coin(p=0.0)")
    pytester.runpytest_subprocess()
    assert [rung["verdict"] for rung in report(pytester)["rungs"]] == ["PASS", "FAIL"]


def test_failed_teardown(pytester, rungs):
    """A rung whose test fails in teardown keeps its PASS but is not green."""
    rungs(coin="Coin()")
    pytester.makeconftest(
        "import pytest\n@pytest.fixture(autouse=True)\ndef it():\n    yield\n    raise OSError('full')"
    )
    pytester.runpytest()
    (entry,) = report(pytester)["rungs"]
    assert (entry["verdict"], entry["green"]) == ("PASS", False)
    assert "full" in entry["note"] or "OSError" in entry["note"]


@pytest.mark.parametrize("workers", [[], ["-n", "1"]])
def test_skipped_rung(pytester, rungs, workers):
    """A skipped rung is not in the report, and the run is complete without it."""
    rungs(one="Coin()", shift="Coin(shift=0.1)")
    pytester.makeconftest(
        "import pytest\ndef pytest_collection_modifyitems(items):\n    items[1].add_marker(pytest.mark.skip('not here'))"
    )
    (pytester.runpytest_subprocess if workers else pytester.runpytest)(*workers)
    found = report(pytester)
    assert [entry["id"] for entry in found["rungs"]] == ["rung1"]
    assert found["complete"]


def test_skip_after_the_climb(pytester, rungs):
    """A rung counts as climbed even if its test is skipped afterwards."""
    rungs(coin="Coin()", test="climb(rung); pytest.skip('the rest')")
    pytester.runpytest()
    found = report(pytester)
    assert [(entry["id"], entry["verdict"]) for entry in found["rungs"]] == [("rung1", "PASS")]
    assert found["complete"]


def test_escape_sequence_in_an_error(pytester, rungs):
    """Escape characters in the message of an exception are replaced in the report."""
    rungs(coin="Coin()", test="raise ValueError(chr(27) + ']0;mine')")
    pytester.runpytest()
    assert report(pytester)["rungs"][0]["error"] == "ValueError: \ufffd]0;mine"


def test_dist_without_workers(pytester, rungs):
    """The option --dist alone, without workers, changes nothing."""
    rungs(coin="Coin()")
    assert pytester.runpytest_subprocess("--dist", "load").ret == 0
    assert [entry["id"] for entry in report(pytester)["rungs"]] == ["rung1"]


def test_broken_off_run(pytester, rungs):
    """A run that stops early says so and lists the rungs that were climbed."""
    rungs(coin="Coin()", shift="Coin(shift=0.1)", test="climb(rung) if rung.number == 1 else pytest.exit('enough')")
    result = pytester.runpytest()
    assert result.ret == 2
    assert (report(pytester)["complete"], climbed(pytester)) == (False, ["rung1"])
    result.stdout.fnmatch_lines(["BROKEN OFF; rungs climbed: rung1"])


def test_markers(pytester, rungs):
    """The option --markers lists the marker of every rung in every rung file."""
    rungs(coin="Coin()", more_shift="Coin(shift=0.1)")
    pytester.runpytest("--markers").stdout.fnmatch_lines(
        [
            "@pytest.mark[.]rung: every rung of the ladder",
            "@pytest.mark.rung1: rung 1 and the rungs it requires: coin (test_rung1_coin.py)",
            "@pytest.mark.rung2: rung 2 and the rungs it requires: more shift (test_rung2_more_shift.py)",
        ]
    )


def test_strict_markers(pytester, rungs):
    """Markers of rungs are registered for --strict-markers and select a rung's other tests too."""
    rungs(coin="Coin()")
    with (pytester.path / "test_rung1_coin.py").open("a") as file:
        file.write("\n@pytest.mark." + "rung1\ndef test_law(): pass\n\ndef test_aside(): pass\n")
    result = pytester.runpytest("--strict-markers", "-m", "rung1")
    result.assert_outcomes(passed=2, deselected=1)


@pytest.mark.parametrize("name", ["test_plain.py", "aside/conftest.py"])
def test_unrelated_files(pytester, rungs, name):
    """A file without rungs is not imported when only rungs are selected, nor is the conftest.py of a folder without any."""
    rungs(coin="Coin()")
    file = pytester.path / name
    file.parent.mkdir(exist_ok=True)
    file.write_text("raise RuntimeError('imported')")
    (file.parent / "test_aside.py").write_text("def test_it(): pass")
    for selection in (["-m", "rung1"], ["-m", "rung1 or rung1"], ["-m", "rung"], ["--ladder-only=rung1"]):
        assert pytester.runpytest(*selection).ret == 0
    for selection in ([], ["-m", "rung1 or slow"], ["-m", "not rung2"]):
        result = pytester.runpytest(*selection)
        result.stdout.fnmatch_lines(["*RuntimeError: imported"])


@pytest.mark.parametrize("climbs", [True, False])
def test_garbage_collection(pytester, rungs, climbs):
    """Garbage collection leaves out what a run that climbs has imported; that of other runs is not ours to change."""
    rungs(coin="Coin()")
    pytester.makepyfile(test_aside="import gc\ndef test_it(): print('frozen:', gc.get_freeze_count())")
    result = pytester.runpytest_subprocess("-s", *([] if climbs else ["test_aside.py"]))
    (frozen,) = re.findall(r"frozen: (\d+)", result.stdout.str())
    assert (int(frozen) > 10_000) is climbs
    assert result.ret == 0


def test_start_of_a_gate():
    """To select a rung of this project loads neither Hypothesis nor what the tests of the harness share."""
    program = (
        "import sys, pytest; pytest.main(['-q', '--collect-only', '-m', 'rung3']); "
        "print(sorted({'hypothesis', 'precision', 'toys'} & set(sys.modules)))"
    )
    project = Path(__file__).parents[3]
    done = subprocess.run([sys.executable, "-c", program], cwd=project, capture_output=True, text=True, check=True)
    assert "tests/ladder/test_rung3_sphere.py" in done.stdout
    assert done.stdout.splitlines()[-1] == "[]"


COLLECTS = """
import pytest

class Listed(pytest.File):
    def collect(self):
        item = Rung.from_parent(self, name="listed")
        item.add_marker("rung1")
        yield item

class Rung(pytest.Item):
    def runtest(self): pass

def pytest_collect_file(file_path, parent):
    if file_path.suffix == ".list":
        return Listed.from_parent(parent, path=file_path)
"""


def test_folder_of_other_files(pytester, rungs):
    """A folder is collected if it has a file that is not Python source, because a plugin may find rungs in any file."""
    rungs(coin="Coin()")
    pytester.makepyfile(collects=COLLECTS)
    pytester.makeconftest("pytest_plugins = ['collects']")
    pytester.mkdir("below").joinpath("some.list").write_text("")
    assert pytester.runpytest("-m", "rung1").parseoutcomes() == {"passed": 2}


def test_own_climb_fixture(pytester, rungs):
    """A rung that is climbed by a fixture of the user's own is collected."""
    rungs(coin="Coin()", test="pass")
    file = pytester.path / "test_rung1_coin.py"
    pytester.mkdir("below").joinpath("test_it.py").write_text(file.read_text().replace("(climb,", "(go,"))
    file.unlink()
    pytester.makeconftest(
        "import pytest\n@pytest.fixture\ndef go(request, climb): climb(request.node.callspec.params['rung'])"
    )
    assert pytester.runpytest("-m", "rung1").ret == 0
    assert climbed(pytester) == ["rung1"]


BASE = "class Base:\n    def test_it(self, rung, climb): climb(rung)\n"
GO = "import pytest\n@pytest.fixture\ndef go(request, climb): climb(request.node.callspec.params['rung'])\n"


@pytest.mark.parametrize(
    ("test", "shared"),
    [
        ("RUNG def test_it(\n    rung,  # (see above)\n    climb,\n): climb(rung)", ""),
        ("RUNG def test_it(rung, request): request.getfixturevalue('climb')(rung)", ""),
        ("from shared import Base\nRUNG class TestIt(Base): pass", BASE),
        ("from shared import test_it", "RUNG def test_it(rung, climb): climb(rung)"),
        ("RUNG @pytest.mark.usefixtures('go')\ndef test_it(rung): pass", GO),
    ],
    ids=["comment", "getfixturevalue", "inherited", "imported", "plugin"],
)
def test_rung_file_detection(pytester, rungs, test, shared):
    """A rung file is collected however its test is written, inherited or imported."""
    rungs(coin="Coin()")
    file = pytester.path / "test_rung1_coin.py"
    rung = file.read_text().partition("def test_it")[0]
    file.unlink()
    pytester.makepyfile(shared=shared.replace("RUNG ", rung), test_it=test.replace("RUNG ", rung))
    pytester.makeconftest("pytest_plugins = ['shared']")
    assert pytester.runpytest("-m", "rung1").ret == 0
    assert climbed(pytester) == ["rung1"]


def test_workers(pytester, rungs):
    """Workers reach the same verdicts on the same seeds as a single process."""
    rungs(coin="Coin()", p="Coin(p=0.0)", shift="Coin(p=0.0, shift=0.1)")
    pytester.makepyfile(test_other="def test_a(): pass\ndef test_b(): pass")
    alone = pytester.runpytest("--ladder-seed-root=3")
    one = report(pytester)
    spread = pytester.runpytest_subprocess("--ladder-seed-root=3", "--ladder-rerun", "-n", "2")
    many = report(pytester)
    assert alone.ret == spread.ret == 1
    assert spread.parseoutcomes() == alone.parseoutcomes() == {"passed": 3, "failed": 1, "blocked": 1}
    assert many["culprit"] == one["culprit"]
    for a, b in zip(one["rungs"], many["rungs"], strict=True):
        assert a | {"seconds": None, "attempts": None} == b | {"seconds": None, "attempts": None}


def test_usage_error_with_workers(pytester, rungs):
    """A usage error is reported when the run has workers, too."""
    rungs(coin="Coin()")
    result = pytester.runpytest_subprocess("-n", "1", "-m", "rung9")
    assert result.ret == 4
    assert "unknown rung9; known rungs: rung1" in result.stdout.str() + result.stderr.str()


def test_calibration_run(pytester, rungs):
    """A calibration run measures limits once, replaces them on request, and reports limits that are stale."""
    rungs(coin="Coin()", shift="Coin(shift=0.1)", calibrated=", calibrated=True")
    target = pytester.path / "reports" / "calibration" / "rung2.json"
    first = pytester.runpytest("--ladder-calibrate", "-m", "rung2")
    assert first.ret == 0
    first.assert_outcomes(passed=1, deselected=1)
    first.stdout.fnmatch_lines([f"rung2: below loss by 3: 0.* (worst of 59 seeds), wrote {target}"])
    assert [path.name for path in (pytester.path / "reports").rglob("*.json")] == ["rung2.json"]

    target.write_text(target.read_text().replace('"seeds": 59', '"seeds": 58'))
    kept = pytester.runpytest("--ladder-calibrate", "-m", "rung2")
    kept.stdout.fnmatch_lines([f"rung2: kept {target}*--ladder-calibrate=overwrite*"])
    assert json.loads(target.read_text())["seeds"] == 58
    pytester.runpytest("--ladder-calibrate=overwrite", "-m", "rung2")
    measured = json.loads(target.read_text())
    assert measured["seeds"] == 59

    pytester.runpytest()
    first, second = report(pytester)["rungs"]
    assert [first["gates"][0]["limit"], second["gates"][0]["limit"]] == [0.5, measured["limits"]["below loss by 3"]]
    assert second["gates"][0]["source"].startswith("calibration of ")
    assert (first["stale_calibration"], second["stale_calibration"]) == (["missing"], [])

    rungs(coin="Coin()", shift="Coin(shift=0.09)", calibrated=", calibrated=True")
    result = pytester.runpytest("-m", "rung2")
    assert [rung["stale_calibration"] for rung in report(pytester)["rungs"]] == [["missing"], ["experiment"]]
    result.stdout.fnmatch_lines(["rung2: *limits*calibrated before the experiment changed*"])


def test_damaged_calibration(pytester, rungs):
    """A damaged calibration file ends the run with a usage error that names the file."""
    rungs(coin="Coin()", calibrated=", calibrated=True")
    folder = pytester.path / "reports" / "calibration"
    folder.mkdir(parents=True)
    (folder / "rung1.json").write_text("{")
    result = pytester.runpytest()
    assert result.ret == 4
    result.stderr.fnmatch_lines([f"*{folder / 'rung1.json'} is not a calibration*"])


def test_output_without_terminal(pytester, rungs):
    """Output that does not go to a terminal has no control characters."""
    rungs(coin="Coin()")
    assert not re.search(r"[\r\x1b]", pytester.runpytest("-v").stdout.str())


def on_a_terminal(*arguments, **environment):
    """Run pytest on a terminal of its own; returns its exit code and all that it wrote."""
    master, slave = pty.openpty()
    command = [sys.executable, "-m", "pytest", *arguments]
    process = subprocess.Popen(
        command, stdin=slave, stdout=slave, stderr=slave, env={**os.environ, "TERM": "xterm", **environment}
    )
    os.close(slave)
    told = b""
    try:
        while chunk := os.read(master, 65536):
            told += chunk
    except OSError:  # how Linux says that the other end is closed
        pass
    os.close(master)
    return process.wait(), told


@pytest.mark.parametrize("options", [[], ["-p", "no:capture"]])
def test_progress_on_a_terminal(pytester, rungs, options):
    """A terminal displays the seeds, the epoch and the loss of the rung in training."""
    rungs(coin="Coin()")
    code, told = on_a_terminal(*options)
    assert code == 0
    assert b"\r\x1b[Krung1  seeds 1\xe2\x80\x9316  compiling" in told
    assert b"\r\x1b[Krung1  seeds 1\xe2\x80\x9316  epoch 3/3  loss 0." in told
    assert b"\r\x1b[Krung1  PASS  16/16" in told


OWN_REPORTER = """
import pytest

class Sugar(pytest.TerminalReporter):
    pass

@pytest.hookimpl(trylast=True)
def pytest_configure(config):
    plugins = config.pluginmanager
    plugins.unregister(plugins.getplugin("terminalreporter"))
    plugins.register(Sugar(config), "terminalreporter")
"""


@pytest.mark.parametrize(("conftest", "terminal"), [(OWN_REPORTER, "xterm"), ("", "dumb")], ids=["reporter", "dumb"])
def test_terminal_without_progress(pytester, rungs, conftest, terminal):
    """No progress is drawn for a plugin's own reporter or on a terminal that cannot erase a line."""
    rungs(coin="Coin()")
    pytester.makeconftest(conftest)
    code, told = on_a_terminal(TERM=terminal)
    assert code == 0
    assert b"compiling" not in told
    assert b"\x1b[K" not in told
    assert b"rung1  PASS  16/16" in told


ABROAD = """
RUNGS = [Rung(number=1, variant="é中", name="coïn", experiment=Coin(), gates=(LEARNS,))]
"""
ASCII = {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONIOENCODING": "ascii", "PY_COLORS": "1"}


def test_ascii_locale(pytester, rungs):
    """A rung with a non-ASCII id is climbed, printed and written to files in an ASCII locale."""
    (pytester.path / "test_it.py").write_text(HEAD + ABROAD + TEST, encoding="utf-8")
    code, told = on_a_terminal(
        "-v", "--ladder-pictures", "--ladder-only=rung1[é中]", r"--ladder-only=rung1[\xe9\u4e2d]", **ASCII
    )
    assert code == 0
    assert rb"test_it.py::test_it[rung1[\xe9\u4e2d]]" in told
    assert b"\r\x1b[K" + rb"rung1[\xe9\u4e2d]  seeds 1\u201316  epoch 3/3" in told
    assert b"\x1b[32m" + rb"rung1[\xe9\u4e2d]  PASS  16/16, at least 0.79  \u2588" in told
    (entry,) = report(pytester)["rungs"]
    assert (entry["id"], entry["note"]) == ("rung1[é中]", "")
    for picture in entry["pictures"]:
        assert (pytester.path / "reports" / picture["png"]).is_file()
    assert "'--ladder-only=rung1[é中]'" in entry["repeat"]


@pytest.mark.parametrize("escaping", [True, False])
def test_non_ascii_test_id(pytester, rungs, escaping):
    """The test of a rung with a non-ASCII id has the same id as pytest gives to any other parameter."""
    (pytester.path / "test_it.py").write_text(HEAD + ABROAD + TEST, encoding="utf-8")
    (pytester.path / "test_plain.py").write_text(
        "import pytest\n@pytest.mark.parametrize('x', ['rung1[é中]'])\ndef test_it(x): pass\n", encoding="utf-8"
    )
    setting = "disable_test_id_escaping_and_forfeit_all_rights_to_community_support"
    with (pytester.path / "tox.ini").open("a") as file:
        file.write("" if escaping else f"\n{setting} = true\n")
    items, _ = pytester.inline_genitems()
    mine, plain = (item.name for item in items)
    assert mine == plain
    assert pytester.runpytest(f"test_it.py::{mine}").ret == 0


def test_dirty_commit(pytester, rungs):
    """Files that a run writes do not make its commit dirty, but a new calibration does."""
    rungs(coin="Coin()")
    (pytester.path / ".gitignore").write_text("__pycache__\n")
    identity = ["-c", "user.name=t", "-c", "user.email=t@example.org", "-c", "commit.gpgsign=false"]

    def git(*arguments):
        subprocess.run(["git", *identity, *arguments], cwd=pytester.path, check=True)

    git("init", "-q")
    git("add", ".")
    git("commit", "-qm", "first")
    for options in ([], [], ["--ladder-ctrf=ctrf.json"], ["--ladder-ctrf=ctrf.json", "--ladder-rerun"]):
        pytester.runpytest(*options)
        assert not report(pytester)["commit"]["dirty"]
    (latest, *_) = reversed(report(pytester)["rungs"][0]["attempts"]["latest"])
    assert not latest["commit"].endswith("+")
    (pytester.path / "ctrf.json").unlink()
    git("add", "--force", "reports/evidence/attempts.jsonl")
    git("commit", "-qm", "second")
    pytester.runpytest("--ladder-reports=elsewhere", "--ladder-rerun")
    assert not report(pytester, "elsewhere")["commit"]["dirty"]
    (pytester.path / "reports" / "calibration").mkdir()
    (pytester.path / "reports" / "calibration" / "rung9.json").write_text("{}")
    pytester.runpytest("--ladder-reports=elsewhere")
    assert report(pytester, "elsewhere")["commit"]["dirty"]


def test_verbose_summary(pytester, rungs):
    """The summary puts many controls on one line, and -v prints one line for each."""
    rungs(coin="Coin()")
    control = "RUNGS += [RUNGS[0].as_control(Control('x'), p=0.0, label=f'c{n}') for n in range(20)]\n"
    file = pytester.path / "test_rung1_coin.py"
    file.write_text(file.read_text().replace("@pytest", control + "@pytest"))
    short = pytester.runpytest()
    short.stdout.fnmatch_lines(["20 controls FAIL, as they must, *: rung 1", "rung1  PASS*"])
    full = pytester.runpytest("-v")
    assert len([line for line in full.outlines if line.startswith("rung1[c")]) == 20
