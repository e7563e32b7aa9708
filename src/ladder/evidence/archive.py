"""Evidence: what was trained, kept so that an unchanged rung is judged again without training, and every attempt, listed.

Two things are kept in a folder. ``curves/<key>/<first>-<last>.npz`` holds what seeds ``first`` up to ``last`` of one
experiment yielded; the key is that of the experiment, its code, the versions, the backend and the seeds' root, so that
whatever changes, other curves are looked for and none takes another's place. ``attempts.jsonl`` has a line when a rung begins
to train and one when its verdict is in. Curves are evidence, verdicts are not: they are judged anew each time, by the
criteria of the day. Nothing here loads JAX.
"""

import hashlib
import io
import json
import os
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, field, fields
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple, Self, TypeVar
from urllib.parse import quote

import numpy as np

from ladder.evidence.fingerprint import Fingerprint
from ladder.files import append_line, lock, read_regular, write_atomically
from ladder.judge.sequential import Verdict
from ladder.train.result import Trained

Arrays = dict[str, np.ndarray]
Read = TypeVar("Read")

FORMAT = 1
BLOCK = re.compile(r"(\d+)-(\d+)\.npz")
INSPECTED = "inspected.npz"
LARGEST = 2**32  # bytes of a file of curves, packed or not
LONGEST = 2**25  # bytes of the list of attempts: some 100,000 of them
NUMBERS = 2**53  # beyond which JSON's readers do not agree on whole numbers
LISTED, DAMAGED = 5, 1000  # damaged lines told of by number; after which no more is read


class Origin(NamedTuple):
    """When and from which commit something was measured; ``commit`` ends in ``+`` where files had been changed since."""

    date: str
    commit: str


class Block(NamedTuple):
    """Seeds trained together, and where they come from."""

    trained: Trained
    origin: Origin


@dataclass(frozen=True, kw_only=True)
class Attempt:
    """One attempt at a rung: a line when it began, without a verdict, and the same line with one when it ended.

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
        """Read a line of the list.

        Raises:
            ValueError: if it is none.
            NewerFormatError: if a later version of ladder wrote it.
        """
        found = _parsed(line)
        known = {field.name for field in fields(cls)}
        try:
            attempt = cls(**{name: value for name, value in found.items() if name in known})
        except TypeError as error:
            raise ValueError(str(error)) from error
        attempt._check()
        return attempt

    def _check(self) -> None:
        """Raise a ValueError unless everything is of its type, and could be true."""
        _check_text(self.rung, self.key, self.run, self.commit, self.error, self.ladder)
        _check_date(self.date)
        if self.verdict not in ("", *Verdict):
            raise ValueError(f"verdict {self.verdict!r}")
        counts = (0, 0) if self.k is None and self.n is None else (self.k, self.n)
        whole = all(type(count) is int and 0 <= count < NUMBERS for count in (self.root, *counts))
        if not whole or counts[0] > counts[1]:  # type: ignore[operator]  # whole numbers, as has just been seen
            raise ValueError(f"root {self.root!r}, {self.k!r} of {self.n!r} seeds")


class NewerFormatError(Exception):
    """Evidence of a format that only a later version of ladder can read."""

    def __init__(self, found: int):
        super().__init__(f"format {found}, this version reads {FORMAT}")


def key(fingerprint: Fingerprint, seeds: object) -> str:
    """What curves are filed under: all that they depend on, but for the seeds' numbers."""
    return hashlib.sha256(f"{asdict(fingerprint)} {seeds}".encode()).hexdigest()[:20]


