"""Beside other pytest plugins: the same verdicts, counts, culprit and exit code as without them, alone and all at once."""

import os
import subprocess
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

import pytest
import repository
from repository import TEST, Facts, facts

ROOT = Path(__file__).parents[3]
PYTHON = ROOT / ".venv" / "company" / "bin" / "python"

pytestmark = pytest.mark.skipif(not PYTHON.exists(), reason="there is no .venv/company; bash .ci/company makes it")

PLUGINS = {
    "annotate": ["pytest_github_actions_annotate_failures"],
    "asyncio": ["asyncio"],
    "benchmark": ["benchmark"],
    "cov": ["pytest_cov"],
    "dependency": ["dependency"],
    "html": ["html", "html_fixtures", "metadata"],
    "json-report": ["pytest_jsonreport", "metadata"],
    "order": ["pytest_order"],
    "randomly": ["randomly"],
    "repeat": ["repeat"],
    "reportlog": ["pytest_reportlog"],
    "rerunfailures": ["rerunfailures"],
    "split": ["pytest-split"],
    "sugar": ["sugar"],
    "testmon": ["pytest-testmon"],
    "timeout": ["timeout"],
}
"""A plugin's name and those of its entry points, with what it needs; a cell blocks all others."""

Run = Callable[..., Facts]
"""Runs pytest in the repository with these options beside the cell's own; ``model=`` is its model from then on."""

ALL = tuple(PLUGINS)


def same(run: Run, plain: Facts, cell: "Cell") -> None:
    """All facts are those of a run without plugins, and the cell's own tests come to what they must."""
    found = run()
    outcomes = {
        category: sorted(plain.outcomes.get(category, []) + list(cell.adds.get(category, ())))
        for category in {*plain.outcomes, *cell.adds}
    }
    assert not found.differs(replace(plain, outcomes=outcomes))


def rungs_alone(run: Run, plain: Facts, cell: "Cell") -> None:
    """Of other tests the plugin may make more or fewer."""
    assert not run().differs(plain, "outcomes")


def as_sugar_counts(run: Run, plain: Facts, cell: "Cell") -> None:
    """pytest-sugar asks no other plugin what a report counts as: to it what is blocked has failed."""
    found = run()
    assert not found.differs(plain, "outcomes")
    assert set(found.outcomes["failed"]) == {*plain.outcomes["failed"], *plain.outcomes["blocked"]}
    assert set(plain.outcomes["passed"]) <= set(found.outcomes["passed"])


def reruns(run: Run, plain: Facts, cell: "Cell") -> None:
    """The last attempt counts, and a rung is listed once; the attempts before it are pytest's ``rerun``."""
    found = run()
    outcomes = plain.outcomes | {"rerun": found.outcomes.get("rerun")}
    assert not found.differs(replace(plain, outcomes=outcomes))


def repeats(run: Run, plain: Facts, cell: "Cell") -> None:
    """A rung is listed once, and another test runs the requested number of times."""
    found = run()
    assert not found.differs(plain, "outcomes")
    others = [sum("test_others" in id for id in facts.outcomes["passed"]) for facts in (found, plain)]
    assert others[0] == 2 * others[1]


def splits(run: Run, plain: Facts, cell: "Cell") -> None:
    """Each group climbs its rungs and what these require, to the same verdicts; together they climb all."""
    groups = [run(f"--group={k}") for k in (1, 2, 3)]
    for group in groups:
        _part(group, plain)
    assert {id for group in groups for id in group.rungs} == set(plain.rungs)
    assert {group.code for group in groups} == {0, 1}


def _part(found: Facts, plain: Facts) -> None:
    """Some of the rungs, each with what it requires and each as it is; red exactly if one of them is."""
    requires = {"rung2": "rung1", "rung3": "rung2", "rung4": "rung3", "rung6": "rung2"}
    assert found.rungs == {id: told for id, told in plain.rungs.items() if id in found.rungs}
    assert found.listed == tuple(found.rungs)
    assert {requires[id] for id in found.rungs if id in requires} <= set(found.rungs)
    assert found.code == int(any(not green for _, green, *_ in found.rungs.values()))
    assert found.said == (plain.said if "rung4" in found.rungs else found.said)


