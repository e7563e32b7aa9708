"""The history of a ladder: the series of every rung over many reports, and its changes."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

from ladder.history import ALPHA
from ladder.history.detection import with_changes
from ladder.history.reports import Report, reports_in
from ladder.history.series import Series, series_of_rung

NIGHT = timedelta(hours=12)  # reports so near to each other are of one nightly run, each of some rungs


@dataclass(frozen=True)
class History:
    """The series of every rung over reports from oldest to newest.

    ``alpha`` is the chance of reporting a change although nothing changed, over all rungs; ``skipped`` are the files in the
    folder that are not reports.
    """

    alpha: float
    reports: tuple[Report, ...]
    series: tuple[Series, ...]
    skipped: tuple[str, ...] = ()

    @property
    def worse(self) -> list[Series]:
        """The rungs that became worse and still are."""
        return [series for series in self.series if series.worse]


def read(folder: Path, alpha: float = ALPHA) -> History:
    """Return the history of every rung over the reports in a folder.

    Raises:
        ReportError: if it is not a folder, or there is no report in it.
    """
    reports, skipped = reports_in(folder)
    return history(reports, alpha, skipped)


def history(reports: Sequence[Report], alpha: float = ALPHA, skipped: Sequence[str] = ()) -> History:
    """Return the history of every rung over reports from oldest to newest; rungs of the last nightly run come first.

    Args:
        reports: The reports, oldest first.
        alpha: The chance of reporting a change although nothing changed, over all rungs.
        skipped: The files in the reports' folder that are not reports.
    """
    latest = [report for report in reports if reports[-1].created - report.created <= NIGHT]
    last_rungs = {entry["id"] for report in latest for entry in report.document["rungs"]}
    order = [entry["id"] for report in (*latest, *reversed(reports)) for entry in report.document["rungs"]]
    all_series = [series_of_rung(id, reports, missing=id not in last_rungs) for id in dict.fromkeys(order)]
    return History(alpha, tuple(reports), tuple(with_changes(all_series, alpha)), tuple(skipped))
