"""The ``ladder`` command: a reader of reports. It trains nothing and loads no JAX.

Exit codes: 0 where all is well, 1 where something is red or has become worse, 2 where there is nothing to read or the command
line makes no sense.
"""

import argparse
import io
import os
import signal
import sys

from rich.console import Console

from ladder.cli import compare, explain, history, listing, opening, show
from ladder.report.reading import ReportError
from ladder.report.text import one_line

COMMANDS = (show, explain, listing, opening, compare, history)


def command() -> int:
    """Run as a program; returns the exit code."""
    if hasattr(signal, "SIGPIPE"):
        # As any filter: an end like `| head` is no verdict. Python would have it an error, and rich an exit code of 1.
        signal.signal(signal.SIGPIPE, signal.SIG_DFL)
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")  # a terminal that has no sparklines has the words still
    try:
        code = main()
        sys.stdout.flush()  # here, where it can still be told that it was not printed
        return code
    except OSError as error:
        print(f"ladder: it could not be printed: {error}", file=sys.stderr)
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # else what is left fails again at the very end
        return 2


def main(arguments: list[str] | None = None) -> int:
    """Run the command; returns its exit code.

    Raises:
        OSError: if what is printed cannot be written.
    """
    parser = argparse.ArgumentParser(prog="ladder", description="Read the reports of an ablation ladder.")
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    for command in COMMANDS:
        command.add(commands)
    asked = parser.parse_args(arguments)
    try:
        return int(asked.run(asked, Console(highlight=False, soft_wrap=True)))
    except OSError as error:
        if error.filename is None:  # what was printed went nowhere
            raise
        print(one_line(f"ladder: no report to read: {error}; climb first: pytest tests/ladder"), file=sys.stderr)
    except ReportError as error:
        print(one_line(f"ladder: {error}"), file=sys.stderr)
    return 2
