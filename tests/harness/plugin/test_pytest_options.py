"""Under pytest's own options: the same verdicts, counts, culprit and exit code, of whatever they select."""

import os
import subprocess
import sys
from dataclasses import dataclass, replace
from pathlib import Path

import pytest
import repository
from repository import Facts, facts

HARNESS = Path(__file__).parents[1]
RUNGS = "rung1 rung1[p=0.0] rung2 rung3 rung4 rung5 rung6"
RED = {"rung3", "rung4"}
TESTS = "tests/test_rungs.py::test_rung"
LF = (("--quiet",),)
STOPPED = (("--stepwise",),)


@dataclass(frozen=True)
class Case:
    """Options and what a run must come to.

    Attributes:
        options: What pytest is given.
        rungs: The rungs that are climbed, in order.
        others: How many other tests have an outcome; None where that is for pytest to say.
        code: The exit code; None for 1 where a climbed rung is red and 0 elsewhere.
        before: The options of runs before this one.
        cwd: Where it is run.
        files: Files of the repository that are others than usual.
        complete: Whether all that was selected is climbed.
        apart: Facts that the option itself changes.
        alone: Whether it takes a process of its own.
        message: What must be printed.
    """

    options: tuple[str, ...]
    rungs: str = RUNGS
    others: int | None = 7
    code: int | None = None
    before: tuple[tuple[str, ...], ...] = ()
    cwd: str = "."
    files: tuple[tuple[str, str], ...] = ()
    complete: bool = True
    apart: tuple[str, ...] = ()
    alone: bool = False
    message: str = ""


def case(options: str, **more: object) -> Case:
    """A case by its command line."""
    return Case(tuple(options.split("  ") if "  " in options else options.split()), **more)


LOOKS = [
    "-q", "-qq", "-v", "-vv", "-vvv", "--verbosity=-1", "-rA", "-ra", "-rN", "-rfE", "--tb=auto", "--tb=long", "--tb=short",
    "--tb=line", "--tb=native", "--tb=no", "-s", "--capture=no", "--capture=sys", "--capture=fd", "--capture=tee-sys",
    "--no-header", "--no-summary", "--no-fold-skipped", "--disable-warnings", "-l", "--no-showlocals", "--xfail-tb",
    "--full-trace", "--show-capture=no", "--show-capture=all", "--color=yes", "--color=no", "--code-highlight=no",
    "--durations=5", "--durations=0 -vv", "--durations-min=0.1 --durations=1", "--junitxml=told.xml",
    "--junitxml=told.xml -o junit_family=legacy", "--junitxml=told.xml --junit-prefix=x", "--log-level=DEBUG",
    "-o log_cli=true --log-cli-level=INFO", "--log-file=told.log", "--debug=told.log", "--trace-config", "--setup-show",
    "-o console_output_style=times", "-o console_output_style=count", "-o console_output_style=classic",
]  # fmt: skip
RUNNING = [
    "-W error", "-W ignore", "-W error::DeprecationWarning", "--max-warnings=0", "--strict-markers", "--strict-config",
    "--strict", "-o xfail_strict=true", "--rootdir=.", "-o testpaths=tests", "--continue-on-collection-errors",
    "--collect-in-virtualenv", "--import-mode=importlib", "--import-mode=append", "--import-mode=prepend", "--assert=plain",
    "--cache-clear", "--basetemp=below", "--confcutdir=.", "--ff", "--nf", "--lf", "--maxfail=9",
    "--deselect=tests/nothing.py", "--ignore=nothing", "-n 0", "--disable-plugin-autoload -p ladder.plugin", "-p pytester",
    "-p no:randomly", "-p no:cacheprovider", "-p no:warnings", "-p no:logging", "-p no:faulthandler", "-p no:doctest",
    "-p no:unraisableexception", "-p no:threadexception", "-p no:junitxml", "-p no:setuponly", "-p no:setupplan",
    "-p no:stepwise", "-p no:xdist", "-p no:debugging", "-p no:legacypath", "-p no:pastebin", "-p no:recwarn",
    "-p no:monkeypatch", "-p no:randomly -p no:xdist -p no:cacheprovider", "tests", "./tests", "tests/", "tests tests",
    "tests/test_others.py tests", "tests/deep tests", "--keep-duplicates tests",
]  # fmt: skip
OUTSIDE = (("../outside/test_rung1_other.py", ""),)

