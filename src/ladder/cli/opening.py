"""The command ``ladder open``, which opens a report in a browser."""

import argparse
import stat
import webbrowser
from typing import Any

from rich.console import Console

from ladder.cli.common import add_report, declare, print_json
from ladder.report.reading import ReportError
from ladder.report.text import one_line


def add(commands: Any) -> None:
    """Declare the command."""
    parser = declare(
        commands,
        "open",
        "open the HTML of a report in a browser",
        "ladder open reports/ladder.json",
        run,
        codes="0 opened, 1 no browser, 2 no report to open",
    )
    add_report(parser)


def run(options: argparse.Namespace, console: Console) -> int:
    """Open the HTML page beside the report and return the exit code."""
    page = options.report.parent / f"{options.report.stem}.html"
    if not stat.S_ISREG(page.stat().st_mode):  # if the page does not exist, the OSError names it
        raise ReportError(f"{page} is not a file")
    page = page.resolve()
    opened = webbrowser.open(page.as_uri())
    if options.json:
        print_json(console, {"page": str(page), "opened": opened})
    else:
        message = f"{'opened' if opened else 'no browser can open'} {page}"
        console.print(one_line(message), markup=False)
    return 0 if opened else 1