def after_an_edit(run: Run, plain: Facts, cell: "Cell") -> None:
    """Once the model has become worse the rungs that it makes red are climbed, though they were green."""
    _is_green(run())
    _is_red(run(model=WORSE))


def after_an_edit_from_evidence(run: Run, plain: Facts, cell: "Cell") -> None:
    """The same, where the plugin has only seen the rungs judged from evidence, and no line of the model run."""
    _is_green(run("-p", "no:pytest-testmon", own=False))
    _is_green(run())
    _is_red(run(model=WORSE))


def _is_green(found: Facts) -> None:
    assert (found.code, found.culprit) == (0, None)
    assert set(found.rungs) == {"rung1", "rung1[p=0.0]", "rung2", "rung3", "rung4", "rung5", "rung6"}


def _is_red(found: Facts) -> None:
    assert found.code == 1
    verdicts = {id: told[0] for id, told in found.rungs.items()}
    assert verdicts == {
        "rung1": "FAIL", "rung1[p=0.0]": "FAIL", "rung2": "BLOCKED", "rung3": "BLOCKED", "rung4": "BLOCKED", "rung5": "FAIL",
        "rung6": "BLOCKED",
    }  # fmt: skip


def without_an_edit(run: Run, plain: Facts, cell: "Cell") -> None:
    """Green rungs may be left out where nothing has changed; red ones are climbed again."""
    run()
    found = run()
    _part(found, plain)
    assert found.code == 1
    assert not found.differs(plain, "rungs", "listed", "outcomes")


def in_time(run: Run, plain: Facts, cell: "Cell") -> None:
    """A rung that a timeout breaks off is not green, and neither is the run."""
    found = run()
    assert found.code == 1
    assert not any(green for _, green, *_ in found.rungs.values())
    # By the method "thread" the plugin ends its whole process, which without workers is all there is.
    assert set(found.rungs) == (set(plain.rungs) if found.outcomes else set())


def skipped_by_dependency(run: Run, plain: Facts, cell: "Cell") -> None:
    """What the plugin skips for a rung that failed is not climbed, and all else is as it is."""
    found = run()
    assert found.rungs == {id: told for id, told in plain.rungs.items() if id != "rung4"}
    assert found.listed == tuple(found.rungs)
    assert (found.code, found.culprit["rung"]) == (1, "rung3")
    assert "tests/test_rungs.py::test_rung[rung4]" in found.outcomes["skipped"]


@dataclass(frozen=True)
class Cell:
    """A plugin, or all of them, and how it is used.

    Attributes:
        plugins: Their names.
        options: What a run is given.
        law: What must be true.
        changed: Files of the repository with another text.
        adds: The outcomes of tests that this cell adds.
        env: Environment variables.
        leaves: A file that the plugin must have written.
        by_day: Whether it is tried by day too.
        alone: Whether the plugin knows nothing of workers, so that what it does to other tests depends on where these run.
    """

    plugins: tuple[str, ...]
    options: tuple[str, ...] = ()
    law: Callable[[Run, Facts, "Cell"], None] = same
    changed: Mapping[str, str] = field(default_factory=dict)
    adds: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    env: Mapping[str, str] = field(default_factory=dict)
    leaves: str = ""
    by_day: bool = False
    alone: bool = False


def rungs(more: str = "", test: str = TEST) -> dict[str, str]:
    """The file of rungs with more before its test, or another test."""
    return {"tests/test_rungs.py": f"{repository.DECLARED}{more}{test}"}


def beside(test: str) -> dict[str, str]:
    """One test more beside the rungs."""
    return {"tests/test_others.py": f"{repository.OTHERS}{test}"}


def cell(plugin: str, *options: str, **more: object) -> Cell:
    """A plugin by itself."""
    return Cell((plugin,), options, **more)