CASES = {
    **{options: case(options) for options in (*LOOKS, *RUNNING)},
    # what there is to see
    "-p no:terminal": case("-p no:terminal", apart=("said", "outcomes")),
    "--noconftest": case("--noconftest", apart=("outcomes",)),
    "--runxfail": case("--runxfail", apart=("outcomes",)),
    "-p no:skipping": case("-p no:skipping", apart=("outcomes",)),
    "--doctest-modules": case("--doctest-modules tests model.py"),
    "--doctest-modules all": case("--doctest-modules ."),
    "--keep-duplicates twice": case("--keep-duplicates tests tests", apart=("outcomes",), others=None),
    "-c": case("-c other.ini", files=(("other.ini", repository.SETTINGS),)),
    "-c elsewhere": case(
        "-c conf/other.ini --rootdir=.",
        files=(("conf/other.ini", repository.SETTINGS.replace("pythonpath = .", "pythonpath = ..")),),
        apart=("outcomes",),  # with the ini file elsewhere pytest does not look for this conftest.py
    ),
    "testpaths outside": case("-o testpaths=../outside tests", files=OUTSIDE),
    "testpaths outside, absolute": case("-o testpaths={above}/outside tests", files=OUTSIDE),
    "testpaths outside, --markers": case(
        "--markers -o testpaths={above}/outside", files=OUTSIDE, rungs="", others=None, code=0
    ),
    "pyargs": case(
        "--pyargs pack",
        files=(("pack/__init__.py", ""), ("pack/test_pack.py", repository.DECLARED + repository.TEST)),
        rungs="rung1 rung1[p=0.0] rung2 rung3 rung4 rung5",
        others=None,
        apart=("outcomes",),
    ),
    "@file": case("@told.txt", files=(("told.txt", "-v\ntests\n"),)),
    # nothing is run
    **{
        options: case(options, rungs="", others=None, code=0)
        for options in (
            "--collect-only",
            "--co -q",
            "--co -qq",
            "--collect-only --lf",
            "--setup-only",
            "--setup-plan",
            "--fixtures",
            "--fixtures-per-test",
            "--markers",
            "--version",
            "--help",
            "--cache-show",
        )
    },
    "--co after": case("--co --lf", rungs="", others=None, code=0, before=LF),
    "--co -m": case("--co -m rung3", rungs="", others=None, code=0),
    # a selection
    "-k none": case("-k test_plain", rungs="", others=3),
    "-k one": case("-k rung3", rungs="rung1 rung2 rung3", others=0),
    "-k or": case("-k  rung5 or test_plain", rungs="rung5", others=3),
    "-k not": case("-k  not rung3"),
    "-k nothing": case("-k nothing", rungs="", others=0, code=5),
    "-m one": case("-m rung3", rungs="rung1 rung2 rung3", others=0),
    "-m deep": case("-m rung6", rungs="rung1 rung2 rung6", others=0),
    "-m rung": case("-m rung", others=0),
    "-m not rung": case("-m  not rung", rungs="", others=7),
    "-m not rung5": case("-m  not rung5", rungs=RUNGS.replace("rung5 ", "")),
    "-m and -k": case("-m  rung  -k  rung2 or rung6", rungs="rung1 rung2 rung6", others=0),
    "path": case("tests/test_rungs.py", rungs=RUNGS.replace(" rung6", ""), others=0),
    "path of others": case("tests/test_others.py", rungs="", others=6),
    "folder": case("tests/deep", rungs="rung1 rung2 rung6", others=1),
    "absolute folder": case("{here}/tests/deep", rungs="rung1 rung2 rung6", others=1),
    "file in a folder": case("tests/deep/test_deep.py", rungs="rung1 rung2 rung6", others=1),
    "node": case(f"{TESTS}[rung3]", rungs="rung1 rung2 rung3", others=0),
    "node in a folder": case("tests/deep/test_deep.py::test_rung[rung6]", rungs="rung1 rung2 rung6", others=0),
    "two nodes": case(f"{TESTS}[rung5] {TESTS}[rung2]", rungs="rung1 rung2 rung5", others=0),
    "node twice": case(f"{TESTS}[rung2] {TESTS}[rung2]", rungs="rung1 rung2", others=0),
    "node of others": case("tests/deep/test_deep.py::test_deep", rungs="", others=1),
    "function": case(TESTS, rungs=RUNGS.replace(" rung6", ""), others=0),
    "cd": case("-v", rungs="rung1 rung2 rung6", others=1, cwd="tests/deep"),
    "cd and -m": case("-m rung6", rungs="rung1 rung2 rung6", others=0, cwd="tests/deep"),
    "cd and --ladder-only": case("--ladder-only=rung6", rungs="rung1 rung2 rung6", others=0, cwd="tests/deep"),
    "cd and node": case("test_deep.py::test_rung[rung6]", rungs="rung1 rung2 rung6", others=0, cwd="tests/deep"),
    "cd and up": case("..", cwd="tests/deep"),
    "cd tests": case("-v", cwd="tests"),
    "--rootdir above": case("--rootdir={here} tests/deep", rungs="rung1 rung2 rung6", others=1),
    "--deselect a leaf": case(f"--deselect={TESTS}[rung5]", rungs=RUNGS.replace("rung5 ", "")),
    "--deselect a parent": case(f"--deselect={TESTS}[rung2]"),
    "--deselect a file": case("--deselect=tests/test_rungs.py", rungs="rung1 rung2 rung6"),
    "--deselect a folder": case("--deselect=tests/deep", rungs=RUNGS.replace(" rung6", ""), others=6),
    "--ignore a folder": case("--ignore=tests/deep", rungs=RUNGS.replace(" rung6", ""), others=6),
    "--ignore others": case("--ignore=tests/test_others.py", others=1),
    "--ignore-glob": case("--ignore-glob=*deep*", rungs=RUNGS.replace(" rung6", ""), others=6),
    "--ignore a parent": case("--ignore=tests/test_rungs.py", rungs="rung1 rung2 rung6", others=None),
    "--ignore-glob a parent": case("--ignore-glob=*rungs*", rungs="rung1 rung2 rung6", others=None),
    # an end before the end
    **{
        options: case(options, rungs="rung1 rung1[p=0.0] rung2 rung3", others=None, complete=False)
        for options in ("-x", "--maxfail=1", "--exitfirst --ff", "-x tests/test_rungs.py")
    },
    **{
        options: case(options, rungs="rung1 rung1[p=0.0] rung2 rung3", others=None, complete=False, code=2)
        for options in ("--sw", "--stepwise -v")
    },
    "--maxfail=2": case("--maxfail=2", rungs="rung1 rung1[p=0.0] rung2 rung3 rung4", others=None, complete=False),
    "--sw-skip": case("--sw-skip", rungs="rung1 rung1[p=0.0] rung2 rung3 rung4", others=None, complete=False, code=2),
    # after a run
    **{
        f"{options} after a red run": case(options, rungs="rung1 rung2 rung3 rung4", others=0, before=LF)
        for options in (
            "--lf",
            "--lf -v tests",
            "--lf -q",
            "--lf tests/test_rungs.py",
            "--lf --lfnf=none",
            "--lf --import-mode=importlib",
            "--lf -m rung",
            "--lf --tb=no",
        )
    },
    "--lf -m": case("--lf -m rung3", rungs="rung1 rung2 rung3", others=0, before=LF),
    "--lf -k": case("--lf -k rung3", rungs="rung1 rung2 rung3", others=0, before=LF),
    "--lf only": case("--lf --ladder-only=rung3", rungs="rung1 rung2 rung3", others=0, before=LF),
    "--lf only, a green one": case("--lf --ladder-only=rung5", rungs="rung5", others=0, before=LF),
    "--lf only, a deep one": case("--lf --ladder-only=rung6", rungs="rung1 rung2 rung6", others=0, before=LF),
    "--lf node": case(f"--lf {TESTS}[rung3]", rungs="rung1 rung2 rung3", others=0, before=LF),
    "--lf -x": case("--lf -x", rungs="rung1 rung2 rung3", others=0, complete=False, before=LF),
    "--lf twice": case("--lf", rungs="rung1 rung2 rung3 rung4", others=0, before=(*LF, ("--lf",))),
    "--lf -n 2": case("--lf -n 2", rungs="rung1 rung2 rung3 rung4", others=0, before=LF, alone=True),
    "--lf, a folder that is green": case("--lf tests/deep", rungs="rung1 rung2 rung6", others=1, before=LF),
    **{
        f"{options} after a red run": case(options, before=LF)
        for options in ("--ff", "--nf", "--ff --nf", "--cache-clear", "--lf --cache-clear", "-p no:cacheprovider")
    },
    "--ff -n 2": case("--ff -n 2", before=LF, alone=True),
    "--ff -x": case("--ff -x", rungs="rung1 rung1[p=0.0] rung2 rung3", others=None, complete=False, before=LF),
    "--sw again": case("--sw", rungs="rung1 rung2 rung3", others=None, complete=False, code=2, before=STOPPED),
    "--sw-skip again": case(
        "--sw --sw-skip",
        rungs="rung1 rung2 rung3 rung4",
        others=None,
        complete=False,
        code=2,
        before=STOPPED,
    ),
    "--sw-reset": case(
        "--sw-reset", rungs="rung1 rung1[p=0.0] rung2 rung3", others=None, complete=False, code=2, before=STOPPED
    ),
    "--sw -n 2": case(
        "-n 2 --sw", rungs="", others=None, apart=("rungs", "listed", "culprit", "said", "complete"), code=2, alone=True
    ),
    # questions that nobody answers
    "--pdb": case("--pdb", rungs="rung1 rung1[p=0.0] rung2 rung3", others=None, complete=False, code=2, alone=True),
    "--pdb -p no:capture": case(
        "--pdb -s", rungs="rung1 rung1[p=0.0] rung2 rung3", others=None, complete=False, code=2, alone=True
    ),
    "--pdb -x": case(
        "--pdb -x", rungs="rung1 rung1[p=0.0] rung2 rung3", others=None, complete=False, code=2, alone=True
    ),
    **{
        options: case(options, rungs="", others=None, apart=("rungs", "listed", "complete"), code=1, alone=True)
        for options in ("--trace", "--trace -m rung1")
    },
}

