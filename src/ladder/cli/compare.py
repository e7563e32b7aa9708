"""The command ``ladder compare``, which says what became worse between two reports."""

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from ladder.cli.common import add_alpha, declare, print_json, print_table
from ladder.report.reading import load

if TYPE_CHECKING:
    from ladder.history.compare import ReportComparison


def add(commands: Any) -> None:
    """Declare the command."""
    parser = declare(
        commands,
        "compare",
        "say what became worse between two reports: slower to learn, broken, another effect",
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
    from ladder.history.compare import compare  # here, because SciPy's statistics take a second to load
    from ladder.history.series import last_climbed

    after = load(options.after)
    before = last_climbed(options.before, after) if options.before.is_dir() else load(options.before)
    diff = compare(before, after, options.alpha)
    if options.json:
        print_json(console, diff.as_dict())
    else:
        _print(diff, console, everything=options.all)
    if not diff.compared and options.json:
        print(f"ladder: {diff.headline}", file=sys.stderr)
    return 1 if diff.regressions else 0 if diff.compared else 2


def _print(diff: "ReportComparison", console: Console, *, everything: bool) -> None:
    from ladder.history.compare import counted  # here for the same reason

    good = bool(diff.compared and not diff.regressions)
    console.print(Text(diff.headline, style="bold green" if good else "bold red"))
    for which, report in (("A", diff.before), ("B", diff.after)):
        console.print(
            f"{which}: {report['created']}, commit {report['commit'] or 'unknown'}, seed root {report['root']}"
        )
    both = [row for row in diff.rows if row.before and row.after]
    listed = [row for row in both if row.told or everything]
    if listed:
        table = Table("rung", "A", "B", "", box=None, header_style="bold", pad_edge=False)
        for row in listed:
            style = "red" if row.worse else ""
            description = "\n".join(row.told) or "unchanged"
            table.add_row(
                *(Text(cell, style=style) for cell in (row.id, row.before or "", row.after or "", description))
            )
        print_table(console, table)
    for which, rows in (
        ("A", [row for row in diff.rows if row.after is None]),
        ("B", [r for r in diff.rows if not r.before]),
    ):
        if rows:
            console.print(Text(f"only in {which}: {', '.join(row.id for row in rows)}"))
    if untested := [row.id for row in both if row.untold]:
        console.print(Text(f"not all is told in both, so not all was tested (--json has what): {', '.join(untested)}"))
    if unchanged := len(both) - len(listed):
        console.print(f"{counted(unchanged)} unchanged")
