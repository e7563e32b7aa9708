"""The command ``ladder explain``, which prints everything that a report has on a rung."""

import argparse
from typing import Any

from rich.console import Console
from rich.text import Text

from ladder.cli.common import add_report, declare, print_json
from ladder.declare.verdict import Verdict
from ladder.naming import decode_id
from ladder.report import text
from ladder.report.reading import ReportError, load
from ladder.report.schema import Condition, Document, Entry, Unjudged

STYLE = {Verdict.PASS: "green", Verdict.FAIL: "red"}


def add(commands: Any) -> None:
    """Declare the command."""
    parser = declare(
        commands,
        "explain",
        "print what a rung adds, its conditions with their sources, and its result",
        "ladder explain 'rung3[mse]'",
        run,
        codes="0 green, 1 red, 2 no such rung, or no report to read",
    )
    parser.add_argument("rung", type=decode_id, help="an id such as rung3[mse], or rung3 for all with that number")
    add_report(parser)


def run(options: argparse.Namespace, console: Console) -> int:
    """Print the requested rungs in climbing order and return the exit code."""
    document = load(options.report)
    entries = _select(document, options.rung)
    if not entries:
        available = ", ".join(entry["id"] for entry in document["rungs"])
        raise ReportError(f"{options.report}: unknown {options.rung}; known rungs: {available}")
    if options.json:
        print_json(console, entries)
    else:
        for entry in entries:
            _explain(entry, console)
    return 0 if all(entry["green"] for entry in entries) else 1


def _select(document: Document, rung: str) -> list[Entry]:
    """Return the rung with this id, or all rungs with this number; ``rung9@small`` selects those of that scale."""
    number, _, scale = rung.partition("@")
    return [
        entry
        for entry in document["rungs"]
        if rung in (entry["id"], entry["id"].partition("/")[2])
        or (f"rung{entry['number']}" == number and (scale == entry["scale"] or not scale))
    ]


def _explain(entry: Entry, console: Console) -> None:
    style = "bold green" if entry["green"] else "bold red"
    console.print(Text(f"{entry['id']}: {entry['name']}", style=style))
    verdict = text.verdict_and_seeds(entry)
    fields = [
        ("claim", entry["claim"]),
        (
            "adds",
            f"{text.changed_components(entry)}, to {entry['parent']}"
            if entry["adds"]
            else "nothing: a root of the ladder",
        ),
        ("control", entry["control"]),
        ("requires", ", ".join(entry["requires"])),
        ("verdict", f"{verdict}, blocked by {', '.join(entry['blocked_by'])}" if entry["blocked_by"] else verdict),
    ]
    _print(fields, console)
    for kind, conditions in (("gate", entry["gates"]), ("goal", entry["goals"])):
        for condition in conditions:
            _print_condition(kind, condition, console)
    for unjudged in entry["asks"]:
        _line(unjudged["kind"], Text(unjudged["text"]), unjudged, console)
    fields = [
        *(
            (
                "effect",
                f"{e['metric']} against {e['against']}: {text.median_and_range(e)}; lower in {text.lower(e)}; "
                f"published: {e['published'] or 'no'}",
            )
            for e in entry["effects"]
        ),
        *(("why", finding) for finding in text.findings(entry)),
        *(("note", remark) for remark in text.remarks(entry)),
        ("repeat", entry["repeat"]),
    ]
    _print(fields, console)
    console.print()


def _print(fields: list[tuple[str, str]], console: Console) -> None:
    """Print a labelled line for each field that is not empty."""
    for name, value in fields:
        if value:
            console.print(Text.assemble((f"{name:>8}  ", "dim"), value))


def _print_condition(kind: str, condition: Condition, console: Console) -> None:
    """Print a condition and its result, and below it the source of the limit and the floor."""
    result = (text.seeds_met(condition), STYLE.get(Verdict(condition["verdict"]), ""))
    line = Text.assemble(result, f"  {condition['text']}: {text.median_and_range(condition)}")
    _line(kind, line, condition, console)


def _line(kind: str, line: Text, condition: Condition | Unjudged, console: Console) -> None:
    console.print(Text.assemble((f"{kind:>8}  ", "dim"), line))
    floor = text.floor_of(condition)
    best = f"; best possible value {text.format_number(floor['value'])}: {floor['source']}" if floor else ""
    console.print(Text(f"{'':>8}  {condition['source']}{best}", style="dim"))
