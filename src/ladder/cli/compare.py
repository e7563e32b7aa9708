"""The command ``ladder compare``, which prints what became worse between two reports."""

import argparse
import sys
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from ladder.cli.common import add_alpha, declare, print_json, print_table
from ladder.history.compare import ReportComparison, compare, counted
from ladder.history.export import comparison_as_dict
from ladder.history.reports import last_climbed
from ladder.report.reading import load


def add(commands: Any) -> None:
    """Declare the command."""
    parser = declare(
        commands,
        "compare",
        "report what became worse between two reports: slower to learn, broken, another effect",
        "ladder compare last-week.json reports/ladder.json",
        run,
        codes="0 no regression, 1 a regression, 2 no report to read or no rung that both have measured",
    )
    parser.add_argument("before", type=Path, help="the earlier ladder.json, or a folder of nights: each rung's last")
    parser.add_argument("after", type=Path, help="the later one")
    parser.add_argument("--all", action="store_true", help="list unchanged rungs too")
    add_alpha(parser, "the chance of a regression where nothing changed, over all rungs")


def run(options: argparse.Namespace, console: Console) -> int:
    """Print the comparison, its headline first, and return the exit code."""
    after = load(options.after)
    before = last_climbed(options.before, after) if options.before.is_dir() else load(options.before)
    comparison = compare(before, after, options.alpha)
    if options.json:
        print_json(console, comparison_as_dict(comparison))
    else:
        _print(comparison, console, everything=options.all)
    if not comparison.compared and options.json:
        print(f"ladder: {comparison.headline}", file=sys.stderr)
    return 1 if comparison.regressions else 0 if comparison.compared else 2


def _print(comparison: ReportComparison, console: Console, *, everything: bool) -> None:
    good = bool(comparison.compared and not comparison.regressions)
    console.print(Text(comparison.headline, style="bold green" if good else "bold red"))
    for which, report in (("A", comparison.before), ("B", comparison.after)):
        console.print(
            f"{which}: {report['created']}, commit {report['commit'] or 'unknown'}, seed root {report['root']}"
        )
    both = [row for row in comparison.rows if row.before and row.after]
    listed = [row for row in both if row.descriptions or everything]
    if listed:
        table = Table("rung", "A", "B", "", box=None, header_style="bold", pad_edge=False)
        for row in listed:
            style = "red" if row.regressions else ""
            description = "\n".join(row.descriptions) or "unchanged"
            table.add_row(
                *(Text(cell, style=style) for cell in (row.id, row.before or "", row.after or "", description))
            )
        print_table(console, table)
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
    if unchanged := len(both) - len(listed):
        console.print(f"{counted(unchanged)} unchanged")
