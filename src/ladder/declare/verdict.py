"""The verdicts on a rung, a leaf that every other part imports."""

from collections.abc import Sequence
from enum import StrEnum


class Verdict(StrEnum):
    """The verdict on a rung."""

    PASS = "PASS"
    FAIL = "FAIL"
    UNDECIDED = "UNDECIDED"
    BLOCKED = "BLOCKED"
    CRASHED = "CRASHED"
    TIMED_OUT = "TIMED OUT"

    @classmethod
    def all_of(cls, verdicts: Sequence["Verdict"]) -> "Verdict":
        """Return FAIL if any part fails, PASS if every part passes, else UNDECIDED."""
        if cls.FAIL in verdicts:
            return cls.FAIL
        return cls.PASS if all(v is cls.PASS for v in verdicts) else cls.UNDECIDED
