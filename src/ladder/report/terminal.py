"""The ladder on a terminal: one line a rung, the culprit, and why a rung is red."""

from ladder.report import text
from ladder.report.schema import Document, Entry

Markup = dict[str, bool]


def lines(document: Document) -> list[tuple[str, Markup]]:
    """The ladder at the end of a run, with markup as pytest's terminal writer takes it."""
    rungs = document["rungs"]
    width = max(len(rung["id"]) for rung in rungs)
    words = max(len(text.word(rung)) for rung in rungs)
    found: list[tuple[str, Markup]] = [
        (line(rung, width, words), {"green": rung["green"], "red": not rung["green"]}) for rung in rungs
    ]
    remarks: dict[str, list[str]] = {}
    for rung in rungs:
        for remark in text.remarks(rung) if not rung["error"] else ():  # the line has told of it
            remarks.setdefault(remark, []).append(rung["id"])
    for remark, ids in remarks.items():
        who = "every rung" if len(ids) == len(rungs) > 1 else ", ".join(ids)
        found.append((f"{who}: {remark}", {"yellow": True}))
    for rung in text.expected(document):
        found.append((text.expected_culprit(rung, document), {}))
        found += [(f"  {why}", {}) for why in text.findings(rung)]
    if document["culprit"] or not document["complete"]:
        found.append((text.headline(document), {"red": True, "bold": True}))
    accused = (document["culprit"] or {}).get("rung")
    found += [(f"  {why}", {"red": True}) for rung in rungs if rung["id"] == accused for why in text.findings(rung)]
    return found


def line(rung: Entry, width: int = 0, words: int = 0) -> str:
    """Verdict, seeds, sparkline, and the first condition with its median and range."""
    head = f"{rung['id']:<{width}}  {text.word(rung):<{words}}  {text.seeds(rung):>5}"
    if rung["error"]:
        return f"{head}  {rung['error']}"
    if rung["blocked_by"]:
        return f"{head}  by {', '.join(rung['blocked_by'])}"
    shown = text.condition(rung)
    if shown is None:
        return head
    return f"{head}  {text.sparkline(text.median_curve(rung))}  {text.asked(shown)}: {text.measured(shown)}"


def why(rung: Entry) -> str:
    """The message of a rung that is not as it should be."""
    if rung["blocked_by"]:
        return f"{rung['id']} BLOCKED: {', '.join(rung['blocked_by'])} did not pass"
    if rung["error"]:
        return f"{rung['id']} {rung['verdict']}: {rung['error']}"
    told = [f"{rung['id']} {text.word(rung)}: {text.seeds(rung)} seeds met every gate"]
    if rung["adds"]:
        told.append(f"  adds {text.added(rung)} to {rung['parent']}")
    told += [
        f"  {text.held(gate)}  {text.asked(gate)}: {text.measured(gate)}  ({gate['source']})" for gate in rung["gates"]
    ]
    return "\n".join([*told, *(f"  {told}" for told in (*text.findings(rung), *text.remarks(rung)))])
