"""The format of evidence on disk, checks of data that are read from it, and the state of the folder."""

import json
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

FORMAT = 1
MAX_INTEGER = 2**53  # readers of JSON do not agree on larger whole numbers


class NewerFormatError(Exception):
    """Evidence in a format that only a newer version of ladder can read."""

    def __init__(self, newer: int):
        super().__init__(f"format {newer}, this version reads {FORMAT}")


@dataclass
class Folder:
    """A folder of evidence.

    If it fails, evidence is lost but the verdict stands; the user is warned once.

    Attributes:
        path: The folder.
        problems: The warnings.
        readable: Whether anything is read from it.
        writable: Whether anything is written to it.
    """

    path: Path
    problems: list[str] = field(default_factory=list)
    readable: bool = True
    writable: bool = True

    def warn(self, problem: str) -> None:
        """Add a warning, unless the same warning is there already."""
        if problem not in self.problems:
            self.problems.append(problem)

    def cannot_be_written(self, error: OSError | UnicodeError) -> None:
        """Write nothing more to the folder, and warn."""
        self.writable = False
        self.warn(
            f"the evidence in {self.path} cannot be written: {error}; the verdicts stand, but the next run trains "
            "these seeds again; free disk space or choose another folder with --ladder-evidence"
        )

    def cannot_be_read(self, error: OSError) -> None:
        """Neither read nor write anything more, and warn."""
        self._close(
            f"the evidence in {self.path} cannot be read: {error}; choose another folder with --ladder-evidence"
        )

    def is_newer(self, error: NewerFormatError) -> None:
        """Neither read nor write anything more, and warn: an older version must not damage newer evidence."""
        self._close(
            f"the evidence in {self.path} was written by a newer ladder ({error}); it is neither read nor changed: "
            "update ladder, or choose another folder with --ladder-evidence"
        )

    def _close(self, problem: str) -> None:
        self.readable = self.writable = False
        self.warn(problem)


def parse(text: str) -> dict[str, Any]:
    """Parse a JSON object and check its format.

    Raises:
        ValueError: if the text is not a JSON object with a format.
        NewerFormatError: if a newer version of ladder wrote it.
    """
    try:
        parsed = json.loads(text)
    except RecursionError:
        raise ValueError("nested too deeply") from None
    if not isinstance(parsed, dict) or type(parsed.get("format")) is not int or not 1 <= parsed["format"] < MAX_INTEGER:
        raise ValueError("it is not a JSON object with a format")
    if parsed["format"] > FORMAT:
        raise NewerFormatError(parsed["format"])
    return parsed


def check_text(*values: Any) -> None:
    """Raise a ValueError for the first value that is not a string."""
    for value in values:
        if not isinstance(value, str):
            raise ValueError(f"{value!r:.40} is not a string")


def check_date(value: Any) -> None:
    """Raise a ValueError unless a value is a date and time in the format of :func:`now`."""
    check_text(value)
    date = datetime.fromisoformat(value)
    if date.tzinfo is None or date.isoformat() != value:  # the schema of the report requires both
        raise ValueError(f"{value!r:.40} is not a date and time in ISO 8601 with a time zone")


def now() -> str:
    """Return the date and time in UTC, to the second, in ISO 8601."""
    return datetime.now(UTC).isoformat(timespec="seconds")
