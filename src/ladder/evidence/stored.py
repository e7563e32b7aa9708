"""The common ground of evidence on disk: its format, checks of what is read, and the state of the folder."""

import json
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

FORMAT = 1
NUMBERS = 2**53  # beyond which JSON's readers do not agree on whole numbers


class NewerFormatError(Exception):
    """Evidence of a format that only a later version of ladder can read."""

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
        """Add a warning, unless it is there."""
        if problem not in self.problems:
            self.problems.append(problem)

    def cannot_be_written(self, error: OSError | UnicodeError) -> None:
        """Write nothing more."""
        self.writable = False
        self.warn(
            f"the evidence in {self.path} cannot be written: {error}; verdicts stand, but the next run trains again what "
            "was not kept; make room or choose another folder with --ladder-evidence"
        )

    def cannot_be_read(self, error: OSError) -> None:
        """Neither read nor write anything more."""
        self._leave_alone(
            f"the evidence in {self.path} cannot be read: {error}; choose another folder with --ladder-evidence"
        )

    def is_newer(self, error: NewerFormatError) -> None:
        """Neither read nor write anything more."""
        self._leave_alone(
            f"the evidence in {self.path} was written by a newer ladder ({error}); it is neither read nor changed: "
            "update ladder, or choose another folder with --ladder-evidence"
        )

    def _leave_alone(self, problem: str) -> None:
        self.readable = self.writable = False
        self.warn(problem)


def parse(text: str) -> dict[str, Any]:
    """Return a JSON object of a known format.

    Raises:
        ValueError: if the text is not one.
        NewerFormatError: if a later version of ladder wrote it.
    """
    try:
        parsed = json.loads(text)
    except RecursionError:
        raise ValueError("nested too deeply") from None
    if not isinstance(parsed, dict) or type(parsed.get("format")) is not int or not 1 <= parsed["format"] < NUMBERS:
        raise ValueError("it has no format")
    if parsed["format"] > FORMAT:
        raise NewerFormatError(parsed["format"])
    return parsed


def check_text(*values: Any) -> None:
    """Raise a ValueError for the first value that is not text."""
    for value in values:
        if not isinstance(value, str):
            raise ValueError(f"{value!r:.40} is no text")


def check_date(value: Any) -> None:
    """Raise a ValueError unless a value is a date and time as :func:`now` writes them."""
    check_text(value)
    date = datetime.fromisoformat(value)
    if date.tzinfo is None or date.isoformat() != value:  # the report's schema asks for no less
        raise ValueError(f"{value!r:.40} is no date of ours")


def now() -> str:
    """Return the date and time in UTC, to the second, in ISO 8601."""
    return datetime.now(UTC).isoformat(timespec="seconds")
