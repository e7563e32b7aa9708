"""The command ``ladder export``, which writes a report as tables for other programs."""

import argparse
import csv
from collections.abc import Callable, Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from rich.console import Console

from ladder.cli.common import add_report, declare, print_json
from ladder.history.wording import counted
from ladder.report import recorded
from ladder.report.reading import ReportError, load
from ladder.report.schema import Document

Row = dict[str, Any]


def add(commands: Any) -> None:
    """Declare the command."""
    parser = declare(
        commands,
        "export",
        "write a report as a table, in CSV or Parquet: its curves, one row for each value, or its rungs",
        "ladder export --to curves.csv\n  ladder export reports/ladder.json --what rungs --to rungs.parquet",
        run,
        codes="0 written; 2 no report to read, or a file of another kind",
    )
    add_report(parser)
    parser.add_argument("--to", type=Path, required=True, metavar="FILE", help="the file to write, .csv or .parquet")
    parser.add_argument("--what", choices=TABLES, default="curves", help="what is written (default: curves)")


def run(options: argparse.Namespace, console: Console) -> int:
    """Write the table and return the exit code."""
    suffix = options.to.suffix.lower()
    if suffix not in WRITERS:
        raise ReportError(
            f"{options.to} ends in {suffix or 'nothing'}; choose a name that ends in {' or '.join(WRITERS)}"
        )
    rows = list(TABLES[options.what](load(options.report)))
    try:
        WRITERS[suffix](rows, options.to)
    except OSError as error:
        raise ReportError(f"{options.to} cannot be written: {error}") from None
    if options.json:
        print_json(console, {"file": str(options.to), "rows": len(rows)})
    else:
        console.print(f"wrote {options.to}: {counted(len(rows), 'row')}", markup=False)
    return 0


def curves(document: Document) -> Iterator[Row]:
    """Yield each value of each curve that a report records, with its rung, metric, seed and epoch."""
    for entry in document["rungs"]:
        for metric, curve in recorded.curves(entry).items():
            for seed, values in enumerate(curve.values.tolist()):
                for epoch, value in zip(curve.epochs, values, strict=True):
                    yield {"rung": entry["id"], "metric": metric, "seed": seed, "epoch": epoch, "value": value}


def rungs(document: Document) -> Iterator[Row]:
    """Yield each rung with its verdict and its counts."""
    for entry in document["rungs"]:
        seeds = entry["seeds"]
        yield {
            "rung": entry["id"],
            "name": entry["name"],
            "role": entry["role"],
            "verdict": entry["verdict"],
            "green": entry["green"],
            "passed": seeds["passed"] if seeds else None,
            "seeds": seeds["of"] if seeds else None,
            "parent": entry["parent"],
            "adds": entry["adds"]["component"] if entry["adds"] else None,
            "seconds": entry["seconds"]["compile"] + entry["seconds"]["run"] if entry["seconds"] else None,
        }


def _write_csv(rows: list[Row], file: Path) -> None:
    with file.open("w", newline="", encoding="utf-8") as stream:
        writer = csv.DictWriter(stream, list(rows[0]) if rows else [])
        writer.writeheader()
        writer.writerows(rows)


def _write_parquet(rows: list[Row], file: Path) -> None:
    if find_spec("pyarrow") is None:
        raise ReportError("Parquet needs pyarrow, which is not installed: pip install pyarrow, or choose a .csv file")
    import pyarrow as pa  # an optional dependency
    import pyarrow.parquet as pq

    pq.write_table(pa.Table.from_pylist(rows), file)


TABLES: dict[str, Callable[[Document], Iterator[Row]]] = {"curves": curves, "rungs": rungs}
WRITERS: dict[str, Callable[[list[Row], Path], None]] = {".csv": _write_csv, ".parquet": _write_parquet}
