"""The ladder on a terminal: rungs that need attention in full, the others at a glance, the culprit, and why a rung is red."""

from collections import Counter
from collections.abc import Mapping, Sequence

from ladder.declare.verdict import Verdict
from ladder.report import text
from ladder.report.schema import Document, Entry

Markup = dict[str, bool]
Line = tuple[str, Markup]

GLANCE = 15
"""The most rungs that have a line each: with the rest of pytest's summary they fill a terminal of 24 lines."""


def lines(document: Document, verbose: bool = False) -> list[Line]:
    """Return the ladder at the end of a run, with markup as pytest's terminal writer takes it.

    If there are more than ``GLANCE`` rungs, each kind of rung that came out as it should has one line: controls that FAIL,
    goals, rungs that PASS from evidence; BLOCKED rungs have one too. Any other rung has its own line, and so does a rung with a
    warning. Red lines come last.

    Args:
        document: The report.
        verbose: Whether every rung has its line, however many there are.
    """
    rungs, expected = document["rungs"], text.expected(document)
    if verbose or len(rungs) <= GLANCE:
        output = _singly(rungs) + _remarks({rung["id"]: text.remarks(rung) for rung in rungs}, rungs, listed=len(rungs))
    else:
        output = _at_a_glance(rungs)
        expected = expected if len(expected) <= text.LISTED else []
    for rung in expected:
        output.append((text.expected_culprit(rung, document), {}))
        output += [(f"  {why}", {}) for why in text.findings(rung)]
    first, *others = [*text.culprits(document).items()] or [("", "")]
    if first[0] or not document["complete"]:
        output.append((text.headline(document), {"red": True, "bold": True}))
    for number, (id, named) in enumerate((first, *others)):
        output += [(named, {"red": True, "bold": True})] if number else []
        output += [(f"  {why}", {"red": True}) for rung in rungs if rung["id"] == id for why in text.findings(rung)]
    return output


def _singly(rungs: Sequence[Entry]) -> list[Line]:
    """Return a line for each rung."""
    width = max((len(rung["id"]) for rung in rungs), default=0)
    words = max((len(text.verdict_label(rung)) for rung in rungs), default=0)
    counts = max((len(text.seeds_and_rate(rung)) for rung in rungs), default=0)
    return [(line(rung, width, words, counts), {"green": rung["green"], "red": not rung["green"]}) for rung in rungs]


def _remarks(remarks: Mapping[str, Sequence[str]], rungs: Sequence[Entry], listed: int) -> list[Line]:
    """Return each remark once, with its rungs; more than ``listed`` rungs are given by their count and their numbers."""
    about: dict[str, list[str]] = {}
    for rung in rungs:
        for remark in remarks[rung["id"]] if not rung["error"] else ():  # its line has the error already
            about.setdefault(remark, []).append(rung["id"])
    every = len(rungs) if len(rungs) > 1 else 0
    return [
        (f"{'every rung' if len(ids) == every else text.who(ids, listed)}: {remark}", {"yellow": True})
        for remark, ids in about.items()
    ]


def _at_a_glance(rungs: Sequence[Entry]) -> list[Line]:
    """Return a line for each kind of rung that needs no attention, and one for each other rung, the red ones last."""
    warnings = {
        rung["id"]: [remark for remark in text.remarks(rung) if remark not in text.provenance(rung)] for rung in rungs
    }
    shared = Counter(warning for remarks in warnings.values() for warning in remarks)
    # A warning that so many share is about the run, such as another version of JAX, and is printed once.
    warned = {id for id, remarks in warnings.items() if any(shared[warning] <= GLANCE for warning in remarks)}
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
    output: list[Line] = []
    if grouped:
        output.append((f"{len(rungs)} rungs at a glance; -v has a line for each", {}))
    output += [
        (f"{len(group)} {kind}{_origin(group)}: {_which(group)}", {"green": True}) for kind, group in groups.items()
    ]
    singly = _singly(single)
    green = sum(rung["green"] for rung in single)
    output += singly[:green]
    if blocked:
        by = {id for rung in blocked for id in rung["blocked_by"]} - {rung["id"] for rung in blocked}
        first = [rung["id"] for rung in rungs if rung["id"] in by]
        summary = f"{len(blocked)} rungs BLOCKED by {text.who(first)}: {_which(blocked)}"
        output.append((summary, {"red": True}))
    output += singly[green:]
    provenance = {rung["id"]: [] if rung["id"] in grouped else text.provenance(rung) for rung in rungs}
    return output + _remarks({id: [*remarks, *provenance[id]] for id, remarks in warnings.items()}, rungs, text.LISTED)


