"""The words and numbers that all forms of the report share."""

import re
from collections.abc import Sequence
from typing import TypeVar, cast

import numpy as np

from ladder.declare.verdict import Verdict
from ladder.report.schema import (
    Attempt,
    Comparison,
    Condition,
    Criterion,
    Departure,
    Document,
    Effect,
    Entry,
    Floor,
    Result,
    Rule,
    Seeds,
    Unjudged,
)

T = TypeVar("T")

# Control characters except tabs and newlines, invisible marks and those that change the direction of text, line separators
# that a terminal does not know, and lone surrogates.
UNPRINTABLE = re.compile(
    r"[\x00-\x08\x0b-\x1f\x7f-\x9f\xad\u061c\u180e\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff\ufff9-\ufffb"
    r"\ud800-\udfff\U0001bca0-\U0001bca3\U0001d173-\U0001d17a\U000e0000-\U000e007f]"
)
BARS = "▁▂▃▄▅▆▇█"
WIDTH = 25  # characters of a sparkline, at most
LISTED = 5  # rungs that a sentence names one by one, at most


def sparkline(values: Sequence[float]) -> str:
    """Return one bar for each value, scaled from the smallest to the largest; a value that is not finite is a cross.

    If there are more than ``WIDTH`` values, so many of them have a bar, evenly spread, with the first and the last.
    """
    if len(values) > WIDTH:
        values = [values[round(i * (len(values) - 1) / (WIDTH - 1))] for i in range(WIDTH)]
    finite = [value for value in values if np.isfinite(value)]
    if not finite:
        return "×" * len(values)
    low, span = min(finite), max(finite) - min(finite)

    def bar(value: float) -> str:
        if not np.isfinite(value):
            return "×"
        return BARS[round((value - low) / span * (len(BARS) - 1)) if span else 0]

    return "".join(bar(value) for value in values)


def median_curve(entry: Entry) -> list[float]:
    """Return the median over seeds, by epoch, of the metric in the rung's main condition."""
    main = condition(entry)
    return median(entry["curves"].get(main["metric"], [])) if main else []


def median(curve: Sequence[Sequence[float | None]] | np.ndarray) -> list[float]:
    """Return the median over seeds, by epoch; seeds without a value are left out, and without any value it is NaN."""
    return [
        float(np.median(column[np.isfinite(column)])) if np.isfinite(column).any() else np.nan
        for column in np.array(curve, dtype=np.float64).T
    ]


def seeds(entry: Result) -> str:
    """Return ``16/16``, the seeds that met every gate or, for a goal row, its first goal."""
    counted = count(entry)
    return f"{counted[0]}/{counted[1]}" if counted else "–"


def count(entry: Result) -> tuple[int, int] | None:
    """Return the numbers of ``seeds``, (passed, of); None for a rung that was not judged."""
    counted: Seeds | Criterion | None = entry["seeds"]
    if counted is None:
        return None
    if entry["role"] == "goal" and (first := entry["goals"][0])["kind"] != "comparison":
        counted = first
    return counted["passed"], counted["of"]


def verdict_label(entry: Result) -> str:
    """Return the verdict as a table shows it: the FAIL of a control is expected, a goal is met or unmet."""
    verdict = Verdict(entry["verdict"])
    if verdict is Verdict.BLOCKED and entry["seeds"]:  # it was climbed all the same
        return f"BLOCKED ({entry['seeds']['verdict']})"
    if verdict in (Verdict.BLOCKED, Verdict.CRASHED, Verdict.TIMED_OUT):
        return str(verdict)
    if entry["role"] == "goal":
        return {Verdict.PASS: "GOAL MET", Verdict.FAIL: "GOAL UNMET"}.get(verdict, "GOAL UNDECIDED")
    if entry["role"] == "control":
        if entry["green"]:
            return "FAIL, as it must"
        if entry["missed"]:
            return f"FAIL, but no {' or '.join(entry['missed'])}"
        return "FAIL, but not finite" if verdict == Verdict.FAIL else f"{verdict}, must FAIL"
    return str(verdict)


