"""The ``ladder`` command, which reads reports. It trains nothing and does not import JAX.

Exit codes: 0 if everything is green, 1 if something is red or became worse, 2 if there is no report to read or the command line
is invalid.
"""

import argparse
import io
import os
import signal
import sys
from pathlib import Path

from rich.console import Console

from ladder.cli import compare, explain, exporting, history, listing, opening, show
from ladder.cli.project import last_report
from ladder.naming import REPORT_FILES
from ladder.report.reading import ReportError
from ladder.report.text import one_line

COMMANDS = (show, explain, listing, opening, compare, history, exporting)


class _Console(Console):
    def on_broken_pipe(self) -> None:
        """Raise the error again: rich would exit with 1, which is a verdict here."""
        raise  # rich calls this in its except block


def command() -> int:
    """Run the command as a program and return its exit code."""
    if hasattr(signal, "SIGPIPE"):
        # Like any filter, end silently when the reader closes the pipe (`head`). Without SIGPIPE a closed pipe is an OSError.
        signal.signal(signal.SIGPIPE, signal.SIG_DFL)
    if isinstance(sys.stdout, io.TextIOWrapper):
        # A terminal that cannot encode sparklines still prints the words.
        sys.stdout.reconfigure(errors="backslashreplace")
    try:
        code = main()
        sys.stdout.flush()  # flushed here, where a failure can still be reported
        return code
    except OSError as error:
        print(f"ladder: cannot print the output: {error}", file=sys.stderr)
        # Otherwise flushing the rest of the buffer at exit raises the error again.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 2


def main(arguments: list[str] | None = None) -> int:
    """Run the command and return its exit code.

    Raises:
        OSError: if the output cannot be written.
    """
    parser = argparse.ArgumentParser(prog="ladder", description="Read the reports of an ablation ladder.")
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    for command in COMMANDS:
        command.add(commands)
    options = parser.parse_args(arguments)
    try:
        if getattr(options, "report", options) is None:
            options.report = Path(os.path.relpath(last_report(Path.cwd())))
        return int(options.run(options, _Console(highlight=False, soft_wrap=True)))
    except OSError as error:
        if error.filename is None:  # the output could not be written
            raise
        print(one_line(f"ladder: cannot read a report: {error}; {_hint(Path(error.filename))}"), file=sys.stderr)
    except ReportError as error:
        print(one_line(f"ladder: {error}"), file=sys.stderr)
    return 2


def _hint(report: Path) -> str:
    """Return a hint on what to do if a report does not exist."""
    previous = REPORT_FILES.get(report.name)
    if previous is not None and report.with_name(previous).is_file():
        return f"the last run has not written one; the report of an earlier run is {report.with_name(previous)}"
    return "run pytest first"
