"""The command ``ladder show``, which prints the ladder of a report."""

import argparse
from typing import Any

from rich.console import Console
from rich.text import Text

from ladder.cli.common import add_report, add_verbose, declare, print_json
from ladder.report.reading import load
from ladder.report.terminal import lines
from ladder.report.text import headline, is_green


def add(commands: Any) -> None:
    """Declare the command."""
    parser = declare(
        commands,
        "show",
        "print the ladder of a report",
        "ladder show reports/ladder.json",
        run,
        codes="0 all green, 1 something red or interrupted, 2 no report to read",
    )
    add_report(parser)
    add_verbose(parser)


def run(options: argparse.Namespace, console: Console) -> int:
    """Print the ladder, its headline first, and return the exit code."""
    document = load(options.report)
    if options.json:
        print_json(console, document)
    else:
        console.print(Text(headline(document), style="bold green" if is_green(document) else "bold red"))
        for line, markup in lines(document, options.verbose):
            console.print(Text(line, style=" ".join(name for name, on in markup.items() if on)))
    return 0 if is_green(document) else 1
