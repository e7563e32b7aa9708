"""The command ``ladder list``, which lists the files of rungs and the reports below a folder."""

import argparse
import math
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.text import Text

from ladder.cli.common import add_verbose, declare, print_json
from ladder.naming import find_files, rung_files
from ladder.report import text
from ladder.report.reading import ReportError, load
from ladder.report.terminal import GLANCE


def add(commands: Any) -> None:
    """Declare the command."""
    parser = declare(
        commands,
        "list",
        "list the files of rungs and the reports below a folder",
        "ladder list .",
        run,
        codes="0 there are files or reports, 2 there are none",
    )
    parser.add_argument("folder", nargs="?", type=Path, default=Path(), help="where to look (default: here)")
    add_verbose(parser)


def run(options: argparse.Namespace, console: Console) -> int:
    """Print the files by number, then each report with its rungs, and return the exit code."""
    files = [
        {"number": number, "name": name, "file": file.relative_to(options.folder).as_posix()}
        for number, name, file in rung_files(options.folder)
    ]
    reports, problems = [], []
    for path in find_files(options.folder, "ladder.json"):
        try:
            document = load(path)
        except (OSError, ReportError) as error:
            problems.append(text.one_line(str(error)))
            continue
        rungs = [{name: entry[name] for name in ("id", "name", "verdict", "green")} for entry in document["rungs"]]
        reports.append(
            {
                "report": path.relative_to(options.folder).as_posix(),
                "created": document["created"],
                "headline": text.headline(document),
                "green": text.is_green(document),
                "rungs": rungs,
            }
        )
    if options.json:
        print_json(console, {"files": files, "reports": reports, "trouble": problems})
    else:
        most = math.inf if options.verbose else GLANCE
        _print_files(files, console, most)
        _print_reports(reports, console, most)
        for problem in problems:
            console.print(Text(problem, style="yellow"))
    if not files and not reports:
        raise ReportError(f"{options.folder} has no rungs and no reports; choose another folder, or run pytest first")
    return 0


def _print_files(files: list[dict[str, Any]], console: Console, most: float) -> None:
    """Print a line for each file, or for each folder if there are more than ``most`` files."""
    if len(files) <= most:
        for each in files:
            console.print(
                Text.assemble((f"rung{each['number']}", "bold"), text.one_line(f"  {each['name']}  ({each['file']})"))
            )
        return
    folders: dict[str, list[str]] = {}
    for each in files:
        folders.setdefault(str(Path(each["file"]).parent), []).append(f"rung{each['number']}")
    for folder, ids in folders.items():
        console.print(
            Text.assemble((f"rungs {text.numbers(ids)}", "bold"), text.one_line(f"  {len(ids)} files in {folder}"))
        )


def _print_reports(reports: list[dict[str, Any]], console: Console, most: float) -> None:
    """Print each report with the ids of its rungs.

    If there are more than ``most`` reports, the green ones are only counted; if a report has more rungs, its rungs are.
    """
    summarised = [report for report in reports if report["green"]] if len(reports) > most else []
    for report in reports:
        if report in summarised:
            continue
        console.print(
            Text.assemble((text.one_line(report["report"]), "bold"), f"  {report['created']}  {report['headline']}")
        )
        rungs = report["rungs"]
        console.print(Text.assemble("  ", *_ids(rungs)) if len(rungs) <= most else f"  {_counted(rungs)}")
    if summarised:
        dates = sorted(report["created"][:10] for report in summarised)
        summary = f"{len(summarised)} reports ALL GREEN, of {' to '.join(dict.fromkeys((dates[0], dates[-1])))}"
        console.print(Text(summary, style="green"))


def _ids(rungs: list[dict[str, Any]]) -> list[tuple[str, str]]:
    """Return the ids, each in the colour of its verdict."""
    return [(f"{rung['id']} ", "green" if rung["green"] else "red") for rung in rungs]


def _counted(rungs: list[dict[str, Any]]) -> str:
    """Return the number of rungs, and of red ones, which the headline names."""
    red = sum(not rung["green"] for rung in rungs)
    return f"{text.who([rung['id'] for rung in rungs])}, {red or 'none'} red"
