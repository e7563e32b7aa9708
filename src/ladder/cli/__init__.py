"""The ``ladder`` command: a reader of reports. It trains nothing and loads no JAX.

Exit codes: 0 where all is well, 1 where something is red or has become worse, 2 where there is nothing to read or the command
line makes no sense.
"""

import argparse
import io
import os
import signal
import sys
from pathlib import Path

from rich.console import Console

from ladder.cli import compare, explain, history, listing, opening, show
from ladder.cli.project import last_report
from ladder.naming import REPORT_FILES
from ladder.report.reading import ReportError
from ladder.report.text import one_line

COMMANDS = (show, explain, listing, opening, compare, history)


class _Console(Console):
    def on_broken_pipe(self) -> None:
        """Let it pass; rich would exit with 1, which is a verdict here."""
        raise  # rich calls this while it handles the error


def command() -> int:
    """Run as a program; returns the exit code."""
    if hasattr(signal, "SIGPIPE"):
        # As any filter: an end like `| head` is no verdict. Where there is no such signal it is an error.
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
        if getattr(asked, "report", asked) is None:
            asked.report = Path(os.path.relpath(last_report(Path.cwd())))
        return int(asked.run(asked, _Console(highlight=False, soft_wrap=True)))
    except OSError as error:
        if error.filename is None:  # what was printed went nowhere
            raise
        print(one_line(f"ladder: no report to read: {error}; {_hint(Path(error.filename))}"), file=sys.stderr)
    except ReportError as error:
        print(one_line(f"ladder: {error}"), file=sys.stderr)
    return 2


def _hint(report: Path) -> str:
    """Return what to do where there is no report."""
    previous = REPORT_FILES.get(report.name)
    if previous is not None and report.with_name(previous).is_file():
        return f"the last run has none, or not yet; that of an earlier run is {report.with_name(previous)}"
    return "climb first: pytest"
