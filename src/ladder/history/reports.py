"""The reports in a folder, such as those of nightly runs, oldest first."""

from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TypedDict

from ladder.declare.verdict import Verdict
from ladder.report.reading import ReportError, load
from ladder.report.schema import Document, Entry
from ladder.report.text import find, printable


@dataclass(frozen=True)
class Report:
    """A report in a folder."""

    path: Path
    created: datetime
    commit: str
    root: int
    document: Document

    @property
    def label(self) -> str:
        """The date and the commit, for a reader."""
        return f"{self.created:%Y-%m-%d}{f', commit {self.commit}' if self.commit else ''}"


class Identity(TypedDict):
    """The date, the commit and the seed root of a report, and whether it is complete."""

    created: str
    commit: str
    root: int
    complete: bool


def identity(document: Document) -> Identity:
    """Return what identifies a report: its date, commit, seed root, and whether it is complete."""
    commit = document["commit"] or {"sha": "", "dirty": False}
    return {
        "created": document["created"],
        "commit": f"{commit['sha'][:12]}{'+' if commit['dirty'] else ''}",
        "root": document["seeds"]["root"],
        "complete": document["complete"],
    }


def both_entries(before: Document, after: Document) -> list[tuple[str, Entry | None, Entry | None]]:
    """Return every rung of two reports with its entry in each: those of the later one, then those that it lacks."""
    ids = [entry["id"] for report in (after, before) for entry in report["rungs"]]
    return [(id, find(before, id), find(after, id)) for id in dict.fromkeys(ids)]


def reports_in(folder: Path) -> tuple[list[Report], list[str]]:
    """Return every report in a folder, of any name, and every ``ladder.json`` in the folders in it, oldest first.

    Returns:
        The reports, and the names of the files that are not reports.

    Raises:
        ReportError: if it is not a folder, or there is no report in it.
    """
    if not folder.is_dir():
        raise ReportError(f"{folder} is not a folder")
    reports, skipped = [], []
    for path in sorted([*folder.glob("*.json"), *folder.glob("*/ladder.json")]):
        try:
            document = load(path)
            created = _created(document)
        except (OSError, ReportError):
            skipped.append(printable(str(path)))
            continue
        reports.append(Report(path, created, identity(document)["commit"], document["seeds"]["root"], document))
    if not reports:
        raise ReportError(f"{folder} has no report in it{f', only {skipped[0]}' if skipped else ''}")
    return sorted(reports, key=lambda report: report.created), skipped


def last_climbed(folder: Path, later: Document) -> Document:
    """Return the reports before ``later`` merged into one: the last, with the rungs that it lacks from the last that has them.

    A nightly run may climb only some rungs, or have others BLOCKED: their earlier results must not be lost.

    Raises:
        ReportError: if it is not a folder, or there is no report in it that is older than ``later``.
    """
    before = [report for report in reports_in(folder)[0] if report.created < _created(later)]
    if not before:
        raise ReportError(f"{folder} has no report that is older than {later['created']}")
    last = before[-1].document
    ids = {entry["id"] for entry in (*later["rungs"], *last["rungs"])}
    entries: dict[str, Entry] = {}
    for report in before:
        for entry in report.document["rungs"]:
            if entry["id"] in ids and (entry["verdict"] != Verdict.BLOCKED or entry["id"] not in entries):
                entries[entry["id"]] = entry
    return last | {"rungs": list(entries.values())}


def _created(document: Document) -> datetime:
    created = datetime.fromisoformat(document["created"])
    return created if created.tzinfo else created.replace(tzinfo=UTC)
