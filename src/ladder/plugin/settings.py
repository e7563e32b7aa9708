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

import pytest

from ladder.judge.sequential import SequentialTest
from ladder.naming import REPORT_FILES, decode_id, rung_files

SHOWING_TESTS = ("collectonly", "setuponly", "setupplan", "showfixtures", "show_fixtures_per_test")
WITHOUT_RUNGS = ("help", "version", "markers", "cacheshow", *SHOWING_TESTS, "ladder_calibrate")
"""Options with which no rung is climbed, whatever there is."""

FULL = "full"  # what the scale without a name is called where it must be given one
A_RUNG = re.compile(r"rung[0-9]*")
ROOTS = 2**31  # a root is folded into a key as an unsigned 32-bit number


def add_options(parser: pytest.Parser) -> None:
    """Declare the options and ini settings, in one group."""
    group = parser.getgroup("ladder", "ablation ladder")
    group.addoption(
        "--ladder-only",
        action="append",
        default=[],
        metavar="ID",
        help="climb this rung, such as 'rung3[mse]', and what it requires (repeatable)",
    )
    group.addoption(
        "--ladder-scale",
        metavar="NAME",
        help="of rungs that come in several sizes climb the one of this name, such as 'small'; 'full' is the full one "
        "(default: full where -m names a rung, else ini ladder_scale)",
    )
    group.addoption(
        "--ladder-seeds",
        metavar="N,N,N",
        help="numbers of seeds after which the verdict is looked for (default: ini ladder_seeds)",
    )
    group.addoption(
        "--ladder-fresh-seeds", action="store_true", help="draw new seeds, and print the option that repeats them"
    )
    group.addoption("--ladder-seed-root", metavar="ROOT", help="use the seeds of this root (default: 0)")
    group.addoption(
        "--ladder-reports", metavar="DIR", help="folder of the report in all its forms (default: ini ladder_reports)"
    )
    group.addoption(
        "--ladder-pictures",
        action="store_true",
        help="draw every climbed rung, beside the report (default: ini ladder_pictures)",
    )
    group.addoption(
        "--ladder-rerun", action="store_true", help="train every rung again, whatever evidence there is of it"
    )
    group.addoption(
        "--ladder-evidence",
        metavar="DIR",
        help="folder of the curves that later runs need not train again (default: ini ladder_evidence)",
    )
    group.addoption(
        "--ladder-time-limit",
        metavar="SECONDS",
        help="a rung that takes longer is TIMED OUT (default: ini ladder_time_limit)",
    )
    group.addoption(
        "--ladder-calibrate",
        metavar="{missing,overwrite}",
        const="missing",
        nargs="?",
        help="instead of climbing, measure the calibrated limits of the selected rungs; limits on file are kept unless "
        "told to overwrite",
    )
    group.addoption(
        "--ladder-ctrf",
        metavar="FILE",
        help="write the rungs to this file in the Common Test Report Format too",
    )
    parser.addini(
        "ladder_scale",
        "size of rungs that come in several, in a run that is given no --ladder-scale and whose -m names no rung",
        default=FULL,
    )
    parser.addini(
        "ladder_leave_out",
        "marks of tests that are left out unless -m names the mark, or an id the test",
        type="args",
        default=[],
    )
    parser.addini("ladder_reports", "folder of the ladder's reports", default="reports")
    parser.addini("ladder_pictures", "draw every climbed rung, beside the report", type="bool", default=False)
    parser.addini("ladder_evidence", "folder of what rungs have yielded so far", default="reports/evidence")
    parser.addini("ladder_time_limit", "seconds that a rung may take; none by default", default="inf")
    parser.addini("ladder_seeds", "numbers of seeds after which the verdict is looked for", default="16,32,64")
    for name, default, meaning in (
        ("p0", "0.70", "a rung that learns on at most this fraction of seeds is not to pass"),
        ("p1", "0.95", "a rung that learns on at least this fraction of seeds is not to fail"),
        ("alpha", "0.05", "the chance that a rung passes which is not to"),
        ("beta", "0.01", "the chance that a rung fails which is not to"),
    ):
        parser.addini(f"ladder_{name}", f"sequential test: {meaning}", default=default)