# One of each kind; what takes a process of its own waits for the night.
BY_DAY = {
    "-qq", "-s", "--color=yes", "-W error", "--import-mode=importlib", "-p no:terminal", "-p no:cacheprovider", "--ff",
    "--keep-duplicates twice", "pyargs", "testpaths outside", "--co -q", "--setup-only", "-k one", "-k not", "-m deep", "folder",
    "node in a folder", "cd and -m", "cd and --ladder-only", "--deselect a parent", "--ignore a parent", "-x",
    "--sw again", "--lf after a red run", "--lf only", "--co after",
}  # fmt: skip
assert CASES.keys() >= BY_DAY


@pytest.fixture(scope="module")
def plain(compiled, tmp_path_factory):
    """The facts of a run without options."""
    folder = tmp_path_factory.mktemp("plain")
    repository.write(folder, {})
    found = started(folder)
    assert found.listed == tuple(RUNGS.split())
    assert (found.code, found.culprit["rung"], len(found.said), found.complete) == (1, "rung3", 1, True)
    assert sum(map(len, found.outcomes.values())) == 14
    return found


def started(folder: Path, *options: str) -> Facts:
    """Run pytest in a process of its own."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("PYTEST_XDIST_")}
    result = subprocess.run(
        [sys.executable, "-m", "pytest", *options],
        cwd=folder, env=kept | {"PYTHONPATH": os.pathsep.join([str(HARNESS), os.environ.get("PYTHONPATH", "")])},
        capture_output=True, text=True, timeout=300, stdin=subprocess.DEVNULL,
    )  # fmt: skip
    print(result.stdout, result.stderr, sep="\n")
    return facts(folder, result.returncode, result.stdout)


@pytest.fixture(scope="module")
def evidence(tmp_path_factory):
    """What one run has trained the next need not."""
    return f"--ladder-evidence={tmp_path_factory.mktemp('evidence')}"


@pytest.fixture
def run(plain, evidence, pytester, monkeypatch):
    """Runs pytest in the repository."""
    monkeypatch.setenv("PYTHONPATH", str(HARNESS), prepend=os.pathsep)
    monkeypatch.setenv("PYTEST_ADDOPTS", evidence)

    def run(case: Case, options: tuple[str, ...], last: bool) -> tuple[Facts, str]:
        options = tuple(option.format(here=pytester.path, above=pytester.path.parent) for option in options)
        if last and case.alone:
            return started(pytester.path / case.cwd, *options), ""
        if last:
            monkeypatch.chdir(pytester.path / case.cwd)
        result = pytester.runpytest_inprocess(*options)
        return facts(pytester.path, int(result.ret), result.stdout.str()), f"{result.stdout}{result.stderr}"

    return run


def chosen(plain: Facts, case: Case) -> Facts:
    """What of a plain run's facts a case is to come to."""
    rungs = {id: plain.rungs[id] for id in case.rungs.split()}
    culprit = plain.culprit if "rung3" in rungs else None
    if culprit:
        culprit = culprit | {"blocks": [id for id in culprit["blocks"] if id in rungs]}
    return replace(
        plain,
        code=int(bool(RED & rungs.keys())) if case.code is None else case.code,
        rungs=rungs,
        listed=tuple(rungs),
        culprit=culprit,
        said=plain.said if culprit else (),
        complete=case.complete if rungs else None,
    )


