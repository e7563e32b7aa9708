"""The plugin's options and ini settings, checked before anything is collected."""

from __future__ import annotations

import argparse
import ast
import math
import re
import secrets
from dataclasses import dataclass
from glob import glob
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest

from ladder.judge.sequential import REPORT_SEEDS, SequentialTest
from ladder.naming import REPORT_FILES, decode_id, rung_files

SHOWING_TESTS = ("collectonly", "setuponly", "setupplan", "showfixtures", "show_fixtures_per_test")
WITHOUT_RUNGS = ("help", "version", "markers", "cacheshow", *SHOWING_TESTS, "ladder_calibrate")
"""Options with which no rung is climbed."""

FULL = "full"  # the scale without a name, on the command line and in settings
RUNG_MARK = re.compile(r"rung[0-9]*")
ROOT_LIMIT = 2**31  # a root is folded into a key as an unsigned 32-bit number


OPTIONS: dict[str, dict[str, Any]] = {
    "--ladder-only": {
        "action": "append",
        "default": [],
        "metavar": "ID",
        "help": "climb this rung, such as 'rung3[mse]', and the rungs it requires (repeatable)",
    },
    "--ladder-scale": {
        "metavar": "NAME",
        "help": "climb rungs that have several scales at this one, such as 'small'; 'full' is the scale without a name "
        "(default: full if -m names a rung, else ini ladder_scale)",
    },
    "--ladder-seeds": {
        "metavar": "N,N,N",
        "help": "numbers of seeds at which the sequential test is evaluated (default: ini ladder_seeds)",
    },
    "--ladder-through": {
        "action": "store_true",
        "help": "climb the rungs that stand on one that did not pass, too; they stay BLOCKED, and the report shows what they do",
    },
    "--ladder-fresh-seeds": {"action": "store_true", "help": "draw new seeds, and print the option that repeats them"},
    "--ladder-seed-root": {"metavar": "ROOT", "help": "use the seeds of this root (default: 0)"},
    "--ladder-reports": {
        "metavar": "DIR",
        "help": "folder of the report in all its forms (default: ini ladder_reports)",
    },
    "--ladder-pictures": {
        "action": "store_true",
        "help": "draw every climbed rung, beside the report (default: ini ladder_pictures)",
    },
    "--ladder-rerun": {"action": "store_true", "help": "train every rung again, even if there is evidence of it"},
    "--ladder-evidence": {
        "metavar": "DIR",
        "help": "folder of the curves that later runs need not train again (default: ini ladder_evidence)",
    },
    "--ladder-time-limit": {
        "metavar": "SECONDS",
        "help": "a rung that takes longer is TIMED OUT (default: ini ladder_time_limit)",
    },
    "--ladder-workers": {
        "metavar": "N",
        "help": "number of processes that train seeds of host experiments; 0 trains them in pytest's own, as a debugger needs "
        "(default: ini ladder_workers)",
    },
    "--ladder-calibrate": {
        "metavar": "{missing,overwrite}",
        "const": "missing",
        "nargs": "?",
        "help": "instead of climbing, measure the calibrated limits of the selected rungs: those that are missing (default), "
        "or all",
    },
    "--ladder-ctrf": {
        "metavar": "FILE",
        "help": "also write the rungs to this file, in the Common Test Report Format",
    },
}
"""The command-line options, with the arguments of ``argparse``."""

