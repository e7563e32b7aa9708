"""The report where GitHub Actions shows it: the ladder in the job's summary, and one annotation, on the culprit.

Source: GitHub's documentation, "Workflow commands for GitHub Actions".
"""

from pathlib import Path

from ladder.files import append_line
from ladder.report import text
from ladder.report.markdown import overview, why
from ladder.report.schema import Document

LIMIT = 1024 * 1024  # bytes of a step's summary; of one that is longer GitHub shows nothing
MARGIN = 4096  # for the newlines between what several runs of one step append


def append_summary(document: Document, target: Path) -> None:
    """Append the ladder to a job's summary, as much of it as there is room for.

    Raises:
        OSError: if it cannot be written.
    """
    taken = target.stat().st_size if target.exists() else 0
    if told := summary(document, LIMIT - MARGIN - taken):
        append_line(target, told)


def summary(document: Document, room: int) -> str:
    """Verdict and table, and why rungs are red, in at most so many bytes of UTF-8.

    What has no room is left out from its end: first reasons, then rows of the table, the verdict last.
    """
    told, left_out = "", "\n\nThe rest has no room here; the report has it all."
    lines = "\n\n".join([*overview(document), *why(document)]).splitlines(keepends=True)
    for line in lines:
        if len((told + line).encode()) > room - len(left_out.encode()):
            return told.rstrip() + left_out if told else ""
        told += line
    return told


def annotation(document: Document, root: Path = Path()) -> str:
    """The workflow command that marks the culprit's test, or what is only suspected; empty where nothing failed.

    ``root`` is pytest's, to which the files of tests are relative, as GitHub knows it: relative to the repository.
    """
    found = document["culprit"]
    if found is None:
        return ""
    entry = text.find(document, found["rung"])
    assert entry is not None
    where = {"title": f"ladder: {entry['id']}"}
    if test := entry["test"]:
        where = {"file": (root / test["file"]).as_posix(), "line": str(test["line"]), **where}
    properties = ",".join(f"{name}={_escaped(value, ':,')}" for name, value in where.items())
    message = "\n".join([text.culprit(document), *text.findings(entry), entry["repeat"]]).strip()
    return f"::error {properties}::{_escaped(message)}"


def _escaped(value: str, more: str = "") -> str:
    """As a workflow command takes it."""
    for character in "%\r\n" + more:
        value = value.replace(character, f"%{ord(character):02X}")
    return value
