"""The command ``ladder compare``, which prints what became worse, or changed at all, between two reports."""

import argparse
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, TypeVar

from rich.console import Console
from rich.table import Table
from rich.text import Text

from ladder.cli.common import add_alpha, declare, print_json, print_table
from ladder.history.agreement import TOLERANCE, RungAgreement, SameSeeds, compare_seed_by_seed, percent
from ladder.history.compare import ReportComparison, RungComparison, compare
from ladder.history.export import comparison_as_dict, same_seeds_as_dict
from ladder.history.reports import last_climbed
from ladder.history.wording import counted, listed
from ladder.report.reading import ReportError, load

T = TypeVar("T", ReportComparison, SameSeeds)


def add(commands: Any) -> None:
    """Declare the command."""
    parser = declare(
        commands,
        "compare",
        "report what became worse between two reports, and what changed: slower to learn, broken, other curves",
        "ladder compare last-week.json reports/ladder.json\n"
        "  ladder compare --same-seeds --strict before-refactoring.json reports/ladder.json",
        run,
        codes="0 no regression, or with --same-seeds the same curves; 1 a regression or moved curves, with --strict any\n"
        "  difference but a limit's; 2 no report to read, or no rung that both have measured",
    )
    parser.add_argument("before", type=Path, help="the earlier ladder.json, or a folder of nights: each rung's last")
    parser.add_argument("after", type=Path, help="the later one")
    parser.add_argument("--all", action="store_true", help="list unchanged rungs too")
    parser.add_argument(
        "--same-seeds",
        action="store_true",
        help="compare the curves of two reports of the same seeds value by value, as after a refactoring",
    )
    parser.add_argument(
        "--tolerance",
        type=_tolerance,
        help=f"with --same-seeds, the largest relative difference that counts as rounding (default: {TOLERANCE})",
    )
    parser.add_argument(
        "--strict",
        action="store_true",
        help="exit with 1 for any difference: a changed metric or verdict, for better or worse, or a missing rung",
    )
    add_alpha(parser, "the chance, over all rungs, of a regression where nothing changed, and that of a change")


def run(options: argparse.Namespace, console: Console) -> int:
    """Print the comparison, its headline first, and return the exit code."""
    folder = options.before.is_dir()
    if options.tolerance is not None and not options.same_seeds:
        raise ReportError(f"--tolerance={options.tolerance:g} is for --same-seeds; add that, or leave it out")
    if folder and options.same_seeds:
        raise ReportError(f"{options.before} is a folder of nights; give --same-seeds the ladder.json of one climb")
    after = load(options.after)
    before = last_climbed(options.before, after) if folder else load(options.before)
    if options.same_seeds:
        agreement = compare_seed_by_seed(before, after, TOLERANCE if options.tolerance is None else options.tolerance)
        _show(options, console, agreement, same_seeds_as_dict, _print_agreement)
        moved = agreement.moved or (options.strict and agreement.differing)
        return 2 if not agreement.compared else 1 if moved else 0
    # Each rung of a folder may be of another night, with other seeds than the last.
    comparison = compare(before, after, options.alpha, same_seeds=False if folder else None)
    _show(options, console, comparison, comparison_as_dict, _print)
    worse = comparison.differing if options.strict else comparison.regressions
    return 2 if not comparison.compared else 1 if worse else 0


def _tolerance(text: str) -> float:
    try:
        tolerance = float(text)
    except ValueError:
        tolerance = -1.0
    if not 0.0 <= tolerance < 1.0:
        raise argparse.ArgumentTypeError(
            f"{text!r}: choose a relative difference of at least 0 and below 1, such as {TOLERANCE}"
        )
    return tolerance


def _show(
    options: argparse.Namespace,
    console: Console,
    comparison: T,
    as_dict: Callable[[T], dict[str, Any]],
    print_text: Callable[..., None],
) -> None:
    """Print a comparison as JSON or as text; of JSON, a headline that nothing was compared goes to standard error."""
    if options.json:
        print_json(console, as_dict(comparison))
        if not comparison.compared:
            print(f"ladder: {comparison.headline}", file=sys.stderr)
    else:
        print_text(comparison, console, options)


def _print_agreement(comparison: SameSeeds, console: Console, options: argparse.Namespace) -> None:
    _print_head(comparison, console, options, good=bool(comparison.compared and not comparison.moved))
    console.print(
        f"tolerance: {percent(comparison.tolerance)} of a value; smaller differences are rounding, amplified by training"
    )
    rows = [
        row for row in comparison.rows if options.all or row.moved or row.note or row in comparison.verdicts_changed
    ]
    _print_table(console, [(row, [row.description], bool(row.moved)) for row in rows])
    if unchanged := len(comparison.rows) - len(rows):
        console.print(f"{counted(unchanged)} the same")


def _print_head(
    comparison: ReportComparison | SameSeeds, console: Console, options: argparse.Namespace, *, good: bool
) -> None:
    console.print(Text(comparison.headline, style="bold green" if good else "bold red"))
    if options.strict and comparison.differing:
        differing = listed([row.id for row in comparison.differing])
        console.print(Text(f"--strict: not the same in {differing}", style="bold red"))
    for which, report in (("A", comparison.before), ("B", comparison.after)):
        console.print(
            f"{which}: {report['created']}, commit {report['commit'] or 'unknown'}, seed root {report['root']}"
        )


def _print_table(console: Console, rows: Sequence[tuple[RungComparison | RungAgreement, Sequence[str], bool]]) -> None:
    """Print a line for each rung: its verdicts, its description, and whether it is red."""
    if rows:
        table = Table("rung", "A", "B", "", box=None, header_style="bold", pad_edge=False)
        for row, description, red in rows:
            style = "red" if red else ""
            cells = (row.id, row.before or "", row.after or "", "\n".join(description))
            table.add_row(*(Text(cell, style=style) for cell in cells))
        print_table(console, table)


def _print(comparison: ReportComparison, console: Console, options: argparse.Namespace) -> None:
    _print_head(comparison, console, options, good=bool(comparison.compared and not comparison.regressions))
    both = [row for row in comparison.rows if row.before and row.after]
    shown = [row for row in both if row.descriptions or options.all]
    _print_table(console, [(row, row.descriptions or ["unchanged"], bool(row.regressions)) for row in shown])
    for which, rows in (
        ("A", [row for row in comparison.rows if row.after is None]),
        ("B", [r for r in comparison.rows if not r.before]),
    ):
        if rows:
            console.print(Text(f"only in {which}: {', '.join(row.id for row in rows)}"))
    if untested := [row.id for row in both if row.untested]:
        console.print(
            Text(f"not everything is recorded in both, so it was not tested (see --json): {', '.join(untested)}")
        )
    if unchanged := len(both) - len(shown):
        console.print(f"{counted(unchanged)} unchanged")