WORSE = repository.MODEL.replace("1.0 * loss", "1.0 + loss")
GREEN = {"tests/test_rungs.py": repository.DECLARED.replace("p=0.0", "p=0.9999", 2) + TEST}
OTHERS = "tests/test_others.py::"
ASYNC = """
async def test_async():
    pass
"""
ASYNCIO = ("-o", "asyncio_mode=auto", "-o", "asyncio_default_fixture_loop_scope=function")
BENCH = """
def test_bench(benchmark):
    benchmark(len, "x")
"""
ORDERED = """
for k, mark in enumerate(RUNGS):
    RUNGS[k] = pytest.param(mark, marks=pytest.mark.order(-k - 1))
"""
DEPENDENT = """
for k, one in enumerate(RUNGS):
    before = [one.parent] if one.parent and not one.control else []
    RUNGS[k] = pytest.param(one, marks=pytest.mark.dependency(name=one.id, depends=before))
"""
AFTER = """
for k, one in enumerate(RUNGS):
    RUNGS[k] = pytest.param(one, marks=pytest.mark.order(after="test_others.py::test_plain"))
"""
DEPENDS = """
import pytest

@pytest.mark.dependency(depends=["tests/test_rungs.py::test_rung[rung2]"], scope="session")
def test_on_green():
    pass

@pytest.mark.dependency(depends=["tests/test_rungs.py::test_rung[rung3]"], scope="session")
def test_on_red():
    pass
"""
RAISES_ONCE = """
@pytest.fixture(autouse=True)
def once(rung, request):
    begun = request.config.rootpath / f"begun-{rung.id}"
    if rung.number == 2 and not begun.exists():
        begun.touch()
        raise OSError("made up")
"""
RAISES_IN_CALL = """
@pytest.mark.parametrize("rung", RUNGS)
def test_rung(climb, rung, request):
    begun = request.config.rootpath / f"begun-{rung.id}"
    if rung.number == 2 and not begun.exists():
        begun.touch()
        raise OSError("made up")
    climb(rung)
"""
ACTIONS = {"GITHUB_ACTIONS": "true"}
WRITING = (
    "--cov=model",
    "--cov-report=xml",
    "--html=page.html",
    "--json-report",
    "--json-report-file=told.json",
    "--report-log=told.jsonl",
    "--timeout=60",
)

