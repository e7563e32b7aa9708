"""The ladder on a terminal: in full what needs attention, the rest at a glance; the culprit, and why a rung is red."""

from collections import Counter
from collections.abc import Mapping, Sequence

from ladder.judge.sequential import Verdict
from ladder.report import text
from ladder.report.schema import Document, Entry

Markup = dict[str, bool]
Line = tuple[str, Markup]

GLANCE = 15
"""Rungs that are read at a glance, each in its line: with the rest of pytest's summary they fill a terminal of 24 lines."""


def lines(document: Document, verbose: bool = False) -> list[Line]:
    """Return the ladder at the end of a run, with markup as pytest's terminal writer takes it.

    Where there are more rungs than are read at a glance, what has come out as it should is one line each kind: controls that
    FAIL, goals, rungs that PASS from evidence; and so are BLOCKED rungs. Any other rung keeps its line, and so does one that is
    warned about. What is red comes last.

    Args:
        document: The report.
        verbose: Whether every rung has its line, however many there are.
    """
    rungs, expected = document["rungs"], text.expected(document)
    if verbose or len(rungs) <= GLANCE:
        found = _singly(rungs) + _remarks({rung["id"]: text.remarks(rung) for rung in rungs}, rungs, listed=len(rungs))
    else:
        found = _at_a_glance(rungs)
        expected = expected if len(expected) <= text.LISTED else []
    for rung in expected:
        found.append((text.expected_culprit(rung, document), {}))
        found += [(f"  {why}", {}) for why in text.findings(rung)]
    if document["culprit"] or not document["complete"]:
        found.append((text.headline(document), {"red": True, "bold": True}))
    accused = (document["culprit"] or {}).get("rung")
    found += [(f"  {why}", {"red": True}) for rung in rungs if rung["id"] == accused for why in text.findings(rung)]
    return found


def _singly(rungs: Sequence[Entry]) -> list[Line]:
    """Return a line for each rung."""
    width = max((len(rung["id"]) for rung in rungs), default=0)
    words = max((len(text.verdict_label(rung)) for rung in rungs), default=0)
    return [(line(rung, width, words), {"green": rung["green"], "red": not rung["green"]}) for rung in rungs]


def _remarks(remarks: Mapping[str, Sequence[str]], rungs: Sequence[Entry], listed: int) -> list[Line]:
    """Return each remark once, with the rungs that it is about; of more than ``listed`` rungs how many, and their numbers."""
    about: dict[str, list[str]] = {}
    for rung in rungs:
        for remark in remarks[rung["id"]] if not rung["error"] else ():  # the line has told of it
            about.setdefault(remark, []).append(rung["id"])
    every = len(rungs) if len(rungs) > 1 else 0
    return [
        (f"{'every rung' if len(ids) == every else text.who(ids, listed)}: {remark}", {"yellow": True})
        for remark, ids in about.items()
    ]


def _at_a_glance(rungs: Sequence[Entry]) -> list[Line]:
    """Return a line for each kind of rung that needs no attention, and one for each other rung, the red ones last."""
    warnings = {
        rung["id"]: [told for told in text.remarks(rung) if told not in text.provenance(rung)] for rung in rungs
    }
    shared = Counter(warning for told in warnings.values() for warning in told)
    # What so many share is about the run, say another version of JAX, and told once.
    warned = {id for id, told in warnings.items() if any(shared[warning] <= GLANCE for warning in told)}
    kinds: dict[str, list[Entry]] = {}
    for rung in rungs:
        if rung["id"] not in warned and (kind := _kind(rung)):
            kinds.setdefault(kind, []).append(rung)
    groups = {kind: group for kind, group in kinds.items() if len(group) > 1}
    grouped = {rung["id"] for group in groups.values() for rung in group}
    blocked = groups.pop(Verdict.BLOCKED, [])
    single = sorted(
        (rung for rung in rungs if rung["id"] not in grouped),
        key=lambda rung: (not rung["green"], rung["id"] in warned),
    )
    found: list[Line] = []
    if grouped:
        found.append((f"{len(rungs)} rungs at a glance; -v has a line for each", {}))
    found += [
        (f"{len(group)} {kind}{_origin(group)}: {_which(group)}", {"green": True}) for kind, group in groups.items()
    ]
    singly = _singly(single)
    green = sum(rung["green"] for rung in single)
    found += singly[:green]
    if blocked:
        by = {id for rung in blocked for id in rung["blocked_by"]} - {rung["id"] for rung in blocked}
        first = [rung["id"] for rung in rungs if rung["id"] in by]
        told = f"{len(blocked)} rungs BLOCKED by {text.who(first)}: {_which(blocked)}"
        found.append((told, {"red": True}))
    found += singly[green:]
    kept = {rung["id"]: [] if rung["id"] in grouped else text.provenance(rung) for rung in rungs}
    return found + _remarks({id: [*told, *kept[id]] for id, told in warnings.items()}, rungs, text.LISTED)