INI: dict[str, dict[str, Any]] = {
    "ladder_scale": {
        "help": "scale of rungs that have several, unless --ladder-scale is given or -m names a rung",
        "default": FULL,
    },
    "ladder_folders": {
        "help": "folders each of which has a ladder of its own, named after the folder",
        "type": "args",
        "default": [],
    },
    "ladder_leave_out": {
        "help": "marks of tests that are deselected unless -m names the mark, or an id the test",
        "type": "args",
        "default": [],
    },
    "ladder_reports": {"help": "folder of the ladder's reports", "default": "reports"},
    "ladder_strict": {
        "help": "every condition of a rung must have a source, and every gated rung say what was published of its effect",
        "type": "bool",
        "default": False,
    },
    "ladder_pictures": {"help": "draw every climbed rung, beside the report", "type": "bool", "default": False},
    "ladder_evidence": {"help": "folder of the curves of earlier runs", "default": "reports/evidence"},
    "ladder_time_limit": {"help": "seconds that a rung may take; no limit by default", "default": "inf"},
    "ladder_workers": {
        "help": "number of processes that train seeds of host experiments, or auto: one for each GPU, or else core",
        "default": "auto",
    },
    "ladder_seeds": {
        "help": "numbers of seeds at which the sequential test is evaluated",
        "default": ",".join(map(str, SequentialTest().looks)),
    },
    "ladder_report_seeds": {
        "help": "number of seeds that goals and effects are reported on, at least",
        "default": str(REPORT_SEEDS),
    },
    "ladder_p0": {
        "help": "sequential test: a rung that learns on at most this fraction of seeds must not pass",
        "default": "0.70",
    },
    "ladder_p1": {
        "help": "sequential test: a rung that learns on at least this fraction of seeds must not fail",
        "default": "0.95",
    },
    "ladder_alpha": {"help": "sequential test: the chance that a rung passes which must not", "default": "0.05"},
    "ladder_beta": {"help": "sequential test: the chance that a rung fails which must not", "default": "0.01"},
}
"""The ini settings, with the arguments of ``pytest.Parser.addini``."""


def add_options(parser: pytest.Parser) -> None:
    """Declare the options, in one group, and the ini settings."""
    group = parser.getgroup("ladder", "ablation ladder")
    for name, arguments in OPTIONS.items():
        group.addoption(name, **arguments)
    for name, arguments in INI.items():
        parser.addini(name, **arguments)


@dataclass(frozen=True)
class Settings:
    """The settings of a run.

    Attributes:
        test: The sequential test that reaches verdicts.
        report_seeds: The number of seeds that goals and effects are reported on.
        through: Whether rungs are climbed that stand on one that did not pass.
        root: The root of the seeds.
        fresh: Whether the root was drawn in this run.
        only: The ids of ``--ladder-only``; empty if the option is not given.
        selects_rungs: Whether ``-m`` or ``--ladder-only`` mentions rungs.
        marks: The marks of rungs that ``-m`` selects, such as ``rung`` and ``rung3``, without those after ``not``.
        climbs: Whether rungs are climbed, and not only listed or calibrated.
        leave_out: The marks of tests that are deselected unless the command line names them.
        strict: Whether rungs must give sources.
        ladders: The folders that have a ladder of their own, with its name.
        scale: The scale to climb of rungs that have several; empty for the full one.
        scale_given: Whether the user has given the scale; rungs without that scale are then deselected.
        calibrate: ``missing``, ``overwrite``, or None to climb.
        rerun: Whether evidence of earlier runs is ignored.
        time_limit: The seconds that a rung may take.
        workers: The number of processes that train seeds of host experiments; None for as many as fit.
        reports: The folder of the reports.
        ctrf: The file for the rungs in the Common Test Report Format; None for none.
        pictures: Whether climbed rungs are drawn.
        evidence: The folder of the evidence.
        calibrations: The folder of the calibrated limits.
        rung_files: The rungs that test files are named after: number to name and path.
    """

    test: SequentialTest
    report_seeds: int
    through: bool
    root: int
    fresh: bool
    only: tuple[str, ...]
    selects_rungs: bool
    marks: frozenset[str]
    climbs: bool
    leave_out: tuple[str, ...]
    strict: bool
    ladders: dict[Path, str]
    scale: str
    scale_given: bool
    calibrate: str | None
    rerun: bool
    time_limit: float
    workers: int | None
    reports: Path
    ctrf: Path | None
    pictures: bool
    evidence: Path
    calibrations: Path
    rung_files: dict[int, str]

    @classmethod
    def from_config(cls, config: pytest.Config) -> Settings:
        """Read and check the settings.

        Raises:
            pytest.UsageError: with the setting, its value and what to choose instead.
        """
        option = config.option
        return cls(
            test=_sequential_test(config),
            report_seeds=_report_seeds(config),
            through=option.ladder_through,
            root=_root(config),
            fresh=option.ladder_fresh_seeds,
            only=tuple(map(decode_id, option.ladder_only)),
            selects_rungs="rung" in option.markexpr or bool(option.ladder_only),
            marks=frozenset(_rungs_in(option.markexpr)),
            climbs=climbs(option),
            leave_out=tuple(config.getini("ladder_leave_out")),
            strict=config.getini("ladder_strict"),
            ladders=_ladders(config),
            scale=_scale(config),
            scale_given=bool(option.ladder_scale),
            calibrate=_calibrate(config),
            rerun=option.ladder_rerun,
            time_limit=_time_limit(config),
            workers=_workers(config),
            reports=reports_folder(config, option),
            ctrf=_ctrf(config),
            pictures=_pictures(config),
            evidence=config.rootpath / (option.ladder_evidence or config.getini("ladder_evidence")),
            calibrations=config.rootpath / config.getini("ladder_reports") / "calibration",
            rung_files=_rung_files(config),
        )

    @property
    def names_rungs(self) -> bool:
        """Return whether the command line selects rungs by mark or id."""
        return bool(self.marks or self.only)

    @property
    def numbers(self) -> frozenset[int]:
        """The numbers of the rungs that ``-m`` selects, without those after ``not``."""
        return frozenset(int(mark.removeprefix("rung")) for mark in self.marks - {"rung"})

    @property
    def written(self) -> list[Path]:
        """The files that runs write, which do not make a commit dirty; calibrations do, because verdicts depend on them."""
        folders = (self.reports, self.calibrations.parent)
        names = (*REPORT_FILES, *REPORT_FILES.values(), "pictures")
        return [*(folder / name for folder in folders for name in names), self.evidence, *filter(None, [self.ctrf])]

    @property
    def same_seeds(self) -> list[str]:
        """The options that repeat a climb of the same rungs on the same seeds, with the same looks."""
        looks = ",".join(map(str, self.test.looks))
        return [self.repeat, f"--ladder-seeds={looks}", *(["--ladder-through"] if self.through else [])]

    @property
    def repeat(self) -> str:
        """The option that repeats this run's seeds."""
        return f"--ladder-seed-root={self.root}"

    @property
    def how_to_repeat(self) -> str:
        """A line on how to repeat a run with fresh seeds."""
        return f"ladder: fresh seeds; repeat them with {self.repeat}"