CELLS = {
    "annotate": cell("annotate", env=ACTIONS),
    "annotate-not-on-github": cell("annotate"),
    "asyncio": cell("asyncio", *ASYNCIO, changed=beside(ASYNC), adds={"passed": (f"{OTHERS}test_async",)}),
    "asyncio-rungs": cell("asyncio", *ASYNCIO, changed=rungs(test=TEST.replace("def test", "async def test"))),
    "benchmark": cell("benchmark", changed=beside(BENCH), adds={"passed": (f"{OTHERS}test_bench",)}),
    "benchmark-json": cell(
        "benchmark",
        "--benchmark-json=told.json",
        changed=beside(BENCH),
        adds={"passed": (f"{OTHERS}test_bench",)},
    ),
    "benchmark-skip": cell(
        "benchmark", "--benchmark-skip", changed=beside(BENCH), adds={"skipped": (f"{OTHERS}test_bench",)}
    ),
    "cov": cell("cov", "--cov"),
    "cov-branch": cell(
        "cov", "--cov=model", "--cov-branch", "--cov-context=test", "--cov-report=xml", leaves="coverage.xml"
    ),
    "dependency": cell("dependency"),
    "dependency-automark": cell("dependency", "-o", "automark_dependency=true"),
    "dependency-on-rungs": cell(
        "dependency",
        "-o",
        "automark_dependency=true",
        changed={"tests/test_z_last.py": DEPENDS},
        adds={"passed": ("tests/test_z_last.py::test_on_green",), "skipped": ("tests/test_z_last.py::test_on_red",)},
        alone=True,
    ),
    "dependency-of-rungs": cell("dependency", law=skipped_by_dependency, changed=rungs(DEPENDENT)),
    "html": cell("html", "--html=page.html", leaves="page.html"),
    "html-alone": cell("html", "--html=page.html", "--self-contained-html", leaves="page.html"),
    "json-report": cell("json-report", "--json-report", leaves=".report.json"),
    "json-report-summary": cell("json-report", "--json-report", "--json-report-summary", leaves=".report.json"),
    "order": cell("order", changed=rungs(ORDERED)),
    **{
        f"order-{scope}": cell("order", f"--order-scope={scope}", changed=rungs(ORDERED))
        for scope in ("session", "module", "class")
    },
    "order-indulgent": cell("order", "--indulgent-ordering", changed=rungs(ORDERED)),
    "order-dependencies": cell("order", "--order-dependencies", changed=rungs(AFTER)),
    "randomly": cell("randomly"),
    **{f"randomly-{seed}": cell("randomly", f"--randomly-seed={seed}") for seed in (1, 2, 3)},
    "randomly-in-place": cell("randomly", "--randomly-dont-reorganize"),
    "repeat": cell("repeat"),
    "repeat-2": cell("repeat", "--count=2", law=repeats),
    **{
        f"repeat-{scope}": cell("repeat", "--count=2", f"--repeat-scope={scope}", law=repeats)
        for scope in ("session", "module", "class")
    },
    "reportlog": cell("reportlog", "--report-log=told.jsonl", leaves="told.jsonl"),
    "rerunfailures": cell("rerunfailures"),
    "reruns": cell("rerunfailures", "--reruns=2", law=reruns),
    "reruns-marked": cell("rerunfailures", law=reruns, changed=rungs("@pytest.mark.flaky(reruns=2)")),
    "reruns-raises-in-set-up": cell("rerunfailures", "--reruns=2", law=reruns, changed=rungs(RAISES_ONCE)),
    "reruns-raises": cell("rerunfailures", "--reruns=2", law=reruns, changed=rungs(test=RAISES_IN_CALL)),
    "reruns-raises-only": cell(
        "rerunfailures", "--reruns=2", "--only-rerun=OSError", law=reruns, changed=rungs(test=RAISES_IN_CALL)
    ),
    "split": cell("split", "--splits=3", law=splits),
    "split-least": cell("split", "--splits=3", "--splitting-algorithm=least_duration", law=splits),
    "split-store": cell("split", "--store-durations", leaves=".test_durations"),
    "sugar": cell("sugar"),
    "sugar-forced": cell("sugar", "--force-sugar", law=as_sugar_counts),
    "testmon-idle": cell("testmon"),
    "testmon": cell("testmon", "--testmon", law=without_an_edit),
    "testmon-edit": cell("testmon", "--testmon", law=after_an_edit, changed=GREEN),
    "testmon-evidence": cell("testmon", "--testmon", law=after_an_edit_from_evidence, changed=GREEN),
    "timeout": cell("timeout"),
    **{
        f"timeout-{method}": cell("timeout", "--timeout=60", f"--timeout-method={method}", "--session-timeout=600")
        for method in ("signal", "thread")
    },
    "timeout-and-limit": cell("timeout", "--timeout=60", "--ladder-time-limit=600"),
    **{
        f"timeout-{method}-over": cell(
            "timeout", f"--timeout-method={method}", law=in_time, changed=rungs("@pytest.mark.timeout(0.05)")
        )
        for method in ("signal", "thread")
    },
    "all": Cell(ALL, ASYNCIO, env=ACTIONS, by_day=True),
    "all-writing": Cell(
        ALL, (*ASYNCIO, *WRITING), env=ACTIONS, changed=rungs(ORDERED), leaves="told.jsonl", by_day=True
    ),
    "all-sugar": Cell(ALL, (*ASYNCIO, *WRITING, "--force-sugar"), as_sugar_counts, env=ACTIONS),
    "all-reruns": Cell(ALL, (*ASYNCIO, *WRITING, "--reruns=2"), reruns, env=ACTIONS),
    "all-repeat": Cell(ALL, (*ASYNCIO, *WRITING, "--count=2"), repeats, env=ACTIONS),
    "all-split": Cell(ALL, (*ASYNCIO, *WRITING, "-p", "no:randomly", "--splits=3"), splits, env=ACTIONS),
    "all-testmon": Cell(ALL, (*ASYNCIO, "--testmon"), after_an_edit, GREEN, env=ACTIONS),
}