def _kind(rung: Entry) -> str:
    """Return the kind of a rung, with which it can share a line; empty for a rung that needs its own."""
    if rung["verdict"] == Verdict.BLOCKED and not rung["seeds"]:
        return Verdict.BLOCKED
    if not rung["green"]:
        return ""
    if rung["role"] == "control":
        return "controls FAIL, as they must"
    if rung["role"] == "goal":
        return {Verdict.PASS: "goals MET", Verdict.FAIL: "goals UNMET"}.get(Verdict(rung["verdict"]), "")
    from_evidence = sum(origin["seeds"] for origin in rung["evidence"])
    return "rungs PASS" if from_evidence and rung["seeds"] and from_evidence >= rung["seeds"]["of"] else ""


def _origin(group: Sequence[Entry]) -> str:
    """Return ``, from evidence of 2026-11-20 to 2026-11-22, commit …``; with a count if only some rungs have evidence."""
    with_evidence = [rung for rung in group if rung["evidence"]]
    if not with_evidence:
        return ""
    origins = [origin for rung in with_evidence for origin in rung["evidence"]]
    dates = sorted({origin["date"][:10] for origin in origins})
    commits = sorted({f"commit {origin['commit']}" if origin["commit"] else "outside git" for origin in origins})
    description = f"evidence of {' to '.join(dict.fromkeys((dates[0], dates[-1])))}"
    description += f", {commits[0]}" if len(commits) == 1 else f", {len(commits)} commits"
    return f", {'' if len(with_evidence) == len(group) else f'{len(with_evidence)} of them '}from {description}"


def _which(group: Sequence[Entry]) -> str:
    """Return the ids of a group or, if they are many, their numbers; the count is in the line already."""
    ids = [rung["id"] for rung in group]
    if len(ids) <= text.LISTED:
        return ", ".join(ids)
    return f"rung{'s' if len({rung['number'] for rung in group}) > 1 else ''} {text.numbers(ids)}"


def line(rung: Entry, width: int = 0, words: int = 0, counts: int = 0) -> str:
    """Return a rung's line: verdict, seeds, sparkline, and the first condition with its median and range."""
    head = f"{rung['id']:<{width}}  {text.verdict_label(rung):<{words}}  {text.seeds_and_rate(rung):<{counts}}"
    if rung["error"]:
        return f"{head}  {rung['error']}"
    if rung["blocked_by"] and not rung["seeds"]:
        return f"{head}  by {', '.join(rung['blocked_by'])}"
    main = text.condition(rung)
    if main is None:
        return head
    return (
        f"{head}  {text.sparkline(text.median_curve(rung))}  {text.condition_text(main)}: {text.median_and_range(main)}"
    )


def why(rung: Entry) -> str:
    """Return the message of a rung that is not green."""
    if rung["blocked_by"] and not rung["seeds"]:
        return f"{rung['id']} BLOCKED: {', '.join(rung['blocked_by'])} did not pass"
    if rung["error"]:
        return f"{rung['id']} {rung['verdict']}: {rung['error']}"
    rate = f", a rate of {text.rate(rung)}" if text.rate(rung) else ""
    message = [f"{rung['id']} {text.verdict_label(rung)}: {text.seeds(rung)} seeds met every gate{rate}"]
    if rung["adds"]:
        message.append(f"  adds {text.changed_components(rung)} to {rung['parent']}")
    message += [
        f"  {text.seeds_met(gate)}  {text.condition_text(gate)}: {text.median_and_range(gate)}  ({gate['source']})"
        for gate in rung["gates"]
    ]
    return "\n".join([*message, *(f"  {remark}" for remark in (*text.findings(rung), *text.remarks(rung)))])
