"""The command ``ladder history``, which says what became of every rung over many reports."""

import argparse
import math
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from ladder.cli.common import add_alpha, declare, print_json, print_table
from ladder.files import write_atomically
from ladder.report.text import WIDTH, seeds, sparkline

if TYPE_CHECKING:
    from ladder.history.series import History, RungRecord, Series

GLYPHS = {"PASS": "●", "FAIL": "○", "UNDECIDED": "◐", "BLOCKED": "·", "CRASHED": "×", "TIMED OUT": "×"}
LEGEND = "● PASS  ○ FAIL  ◐ UNDECIDED  × CRASHED or TIMED OUT  · BLOCKED or not told; green is as it should be"


def add(commands: Any) -> None:
    """Declare the command."""
    parser = declare(
        commands,
        "history",
        "say what became of every rung over a folder of reports: where it stepped, where it drifts",
        "ladder history reports/nights --svg history.svg",
        run,
        codes="0 nothing became worse for good, 1 something did, 2 no report to read",
    )
    parser.add_argument("folder", type=Path, help="a folder of reports, or of a folder for each night")
    parser.add_argument("--svg", type=Path, metavar="FILE", help="draw it")
    add_alpha(parser, "the chance of telling of a step or trend where nothing changed, over all rungs")


def run(options: argparse.Namespace, console: Console) -> int:
    """Print the history, its headline first, and return the exit code."""
    from ladder.history.drawing import svg  # here, because SciPy's statistics take a second to load
    from ladder.history.series import read

    history = read(options.folder, options.alpha)
    if options.svg is not None:
        try:
            write_atomically(options.svg, svg(history))
        except OSError as error:
            print(f"ladder: {options.svg} cannot be written: {error}", file=sys.stderr)
            return 2
    if options.json:
        print_json(console, history.as_dict())
    else:
        _print(history, console)
    return 1 if history.worse else 0


def _print(history: "History", console: Console) -> None:
    console.print(Text(history.headline, style="bold red" if history.worse else "bold green"))
    for note in history.notes:
        console.print(Text(note, style="yellow"))
    table = Table("rung", "verdicts", "last", "", "epoch", box=None, header_style="bold", pad_edge=False)
    longest = max(len(series.id) + len(_latest(series)) for series in history.series)
    # 14 characters: the seeds, and the gaps between the columns.
    columns = (console.width - longest - 14) // 2 if console.is_terminal else WIDTH
    for series in history.series:
        style = "red" if series.worse else "dim" if series.gone else ""
        table.add_row(Text(series.id, style=style), *_cells(series, max(5, min(WIDTH, columns))))
    print_table(console, table)
    console.print(Text(LEGEND, style="dim"))
    for series in history.series:
        for description in series.told if not series.gone else ():
            console.print(Text(f"{series.id}: {description}", style="red" if description in series.worse else ""))
    if gone := [series.id for series in history.series if series.gone]:
        console.print(Text(f"not climbed in the last night: {', '.join(gone)}"))


def _cells(series: "Series", most: int) -> list[Text]:
    """Return the cells of a row: the latest verdicts, the last count of seeds, a sparkline of medians and the last."""
    strip = Text()
    for record in series.nights[-most:]:
        strip.append(*_glyph(record))
    levels = series.levels(series.shown)[-most:] if series.shown else []
    bars = "".join("·" if math.isnan(value) else bar for value, bar in zip(levels, sparkline(levels), strict=True))
    return [strip, Text(seeds(series.nights[-1].entry)), Text(bars), Text(_latest(series))]


def _latest(series: "Series") -> str:
    """Return the last median, with its quantity unless that is epochs to target."""
    return series.latest.removeprefix("epochs to target: ")


def _glyph(record: "RungRecord") -> tuple[str, str]:
    return GLYPHS[record.entry["verdict"]], "green" if record.entry["green"] else "red"