@pytest.mark.parametrize(
    "case",
    [pytest.param(case, id=name, marks=() if name in BY_DAY else pytest.mark.nightly) for name, case in CASES.items()],
)
def test_option(run, plain, pytester, case):
    """What is selected comes to the facts of a plain run."""
    repository.write(pytester.path, dict(case.files))
    for options in case.before:
        run(case, options, last=False)
    found, told = run(case, case.options, last=True)
    due = chosen(plain, case)
    assert not found.differs(due, "outcomes", "said", *case.apart)
    if "said" not in case.apart:
        assert [line.partition(":")[0] for line in found.said] == [line.partition(":")[0] for line in due.said]
        assert all(("BROKEN OFF" in line) is not case.complete for line in found.said)
    if "outcomes" not in case.apart and case.others is not None:
        outcomes = {id: category for category, ids in found.outcomes.items() for id in ids}
        usual = {id: category for category, ids in plain.outcomes.items() for id in ids}
        assert outcomes == {id: usual[id] for id in outcomes}
        assert len(outcomes) == len(case.rungs.split()) + case.others
    if case.message:
        pytest.LineMatcher(told.splitlines()).fnmatch_lines([case.message])


def test_stepwise_until_green(run, pytester):
    """Once what stopped it is mended, ``--stepwise`` has climbed every rung, whatever the order of the files."""
    repository.write(pytester.path, {})
    stopped, _ = run(case("--sw"), ("--sw",), last=True)
    assert stopped.listed[-1] == "rung3"
    mended = (repository.DECLARED + repository.TEST).replace("shift=-0.05, p=0.0", "shift=-0.05, p=0.9999")
    repository.write(pytester.path, {"tests/test_rungs.py": mended})
    found, _ = run(case("--sw"), ("--sw",), last=True)
    assert found.code == 0
    assert {*stopped.listed, *found.listed} == set(RUNGS.split())