def reports_folder(config: pytest.Config, options: argparse.Namespace | None = None) -> Path:
    """Return the folder of the reports, from the options if they are given, else from the ini file."""
    folder: str = (options and options.ladder_reports) or config.getini("ladder_reports")
    return config.rootpath / folder


def climbs(options: argparse.Namespace) -> bool:
    """Return whether rungs are climbed, and not only listed or calibrated."""
    return not any(getattr(options, name, None) for name in WITHOUT_RUNGS)


def _sequential_test(config: pytest.Config) -> SequentialTest:
    given = config.option.ladder_seeds or config.getini("ladder_seeds")
    try:
        looks = tuple(int(look) for look in given.split(","))
    except ValueError:
        raise pytest.UsageError(
            f"seeds {given!r}: give whole numbers separated by commas, such as 4,10,16,32"
        ) from None
    numbers = {}
    for name in ("p0", "p1", "alpha", "beta"):
        value = config.getini(f"ladder_{name}")
        try:
            numbers[name] = float(value)
        except ValueError:
            raise pytest.UsageError(f"ladder_{name} = {value!r}: give a number between 0 and 1") from None
    try:
        return SequentialTest(**numbers, looks=looks)
    except ValueError as error:
        raise pytest.UsageError(f"the ladder's sequential test: {error}") from error


def _report_seeds(config: pytest.Config) -> int:
    given = config.getini("ladder_report_seeds")
    if not (given.isdecimal() and int(given) > 0):
        raise pytest.UsageError(
            f"ladder_report_seeds = {given!r}: give a number of seeds, at least 1, such as {REPORT_SEEDS}"
        )
    return int(given)


def _ladders(config: pytest.Config) -> dict[Path, str]:
    ladders: dict[Path, str] = {}
    for given in config.getini("ladder_folders"):
        folder = (config.rootpath / given).resolve()
        if not folder.is_dir():
            raise pytest.UsageError(f"ladder_folders = {given}: there is no such folder below {config.rootpath}")
        if folder.name in ladders.values():
            raise pytest.UsageError(
                f"ladder_folders: two folders have the name {folder.name}; a ladder's name must be unique"
            )
        ladders[folder] = folder.name
    return ladders