def rate(entry: Result) -> str:
    """Return ``at least 0.79``, the bound of the rate that the verdict rests on; both bounds if it is undecided.

    It is empty for a goal row, and for older reports.
    """
    rate = entry["seeds"]["rate"] if entry["seeds"] and entry["role"] != "goal" else None
    if rate is None:
        return ""
    verdict = entry["seeds"]["verdict"] if entry["seeds"] else None
    if rate["passed"] == rate["of"] or (verdict == Verdict.PASS and entry["role"] == "gate"):
        return f"at least {rate['low']:.2f}"
    if rate["passed"] == 0 or verdict == Verdict.FAIL:
        return f"at most {rate['high']:.2f}"
    return f"{rate['low']:.2f}–{rate['high']:.2f}"


def seeds_and_rate(entry: Result) -> str:
    """Return ``16/16, at least 0.79``: the seeds, and the bound of the rate."""
    return ", ".join(filter(None, (seeds(entry), rate(entry))))


def lower(compared: Comparison | Effect) -> str:
    """Return ``14/16, 0.52–1.00``: the pairs in which this rung is the lower, and the interval of the probability of that."""
    rate = compared["lower"]
    return f"{rate['passed']}/{rate['of']}, {rate['low']:.2f}–{rate['high']:.2f}" if rate else "–"


def verdict_and_seeds(entry: Result) -> str:
    """Return ``FAIL 3/16``, or the verdict alone for a rung that was not judged."""
    return f"{verdict_label(entry)} {seeds(entry)}" if entry["seeds"] else verdict_label(entry)


def printable(text: str) -> str:
    """Replace all characters with which a text could control a terminal, or look like another text."""
    return UNPRINTABLE.sub("\ufffd", text)


def one_line(text: str) -> str:
    """Return a printable text in one line."""
    return " ".join(printable(text).splitlines())


def all_printable(value: T, deepest: int = 64) -> T:
    """Return nested data with every text in it, names included, printable.

    Raises:
        ValueError: if it is nested more than ``deepest`` times.
    """
    return cast("T", _all_printable(value, deepest))


def _all_printable(value: object, deepest: int) -> object:
    if isinstance(value, str):
        return printable(value)
    if not isinstance(value, dict | list):
        return value
    if deepest == 0:
        raise ValueError("nested too deeply")
    if isinstance(value, dict):
        return {printable(name): _all_printable(each, deepest - 1) for name, each in value.items()}
    if set(map(type, value)) <= {int, float, type(None)}:  # the curves of seeds, most of a report
        return value
    return [_all_printable(each, deepest - 1) for each in value]


def encodable(text: str, file: object) -> str:
    """Return the text with an escape for every character that a file's encoding lacks."""
    encoding = getattr(file, "encoding", None) or "utf-8"
    return text.encode(encoding, "backslashreplace").decode(encoding)


def format_number(value: float | None) -> str:
    """Return a number with four significant digits; a dash for None."""
    return "–" if value is None else f"{value:.4g}"


def condition(entry: Entry) -> Condition | None:
    """Return the main condition, which stands for the rung in one line: the first gate, or the first that it misses."""
    conditions = entry["gates"] or entry["goals"]
    if entry["role"] != "goal" and entry["verdict"] != Verdict.PASS:
        worst = [[c for c in conditions if c["verdict"] == v] for v in (Verdict.FAIL, Verdict.UNDECIDED)]
        conditions = [*worst[0], *worst[1], *conditions]
    return conditions[0] if conditions else None


def condition_text(condition: Condition) -> str:
    """Return the condition with the best possible value: ``mse < 0.0365 by epoch 5 (floor 6e-05)``."""
    if condition["kind"] == "comparison" or not (floor := condition["floor"]):
        return condition["text"]
    limit, value = condition["limit"], floor["value"]
    above = condition["kind"] == "above"
    word = floor_name(condition["kind"])
    beyond = limit > value if above else limit < value
    return f"{condition['text']} ({f'beyond the {word} of' if beyond else word} {format_number(value)})"


