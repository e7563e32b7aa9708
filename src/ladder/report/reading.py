"""The reader of reports: those of any version, in the shape of the current schema.

Nothing here loads JAX: a report can be read where nothing can be trained.
"""

import json
import math
from collections import Counter
from datetime import datetime
from functools import cache
from pathlib import Path
from typing import Any, TypeAlias, cast

import jsonschema_rs

from ladder.declare.verdict import Verdict
from ladder.files import read_regular
from ladder.report import recorded, schema
from ladder.report.schema import SCHEMA, VERSION, WHOLE, Document, Entry
from ladder.report.text import all_printable

LARGEST = 2**24
"""The largest size of a report in bytes; that of this repository's whole ladder is a thirteenth of it."""

MOST, SEEDS = 1000, 10**6
"""The largest numbers of rungs of a report and of conditions of a rung, which are compared in pairs; and of seeds of a rung."""

GREEN = {"gate": Verdict.PASS, "control": Verdict.FAIL}
"""The only verdict with which a rung can be green."""

Raw: TypeAlias = dict[str, Any]
"""A JSON object of a report, or of a part of one, before it has been validated."""

_ENTRY: Raw = {
    "error": "", "note": "", "evidence": [], "attempts": {"total": 0, "latest": []}, "diagnosis": None, "pictures": [],
    "scale": "", "expects": [], "missed": [], "others": {}, "test": None, "repeat": "", "asks": [],
}  # fmt: skip
"""The fields that rungs of older reports lack, with the values that stand for no information."""


class ReportError(ValueError):
    """An error for a file that is not a report."""


def load(path: Path) -> Document:
    """Read a report, and bring one of an older version up to this one's.

    Raises:
        OSError: if the file cannot be read.
        ReportError: if it is not a report, or a report of a later major version.
    """
    try:
        document = json.loads(
            read_regular(path, LARGEST).decode(), parse_int=_whole, parse_float=_finite, parse_constant=_finite
        )
    except (ValueError, RecursionError) as error:
        raise ReportError(f"{path} is not a ladder report: {error}") from None
    version = document.get("schema") if isinstance(document, dict) else None
    if not isinstance(version, str):
        raise ReportError(f"{path} is not a ladder report: it has no schema version; climb again: pytest")
    major, newest = version.partition(".")[0], VERSION.partition(".")[0]
    if major not in ("1", newest):
        raise ReportError(f"{path} is a report of schema {version:.40}; this version of ladder reads up to {VERSION}")
    try:
        later = major == newest and _minor(version) > _minor(VERSION)
        document = all_printable(document)
        current = _completed(upgraded(document) if major == "1" else document, later)
    except (AttributeError, IndexError, KeyError, TypeError, ValueError) as error:
        raise ReportError(f"{path} is not a report of schema {version:.40}: {error!r:.200}") from None
    if (violation := next(_validator(later).iter_errors(current), None)) is not None:
        pointer = "/".join(map(str, violation.instance_path))
        raise ReportError(
            f"{path} is not a report of schema {version:.40}: {pointer or 'as a whole':.200}: {violation.message:.200}"
        )
    report = cast("Document", current)
    if contradiction := _contradiction(report):
        raise ReportError(f"{path} is not a valid report: {contradiction:.400}")
    return report


def _whole(digits: str) -> int:
    if abs(number := int(digits)) >= WHOLE:
        raise ValueError(f"{digits:.40} is too large")
    return number


def _finite(digits: str) -> float:
    if not math.isfinite(number := float(digits)):
        raise ValueError(f"{digits:.40} is not finite")
    return number


def _minor(version: str) -> int:
    return int(version.split(".")[1])


def _completed(document: Raw, later: bool) -> Raw:
    """Return a report of this major version, with the fields that an earlier minor version lacks."""
    version = document["schema"] if later else VERSION
    rungs = [_with_new_fields(entry) for entry in document["rungs"]]
    test = {"report_seeds": None, **document["test"]}
    return {"other_culprits": [], **document, "schema": version, "test": test, "rungs": rungs}


def _with_new_fields(entry: Raw) -> Raw:
    """Return an entry with the fields that versions 2.1 to 2.4 added; what older reports do not record is empty or null."""
    completed: Raw = {
        what: [{"lower": None, **each} if "differences" in each else each for each in entry[what]]
        for what in ("gates", "goals", "effects")
        if what in entry
    }
    if entry.get("seeds"):
        completed["seeds"] = {"verdict": None, "rate": None, "decision": None, "errors": [], **entry["seeds"]}
    if isinstance(others := entry.get("others"), dict):
        completed["others"] = {name: {"epochs": [], "seeds": [], **spread} for name, spread in others.items()}
    if isinstance(diagnosis := entry.get("diagnosis"), dict):
        completed["diagnosis"] = {"departures": [], "missing": [], **diagnosis}
    return {"asks": [], "ladder": "", **entry, **completed}


