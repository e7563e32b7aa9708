"""The ``ladder`` command: a reader of reports."""

import argparse
import json
import sys
from pathlib import Path

from ladder.report.terminal import lines


def main(arguments: list[str] | None = None) -> int:
    """Run the command; 0 if all is green, 1 if something is red, 2 if there is no report to read."""
    parser = argparse.ArgumentParser(prog="ladder", description="Read the reports of an ablation ladder.")
    commands = parser.add_subparsers(dest="command", required=True)
    show = commands.add_parser(
        "show", help="print the ladder of a report", epilog="example: ladder show reports/ladder.json"
    )
    show.add_argument("report", nargs="?", type=Path, default=Path("reports/ladder.json"))
    return _show(parser.parse_args(arguments).report)


def _show(report: Path) -> int:
    try:
        document = json.loads(report.read_text(encoding="utf-8"))
    except OSError as error:
        print(f"ladder: no report to read: {error}; climb first: pytest tests/ladder", file=sys.stderr)
        return 2
    except ValueError as error:
        print(f"ladder: {report} is no report: {error}", file=sys.stderr)
        return 2
    if not isinstance(document, dict) or not str(document.get("schema", "")).startswith("1."):
        print(f"ladder: {report} is no report of schema 1; climb again: pytest tests/ladder", file=sys.stderr)
        return 2
    for line, _ in lines(document):
        print(line)
    return 0 if document["complete"] and all(rung["green"] for rung in document["rungs"]) else 1