def floor_name(kind: str) -> str:
    """Return the word for the best possible value of a condition of this kind."""
    return "ceiling" if kind == "above" else "floor"


def median_and_range(condition: Condition | Effect) -> str:
    """Return median and range of the statistic, or median and interval of the paired difference."""
    spread = f"{format_number(condition['low'])}, {format_number(condition['high'])}"
    return f"{format_number(condition['median'])} [{spread}]"


def seeds_met(condition: Condition) -> str:
    """Return ``16/16``, the seeds that met a condition; for a comparison its verdict."""
    if condition["kind"] == "comparison":
        return condition["verdict"]
    return f"{condition['passed']}/{condition['of']}"


def remarks(entry: Entry) -> list[str]:
    """Return remarks besides the verdict, such as stale limits and seeds that turned non-finite."""
    lines = [entry["error"]] if entry["error"] else []
    if entry["stale_calibration"] == ["missing"]:
        lines.append("limits never calibrated, the ceilings are used; measure them: --ladder-calibrate")
    elif entry["stale_calibration"]:
        changed = " and ".join(entry["stale_calibration"])
        lines.append(
            f"limits calibrated before the {changed} changed; measure them again: --ladder-calibrate=overwrite"
        )
    lines += [entry["note"]] if entry["note"] else []
    if entry["seeds"] and entry["blocked_by"]:
        lines.append(
            f"stands on {', '.join(entry['blocked_by'])}, which did not pass; climbed because of --ladder-through"
        )
    if entry["diagnosis"] and not entry["diagnosis"]["findings"] and (more := missing(entry)):
        lines.append(more)
    lines += what_decides(entry)
    lines += provenance(entry)
    if entry["seeds"] and (bad := entry["seeds"]["non_finite"]):
        seeds = ", ".join(f"{seed['seed']} at step {seed['step']} ({seed['tensor']})" for seed in bad)
        lines.append(f"seeds that turned non-finite, and what did first: {seeds}")
    lines += [
        f"seed{'s' * (len(seeds) > 1)} {', '.join(map(str, seeds))} raised {error}"
        for error, seeds in _raised(entry).items()
    ]
    return lines


def _raised(entry: Entry) -> dict[str, list[int]]:
    """Return the seeds that raised an error, by error."""
    seeds: dict[str, list[int]] = {}
    for raised in entry["seeds"]["errors"] if entry["seeds"] else []:
        seeds.setdefault(raised["error"], []).append(raised["seed"])
    return seeds


def tracebacks(entry: Entry) -> list[tuple[str, list[str]]]:
    """Return the tracebacks of seeds that raised an error, each with a title; of equal ones the first."""
    found: dict[tuple[str, ...], str] = {}
    for seed in entry["seeds"]["errors"] if entry["seeds"] else []:
        if lines := seed["traceback"]:
            found.setdefault(tuple(lines), f"Traceback of seed {seed['seed']}, epoch {seed['epoch']}")
    return [(title, list(lines)) for lines, title in found.items()]


def what_decides(entry: Entry) -> list[str]:
    """Return how many seeds decide an UNDECIDED rung, with what chance, and the command; empty for any other."""
    decision = entry["seeds"]["decision"] if entry["seeds"] else None
    if decision is None:
        return []
    if decision["chance"] < 0.005:
        return [f"more seeds do not decide it at the rate so far, not even {decision['looks'][-1]}"]
    looks = ",".join(map(str, decision["looks"]))
    repeat = re.sub(r"--ladder-seeds=\S+", f"--ladder-seeds={looks}", entry["repeat"]) or f"--ladder-seeds={looks}"
    chance = f"{decision['chance']:.0%}" if decision["chance"] < 0.995 else "more than 99%"
    return [f"{decision['looks'][-1]} seeds decide it with a chance of {chance} at the rate so far: {repeat}"]