@dataclass
class Evidence:
    """A folder of evidence, read and written by one run.

    Trouble with the folder costs evidence, never a verdict: it is told once, in ``problems``, and the climb goes on.

    Attributes:
        folder: Where it is kept.
        run: Id of this run, shared by its workers.
        commit: The commit of the work tree, with ``+`` where that differs from it.
        rerun: Take nothing from earlier runs.
        ladders: Rung to the folder of its test; of a rung that is not in it, every ladder's attempts are listed.
        problems: What the user must know about the folder.
    """

    folder: Path
    run: str
    commit: str = ""
    rerun: bool = False
    ladders: Mapping[str, str] = field(default_factory=dict)
    problems: list[str] = field(default_factory=list)
    _readable: bool = field(default=True, init=False)
    _writable: bool = field(default=True, init=False)
    _attempts: list[Attempt] = field(default_factory=list, init=False)
    _held: int | None = field(default=None, init=False)

    def __post_init__(self) -> None:
        try:
            self._attempts = list(self._read_attempts())
        except NewerFormatError as error:
            self._newer(error)
        except OSError as error:
            self._give_up(
                f"the evidence in {self.folder} cannot be read: {error}; choose another folder with --ladder-evidence"
            )

    def trained(
        self, key: str, first: int, seeds: int, metrics: Sequence[str], epochs: int, before: Trained | None = None
    ) -> Iterator[Block]:
        """Yield the blocks kept under that key, from seed ``first`` on without a gap, until there are ``seeds`` in all.

        A block is used only if it holds these metrics over these epochs, and the traces that the seeds ``before`` it have.
        """
        at, read = first, partial(_block, metrics=metrics, epochs=epochs)
        while at < seeds:
            blocks = (self._open(self._curves(key) / f"{at}-{end}.npz", read) for end in self._ends(key, at))
            block = next(filter(None, blocks), None)
            if block is None:
                return
            if before is not None and not block.trained.continues(before):
                self.distrust(key)
                return
            yield block
            before = block.trained
            at += block.trained.seeds

    def distrust(self, key: str) -> None:
        """Say that the blocks kept under that key do not fit one another, or what is trained now."""
        self._tell(f"{self._curves(key)} is not used: its seeds have different traces; what it held is measured again")

    def keep(self, key: str, first: int, trained: Trained) -> None:
        """Keep what the seeds from ``first`` on have yielded."""
        arrays = {f"curve {name}": curve for name, curve in trained.curves.items()}
        arrays |= {f"trace {name}": trace for name, trace in trained.traces.items()}
        seconds = {"compile_seconds": trained.compile_seconds, "run_seconds": trained.run_seconds}
        target = self._curves(key) / f"{first}-{first + trained.seeds}.npz"
        self._save(target, arrays, seconds)
        if self.rerun and first == 0:
            self._supersede(target)

    def inspected(self, key: str) -> dict[str, np.ndarray] | None:
        """What the experiment showed of itself when it was last looked into."""
        return self._open(self._curves(key) / INSPECTED, _inspection)

    def keep_inspected(self, key: str, shown: Mapping[str, np.ndarray]) -> None:
        """Keep what the experiment has shown of itself."""
        self._save(self._curves(key) / INSPECTED, shown, {})

    def begin(self, rung: str, key: str, root: int) -> None:
        """List that a rung begins to train; what never ends was killed."""
        self._append(self._attempt(rung, key, root))

    def end(self, rung: str, key: str, root: int, **verdict: Any) -> None:
        """List what an attempt came to: ``verdict``, ``k``, ``n``, ``error``."""
        self._append(self._attempt(rung, key, root, **verdict))

    def attempts(self, rung: str) -> list[Attempt]:
        """Every attempt at a rung of this ladder, the oldest first; one that began and never ended has no verdict."""
        begun: dict[tuple[str, str, int], int] = {}
        listed: list[Attempt] = []
        for attempt in self._attempts:
            ladders = {attempt.ladder, self.ladders.get(rung, "")} - {""}
            if attempt.rung != rung or len(ladders) > 1:
                continue
            same = (attempt.run, attempt.key, attempt.root)
            if attempt.verdict and same in begun:
                listed[begun.pop(same)] = attempt
            else:
                if not attempt.verdict:
                    begun[same] = len(listed)
                listed.append(attempt)
        return listed

    def announce(self) -> None:
        """Say that this run is under way here, until this process ends, and tell if another run is."""
        if not self._writable:
            return
        running = self.folder / "running"
        try:
            running.mkdir(parents=True, exist_ok=True)
            if not (ignored := self.folder / ".gitignore").exists():  # else the commit would differ by its own evidence
                write_atomically(ignored, "*\n")
            run = quote(self.run, safe="")
            for other in running.iterdir():
                if other.name.rpartition("-")[0] != run and (since := _held(other)):
                    self._tell(
                        f"another run is climbing in this checkout ({since}); they share their evidence, and the report is "
                        "that of the run that ends last"
                    )
            self._held = lock(running / f"{run}-{os.getpid()}")  # one for each worker of the run; death lets go of it
        except OSError as error:
            self._failed(error)

    def close(self) -> None:
        """Say that this process has done its part of the run."""
        held, self._held = self._held, None
        if held is not None:
            with suppress(OSError):  # it is closed all the same
                os.close(held)

    def _supersede(self, newest: Path) -> None:
        """Remove what earlier runs have kept beside a block that begins anew: nobody wants the two joined."""
        try:
            for old in newest.parent.glob("*.npz"):
                if old != newest and newest.exists():
                    old.unlink(missing_ok=True)
        except OSError as error:
            self._failed(error)

    def _attempt(self, rung: str, key: str, root: int, **verdict: Any) -> Attempt:
        ladder = self.ladders.get(rung, "")
        return Attempt(
            rung=rung, key=key, root=root, run=self.run, date=_now(), commit=self.commit, ladder=ladder, **verdict
        )

    def _append(self, attempt: Attempt) -> None:
        self._attempts.append(attempt)
        if self._writable:
            try:
                append_line(self._list, json.dumps({"format": FORMAT, **asdict(attempt)}, allow_nan=False))
            except OSError as error:
                self._failed(error)

    @property
    def _list(self) -> Path:
        return self.folder / "attempts.jsonl"

    def _read_attempts(self) -> Iterator[Attempt]:
        if not self._list.is_file():  # what else is there is told of when it cannot be written
            return
        lines = read_regular(self._list, LONGEST).decode(errors="replace").split("\n")
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
            self._tell(f"the last line of {self._list} was cut off, as by a crash; that attempt is not listed")
        elif damaged:
            told = ", ".join(map(str, damaged[:LISTED]))
            told += f" and {len(damaged) - LISTED} more" if len(damaged) > LISTED else ""
            told += " (all after them is left out)" if len(damaged) == DAMAGED else ""
            self._tell(
                f"{self._list}: what line {told} says cannot be read and is not listed; delete it to be rid of this"
            )

    def _save(self, target: Path, arrays: Mapping[str, np.ndarray], seconds: Mapping[str, float]) -> None:
        # What must not be overwritten in its place has been told of when it was read.
        if not self._writable or target.is_dir():
            return
        # With the arrays' names: each is guarded by a checksum, but not that none is missing.
        about = {
            "format": FORMAT,
            "run": self.run,
            "date": _now(),
            "commit": self.commit,
            "arrays": [*arrays],
            **seconds,
        }
        content = io.BytesIO()
        try:
            np.savez_compressed(content, about=np.asarray(json.dumps(about)), **arrays)  # type: ignore[arg-type]
            write_atomically(target, content.getvalue())
        except (OSError, UnicodeError) as error:  # of half a character in the name of a metric
            self._failed(error)

    def _curves(self, key: str) -> Path:
        return self.folder / "curves" / key

    def _ends(self, key: str, first: int) -> list[int]:
        """Where the blocks that start at seed ``first`` end, the longest first."""
        names = (BLOCK.fullmatch(path.name) for path in self._curves(key).glob(f"{first}-*.npz"))
        return sorted((int(name[2]) for name in names if name), reverse=True)

    def _open(self, path: Path, read: Callable[[Path, Arrays, dict[str, Any]], Read]) -> Read | None:
        if not self._readable:
            return None
        try:
            # Not by its path: of what is no archive NumPy leaves the file open.
            with np.load(io.BytesIO(read_regular(path, LARGEST)), allow_pickle=False) as stored:
                if (size := sum(member.file_size for member in stored.zip.infolist())) > LARGEST:
                    raise ValueError(f"unpacked it has {size} bytes; at most {LARGEST} are read")
                about = _parsed(str(stored["about"]))
                _check_text(about["run"], about["commit"], *about["arrays"])
                _check_date(about["date"])
                if self.rerun and about["run"] != self.run:
                    return None
                return read(path, {name: stored[name] for name in about["arrays"]}, about)
        except (FileNotFoundError, NotADirectoryError):
            return None
        except NewerFormatError as error:
            self._newer(error)
            return None
        except Exception as error:  # a damaged archive raises whatever its reader trips over
            self._tell(f"{path} is not used: {error!r:.200}; what it held is measured again")
            return None

    def _failed(self, error: OSError | UnicodeError) -> None:
        self._writable = False
        self._tell(
            f"the evidence in {self.folder} cannot be written: {error}; verdicts stand, but the next run trains again what "
            "was not kept; make room or choose another folder with --ladder-evidence"
        )

    def _newer(self, error: NewerFormatError) -> None:
        self._give_up(
            f"the evidence in {self.folder} was written by a newer ladder ({error}); it is neither read nor changed: "
            "update ladder, or choose another folder with --ladder-evidence"
        )

    def _give_up(self, problem: str) -> None:
        self._readable = self._writable = False
        self._tell(problem)

    def _tell(self, problem: str) -> None:
        if problem not in self.problems:
            self.problems.append(problem)


