"""Which rungs run: whatever was selected, from wherever, what they require is climbed, and said to be."""

import json
import shutil

import pytest
from toys import HEAD, TEST

from ladder.cli import main
from ladder.naming import REPORT_FILES
from ladder.plugin.search import may_have_rungs

FOLDERS = {"coin": "", "shift": "deep", "p": "beside", "epochs": "beside"}
EXPERIMENTS = {
    "coin": "Coin()",
    "shift": "Coin(shift=0.1)",
    "p": "Coin(shift=0.1, p=0.0)",
    "epochs": "Coin(shift=0.1, p=0.0, epochs=4)",
}
NOTE = "climbed because a selected rung requires them: "


def entries(pytester):
    return json.loads((pytester.path / "reports" / "ladder.json").read_text())["rungs"]


def verdicts(pytester):
    return {rung["id"]: rung["verdict"] for rung in entries(pytester)}


@pytest.fixture
def tree(pytester, rungs):
    """Four rungs, each on the one before, in three folders; the third learns on no seed."""
    rungs(**EXPERIMENTS)
    for number, (name, folder) in enumerate(FOLDERS.items(), start=1):
        file = pytester.path / f"test_rung{number}_{name}.py"
        target = pytester.path / "tests" / folder / file.name
        target.parent.mkdir(exist_ok=True, parents=True)
        file.rename(target)
    return pytester.path / "tests"


