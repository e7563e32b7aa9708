"""The log of attempts: ``attempts.jsonl`` has a line for the start of each attempt at a rung and a line for its verdict."""

import json
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any, Self

from ladder.declare.verdict import Verdict
from ladder.evidence.stored import FORMAT, MAX_INTEGER, Folder, NewerFormatError, check_date, check_text, now, parse
from ladder.files import append_line, read_regular

MAX_BYTES = 2**25  # of the log: some 100,000 attempts
MAX_LISTED = 5  # damaged lines whose numbers a warning gives
MAX_DAMAGED = 1000  # damaged lines after which reading stops


@dataclass(frozen=True, kw_only=True)
class Attempt:
    """An attempt at a rung: a line when it began, without a verdict, and the same line with one when it ended.

    ``ladder`` is the folder of the rung's test, relative to pytest's root: another ladder may have a rung of the same id. It is
    empty if the folder is not known, as in lines of older versions.
    """

    rung: str
    key: str
    root: int
    run: str
    date: str
    commit: str
    verdict: str = ""
    k: int | None = None
    n: int | None = None
    error: str = ""
    ladder: str = ""

    @classmethod
    def read(cls, line: str) -> Self:
        """Parse an attempt from a line.

        Raises:
            ValueError: if the line is not an attempt.
            NewerFormatError: if a later version of ladder wrote it.
        """
        parsed = parse(line)
        names = {field.name for field in fields(cls)}
        try:
            attempt = cls(**{name: value for name, value in parsed.items() if name in names})
        except TypeError as error:
            raise ValueError(str(error)) from error
        attempt._check()
        return attempt

    def _check(self) -> None:
        """Raise a ValueError for a field of a wrong type or with an impossible value."""
        check_text(self.rung, self.key, self.run, self.commit, self.error, self.ladder)
        check_date(self.date)
        if self.verdict not in ("", *Verdict):
            raise ValueError(f"verdict {self.verdict!r}")
        counts = (0, 0) if self.k is None and self.n is None else (self.k, self.n)
        whole = all(type(count) is int and 0 <= count < MAX_INTEGER for count in (self.root, *counts))
        if not whole or counts[0] > counts[1]:  # type: ignore[operator]  # whole numbers: checked first
            raise ValueError(f"root {self.root!r}, {self.k!r} of {self.n!r} seeds")


class AttemptLog:
    """The attempts of all runs in a folder, to which this run adds its own.

    Args:
        folder: The folder.
        run: The id of this run.
        commit: The commit of the work tree, with ``+`` if the work tree differs from it.
        ladders: Rung to the folder of its test; the attempts of every ladder are listed for a rung without an entry.
    """

    def __init__(self, folder: Folder, run: str, commit: str, ladders: Mapping[str, str]):
        self._folder = folder
        self._run = run
        self._commit = commit
        self._ladders = ladders
        self._attempts: list[Attempt] = []
        try:
            self._attempts += self._read()
        except NewerFormatError as error:
            folder.is_newer(error)
        except OSError as error:
            folder.cannot_be_read(error)

    def begin(self, rung: str, key: str, root: int) -> None:
        """Log the start of an attempt; an attempt without an end was killed."""
        self._append(rung, key, root)

    def end(self, rung: str, key: str, root: int, **verdict: Any) -> None:
        """Log the end of an attempt: ``verdict``, ``k``, ``n``, ``error``."""
        self._append(rung, key, root, **verdict)

    def for_rung(self, rung: str) -> list[Attempt]:
        """Return all attempts at a rung of this ladder, oldest first; an attempt that never ended has no verdict."""
        open_attempts: dict[tuple[str, str, int], int] = {}
        attempts: list[Attempt] = []
        for attempt in self._attempts:
            ladders = {attempt.ladder, self._ladders.get(rung, "")} - {""}
            if attempt.rung != rung or len(ladders) > 1:
                continue
            same = (attempt.run, attempt.key, attempt.root)
            if attempt.verdict and same in open_attempts:
                attempts[open_attempts.pop(same)] = attempt
            else:
                if not attempt.verdict:
                    open_attempts[same] = len(attempts)
                attempts.append(attempt)
        return attempts

    def _append(self, rung: str, key: str, root: int, **verdict: Any) -> None:
        attempt = Attempt(
            rung=rung,
            key=key,
            root=root,
            run=self._run,
            date=now(),
            commit=self._commit,
            ladder=self._ladders.get(rung, ""),
            **verdict,
        )
        self._attempts.append(attempt)
        if self._folder.writable:
            try:
                append_line(self._file, json.dumps({"format": FORMAT, **asdict(attempt)}, allow_nan=False))
            except OSError as error:
                self._folder.cannot_be_written(error)

    @property
    def _file(self) -> Path:
        return self._folder.path / "attempts.jsonl"

    def _read(self) -> Iterator[Attempt]:
        if not self._file.is_file():  # anything else at that path leads to a warning when it is written
            return
        lines = read_regular(self._file, MAX_BYTES).decode(errors="replace").split("\n")
        damaged = []
        for number, line in enumerate(lines, start=1):
            if number == len(lines) and not line:  # every complete line ends with a newline
                break
            try:
                yield Attempt.read(line)
            except ValueError:
                damaged.append(number)
            if len(damaged) == MAX_DAMAGED:
                break
        if damaged == [len(lines)]:
            self._folder.warn(f"the last line of {self._file} was cut off, as by a crash; that attempt is not listed")
        elif damaged:
            numbers = ", ".join(map(str, damaged[:MAX_LISTED]))
            numbers += f" and {len(damaged) - MAX_LISTED} more" if len(damaged) > MAX_LISTED else ""
            numbers += " (the lines after them were not read)" if len(damaged) == MAX_DAMAGED else ""
            self._folder.warn(
                f"{self._file}: line {numbers} cannot be read, and its attempt is not listed; delete the line to silence "
                "this warning"
            )