def _block(path: Path, arrays: Arrays, about: dict[str, Any], metrics: Sequence[str], epochs: int) -> Block:
    """Return what a file holds, if that is what training these metrics over these epochs yields.

    Raises:
        ValueError: if it is anything else.
    """
    kinds: dict[str, dict[str, np.ndarray]] = {"curve": {}, "trace": {}}
    for name, values in arrays.items():
        kind, _, metric = name.partition(" ")
        kinds[kind][metric] = values
        if values.dtype != np.float64:
            raise ValueError(f"{name!r} holds {values.dtype}, not {np.dtype(np.float64)}")
    first, last = map(int, path.stem.split("-"))
    if kinds["curve"].keys() != set(metrics):
        raise ValueError(f"it holds the metrics {[*kinds['curve']]}, not {[*metrics]}")
    for kind, dimensions in (("curve", 2), ("trace", 3)):
        for name, values in kinds[kind].items():
            if values.ndim != dimensions or values.shape[:2] != (last - first, epochs):
                raise ValueError(f"{kind} {name!r} is {values.shape}, not of {last - first} seeds and {epochs} epochs")
    seconds = [about[name] for name in ("compile_seconds", "run_seconds")]
    if not all(type(value) in (int, float) and 0.0 <= value < NUMBERS for value in seconds):
        raise ValueError(f"it took {seconds} seconds")
    return Block(Trained(kinds["curve"], kinds["trace"], *seconds), Origin(about["date"], about["commit"]))