def provenance(entry: Entry) -> list[str]:
    """Return ``from evidence of 2026-11-22, commit 1a2b3c4d5e6f``, with the number of seeds if others were trained now."""
    lines = []
    total = entry["seeds"]["of"] if entry["seeds"] else 0
    origins: dict[str, int] = {}
    for origin in entry["evidence"]:
        origin_text = f"{origin['date'][:10]}, {'commit ' + origin['commit'] if origin['commit'] else 'outside git'}"
        origins[origin_text] = origins.get(origin_text, 0) + origin["seeds"]
    for origin_text, seeds in origins.items():
        lines.append(f"{'' if seeds == total else f'{seeds} of {total} seeds '}from evidence of {origin_text}")
    return lines


def findings(entry: Entry) -> list[str]:
    """Return the findings on why the rung did not pass, the most likely cause first."""
    return [finding["text"] for finding in entry["diagnosis"]["findings"]] if entry["diagnosis"] else []


def missing(entry: Entry) -> str:
    """Return a sentence on what an experiment does not report, and where to give it; empty if there is nothing."""
    named = entry["diagnosis"]["missing"] if entry["diagnosis"] else []
    return f"The diagnosis could tell more with {'; '.join(named)} (docs/findings.md)." if named else ""


def departure(found: Departure) -> tuple[str, str, str, str]:
    """Return a row on a departure: the quantity, since when, its value, and the parent's with its spread."""
    low, high = map(format_number, found["spread"])
    return (
        found["name"],
        found["when"],
        format_number(found["value"]),
        f"{format_number(found['parent'])} [{low}, {high}]",
    )


DEPARTURES = ("quantity", "differs from", "here", "in the parent")
"""The heads of the columns of :func:`departure`."""


def attempt(made: Attempt) -> str:
    """Return an attempt as text: ``2026-11-22 09:54, 1a2b3c4d5e6f, root 0: PASS 16/16``."""
    count = f" {made['k']}/{made['n']}" if made["n"] else ""
    verdict = f"{made['verdict']}{count}" if made["verdict"] else "begun, never ended"
    return f"{made['date'][:16].replace('T', ' ')}, {made['commit'] or 'outside git'}, root {made['root']}: {verdict}"


def rule(test: Rule) -> str:
    """Return the sentence that says at how many seeds a rung passes, and what a pass implies."""
    looks = ", ".join(f"{look['pass_at']}/{look['seeds']}" for look in test["looks"] if look["pass_at"] is not None)
    return (
        f"A rung passes at {looks}: it then learns on more than {test['p0']:.0%} of seeds, "
        f"but for a chance of {test['alpha']:.0%}."
    )


def floor_of(condition: Condition | Unjudged) -> Floor | None:
    """Return the best possible value of a condition with its source; None if it is unknown, as of every comparison."""
    return None if condition["kind"] == "comparison" else condition["floor"]


def floor(condition: Condition | Unjudged) -> str:
    """Return the best possible value and its source as text; a dash if it is unknown."""
    best = floor_of(condition)
    return f"{format_number(best['value'])}: {best['source']}" if best else "–"


def parent_effect(entry: Entry) -> Effect | None:
    """Return the effect of the rung's change on the metric of its main condition or, without one, its first effect."""
    main = condition(entry)
    same = [effect for effect in entry["effects"] if main and effect["metric"] == main["metric"]]
    return next(iter([*same, *entry["effects"]]), None)


def changed_components(entry: Entry) -> str:
    """Return ``latent: euclidean → sphere``; empty for a root."""
    if entry["adds"] is None:
        return ""
    return ", ".join(f"{c['component']}: {c['from']} → {c['to']}" for c in entry["adds"]["changes"])


def find(document: Document, id: str | None) -> Entry | None:
    """Return the rung with this id, or None if it was not climbed."""
    return next((rung for rung in document["rungs"] if rung["id"] == id), None)


def culprit(document: Document) -> str:
    """Return the line that names the component that broke the model, on the first ladder with one; empty if nothing failed."""
    return next(iter(culprits(document).values()), "")


