"""The rungs in the Common Test Report Format, for those who collect such files.

Source: the specification of CTRF, version 0.0.0, https://ctrf.io.
"""

from datetime import datetime
from typing import Any

from ladder import __version__
from ladder.judge.sequential import Verdict
from ladder.report.schema import Document, Entry
from ladder.report.text import count, findings, verdict_label

STATUS = {Verdict.BLOCKED: "skipped", Verdict.UNDECIDED: "other"}
"""Of a rung that is not green; of any other verdict it has failed."""


def ctrf(document: Document, start: float, stop: float) -> dict[str, Any]:
    """The report as CTRF: a test for each rung, with its verdict and its seeds among the labels.

    Args:
        document: The report.
        start: When the run began, in seconds since 1970.
        stop: When it ended.
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


def _test(entry: Entry) -> dict[str, Any]:
    seconds, counted, where = entry["seconds"], count(entry), entry["test"]
    found: dict[str, Any] = {
        "name": entry["id"],
        "status": "passed" if entry["green"] else STATUS.get(Verdict(entry["verdict"]), "failed"),
        "duration": round(1000 * (seconds["compile"] + seconds["run"])) if seconds else 0,
        "rawStatus": entry["verdict"],
        "tags": [f"rung{entry['number']}", entry["role"]],
        "labels": {"rung": entry["id"], "verdict": entry["verdict"]},
    }
    if counted:
        found["labels"] |= {"k": counted[0], "n": counted[1]}
    if not entry["green"]:
        found["message"] = "\n".join([verdict_label(entry), *filter(None, [entry["error"]]), *findings(entry)])
    if where:
        found |= {"suite": [where["file"]], "filePath": where["file"], "line": where["line"]}
    return found