def _kind(rung: Entry) -> str:
    """Return what many rungs may have in common so that one line tells of all; empty of a rung that needs its own."""
    if rung["verdict"] == Verdict.BLOCKED:
        return Verdict.BLOCKED
    if not rung["green"]:
        return ""
    if rung["role"] == "control":
        return "controls FAIL, as they must"
    if rung["role"] == "goal":
        return {Verdict.PASS: "goals MET", Verdict.FAIL: "goals UNMET"}.get(rung["verdict"], "")
    kept = sum(origin["seeds"] for origin in rung["evidence"])
    return "rungs PASS" if kept and rung["seeds"] and kept >= rung["seeds"]["of"] else ""


def _origin(group: Sequence[Entry]) -> str:
    """Return ``, from evidence of 2026-11-20 to 2026-11-22``, with the commit if it is one; of some, of how many."""
    kept = [rung for rung in group if rung["evidence"]]
    if not kept:
        return ""
    origins = [origin for rung in kept for origin in rung["evidence"]]
    dates = sorted({origin["date"][:10] for origin in origins})
    where = sorted({f"commit {origin['commit']}" if origin["commit"] else "outside git" for origin in origins})
    told = f"evidence of {' to '.join(dict.fromkeys((dates[0], dates[-1])))}"
    told += f", {where[0]}" if len(where) == 1 else f", {len(where)} commits"
    return f", {'' if len(kept) == len(group) else f'{len(kept)} of them '}from {told}"


def _which(group: Sequence[Entry]) -> str:
    """Return the ids of a group, or where they are many their numbers; how many they are has been said."""
    ids = [rung["id"] for rung in group]
    if len(ids) <= text.LISTED:
        return ", ".join(ids)
    return f"rung{'s' if len({rung['number'] for rung in group}) > 1 else ''} {text.numbers(ids)}"


def line(rung: Entry, width: int = 0, words: int = 0) -> str:
    """Verdict, seeds, sparkline, and the first condition with its median and range."""
    head = f"{rung['id']:<{width}}  {text.verdict_label(rung):<{words}}  {text.seeds(rung):>5}"
    if rung["error"]:
        return f"{head}  {rung['error']}"
    if rung["blocked_by"]:
        return f"{head}  by {', '.join(rung['blocked_by'])}"
    shown = text.condition(rung)
    if shown is None:
        return head
    return f"{head}  {text.sparkline(text.median_curve(rung))}  {text.condition_text(shown)}: {text.median_and_range(shown)}"


def why(rung: Entry) -> str:
    """The message of a rung that is not as it should be."""
    if rung["blocked_by"]:
        return f"{rung['id']} BLOCKED: {', '.join(rung['blocked_by'])} did not pass"
    if rung["error"]:
        return f"{rung['id']} {rung['verdict']}: {rung['error']}"
    told = [f"{rung['id']} {text.verdict_label(rung)}: {text.seeds(rung)} seeds met every gate"]
    if rung["adds"]:
        told.append(f"  adds {text.changed_components(rung)} to {rung['parent']}")
    told += [
        f"  {text.seeds_met(gate)}  {text.condition_text(gate)}: {text.median_and_range(gate)}  ({gate['source']})"
        for gate in rung["gates"]
    ]
    return "\n".join([*told, *(f"  {told}" for told in (*text.findings(rung), *text.remarks(rung)))])