def culprits(document: Document) -> dict[str, str]:
    """Return the line of each ladder's culprit, by the rung's id."""
    lines: dict[str, str] = {}
    first = [document["culprit"]] if document["culprit"] else []
    for record in (*first, *document["other_culprits"]):
        entry = find(document, record["rung"])
        assert entry is not None
        blocks = f"; blocks {who(record['blocks'])}" if record["blocks"] else ""
        word = "CULPRIT" if record["certain"] else "SUSPECT"
        lines[entry["id"]] = f"{word} {_broken(entry, document)}{blocks}"
    return lines


def who(ids: Sequence[str], listed: int = LISTED) -> str:
    """Return ``rung3[mse], rung4`` or, for more than ``listed`` rungs, ``73 rungs (3–75)``."""
    return ", ".join(ids) if len(ids) <= listed else f"{len(ids)} rungs ({numbers(ids)})"


def numbers(ids: Sequence[str]) -> str:
    """Return the numbers of rungs, each once: ``1–3, 5``."""
    spans: list[tuple[int, int]] = []
    for number in sorted({int(match[1]) for id in ids if (match := re.search(r"(?:^|/)rung(\d{1,9})", id))}):
        first = spans.pop()[0] if spans and spans[-1][1] == number - 1 else number
        spans.append((first, number))
    return ", ".join(f"{first}" if first == last else f"{first}–{last}" for first, last in spans)


def expected(document: Document) -> list[Entry]:
    """Return the controls that failed for the expected reason, each of which has an expected culprit."""
    return [rung for rung in document["rungs"] if rung["expects"] and rung["green"]]


def expected_culprit(entry: Entry, document: Document) -> str:
    """Return the line that names the expected culprit."""
    return f"EXPECTED CULPRIT {_broken(entry, document)}"


def _broken(entry: Entry, document: Document) -> str:
    """Return what a failing rung added, the condition that it broke, and how many seeds meet the gates of its parent."""
    parent = find(document, entry["parent"])
    broke = condition(entry)
    assert broke is not None  # a rung that failed was judged
    what = f'"+{entry["name"]}" ({changed_components(entry)})' if entry["adds"] else f'"{entry["name"]}"'
    if not entry["adds"] and entry["role"] == "gate":
        what += ", a root of the ladder"
    if broke["verdict"] != Verdict.FAIL:  # no gate fails by itself, only all together
        result = f"{seeds(entry)} seeds met every gate"
    elif broke["kind"] == "comparison":
        result = f"{broke['text']}: {median_and_range(broke)}"
    else:
        result = f"{seeds_met(broke)} seeds met {condition_text(broke)}"
    below = f" ({parent['id']}: {seeds(parent)})" if parent and parent["seeds"] else ""
    return f"{entry['id']} {what}: {result}{below}"


def _verdicts(rungs: Sequence[Entry]) -> str:
    """Return each rung with its verdict or, for many rungs, each verdict with its rungs."""
    if len(rungs) <= LISTED:
        return ", ".join(f"{rung['id']} {verdict_label(rung)}" for rung in rungs)
    by_word: dict[str, list[str]] = {}
    for rung in rungs:
        by_word.setdefault(verdict_label(rung), []).append(rung["id"])
    return "; ".join(f"{who(ids)} {label}" for label, ids in by_word.items())


def is_green(document: Document) -> bool:
    """Return whether the climb was completed and every rung is green."""
    return document["complete"] and all(rung["green"] for rung in document["rungs"])


def headline(document: Document) -> str:
    """Return the report's first line: the culprit, or how far the climb was green."""
    if line := culprit(document):
        return line if document["complete"] else f"{line}; BROKEN OFF, not every rung was climbed"
    if not document["complete"]:
        return f"BROKEN OFF; rungs climbed: {who([rung['id'] for rung in document['rungs']])}"
    gates = [rung for rung in document["rungs"] if rung["role"] == "gate"]
    red = [rung for rung in document["rungs"] if not rung["green"]]
    if red:
        return f"NOT GREEN: {_verdicts(red)}"
    if not gates:
        return "ALL GREEN; no rung has a gate to pass"
    return f"ALL GREEN up to rung{max(rung['number'] for rung in gates)}; gated rungs passed: {len(gates)}"