def _scale(config: pytest.Config) -> str:
    default = FULL if _rungs_in(config.option.markexpr) else config.getini("ladder_scale")
    scale: str = config.option.ladder_scale or default
    return "" if scale == FULL else scale


def _rungs_in(expression: str) -> set[str]:
    """Return the marks of rungs in an ``-m`` expression, without those after ``not``."""

    def positive(node: ast.AST, sign: bool) -> set[str]:
        if isinstance(node, ast.UnaryOp):
            return positive(node.operand, not sign)
        if isinstance(node, ast.Name):
            return {node.id} if sign and RUNG_MARK.fullmatch(node.id) else set()
        return set().union(*(positive(inner, sign) for inner in ast.iter_child_nodes(node)))

    try:
        return positive(ast.parse(expression.strip() or "True", mode="eval"), True)
    except SyntaxError:  # pytest reports the error
        return set()


def _time_limit(config: pytest.Config) -> float:
    given = config.option.ladder_time_limit or config.getini("ladder_time_limit")
    try:
        seconds = float(given)
    except ValueError:
        seconds = math.nan
    if not seconds > 0.0:
        raise pytest.UsageError(f"the ladder's time limit {given!r}: give seconds, more than 0, or inf for none")
    return seconds


def _workers(config: pytest.Config) -> int | None:
    given = config.option.ladder_workers or config.getini("ladder_workers")
    if given == "auto":
        return None
    if not given.isdecimal():
        raise pytest.UsageError(f"the ladder's workers {given!r}: give a number of processes, 0 or more, or auto")
    return int(given)


def _pictures(config: pytest.Config) -> bool:
    option = config.option
    pictures = option.ladder_calibrate is None and bool(option.ladder_pictures or config.getini("ladder_pictures"))
    if pictures and find_spec("matplotlib") is None:
        raise pytest.UsageError(
            "pictures need matplotlib, which is not installed: pip install 'pytest-ladder[pictures]'"
        )
    return pictures


def _root(config: pytest.Config) -> int:
    fresh, root = config.option.ladder_fresh_seeds, config.option.ladder_seed_root
    if fresh and root is not None:
        raise pytest.UsageError(
            "--ladder-fresh-seeds draws a root and --ladder-seed-root sets one; give only one of them"
        )
    if hasattr(config, "workerinput"):
        return int(config.workerinput["ladder_seed_root"])
    if fresh:
        return 1 + secrets.randbelow(ROOT_LIMIT - 1)  # root 0 is the default
    if root is None:
        return 0
    if not (root.isdecimal() and int(root) < ROOT_LIMIT):
        raise pytest.UsageError(f"--ladder-seed-root={root}: choose a number from 0 to {ROOT_LIMIT - 1}")
    return int(root)


def _calibrate(config: pytest.Config) -> str | None:
    mode: str | None = config.option.ladder_calibrate
    if mode not in (None, "missing", "overwrite"):
        raise pytest.UsageError(f"--ladder-calibrate={mode}: choose missing or overwrite")
    return mode


def _ctrf(config: pytest.Config) -> Path | None:
    if not config.option.ladder_ctrf:
        return None
    target: Path = config.rootpath / config.option.ladder_ctrf
    if target in {reports_folder(config, config.option) / name for name in REPORT_FILES}:
        raise pytest.UsageError(f"--ladder-ctrf={config.option.ladder_ctrf}: this file is the report; choose another")
    return target


def _rung_files(config: pytest.Config) -> dict[int, str]:
    names: dict[int, str] = {}
    root, norecurse = config.rootpath, config.getini("norecursedirs")
    patterns = config.getini("testpaths")
    # Path.glob does not accept absolute patterns.
    for folder in [place for each in patterns for place in glob(each, root_dir=root, recursive=True)]:  # noqa: PTH207
        for number, name, file in rung_files(root / folder, norecurse):
            names[number] = f"{name} ({(file.relative_to(root) if file.is_relative_to(root) else file).as_posix()})"
    return names