@dataclass(frozen=True)
class Settings:
    """The settings of a run.

    Attributes:
        test: The rule by which verdicts are reached.
        root: Root of the seeds.
        fresh: Whether the root was drawn in this run.
        only: Ids of the rungs to climb; empty for all that are selected otherwise.
        asked: Whether ``-m`` or ``--ladder-only`` speaks of rungs.
        marks: The marks of rungs that ``-m`` names, other than to leave them out: ``rung``, ``rung3``.
        climbs: Whether rungs are climbed if there are any, and not only shown or calibrated.
        leave_out: Marks of tests that are left out unless they are asked for.
        scale: Which size of rungs that come in several is climbed; empty for the full one.
        scale_asked: Whether the user has asked for that size, so that a rung is left out which does not come in it.
        calibrate: ``missing``, ``overwrite``, or None to climb.
        rerun: Whether evidence of earlier runs is left aside.
        time_limit: Seconds that a rung may take.
        reports: Folder of the reports.
        ctrf: File for the rungs in the Common Test Report Format; None for none.
        pictures: Whether climbed rungs are drawn.
        evidence: Folder of the evidence.
        calibrations: Folder of the calibrated limits.
        rung_files: Rungs that test files are named after: number to name and path.
    """

    test: SequentialTest
    root: int
    fresh: bool
    only: tuple[str, ...]
    asked: bool
    marks: frozenset[str]
    climbs: bool
    leave_out: tuple[str, ...]
    scale: str
    scale_asked: bool
    calibrate: str | None
    rerun: bool
    time_limit: float
    reports: Path
    ctrf: Path | None
    pictures: bool
    evidence: Path
    calibrations: Path
    rung_files: dict[int, str]

    @classmethod
    def of(cls, config: pytest.Config) -> Settings:
        """Read and check them.

        Raises:
            pytest.UsageError: naming the setting, its value and what to choose instead.
        """
        option = config.option
        return cls(
            test=_sequential_test(config),
            root=_root(config),
            fresh=option.ladder_fresh_seeds,
            only=tuple(map(decode_id, option.ladder_only)),
            asked="rung" in option.markexpr or bool(option.ladder_only),
            marks=frozenset(_rungs_in(option.markexpr)),
            climbs=climbs(option),
            leave_out=tuple(config.getini("ladder_leave_out")),
            scale=_scale(config),
            scale_asked=bool(option.ladder_scale),
            calibrate=_calibrate(config),
            rerun=option.ladder_rerun,
            time_limit=_time_limit(config),
            reports=reports_folder(config, option),
            ctrf=_ctrf(config),
            pictures=_pictures(config),
            evidence=config.rootpath / (option.ladder_evidence or config.getini("ladder_evidence")),
            calibrations=config.rootpath / config.getini("ladder_reports") / "calibration",
            rung_files=_rung_files(config),
        )

    @property
    def names_rungs(self) -> bool:
        """Return whether the command line asks for rungs and for nothing else."""
        return bool(self.marks or self.only)

    @property
    def numbers(self) -> frozenset[int]:
        """The rungs that ``-m`` names, other than to leave them out."""
        return frozenset(int(mark.removeprefix("rung")) for mark in self.marks - {"rung"})

    @property
    def written(self) -> list[Path]:
        """The files that runs write, by which a commit must not differ: all but calibrations, on which verdicts depend."""
        folders = (self.reports, self.calibrations.parent)
        names = (*REPORT_FILES, *REPORT_FILES.values(), "pictures")
        return [*(folder / name for folder in folders for name in names), self.evidence, *filter(None, [self.ctrf])]

    @property
    def same_seeds(self) -> list[str]:
        """The options that climb on the same seeds again, as many of them."""
        looks = ",".join(map(str, self.test.looks))
        return [self.repeat, f"--ladder-seeds={looks}"]

    @property
    def repeat(self) -> str:
        """The option that repeats this run's seeds."""
        return f"--ladder-seed-root={self.root}"

    @property
    def how_to_repeat(self) -> str:
        """A line on how to repeat a run with fresh seeds."""
        return f"ladder: fresh seeds; repeat them with {self.repeat}"


