"""The report on GitHub Actions: the ladder in the job's summary, and one annotation, on the culprit.

Source: GitHub's documentation, "Workflow commands for GitHub Actions".
"""

from pathlib import Path

from ladder.files import append_line
from ladder.report import text
from ladder.report.markdown import overview, why
from ladder.report.schema import Document

LIMIT = 1024 * 1024  # bytes of a step's summary; GitHub does not show a longer one at all
MARGIN = 4096  # for the newlines between the summaries that several runs of one step append


def append_summary(document: Document, target: Path) -> None:
    """Append the ladder to a job's summary, as much of it as fits.

    Raises:
        OSError: if it cannot be written.
    """
    taken = target.stat().st_size if target.exists() else 0
    if content := summary(document, LIMIT - MARGIN - taken):
        append_line(target, content)


def summary(document: Document, room: int) -> str:
    """Return the verdict, the table, and why rungs are red, in at most ``room`` bytes of UTF-8.

    If it does not fit, its end is left out: first the reasons, then rows of the table, last the verdict.
    """
    content, left_out = "", "\n\nThe rest has no room here; the report has it all."
    lines = "\n\n".join([*overview(document), *why(document)]).splitlines(keepends=True)
    for line in lines:
        if len((content + line).encode()) > room - len(left_out.encode()):
            return content.rstrip() + left_out if content else ""
        content += line
    return content


def annotation(document: Document, root: Path = Path()) -> str:
    """Return the workflow command that marks the culprit's or the suspect's test; empty if nothing failed.

    ``root`` is pytest's root, which the files of tests are relative to, as a path relative to the repository.
    """
    culprit = document["culprit"]
    if culprit is None:
        return ""
    entry = text.find(document, culprit["rung"])
    assert entry is not None
    location = {"title": f"ladder: {entry['id']}"}
    if test := entry["test"]:
        location = {"file": (root / test["file"]).as_posix(), "line": str(test["line"]), **location}
    properties = ",".join(f"{name}={_escaped(value, ':,')}" for name, value in location.items())
    message = "\n".join([text.culprit(document), *text.findings(entry), entry["repeat"]]).strip()
    return f"::error {properties}::{_escaped(message)}"


def _escaped(value: str, more: str = "") -> str:
    """Return a value with the escapes of a workflow command."""
    for character in "%\r\n" + more:
        value = value.replace(character, f"%{ord(character):02X}")
    return value
