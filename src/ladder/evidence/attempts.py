"""The list of attempts: a line of ``attempts.jsonl`` when a rung begins to train, and one when its verdict is in."""

import json
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any, Self

from ladder.evidence.stored import FORMAT, NUMBERS, Folder, NewerFormatError, check_date, check_text, now, parse
from ladder.files import append_line, read_regular
from ladder.judge.sequential import Verdict

LARGEST = 2**25  # bytes of the list: some 100,000 attempts
LISTED, DAMAGED = 5, 1000  # damaged lines that a warning numbers; after which no more is read


@dataclass(frozen=True, kw_only=True)
class Attempt:
    """An attempt at a rung: a line when it began, without a verdict, and the same line with one when it ended.

    ``ladder`` is the folder of the rung's test, from pytest's root: another ladder may have a rung of the same id. It is empty
    where nobody knows, as in lines of older versions.
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
        """Return the attempt of a line.

        Raises:
            ValueError: if the line is not one.
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
        """Raise a ValueError unless everything is of its type, and could be true."""
        check_text(self.rung, self.key, self.run, self.commit, self.error, self.ladder)
        check_date(self.date)
        if self.verdict not in ("", *Verdict):
            raise ValueError(f"verdict {self.verdict!r}")
        counts = (0, 0) if self.k is None and self.n is None else (self.k, self.n)
        whole = all(type(count) is int and 0 <= count < NUMBERS for count in (self.root, *counts))
        if not whole or counts[0] > counts[1]:  # type: ignore[operator]  # whole numbers, as has just been seen
            raise ValueError(f"root {self.root!r}, {self.k!r} of {self.n!r} seeds")


class AttemptLog:
    """The attempts of all runs in a folder, to which this run adds its own.

    Args:
        folder: The folder.
        run: The id of this run.
        commit: The commit of the work tree, with ``+`` where that differs from it.
        ladders: Rung to the folder of its test; of a rung that is not in it, every ladder's attempts are listed.
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
        """List that a rung begins to train; an attempt that never ends was killed."""
        self._append(rung, key, root)

    def end(self, rung: str, key: str, root: int, **verdict: Any) -> None:
        """List the end of an attempt: ``verdict``, ``k``, ``n``, ``error``."""
        self._append(rung, key, root, **verdict)

    def of(self, rung: str) -> list[Attempt]:
        """Return every attempt at a rung of this ladder, the oldest first; one that never ended has no verdict."""
        begun: dict[tuple[str, str, int], int] = {}
        attempts: list[Attempt] = []
        for attempt in self._attempts:
            ladders = {attempt.ladder, self._ladders.get(rung, "")} - {""}
            if attempt.rung != rung or len(ladders) > 1:
                continue
            same = (attempt.run, attempt.key, attempt.root)
            if attempt.verdict and same in begun:
                attempts[begun.pop(same)] = attempt
            else:
                if not attempt.verdict:
                    begun[same] = len(attempts)
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
        if not self._file.is_file():  # a warning of anything else that is there comes when it cannot be written
            return
        lines = read_regular(self._file, LARGEST).decode(errors="replace").split("\n")
        damaged = []
        for number, line in enumerate(lines, start=1):
            if number == len(lines) and not line:  # else it was cut off; all that is missing may be its end
                break
            try:
                yield Attempt.read(line)
            except ValueError:
                damaged.append(number)
            if len(damaged) == DAMAGED:
                break
        if damaged == [len(lines)]:
            self._folder.warn(f"the last line of {self._file} was cut off, as by a crash; that attempt is not listed")
        elif damaged:
            numbers = ", ".join(map(str, damaged[:LISTED]))
            numbers += f" and {len(damaged) - LISTED} more" if len(damaged) > LISTED else ""
            numbers += " (all after them is left out)" if len(damaged) == DAMAGED else ""
            self._folder.warn(
                f"{self._file}: what line {numbers} says cannot be read and is not listed; delete it to be rid of this"
            )
