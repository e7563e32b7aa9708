"""The report in GitHub's Markdown, for reading."""

import re
from collections.abc import Iterable, Sequence
from typing import Literal
from urllib.parse import quote

from ladder.report import text
from ladder.report.schema import Document, Entry

SCALE: tuple[Literal["mean", "rms", "min", "max"], ...] = ("mean", "rms", "min", "max")


def markdown(document: Document) -> str:
    """Return the whole report; its first line is the verdict."""
    rungs = document["rungs"]
    parts = [
        *overview(document),
        *_changes(rungs),
        "## Rung by rung",
        *(_section(rung) for rung in rungs),
        "## What was run",
        _fingerprint(document),
    ]
    return "\n\n".join(parts) + "\n"


def overview(document: Document) -> list[str]:
    """Return the verdict, the ladder as a table, and the culprits that were expected."""
    rungs = document["rungs"]
    parts = [
        f"# {_cell(text.headline(document))}",
        *(f"**{_cell(line)}**" for line in list(text.culprits(document).values())[1:]),
        "Seeds that met every gate and the bound of the rate at which they do; the first gate's median and range over seeds; the "
        f"median paired difference from the parent and its interval. {text.rule(document['test'])}",
        _table(
            (
                "rung",
                "adds",
                "verdict",
                "seeds",
                "first gate",
                "median [range]",
                "median by epoch",
                "against its parent",
            ),
            (_overview(rung) for rung in rungs),
        ),
    ]
    if expected := text.expected(document):
        parts += [
            "## Expected culprits",
            "Controls that had to fail for a reason, and did: the condition each breaks, and what was found.",
            "\n".join(
                f"- {_cell(text.expected_culprit(rung, document))}: {_cell('; '.join(text.findings(rung)))}."
                for rung in expected
            ),
        ]
    return parts


def why(document: Document) -> list[str]:
    """Return a section for each rung that is not green; empty if all are."""
    red = [_section(rung) for rung in document["rungs"] if not rung["green"]]
    return ["## Not green", *red] if red else []


def _changes(rungs: Sequence[Entry]) -> list[str]:
    """Return the table of what each rung changed compared with its parent; empty if no rung was compared."""
    effects = [(rung, effect) for rung in rungs for effect in rung["effects"]]
    if not effects:
        return []
    return [
        "## What each rung changed",
        "Paired over seeds, the last epoch: median difference and its 95 % interval; the pairs in which the rung is the "
        "lower, and the 95 % interval of the probability of that. Published values are of one seed.",
        _table(
            ("rung", "against", "metric", "difference", "lower", "published"),
            (
                (rung["id"], e["against"], e["metric"], text.median_and_range(e), text.lower(e), e["published"])
                for rung, e in effects
            ),
        ),
    ]


def _overview(rung: Entry) -> tuple[str, ...]:
    main = text.condition(rung)
    verdict = text.verdict_label(rung) + (f" by {', '.join(rung['blocked_by'])}" if rung["blocked_by"] else "")
    return (
        rung["id"],
        text.changed_components(rung) or rung["name"],
        verdict if rung["green"] else _Markup(f"**{verdict}**"),
        text.seeds_and_rate(rung),
        text.condition_text(main) if main else rung["error"] or "–",
        text.median_and_range(main) if main else "–",
        text.sparkline(text.median_curve(rung)),
        f"{effect['metric']} {text.median_and_range(effect)}" if (effect := text.parent_effect(rung)) else "–",
    )


def _section(rung: Entry) -> str:
    title = f"### {_plain(rung['id'])}: {_plain(rung['name'])}"
    paragraphs = [
        _plain(line) for line in (rung["claim"], f"Control: {rung['control']}" if rung["control"] else "") if line
    ]
    rows = [
        (
            kind,
            c["text"],
            text.seeds_met(c),
            text.median_and_range(c),
            text.floor(c),
            c["source"],
        )
        for kind, conditions in (("gate", rung["gates"]), ("goal", rung["goals"]))
        for c in conditions
    ]
    rows += [(c["kind"], c["text"], "–", "–", text.floor(c), c["source"]) for c in rung["asks"]]
    table = [_table(("", "condition", "met by", "median [range]", "floor", "source"), rows)] if rows else []
    table += _diagnosis(rung)
    table += _pictures(rung)
    notes = [f"{_plain(remark[0].upper() + remark[1:])}." for remark in text.remarks(rung)]
    if rung["seconds"]:
        notes.append(f"{rung['seconds']['compile']:.1f} s to compile, {rung['seconds']['run']:.1f} s to run.")
    if rung["repeat"]:
        notes.append(f"Repeat: {_code(rung['repeat'])}")
    if (attempts := rung["attempts"])["total"] > 1:
        listed = "; ".join(text.attempt(attempt) for attempt in reversed(attempts["latest"]))
        notes.append(f"{attempts['total']} attempts, the latest first: {_plain(listed)}.")
    tracebacks = [f"{_plain(head)}:\n\n{_block(lines)}" for head, lines in text.tracebacks(rung)]
    return "\n\n".join([title, *paragraphs, *table, " ".join(notes), *tracebacks])


