"""``ladder list``: the ladders and rungs that can be found."""

import argparse
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.text import Text

from ladder.cli.common import declare, print_json
from ladder.plugin.search import rung_files, visible
from ladder.report import text
from ladder.report.reading import ReportError, load


def add(commands: Any) -> None:
    """Declare the command."""
    parser = declare(
        commands,
        "list",
        "list the files of rungs and the reports below a folder",
        "ladder list .",
        run,
        codes="0 found some, 2 there are none",
    )
    parser.add_argument("folder", nargs="?", type=Path, default=Path(), help="where to look (default: here)")


def run(asked: argparse.Namespace, console: Console) -> int:
    """Print them: files by number, then each report with its rungs."""
    files = [
        {"number": number, "name": name, "file": str(file.relative_to(asked.folder))}
        for number, name, file in rung_files(asked.folder)
    ]
    reports, trouble = [], []
    for path in visible(asked.folder, "ladder.json"):
        try:
            document = load(path)
        except (OSError, ReportError) as error:
            trouble.append(text.one_line(str(error)))
            continue
        rungs = [{name: entry[name] for name in ("id", "name", "verdict", "green")} for entry in document["rungs"]]
        reports.append(
            {
                "report": str(path.relative_to(asked.folder)),
                "created": document["created"],
                "headline": text.headline(document),
                "rungs": rungs,
            }
        )
    if asked.json:
        print_json(console, {"files": files, "reports": reports, "trouble": trouble})
    else:
        for each in files:
            told = text.one_line(f"  {each['name']}  ({each['file']})")
            console.print(Text.assemble((f"rung{each['number']}", "bold"), told))
        for report in reports:
            console.print(
                Text.assemble((text.one_line(report["report"]), "bold"), f"  {report['created']}  {report['headline']}")
            )
            console.print(Text.assemble("  ", *_ids(report["rungs"])))
        for problem in trouble:
            console.print(Text(problem, style="yellow"))
    if not files and not reports:
        raise ReportError(f"{asked.folder} has no rungs and no reports: look elsewhere, or climb: pytest tests/ladder")
    return 0


def _ids(rungs: list[dict[str, Any]]) -> list[tuple[str, str]]:
    """The ids, one after another, each in the colour of its verdict."""
    return [(f"{rung['id']} ", "green" if rung["green"] else "red") for rung in rungs]
