"""Parts that the commands share: their declaration, common options, and the output of tables and JSON."""

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

UNLIMITED_WIDTH = 1000  # columns: wider than any table

Run = Callable[[argparse.Namespace, Console], int]
"""A function that runs a command and returns its exit code."""


def declare(commands: Any, name: str, what: str, example: str, run: Run, codes: str) -> argparse.ArgumentParser:
    """Declare a command with its help, an example and its exit codes; every command can print JSON.

    Args:
        commands: The subparsers of ``ladder``.
        name: The command's name.
        what: The help, a clause without a capital letter and a full stop.
        example: A command line.
        run: The function that runs the command.
        codes: The exit codes and their meanings.

    Returns:
        The command's parser, to which the command adds its own arguments.
    """
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
    """Declare the report to read, by default that of the last climb."""
    parser.add_argument(
        "report",
        nargs="?",
        type=Path,
        help=f"a ladder.json (default: the last one, {REPORT} or in the folder that pytest's setting ladder_reports names)",
    )


def add_verbose(parser: argparse.ArgumentParser) -> None:
    """Declare the option that prints a line for each item instead of a summary."""
    parser.add_argument("-v", "--verbose", action="store_true", help="print a line for each item instead of a summary")


def add_alpha(parser: argparse.ArgumentParser, what: str) -> None:
    """Declare the option that sets the chance of a false alarm."""
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
    """Print a table whose last column folds to the terminal's width; without a terminal, nothing folds."""
    for column in table.columns[:-1]:
        column.no_wrap = True
    table.columns[-1].overflow = "fold"
    if not console.is_terminal:
        console.width = UNLIMITED_WIDTH
    console.print(table, soft_wrap=False)


def print_json(console: Console, data: Any) -> None:
    """Print data as JSON for scripts, complete and without styles.

    Raises:
        ValueError: if a number is not finite: JSON has neither NaN nor infinity.
    """
    # Encodings other than Unicode would escape characters they lack, but not with JSON's escapes.
    unicode = console.encoding.startswith("utf")
    text = json.dumps(data, indent=1, allow_nan=False, ensure_ascii=not unicode)
    # Unprintable characters, which the name of a file may contain, are escaped; the JSON still denotes the same name.
    console.file.write(UNPRINTABLE.sub(lambda match: json.dumps(match[0])[1:-1], text) + "\n")