def reports_folder(config: pytest.Config, options: argparse.Namespace | None = None) -> Path:
    """Return the folder of the reports; without options that of the ini file."""
    folder: str = (options and options.ladder_reports) or config.getini("ladder_reports")
    return config.rootpath / folder


def climbs(options: argparse.Namespace) -> bool:
    """Return whether rungs are climbed if there are any, and not only shown or calibrated."""
    return not any(getattr(options, name, None) for name in WITHOUT_RUNGS)


def _sequential_test(config: pytest.Config) -> SequentialTest:
    given = config.option.ladder_seeds or config.getini("ladder_seeds")
    try:
        looks = tuple(int(look) for look in given.split(","))
    except ValueError:
        raise pytest.UsageError(f"seeds {given!r}: give whole numbers separated by commas, such as 16,32,64") from None
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


def _scale(config: pytest.Config) -> str:
    default = FULL if _rungs_in(config.option.markexpr) else config.getini("ladder_scale")
    scale: str = config.option.ladder_scale or default
    return "" if scale == FULL else scale


def _rungs_in(expression: str) -> set[str]:
    """Return the marks of rungs that an ``-m`` expression names, other than to leave them out."""

    def positive(node: ast.AST, asked: bool) -> set[str]:
        if isinstance(node, ast.UnaryOp):
            return positive(node.operand, not asked)
        if isinstance(node, ast.Name):
            return {node.id} if asked and A_RUNG.fullmatch(node.id) else set()
        return set().union(*(positive(inner, asked) for inner in ast.iter_child_nodes(node)))

    try:
        return positive(ast.parse(expression.strip() or "True", mode="eval"), True)
    except SyntaxError:  # pytest says what is wrong with it
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


def _pictures(config: pytest.Config) -> bool:
    option = config.option
    wanted = option.ladder_calibrate is None and bool(option.ladder_pictures or config.getini("ladder_pictures"))
    if wanted and find_spec("matplotlib") is None:
        raise pytest.UsageError(
            "pictures need matplotlib, which is not installed: pip install 'pytest-ladder[pictures]'"
        )
    return wanted


def _root(config: pytest.Config) -> int:
    fresh, root = config.option.ladder_fresh_seeds, config.option.ladder_seed_root
    if fresh and root is not None:
        raise pytest.UsageError("--ladder-fresh-seeds draws a root, --ladder-seed-root names one; give one of the two")
    if hasattr(config, "workerinput"):
        return int(config.workerinput["ladder_seed_root"])
    if fresh:
        return 1 + secrets.randbelow(ROOTS - 1)  # root 0 is the default's
    if root is None:
        return 0
    if not (root.isdecimal() and int(root) < ROOTS):
        raise pytest.UsageError(f"--ladder-seed-root={root}: choose a number from 0 to {ROOTS - 1}")
    return int(root)


def _calibrate(config: pytest.Config) -> str | None:
    wanted: str | None = config.option.ladder_calibrate
    if wanted not in (None, "missing", "overwrite"):
        raise pytest.UsageError(f"--ladder-calibrate={wanted}: choose missing or overwrite")
    return wanted


def _ctrf(config: pytest.Config) -> Path | None:
    if not config.option.ladder_ctrf:
        return None
    target: Path = config.rootpath / config.option.ladder_ctrf
    if target in {reports_folder(config, config.option) / name for name in REPORT_FILES}:
        raise pytest.UsageError(f"--ladder-ctrf={config.option.ladder_ctrf}: that is the report; choose another file")
    return target


def _rung_files(config: pytest.Config) -> dict[int, str]:
    found: dict[int, str] = {}
    root, left_out = config.rootpath, config.getini("norecursedirs")
    patterns = config.getini("testpaths")
    # Not of Path, which takes no pattern that is absolute.
    for folder in [place for each in patterns for place in glob(each, root_dir=root, recursive=True)]:  # noqa: PTH207
        for number, name, file in rung_files(root / folder, left_out):
            found[number] = f"{name} ({(file.relative_to(root) if file.is_relative_to(root) else file).as_posix()})"
    return found
