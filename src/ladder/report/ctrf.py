"""The rungs in the Common Test Report Format, for tools that collect such files.

Source: the specification of CTRF, version 0.0.0, https://ctrf.io.
"""

from datetime import datetime

from ladder import __version__
from ladder.declare.verdict import Verdict
from ladder.report.schema import Document, Entry
from ladder.report.text import count, findings, verdict_label

STATUS = {Verdict.BLOCKED: "skipped", Verdict.UNDECIDED: "other"}
"""The status of a rung that is not green, by verdict; with any other verdict it is ``failed``."""


def ctrf(document: Document, start: float, stop: float) -> dict[str, object]:
    """Return the report as CTRF: a test for each rung, with its verdict and its seeds among the labels.

    Args:
        document: The report.
        start: The time at which the run began, in seconds since 1970.
        stop: The time at which it ended, in seconds since 1970.
    """
    tests = [_test(entry) for entry in document["rungs"]]
    statuses = [test["status"] for test in tests]
    return {
        "reportFormat": "CTRF",
        "specVersion": "0.0.0",
        "timestamp": datetime.fromisoformat(document["created"]).isoformat(),
        "generatedBy": "ladder",
        "results": {
            "tool": {"name": "ladder", "version": __version__},
            "summary": {
                "tests": len(tests),
                **{status: statuses.count(status) for status in ("passed", "failed", "skipped", "pending", "other")},
                "start": round(1000 * start),
                "stop": round(1000 * stop),
            },
            "tests": tests,
        },
    }


def _test(entry: Entry) -> dict[str, object]:
    seconds, counted, location = entry["seconds"], count(entry), entry["test"]
    labels: dict[str, object] = {"rung": entry["id"], "verdict": entry["verdict"]}
    if counted:
        labels |= {"k": counted[0], "n": counted[1]}
    test: dict[str, object] = {
        "name": entry["id"],
        "status": "passed" if entry["green"] else STATUS.get(Verdict(entry["verdict"]), "failed"),
        "duration": round(1000 * (seconds["compile"] + seconds["run"])) if seconds else 0,
        "rawStatus": entry["verdict"],
        "tags": [f"rung{entry['number']}", entry["role"]],
        "labels": labels,
    }
    if not entry["green"]:
        test["message"] = "\n".join([verdict_label(entry), *filter(None, [entry["error"]]), *findings(entry)])
    if location:
        test |= {"suite": [location["file"]], "filePath": location["file"], "line": location["line"]}
    return test