def _contradiction(document: Document) -> str:
    """Return the first contradiction between parts of a report, which a schema cannot detect; empty if there is none."""
    try:
        datetime.fromisoformat(document["created"])
    except ValueError:
        return f"it was created at {document['created']!r:.40}, which is not a date"
    ids = [entry["id"] for entry in document["rungs"]]
    if not ids:
        return "it has no rungs"
    if len(ids) > MOST:
        return f"it has {len(ids)} rungs, more than {MOST}"
    first = [document["culprit"]] if document["culprit"] else []
    accused = {culprit["rung"] for culprit in (*first, *document["other_culprits"])}
    if unknown := accused - set(ids):
        return f"the culprit, {min(unknown)}, is not one of its rungs"
    if len(set(ids)) < len(ids):
        return f"{Counter(ids).most_common(1)[0][0]} occurs twice"
    for entry in document["rungs"]:
        of = entry["seeds"]["of"] if entry["seeds"] else 0
        conditions = (*entry["gates"], *entry["goals"])
        if max(len(conditions), len(entry["effects"])) > MOST:
            return (
                f"{entry['id']} has {len(conditions)} conditions and {len(entry['effects'])} effects, more than {MOST}"
            )
        if entry["seeds"] and not (entry["goals"] if entry["role"] == "goal" else conditions):
            return f"{entry['id']} was judged without conditions"
        if entry["green"] and entry["verdict"] != GREEN.get(entry["role"], entry["verdict"]):
            return f"{entry['id']}, a {entry['role']}, is green and {entry['verdict']}"
        if entry["id"] in accused and (entry["verdict"] != Verdict.FAIL or not conditions):
            return f"the culprit, {entry['id']}, is {entry['verdict']}, by {len(conditions)} conditions"
        criteria = [condition for condition in conditions if condition["kind"] != "comparison"]
        for counted in (*([entry["seeds"]] if entry["seeds"] else []), *criteria):
            if not 0 <= counted["passed"] <= counted["of"] <= SEEDS:
                return f"{counted['passed']} of {counted['of']} seeds of {entry['id']} passed"
        for criterion in criteria:
            if criterion["reached"] is not None and len(criterion["reached"]) != of:
                return f"{entry['id']} has {of} seeds, but {criterion['text']} has {len(criterion['reached'])}"
        for metric, curve in entry["curves"].items():
            if any(len(seed) != len(entry["epochs"]) for seed in curve):
                return f"{entry['id']} has {len(entry['epochs'])} epochs, but {metric} has another number"
        for metric, spread in entry["others"].items():
            if any(len(seed) != len(spread["epochs"]) for seed in spread["seeds"]):
                return f"{metric} of {entry['id']} has {len(spread['epochs'])} epochs, but a seed has another number"
    return ""


def upgraded(document: Raw) -> Raw:
    """Return a report of schema 1 as one of version 2.0.

    Fields that it lacks are empty or null, except those that follow from its curves, which were complete: the epochs, and when
    each seed met a condition.
    """
    rungs = [_upgraded(entry) for entry in document["rungs"]]
    without = {name: value for name, value in document.items() if name != "headline"}
    return {"complete": True, **without, "rungs": rungs}


def _upgraded(entry: Raw) -> Raw:
    entry = {**_ENTRY, **entry}
    total = max((len(seed) for curve in entry["curves"].values() for seed in curve), default=0)
    entry["epochs"] = list(range(1, total + 1))
    if entry["seeds"]:
        bad = [{"tensor": "", **seed} for seed in entry["seeds"]["non_finite"]]
        entry["seeds"] = entry["seeds"] | {"non_finite": bad}
    for what in ("gates", "goals"):
        entry[what] = [_condition(condition, entry) for condition in entry[what]]
    entry["effects"] = [_paired(effect) for effect in entry["effects"]]
    return entry


def _condition(condition: Raw, entry: Raw) -> Raw:
    if condition["kind"] == "comparison":
        return _paired(condition)
    since = (
        int(condition["text"].partition(" of epoch ")[2].partition("'")[0]) if condition["kind"] == "falls" else None
    )
    condition = {"floor": None, **condition, "since": since}
    return condition | {"reached": recorded.reached(cast("schema.Criterion", condition), cast("Entry", entry))}


def _paired(comparison: Raw) -> Raw:
    return {name: value for name, value in comparison.items() if name != "pairs"} | {"differences": None}


@cache
def _validator(lenient: bool) -> jsonschema_rs.Validator:
    """Return a validator of reports of this version; if lenient, of later minor ones too, which may have more fields."""
    published = json.loads(SCHEMA.read_text(encoding="utf-8"))
    return jsonschema_rs.validator_for(_open(published) if lenient else published)


def _open(part: Any) -> Any:
    """Return the same schema with additional properties allowed everywhere."""
    if isinstance(part, list):
        return [_open(each) for each in part]
    if not isinstance(part, dict):
        return part
    return {name: _open(each) for name, each in part.items() if (name, each) != ("additionalProperties", False)}