def _inspection(path: Path, arrays: Arrays, about: dict[str, Any]) -> Arrays:
    """Return what a file holds, if each array has a row for each of its seeds.

    Raises:
        ValueError: if it is anything else.
    """
    seeds = arrays["seeds"]
    if seeds.ndim != 1 or seeds.dtype.kind not in "iu":
        raise ValueError(f"seeds are {seeds.shape} of {seeds.dtype}")
    for name, values in arrays.items():
        if values.dtype.kind not in "fiu" or values.shape[:1] != seeds.shape:
            raise ValueError(f"{name!r} is {values.shape} of {values.dtype}, not real numbers of {len(seeds)} seeds")
    return dict(arrays)


def _parsed(text: str) -> dict[str, Any]:
    """Read a JSON object of a known format.

    Raises:
        ValueError: if it is none.
        NewerFormatError: if a later version of ladder wrote it.
    """
    try:
        found = json.loads(text)
    except RecursionError:
        raise ValueError("nested too deeply") from None
    if not isinstance(found, dict) or type(found.get("format")) is not int or not 1 <= found["format"] < NUMBERS:
        raise ValueError("it has no format")
    if found["format"] > FORMAT:
        raise NewerFormatError(found["format"])
    return found


def _check_text(*values: Any) -> None:
    for value in values:
        if not isinstance(value, str):
            raise ValueError(f"{value!r:.40} is no text")


def _check_date(value: Any) -> None:
    _check_text(value)
    date = datetime.fromisoformat(value)
    if date.tzinfo is None or date.isoformat() != value:  # the report's schema asks for no less
        raise ValueError(f"{value!r:.40} is no date of ours")


def _held(path: Path) -> str:
    """Return which process holds the lock and since when; nobody does if it has died, and then the file is removed."""
    with suppress(FileNotFoundError, PermissionError):  # another run looks into it, or removes it, at the same time
        if (handle := lock(path)) is None:
            began = datetime.fromtimestamp(path.stat().st_mtime, UTC)
            return f"process {path.name.rpartition('-')[2]}, since {began.isoformat(timespec='seconds')}"
        os.close(handle)  # first, for Windows removes no file that is open
        path.unlink()
    return ""


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")
