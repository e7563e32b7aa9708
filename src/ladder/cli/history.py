"""The command ``ladder history``, which prints the changes of every rung over many reports."""

import argparse
import math
import sys
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from ladder.cli.common import add_alpha, declare, print_json, print_table
from ladder.files import write_atomically
from ladder.history import description
from ladder.history.drawing import svg
from ladder.history.export import history_as_dict
from ladder.history.history import History, read
from ladder.history.series import RungRecord, Series
from ladder.report.text import WIDTH, seeds, sparkline

GLYPHS = {"PASS": "●", "FAIL": "○", "UNDECIDED": "◐", "BLOCKED": "·", "CRASHED": "×", "TIMED OUT": "×"}
LEGEND = "● PASS  ○ FAIL  ◐ UNDECIDED  × CRASHED or TIMED OUT  · BLOCKED or not recorded; green is as it should be"


def add(commands: Any) -> None:
    """Declare the command."""
    parser = declare(
        commands,
        "history",
        "report the changes of every rung over a folder of reports: its steps and trends",
        "ladder history reports/nights --svg history.svg",
        run,
        codes="0 nothing became worse for good, 1 something did, 2 no report to read",
    )
    parser.add_argument("folder", type=Path, help="a folder of reports, or of a folder for each night")
    parser.add_argument("--svg", type=Path, metavar="FILE", help="draw it")
    add_alpha(parser, "the chance of reporting a step or trend where nothing changed, over all rungs")


def run(options: argparse.Namespace, console: Console) -> int:
    """Print the history, its headline first, and return the exit code."""
    history = read(options.folder, options.alpha)
    if options.svg is not None:
        try:
            write_atomically(options.svg, svg(history))
        except OSError as error:
            print(f"ladder: {options.svg} cannot be written: {error}", file=sys.stderr)
            return 2
    if options.json:
        print_json(console, history_as_dict(history))
    else:
        _print(history, console)
    return 1 if history.worse else 0


def _print(history: History, console: Console) -> None:
    console.print(Text(description.headline(history), style="bold red" if history.worse else "bold green"))
    for note in description.notes(history):
        console.print(Text(note, style="yellow"))
    table = Table("rung", "verdicts", "last", "", "epoch", box=None, header_style="bold", pad_edge=False)
    longest = max(len(series.id) + len(_latest(series)) for series in history.series)
    # 14 characters: the seeds, and the gaps between the columns.
    columns = (console.width - longest - 14) // 2 if console.is_terminal else WIDTH
    for series in history.series:
        style = "red" if series.worse else "dim" if series.missing else ""
        table.add_row(Text(series.id, style=style), *_cells(series, max(5, min(WIDTH, columns))))
    print_table(console, table)
    console.print(Text(LEGEND, style="dim"))
    for series in history.series:
        worse = description.regressions(series)
        for change in description.descriptions(series) if not series.missing else ():
            console.print(Text(f"{series.id}: {change}", style="red" if change in worse else ""))
    if missing := [series.id for series in history.series if series.missing]:
        console.print(Text(f"not climbed in the last nightly run: {', '.join(missing)}"))


def _cells(series: Series, most: int) -> list[Text]:
    """Return the cells of a row: the latest verdicts, the last count of seeds, a sparkline of medians and the last."""
    strip = Text()
    for record in series.records[-most:]:
        strip.append(*_glyph(record))
    quantity = series.main_quantity
    levels = series.levels(quantity)[-most:] if quantity else []
    bars = "".join("·" if math.isnan(value) else bar for value, bar in zip(levels, sparkline(levels), strict=True))
    return [strip, Text(seeds(series.records[-1].entry)), Text(bars), Text(_latest(series))]


def _latest(series: Series) -> str:
    """Return the last median, with its quantity unless that is epochs to target."""
    return description.latest(series).removeprefix("epochs to target: ")


def _glyph(record: RungRecord) -> tuple[str, str]:
    return GLYPHS[record.entry["verdict"]], "green" if record.entry["green"] else "red"