def _diagnosis(rung: Entry) -> list[str]:
    """Return the findings on why a rung did not pass, and the tables that one would print by hand."""
    diagnosis = rung["diagnosis"]
    if diagnosis is None:
        return []
    parts = ["\n".join(f"{number}. {_cell(why)}" for number, why in enumerate(text.findings(rung), 1)) or "No finding."]
    parts[0] = f"Why, the most likely cause first:\n\n{parts[0]}"
    if diagnosis["departures"]:
        rows: Iterable[tuple[str, ...]] = map(text.departure, diagnosis["departures"])
        parts += ["First differences from the parent, in the order of computation:", _table(text.DEPARTURES, rows)]
    if more := text.missing(rung):
        parts.append(more)
    if diagnosis["stages"]:
        rows = (
            (
                stage["name"],
                " × ".join(map(str, stage["shape"])),
                *(
                    f"{text.format_number(stage['start'][what])} → {text.format_number(stage['end'][what])}"
                    for what in SCALE
                ),
            )
            for stage in diagnosis["stages"]
        )
        parts += ["Stages of the failing seeds, before → after training:", _table(("stage", "shape", *SCALE), rows)]
    if latent := diagnosis["latent"]:
        spectrum = ", ".join(map(text.format_number, latent["end_spectrum"]))
        ranks = f"{text.format_number(latent['start_rank'])} → {text.format_number(latent['end_rank'])}"
        parts.append(f"Effective rank of the latent {ranks}; eigenvalues of its covariance in the end: {spectrum}.")
    if diagnosis["groups"]:
        rows = (
            (
                group["name"],
                " → ".join(map(text.format_number, group["weight"])),
                *(
                    f"{text.format_number(norm)} at step {step}"
                    for norm, step in (group["smallest_gradient"], group["largest_gradient"])
                ),
                text.format_number(group["update_to_weight"]),
            )
            for group in diagnosis["groups"]
        )
        head = (
            "parameters",
            "norm: first, middle, last step",
            "smallest gradient",
            "largest gradient",
            "update to weight",
        )
        parts.append(_table(head, rows))
    return parts


def _pictures(rung: Entry) -> list[str]:
    """Return each picture, linked to its SVG; for one that was not drawn, its caption."""
    return [
        f"[![{_alt(picture['caption'])}]({quote(picture['png'])})]({quote(picture['svg'] or picture['png'])})"
        if picture["png"]
        else f"{_plain(picture['caption'][:1].upper() + picture['caption'][1:])}."
        for picture in rung["pictures"]
    ]


def _alt(caption: str) -> str:
    return re.sub(r"([\\\[\]])", r"\\\1", _line(caption))


def _fingerprint(document: Document) -> str:
    commit = document["commit"]
    sha = (
        f"{commit['sha'][:12]}{' and uncommitted changes' if commit['dirty'] else ''}" if commit else "no git checkout"
    )
    seeds = document["seeds"]
    machine = ", ".join(f"{name} {value}" for name, value in document["machine"].items())
    versions = ", ".join(f"{name} {version}" for name, version in document["versions"].items())
    rows = [
        ("date", document["created"]),
        ("command", _code(document["command"])),
        ("commit", sha),
        ("seeds", _Markup(f"root {seeds['root']}, repeated by {_code(seeds['repeat'])}")),
        ("machine", machine),
        ("versions", versions),
        ("schema", document["schema"]),
    ]
    return _table(("", ""), rows)


def _table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    body = [head, [_Markup("---")] * len(head), *rows]
    return "\n".join(f"| {' | '.join(_cell(cell) for cell in row)} |" for row in body)


class _Markup(str):
    """A string that is Markdown already."""


def _cell(value: str) -> str:
    """Return a value escaped for a table or a list item."""
    content = str(value) if isinstance(value, _Markup) else _inline(value)
    return content.replace("|", "\\|")


def _plain(content: str) -> str:
    """Return a paragraph in which nothing is read as Markdown or HTML."""
    return re.sub(r"^(?=[#>+=-])", r"\\", _inline(content))


def _inline(content: str) -> str:
    """Return text in one line, escaped only where it would be markup, so that it stays readable in a terminal."""
    return re.sub(r"([*`\\]|<(?=[A-Za-z/!?])|\](?=[(\[]))", r"\\\1", _line(content))


def _line(content: str) -> str:
    return " ".join(content.splitlines())


def _block(lines: Sequence[str]) -> str:
    """Return lines as indented code, which nothing in them can end."""
    return "\n".join(f"    {_line(line)}" for line in lines)


def _code(command: str) -> _Markup:
    """Return a command as code, exactly as it is typed."""
    fence = "``" if "`" in command else "`"
    return _Markup(f"{fence}{_line(command)}{fence}")
