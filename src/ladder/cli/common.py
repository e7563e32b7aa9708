"""What the commands share: how one is declared, and how it prints JSON."""

import argparse
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from rich.console import Console

REPORT = Path("reports/ladder.json")
"""The last climb's report, where nobody says otherwise."""

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
    parser.add_argument("report", nargs="?", type=Path, default=REPORT, help=f"a ladder.json (default: {REPORT})")


def print_json(console: Console, found: Any) -> None:
    """For scripts: plain, whole, and without what JSON has no number for."""
    console.file.write(json.dumps(found, indent=1, allow_nan=False, ensure_ascii=False) + "\n")
