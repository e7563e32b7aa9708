"""The ``ladder`` command: a reader of reports. It trains nothing and loads no JAX.

Exit codes: 0 where all is well, 1 where something is red or has become worse, 2 where there is nothing to read or the command
line makes no sense.
"""

import argparse
import sys

from rich.console import Console

from ladder.cli import compare, explain, history, listing, opening, show
from ladder.report.reading import ReportError

COMMANDS = (show, explain, listing, opening, compare, history)


def main(arguments: list[str] | None = None) -> int:
    """Run the command; returns its exit code."""
    parser = argparse.ArgumentParser(prog="ladder", description="Read the reports of an ablation ladder.")
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    for command in COMMANDS:
        command.add(commands)
    asked = parser.parse_args(arguments)
    try:
        return int(asked.run(asked, Console(highlight=False, soft_wrap=True)))
    except OSError as error:
        print(f"ladder: no report to read: {error}; climb first: pytest tests/ladder", file=sys.stderr)
    except ReportError as error:
        print(f"ladder: {error}", file=sys.stderr)
    return 2