@pytest.fixture(scope="module")
def others():
    """Options that block every plugin of the environment but ladder and xdist: entry point to option."""
    names = (
        "from importlib.metadata import entry_points;"
        "print(*{point.name for point in entry_points(group='pytest11')} - {'ladder', 'xdist', 'xdist.looponfail'})"
    )
    found = subprocess.run([PYTHON, "-c", names], capture_output=True, text=True, check=True).stdout.split()
    assert {name for names in PLUGINS.values() for name in names} <= set(found)
    return found


@pytest.fixture(scope="module")
def start(programs, others):
    """Starts pytest with some of the plugins in a repository; gives the facts."""

    def start(folder: Path, plugins: tuple[str, ...], *options: str, env: Mapping[str, str] = {}) -> Facts:
        wanted = {name for plugin in plugins for name in PLUGINS[plugin]}
        blocked = [f"-pno:{name}" for name in others if name not in wanted]
        kept = {
            name: value for name, value in os.environ.items() if not name.startswith(("PYTEST_", "GITHUB_", "COV_"))
        }
        told = {
            "PYTHONPATH": os.pathsep.join([str(Path(__file__).parents[1]), os.environ.get("PYTHONPATH", "")]),
            "JAX_COMPILATION_CACHE_DIR": str(programs),
            "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "0",
        }
        result = subprocess.run(
            [PYTHON, "-m", "pytest", *blocked, *options],
            cwd=folder, env=kept | told | dict(env), capture_output=True, text=True, timeout=300, stdin=subprocess.DEVNULL,
        )  # fmt: skip
        print(result.args, result.stdout, result.stderr, sep="\n")  # shown where the test fails
        return facts(folder, result.returncode, result.stdout)

    return start


@pytest.fixture(scope="module")
def plain(start, tmp_path_factory):
    """The facts of a run without plugins."""
    folder = tmp_path_factory.mktemp("plain")
    repository.write(folder, {})
    found = start(folder, ())
    assert {id: told[0] for id, told in found.rungs.items()} == {
        "rung1": "PASS", "rung1[p=0.0]": "FAIL", "rung2": "PASS", "rung3": "FAIL", "rung4": "BLOCKED", "rung5": "PASS",
        "rung6": "PASS",
    }  # fmt: skip
    assert {category: len(ids) for category, ids in found.outcomes.items()} == {
        "passed": 10, "failed": 1, "blocked": 1, "skipped": 1, "xfailed": 1,
    }  # fmt: skip
    assert (found.code, found.culprit["rung"], len(found.said), found.complete) == (1, "rung3", 1, True)
    return found


@pytest.mark.parametrize(
    ("cell", "workers"),
    [
        pytest.param(cell, workers, id=f"{name}-n{workers}", marks=() if cell.by_day else pytest.mark.nightly)
        for name, cell in CELLS.items()
        for workers in ([0] if cell.alone else [0, 2])
    ],
)
def test_company(start, plain, tmp_path, cell, workers):
    """The law of the cell."""
    repository.write(tmp_path, cell.changed)
    spread = (f"-n{workers}",) if workers else ()

    def run(*options: str, model: str = "", own: bool = True) -> Facts:
        if model:
            (tmp_path / "model.py").write_text(model)
        given = cell.options if own else ()
        return start(tmp_path, cell.plugins, *given, *spread, *options, env=cell.env)

    cell.law(run, plain, cell)
    assert not cell.leaves or (tmp_path / cell.leaves).exists()
