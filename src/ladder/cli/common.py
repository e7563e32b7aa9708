"""What the commands share: how one is declared, and how it prints JSON."""

import argparse
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from ladder.cli.project import REPORT
from ladder.history import ALPHA
from ladder.report.text import UNPRINTABLE

UNFOLDED = 1000  # columns, of which nobody has so many

Run = Callable[[argparse.Namespace, Console], int]
"""What a command does, and its exit code."""


def declare(commands: Any, name: str, what: str, example: str, run: Run, codes: str) -> argparse.ArgumentParser:
    """A command with its help, an example and its exit codes; all of them can print JSON."""
    parser: argparse.ArgumentParser = commands.add_parser(
        name,
        help=what,
        description=f"{what[:1].upper()}{what[1:]}.",
        epilog=f"example:\n  {example}\n\nexit codes:\n  {codes}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--json", action="store_true", help="print JSON, for scripts")
    parser.set_defaults(run=run)
    return parser


def add_report(parser: argparse.ArgumentParser) -> None:
    """The report to read, the last climb's by default."""
    parser.add_argument(
        "report",
        nargs="?",
        type=Path,
        help=f"a ladder.json (default: that of the last climb here, {REPORT} or where pytest's settings have ladder_reports)",
    )


def add_verbose(parser: argparse.ArgumentParser) -> None:
    """Declare the option that prints what is summed up otherwise."""
    parser.add_argument("-v", "--verbose", action="store_true", help="a line for each, however many there are")


def add_alpha(parser: argparse.ArgumentParser, what: str) -> None:
    """How often to be wrong."""
    parser.add_argument("--alpha", type=_probability, default=ALPHA, help=f"{what} (default: {ALPHA})")


def _probability(text: str) -> float:
    try:
        alpha = float(text)
    except ValueError:
        alpha = 0.0
    if not 0.0 < alpha < 1.0:
        raise argparse.ArgumentTypeError(f"{text!r}: choose a probability between 0 and 1")
    return alpha


def print_table(console: Console, table: Table) -> None:
    """Its last column folds to the terminal's width; where there is no terminal, nothing folds."""
    for column in table.columns[:-1]:
        column.no_wrap = True
    table.columns[-1].overflow = "fold"
    if not console.is_terminal:
        console.width = UNFOLDED
    console.print(table, soft_wrap=False)


def print_json(console: Console, found: Any) -> None:
    """For scripts: plain, whole, and without what JSON has no number for."""
    unicode = console.encoding.startswith("utf")  # elsewhere what is missing would be escaped, and not as JSON does it
    told = json.dumps(found, indent=1, allow_nan=False, ensure_ascii=not unicode)
    # The name of a file may have anything in it: as an escape it is the same name.
    console.file.write(UNPRINTABLE.sub(lambda odd: json.dumps(odd[0])[1:-1], told) + "\n")