@pytest.mark.parametrize(
    ("where", "selection", "climbed"),
    [
        ("", ["tests/deep"], "12"),
        ("", ["tests/deep/test_rung2_shift.py::test_it[rung2]"], "12"),
        ("tests/deep", [], "12"),
        ("tests/deep", ["-m", "rung2"], "12"),
        ("tests/beside", ["--ladder-only=rung2"], "12"),
        ("tests/deep", ["-m", "rung4"], "1234"),
        ("", ["-m", "rung3", "tests/deep"], "123"),
        ("", ["-m", "rung2", "--ignore=tests/deep"], "12"),
        ("tests/beside", ["-k", "rung3"], "123"),
        ("", ["-m", "rung4 and not rung3"], "1234"),
        ("", ["--deselect=tests/beside/test_rung3_p.py::test_it[rung3]"], "1234"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else None,
)
def test_requirements_from_anywhere(pytester, tree, monkeypatch, where, selection, climbed):
    """A rung's requirements are climbed, wherever their tests are and whatever left them out."""
    monkeypatch.chdir(pytester.path / where)
    result = pytester.runpytest_inprocess(*selection, "--rootdir", pytester.path, "-c", pytester.path / "tox.ini")
    expected = {"1": "PASS", "2": "PASS", "3": "FAIL", "4": "BLOCKED"}
    assert verdicts(pytester) == {f"rung{number}": expected[number] for number in climbed}
    assert result.ret == ("3" in climbed)
    result.stdout.fnmatch_lines([f"{NOTE}rung*"])


def test_root_without_ini_file(pytester, tree, monkeypatch):
    """Nothing is looked for above pytest's root, which without an ini file is the folder that it is started in."""
    (pytester.path / "tox.ini").unlink()
    monkeypatch.chdir(tree / "deep")
    result = pytester.runpytest_subprocess()
    assert result.ret == 4
    result.stderr.fnmatch_lines(
        [
            "*rung2: unknown rung1; known rungs: rung2; searched below */deep, pytest's root; choose another with --rootdir=DIR*"
        ]
    )
    assert pytester.runpytest_subprocess(f"--rootdir={pytester.path}").ret == 0


def test_deselected_count(pytester, tree):
    """Tests that were added and deselected again do not count in pytest's sum, for it has not collected them."""
    result = pytester.runpytest_inprocess("-m", "rung3", "tests/beside/test_rung3_p.py")
    result.stdout.fnmatch_lines(["collected 1 item"])
    assert verdicts(pytester).keys() == {"rung1", "rung2", "rung3"}


def test_deselected_requirement(pytester, tree):
    """A rung that was left out by name and is climbed all the same is listed, alone."""
    pytester.runpytest("-m", "not rung3").stdout.fnmatch_lines([f"{NOTE}rung3"])


def test_last_failed(pytester, tree):
    """``--lf`` after a failure climbs the failed rung, and what it requires from files that it skips."""
    pytester.makeini((pytester.path / "tox.ini").read_text().replace("-p no:cacheprovider", ""))
    assert pytester.runpytest().ret == 1
    first = verdicts(pytester)
    for more in ([], ["-m", "rung3"], ["--ladder-only=rung3"], ["tests/beside/test_rung3_p.py::test_it[rung3]"]):
        assert pytester.runpytest("--lf", *more).ret == 1
        assert first | verdicts(pytester) == first
        assert set(verdicts(pytester)) >= {"rung1", "rung2", "rung3"}


def test_ladders_apart(pytester, tree):
    """Of two ladders in a repository the nearest gives what is named; one that is as near as another is refused."""
    shutil.copytree(tree, pytester.path / "others")
    (pytester.path / "others" / "test_rung1_coin.py").write_text(
        (tree / "test_rung1_coin.py").read_text().replace("Coin()", "Coin(shift=0.0, epochs=3)")
    )
    assert pytester.runpytest("tests/deep").ret == 0
    assert {rung["test"]["file"] for rung in entries(pytester)} == {
        "tests/test_rung1_coin.py",
        "tests/deep/test_rung2_shift.py",
    }
    third = pytester.path / "third" / "test_rung5_more.py"
    third.parent.mkdir()
    third.write_text((tree / "deep" / "test_rung2_shift.py").read_text().replace("number=2", "number=5"))
    result = pytester.runpytest("third", "--import-mode=importlib")
    assert result.ret == 4
    result.stderr.fnmatch_lines(["*rung1 is declared twice, by others/* and tests/*"])


def test_conftest_of_another_folder(pytester, tree):
    """A rung that is collected from elsewhere has the fixtures of its own folder."""
    (tree / "beside" / "conftest.py").write_text("import pytest\n@pytest.fixture\ndef own():\n    return 1\n")
    file = tree / "beside" / "test_rung3_p.py"
    file.write_text(file.read_text().replace("def test_it(climb", "def test_it(own, climb"))
    pytester.runpytest("--ladder-only=rung3", "tests/deep")
    assert verdicts(pytester)["rung3"] == "FAIL"


def test_requirement_in_a_broken_file(pytester, tree):
    """The message about a missing requirement names the file that cannot be imported."""
    (tree / "test_rung1_coin.py").write_text("import no_such_module\n" + HEAD + TEST)
    result = pytester.runpytest("tests/deep")
    assert result.ret == 4
    result.stdout.fnmatch_lines(["*No module named 'no_such_module'*"])
    result.stderr.fnmatch_lines(["*rung2: unknown rung1; known rungs: *"])


def test_marker_of_an_imported_rung(pytester, tree):
    """A rung's test that comes from a package elsewhere is found by its marker."""
    hidden = pytester.path / "lib" / "shared" / "rungs.py"
    hidden.parent.mkdir(parents=True)
    (tree / "test_rung1_coin.py").rename(hidden)
    (hidden.parent / "__init__.py").write_text("from .rungs import test_it\n")
    (tree / "test_first.py").write_text("import shared\ntest_it = shared.test_it\n")
    pytester.syspathinsert(pytester.path / "lib")
    assert pytester.runpytest("-m", "rung1").ret == 0
    assert verdicts(pytester) == {"rung1": "PASS"}


@pytest.mark.parametrize(
    "statement",
    [
        "from pack import (  # the rungs (of all)\n    shared,\n)\n",
        "import os, \\\n    pack.shared\n",
        "from pack import \\\n    shared  # (\n",
    ],
    ids=["comment with brackets", "continued import", "continued names"],
)
def test_forms_of_import(tmp_path, statement):
    """A helper is found however the import is written."""
    (tmp_path / "pack").mkdir()
    (tmp_path / "pack" / "shared.py").write_text("def run_it(climb):\n    pass\n")
    test = tmp_path / "test_it.py"
    test.write_text(statement)
    assert may_have_rungs(test, "rung1")
    test = tmp_path / "test_other.py"
    test.write_text("# " + statement.replace("\n", " "))
    assert not may_have_rungs(test, "rung1")


def test_linked_folder(pytester, tree):
    """A rung in a folder that is a symbolic link is found, also where another variant is found without it."""
    real = pytester.path / "elsewhere"
    (tree / "beside").rename(real)
    (tree / "link").mkdir()
    (tree / "link" / "beside").symlink_to(real, target_is_directory=True)
    (tree / "link" / "again").symlink_to(tree, target_is_directory=True)  # a circle
    assert pytester.runpytest("-m", "rung3", "tests/link/beside", "tests/deep").ret == 1
    assert verdicts(pytester)["rung3"] == "FAIL"
    assert may_have_rungs(tree / "link", "rung3")


TWICE = """
@pytest.mark.parametrize("rung", RUNGS)
@pytest.mark.parametrize("again", [1, 2])
def test_it(climb, rung, again):
    assert climb(rung).judgement.k == WANTED
"""


@pytest.mark.parametrize("workers", [[], ["-n", "2"]], ids=["alone", "workers"])
def test_repeated_test(pytester, rungs, workers):
    """A rung that several tests climb is one rung, red if one of them is."""
    rungs(coin="Coin()", shift="Coin(shift=0.1)")
    for file in pytester.path.glob("test_rung*.py"):
        file.write_text(file.read_text().replace(TEST.strip(), TWICE.replace("WANTED", "16")))
    run = pytester.runpytest_subprocess if workers else pytester.runpytest
    result = run(*workers)
    assert result.ret == 0
    assert result.parseoutcomes() == {"passed": 4}
    assert [rung["id"] for rung in entries(pytester)] == ["rung1", "rung2"]
    file = pytester.path / "test_rung2_shift.py"
    file.write_text(file.read_text().replace("== 16", "== 14 + again"))
    result = run(*workers)
    assert result.parseoutcomes() == {"passed": 3, "failed": 1}
    assert [rung["green"] for rung in entries(pytester)] == [True, False]


def test_rungs_from_a_set(pytester, rungs, monkeypatch):
    """Workers agree on the order of rungs whose order is another in every process."""
    monkeypatch.setenv("PYTHONHASHSEED", "random")
    rungs(coin="Coin()")
    file = pytester.path / "test_rung1_coin.py"
    variants = "import dataclasses\nNAMES = {'a', 'b', 'c', 'd', 'e', 'f', 'g', 'h'}\n"
    of_set = "RUNGS = [dataclasses.replace(RUNGS[0], variant=name, experiment=Coin(epochs=3)) for name in NAMES]\n"
    head, test = file.read_text().split("@pytest.mark.parametrize")
    file.write_text(f"{head}{variants}{of_set}@pytest.mark.parametrize{test}")
    result = pytester.runpytest_subprocess("-n", "2")
    assert result.ret == 0
    assert result.parseoutcomes() == {"passed": 8}


@pytest.mark.parametrize("how", ["pytest.skip('later')", "pytest.importorskip('no_such_module')"])
def test_skip_inside_a_test(pytester, rungs, how):
    """A rung whose test skips itself is skipped, as by a mark; what requires it is blocked."""
    rungs(coin="Coin()", shift="Coin(shift=0.1)", test=f"{how} if rung.number == 1 else climb(rung)")
    result = pytester.runpytest()
    assert result.parseoutcomes() == {"skipped": 1, "blocked": 1}
    assert verdicts(pytester) == {"rung2": "BLOCKED"}
    rungs(coin="Coin()", test=how)
    (pytester.path / "test_rung2_shift.py").unlink()
    assert pytester.runpytest().ret == 0


# As pytest-rerunfailures does it.
AGAIN = """
import pytest
from _pytest.runner import runtestprotocol

@pytest.hookimpl(tryfirst=True)
def pytest_runtest_protocol(item, nextitem):
    for outcome in ("rerun", None):
        item._initrequest()
        for report in runtestprotocol(item, nextitem=nextitem, log=False):
            if outcome and report.when == "call":
                report.outcome = outcome
            item.ihook.pytest_runtest_logreport(report=report)
            if report.outcome == "rerun":
                break
    return True
"""


def test_last_attempt(pytester, rungs):
    """Of a test that a plugin runs again the last attempt counts: for its verdict, the exit code and the report."""
    flaky = "pass\n    from pathlib import Path\n    first = not Path('once').exists(); Path('once').touch()"
    rungs(coin="Coin()", test=f"{flaky}\n    assert not first\n    climb(rung)")
    pytester.makeconftest(AGAIN)
    result = pytester.runpytest("--junitxml=junit.xml")
    assert result.ret == 0
    assert result.parseoutcomes() == {"passed": 1, "rerun": 1}
    assert verdicts(pytester) == {"rung1": "PASS"}
    assert (pytester.path / "junit.xml").read_text().count('name="verdict"') == 1
    (pytester.path / "once").unlink()
    rungs(coin="Coin(p=0.0)", shift="Coin(p=0.0, shift=0.1)")
    result = pytester.runpytest()
    assert result.ret == 1
    result.stdout.fnmatch_lines(["rung2  BLOCKED*by rung1"])
    assert verdicts(pytester) == {"rung1": "FAIL", "rung2": "BLOCKED"}


@pytest.mark.parametrize(
    "plugin",
    [
        "@pytest.hookimpl(wrapper=True)\ndef pytest_cmdline_main():\n    yield\n    return 0",
        "@pytest.hookimpl(trylast=True)\ndef pytest_sessionfinish(): raise SystemExit(0)",
        "def pytest_terminal_summary(): raise SystemExit(0)",
        "def pytest_unconfigure(): raise SystemExit(0)",
        "def pytest_sessionfinish(session): session.exitstatus = 0",
        "@pytest.hookimpl(wrapper=True, tryfirst=True)\n"
        "def pytest_sessionfinish(session):\n    yield\n    session.exitstatus = 0",
        "@pytest.hookimpl(wrapper=True, tryfirst=True)\n"
        "def pytest_runtest_makereport():\n    report = yield\n    report.outcome = 'passed'\n    return report",
    ],
    ids=["return", "exit", "exit, summary", "exit, end", "exit code", "exit code, last", "outcome"],
)
def test_red_report_with_a_plugin(pytester, rungs, plugin):
    """The exit code is 1 if a rung is red, whatever another plugin does to outcomes and exit codes."""
    rungs(coin="Coin(p=0.0)")
    pytester.makeconftest(f"import pytest\n{plugin}")
    assert pytester.runpytest_subprocess().ret == 1
    assert verdicts(pytester) == {"rung1": "FAIL"}


def test_run_ended_by_a_plugin(pytester, rungs):
    """A plugin may end a run with the exit code that it likes, but 0 is for a run that has climbed its rungs."""
    rungs(coin="Coin()")
    pytester.makeconftest("import pytest\ndef pytest_runtestloop(): pytest.exit('enough', returncode=0)")
    assert pytester.runpytest_subprocess().ret == 2


@pytest.mark.parametrize("options", [["-n", "2"], ["--continue-on-collection-errors"]], ids=["workers", "continue"])
def test_broken_file(pytester, tree, options):
    """A run that goes on without it climbs the rungs that are there, or one sentence says which is missing."""
    broken = pytester.path / "tests" / "beside" / "test_broken.py"
    broken.write_text("import no_such_module")
    result = pytester.runpytest_subprocess(*options)
    assert result.ret == 1
    assert verdicts(pytester) == {"rung1": "PASS", "rung2": "PASS", "rung3": "FAIL", "rung4": "BLOCKED"}
    broken.unlink()
    required = pytester.path / "tests" / "test_rung1_coin.py"
    required.write_text(f"import no_such_module\n{required.read_text()}")  # it may hold rungs, and so it is tried
    for place in ([], ["tests/deep"]):
        result = pytester.runpytest_subprocess(*options, *place)
        assert result.ret == 4
        told = result.stdout.str() + result.stderr.str()
        assert "rung2: unknown rung1; known rungs: " in told
        assert "INTERNALERROR" not in told


@pytest.mark.parametrize(
    ("raises", "code"),
    [("KeyboardInterrupt", 2), ("pytest.exit('enough', returncode=7)", 7), ("pytest.UsageError('wrong')", 4)],
)
def test_interrupted_selection(pytester, rungs, raises, code):
    """An end of the selection keeps its exit code."""
    rungs(coin="Coin()")
    pytester.makeconftest(f"import pytest\ndef pytest_collection_modifyitems(): raise {raises}")
    result = pytester.runpytest_subprocess()
    assert result.ret == code
    assert "INTERNALERROR" not in result.stdout.str() + result.stderr.str()


LOST = """
import gc
import os
import signal

def interrupt(phase, info):
    if interrupt in gc.callbacks:
        gc.callbacks.remove(interrupt)
        os.kill(os.getpid(), signal.SIGINT)

def pytest_itemcollected(item):
    gc.callbacks.append(interrupt)
    gc.collect()

def pytest_collection_finish():
    import time
    time.sleep(60)  # until the interruption, whatever else keeps the cores busy
"""


def test_interruption_during_collection(pytester, rungs):
    """JAX has a part in Python's collection of garbage, where an interruption is lost: it comes again."""
    rungs(coin="Coin()")
    pytester.makeconftest(LOST)
    assert pytester.runpytest_subprocess().ret == 2


@pytest.fixture
def climbed(pytester, rungs):
    """A repository with a rung, a plain test, and a report; returns the folder of the report."""
    rungs(coin="Coin()")
    (pytester.path / "plain").mkdir()
    (pytester.path / "plain" / "test_plain.py").write_text("def test_plain(): pass")
    assert pytester.runpytest().ret == 0
    folder = pytester.path / "reports"
    assert sorted(path.name for path in folder.glob("*.*")) == sorted(REPORT_FILES)
    return folder


RUNG, PLAIN, CONFTEST = "test_rung1_coin.py", "plain/test_plain.py", "conftest.py"


@pytest.mark.parametrize("workers", [[], ["-n", "1"]], ids=["alone", "workers"])
@pytest.mark.parametrize(
    ("arguments", "broken", "line", "code"),
    [
        (["-m", "rung9"], "", "", 4),
        (["--ladder-seeds=none"], "", "", 4),
        (["--no-such-option"], "", "", 4),
        (["no_such_path"], "", "", 4),
        (["--ladder-seed-root=abc"], "", "", 4),
        (["--maxprocesses=abc"], "", "", 4),
        (["-o", "required_plugins=no_such_plugin"], "", "", 4),
        (["-k", "("], "", "", 4),
        ([], RUNG, "import no_such_module", 2),
        ([], RUNG, "raise KeyboardInterrupt", 2),
        ([], PLAIN, "import no_such_module", 2),
        ([], PLAIN, "raise KeyboardInterrupt", 2),
        ([], CONFTEST, "import no_such_module", 4),
        ([], CONFTEST, "def pytest_configure(): raise ValueError", 3),
        ([], CONFTEST, "import os, signal\nos.kill(os.getpid(), signal.SIGKILL)", -9),
        (["-m", "rung1", "-k", "nothing"], "", "", 5),
        (["-m", "rung1"], CONFTEST, "import pytest\ndef pytest_runtest_setup(): pytest.skip('not here')", 0),
    ],
    ids=[
        *(
            "rung",
            "setting",
            "option",
            "path",
            "value",
            "another value",
            "plugins",
            "expression",
            "collection",
            "interrupted",
            "collection of others",
        ),
        *("interrupted elsewhere", "conftest", "configure", "killed", "nothing", "skipped"),
    ],
)
def test_earlier_report_set_aside(pytester, climbed, workers, arguments, broken, line, code):
    """A run that ends before its first rung leaves no earlier report to be taken for its own, and loses none."""
    earlier = (climbed / "ladder.json").read_text()
    file = pytester.path / (broken or RUNG)
    whole = file.read_text() if file.exists() else ""
    file.write_text(f"{line}\n{whole}")
    own_process = workers or line  # which ends the process that runs it, or is imported only once
    run = pytester.runpytest_subprocess if own_process else pytester.runpytest
    # xdist reports a file that a worker could not collect, and pytest before version 9 an interruption there, as failed tests;
    # of a path that does not exist it says nothing, and of an expression that is wrong that it is its own fault.
    others = {"no_such_path": 5, "-k": 3}
    codes = {code, 1 if broken else others.get(next(iter(arguments), ""), code)} if workers else {code}
    assert run(*arguments, *workers).ret in codes
    if (climbed / "ladder.json").exists():  # with workers a run goes on without a file that cannot be collected
        assert workers
        assert (climbed / "ladder.json").read_text() != earlier
    else:
        assert not list(climbed.glob("ladder.*"))
        assert (climbed / "previous.json").read_text() == earlier
    file.write_text(whole)
    assert pytester.runpytest().ret == 0
    assert not list(climbed.glob("previous.*"))


@pytest.mark.parametrize(
    "options",
    [
        "plain",
        "plain -n 2",
        "plain -k nothing",
        "-m not~rung",
        "-m not~rung -n 2",
        "-k plain --ladder-seed-root=7",
        "--collect-only",
        "--collect-only -n 2",
        "--setup-only",
        "--setup-plan",
        "--markers",
        "--fixtures-per-test",
        "--version",
        "--help",
        "--ladder-calibrate",
    ],
)
def test_earlier_report_unchanged(pytester, climbed, options):
    """A run that climbs nothing, and was not to, leaves the report of the one that did."""
    earlier = {name: (climbed / name).read_text() for name in REPORT_FILES}
    result = pytester.runpytest_subprocess(*(option.replace("~", " ") for option in options.split()))
    assert result.ret == (5 if "nothing" in options else 0)
    assert {name: (climbed / name).read_text() for name in REPORT_FILES} == earlier
    assert not list(climbed.glob("previous.*"))


@pytest.mark.parametrize("workers", [[], ["-n", "2"]], ids=["alone", "workers"])
def test_report_restored_for_other_tests(pytester, climbed, workers):
    """The earlier report is restored as soon as it is certain that nothing will be climbed."""
    wait = "for _ in range(100): path.exists() or time.sleep(0.02)"
    test = f"def test_plain():\n    path = Path('reports/ladder.json')\n    {wait}\n    assert path.exists()\n"
    (pytester.path / PLAIN).write_text(f"import time\nfrom pathlib import Path\n{test}")
    assert pytester.runpytest("plain", *workers).ret == 0
    assert pytester.runpytest().ret == 1


def test_report_not_set_aside(pytester, climbed):
    """A report that cannot be renamed gives a message before the climb, which may not end."""
    (climbed / "previous.json").mkdir()
    pytester.makeconftest("import os\ndef pytest_runtest_setup(): os._exit(9)")
    result = pytester.runpytest_subprocess()
    assert result.ret == 9
    result.stdout.fnmatch_lines(["ladder: the report of an earlier run could not be renamed: *previous.json*"])


LATE = """
import os
from pathlib import Path

REPORT = Path("reports/ladder.json")

def pytest_configure_node(node):  # in the controller, before the worker starts
    REPORT.write_text("{}")

if os.environ.get("PYTEST_XDIST_WORKER") and REPORT.exists():
    Path("stayed").touch()
"""


def test_report_set_aside_below_a_worker(pytester, climbed, monkeypatch):
    """A pytest that a test starts inherits the environment of its worker, and is none."""
    monkeypatch.setenv("PYTEST_XDIST_WORKER", "gw0")
    assert pytester.runpytest_subprocess("--no-such-option").ret == 4
    assert not (climbed / "ladder.json").exists()


def test_report_with_a_late_worker(pytester, climbed):
    """A worker that takes the place of one that has died may start when the report is written already."""
    pytester.makeconftest(LATE)
    assert pytester.runpytest_subprocess("-n", "1").ret == 0
    assert (pytester.path / "stayed").exists()


def test_command_without_current_report(pytester, rungs, capsys):
    """The command names an earlier report that was set aside, and does not take it for the last run's."""
    rungs(coin="Coin()")
    pytester.runpytest()
    pytester.runpytest("-m", "rung9")
    capsys.readouterr()
    assert main(["show"]) == 2
    assert (
        "the last run has not written one; the report of an earlier run is reports/previous.json"
        in capsys.readouterr().err
    )
    assert main(["show", "reports/previous.json"]) == 0


@pytest.mark.parametrize("place", ["outside", "pattern", "nowhere"])
def test_testpaths(pytester, rungs, tmp_path_factory, place):
    """Rung files are found wherever ``testpaths`` points, outside the root too, and not in what pytest leaves out."""
    rungs(coin="Coin()")
    folder = {"outside": tmp_path_factory.mktemp("elsewhere"), "pattern": pytester.path / "sub", "nowhere": None}[place]
    if folder is not None:
        (folder / "a" / "node_modules").mkdir(parents=True)
        (pytester.path / "test_rung1_coin.py").rename(folder / "a" / "test_rung1_coin.py")
        (folder / "a" / "node_modules" / "test_rung7_other.py").touch()
    paths = f"{folder}" if place == "outside" else "sub/*" if place == "pattern" else "no/such"
    pytester.makeini((pytester.path / "tox.ini").read_text().replace("testpaths = .", f"testpaths = {paths}"))
    told = pytester.runpytest("--markers").stdout.str()
    assert ("@pytest.mark.rung1:" in told) == (folder is not None)
    assert "rung7" not in told


def test_folder_in_place_of_a_report(pytester, rungs):
    """What lies where a report should be costs the report, and is not moved."""
    rungs(coin="Coin()")
    (pytester.path / "reports" / "ladder.md").mkdir(parents=True)
    result = pytester.runpytest()
    assert result.ret == 73
    result.stdout.fnmatch_lines(["rung1  PASS*", "the report could not be written:*ladder.md*"])
    (pytester.path / "reports" / "ladder.md").rmdir()
    assert pytester.runpytest().ret == 0


@pytest.mark.parametrize("platform", ["cuda", "no_such_platform"])
def test_failed_backend(pytester, rungs, monkeypatch, platform):
    """A backend that JAX cannot start is one line of each rung that asks for it, in a report."""
    rungs(coin="Coin()", shift="Coin(shift=0.1)")
    monkeypatch.setenv("JAX_PLATFORMS", platform)
    result = pytester.runpytest_subprocess()
    assert result.ret == 1
    result.stdout.fnmatch_lines(
        [
            f"rung1  CRASHED*JAX cannot start with JAX_PLATFORMS={platform} (*); *JAX_PLATFORMS=cpu",
            "rung2  BLOCKED*by rung1",
        ]
    )
    assert verdicts(pytester) == {"rung1": "CRASHED", "rung2": "BLOCKED"}
