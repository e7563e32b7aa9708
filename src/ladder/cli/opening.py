"""``ladder open``: the report in a browser."""

import argparse
import webbrowser
from typing import Any

from rich.console import Console

from ladder.cli.common import add_report, declare, print_json


def add(commands: Any) -> None:
    """Declare the command."""
    parser = declare(
        commands,
        "open",
        "open the HTML of a report in a browser",
        "ladder open reports/ladder.json",
        run,
        codes="0 opened, 1 there is no browser, 2 no report to open",
    )
    add_report(parser)


def run(asked: argparse.Namespace, console: Console) -> int:
    """Open the page that lies beside the report."""
    page = asked.report.parent / f"{asked.report.stem}.html"
    page.stat()  # where there is none the error names it
    page = page.resolve()
    opened = webbrowser.open(page.as_uri())
    if asked.json:
        print_json(console, {"page": str(page), "opened": opened})
    else:
        console.print(f"{'opened' if opened else 'there is no browser to open it with:'} {page}", markup=False)
    return 0 if opened else 1
