"""The archive of curves: ``curves/<key>/<first>-<last>.npz`` holds the seeds ``first`` up to ``last`` of one experiment.

The key is that of the experiment, its code, the versions, the backend and the seeds' root: whatever changes, other curves are
looked for, and none takes another's place. Curves are evidence, verdicts are not: they are judged anew each time, by the criteria
of the day.
"""

import hashlib
import io
import json
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

import numpy as np

from ladder.evidence.fingerprint import Fingerprint
from ladder.evidence.stored import FORMAT, NUMBERS, Folder, NewerFormatError, check_date, check_text, now, parse
from ladder.files import read_regular, write_atomically
from ladder.train.result import Trained

Arrays = dict[str, np.ndarray]
T = TypeVar("T")

BLOCK = re.compile(r"(\d+)-(\d+)\.npz")
INSPECTED = "inspected.npz"
LARGEST = 2**32  # bytes of a file, packed or not


class Origin(NamedTuple):
    """The date and commit of a measurement; ``commit`` ends in ``+`` where files had been changed since."""

    date: str
    commit: str


class Block(NamedTuple):
    """Seeds that were trained together, and their origin."""

    trained: Trained
    origin: Origin


def key(fingerprint: Fingerprint, seeds: object) -> str:
    """Return the name that curves are filed under: a digest of all that they depend on, except the seeds' numbers."""
    return hashlib.sha256(f"{asdict(fingerprint)} {seeds}".encode()).hexdigest()[:20]


class CurveArchive:
    """The curves of all runs in a folder.

    Args:
        folder: The folder.
        run: The id of this run, shared by its workers.
        commit: The commit of the work tree, with ``+`` where that differs from it.
        rerun: Whether the curves of earlier runs are left aside.
    """

    def __init__(self, folder: Folder, run: str, commit: str, rerun: bool):
        self._folder = folder
        self._run = run
        self._commit = commit
        self._rerun = rerun

    def blocks(
        self, key: str, first: int, seeds: int, metrics: Sequence[str], epochs: int, before: Trained | None = None
    ) -> Iterator[Block]:
        """Yield the blocks under a key, from seed ``first`` on without a gap, until there are ``seeds`` in all.

        A block is used only if it holds these metrics over these epochs, and the traces that the seeds ``before`` it have.

        Args:
            key: The key of the experiment.
            first: The seed that the first block begins with.
            seeds: The number of seeds, those before ``first`` included.
            metrics: The metrics that the experiment declares.
            epochs: The epochs that it trains.
            before: The seeds before ``first``, if there are any.
        """
        at, read = first, partial(_block, metrics=metrics, epochs=epochs)
        while at < seeds:
            files = (self._curves(key) / f"{at}-{end}.npz" for end in self._ends(key, at))
            block = next(filter(None, (self._open(file, read) for file in files)), None)
            if block is None:
                return
            if before is not None and not block.trained.continues(before):
                self.distrust(key)
                return
            yield block
            before = block.trained
            at += block.trained.seeds

    def distrust(self, key: str) -> None:
        """Warn that the blocks under a key do not fit one another, or what is trained now."""
        self._folder.warn(
            f"{self._curves(key)} is not used: its seeds have different traces; what it held is measured again"
        )

    def keep(self, key: str, first: int, trained: Trained) -> None:
        """File the curves and traces of the seeds from ``first`` on."""
        arrays = {f"curve {name}": curve for name, curve in trained.curves.items()}
        arrays |= {f"trace {name}": trace for name, trace in trained.traces.items()}
        seconds = {"compile_seconds": trained.compile_seconds, "run_seconds": trained.run_seconds}
        target = self._curves(key) / f"{first}-{first + trained.seeds}.npz"
        self._save(target, arrays, seconds)
        if self._rerun and first == 0:
            self._supersede(target)

    def inspection(self, key: str) -> dict[str, np.ndarray] | None:
        """Return what the experiment showed of itself when it was last inspected; None if it never was."""
        return self._open(self._curves(key) / INSPECTED, _inspection)

    def keep_inspection(self, key: str, inspection: Mapping[str, np.ndarray]) -> None:
        """File what the experiment has shown of itself."""
        self._save(self._curves(key) / INSPECTED, inspection, {})

    def _supersede(self, newest: Path) -> None:
        """Remove what earlier runs have filed beside a block that begins anew: nobody wants the two joined."""
        try:
            for old in newest.parent.glob("*.npz"):
                if old != newest and newest.exists():
                    old.unlink(missing_ok=True)
        except OSError as error:
            self._folder.cannot_be_written(error)

    def _save(self, target: Path, arrays: Mapping[str, np.ndarray], seconds: Mapping[str, float]) -> None:
        # A warning of what must not be overwritten in its place came when it was read.
        if not self._folder.writable or target.is_dir():
            return
        # With the arrays' names: each is guarded by a checksum, but not that none is missing.
        about = {
            "format": FORMAT,
            "run": self._run,
            "date": now(),
            "commit": self._commit,
            "arrays": [*arrays],
            **seconds,
        }
        content = io.BytesIO()
        try:
            np.savez_compressed(content, about=np.asarray(json.dumps(about)), **arrays)  # type: ignore[arg-type]
            write_atomically(target, content.getvalue())
        except (OSError, UnicodeError) as error:  # of half a character in the name of a metric
            self._folder.cannot_be_written(error)

    def _curves(self, key: str) -> Path:
        return self._folder.path / "curves" / key

    def _ends(self, key: str, first: int) -> list[int]:
        """Return the ends of the blocks that start at seed ``first``, the longest first."""
        names = (BLOCK.fullmatch(path.name) for path in self._curves(key).glob(f"{first}-*.npz"))
        return sorted((int(name[2]) for name in names if name), reverse=True)

    def _open(self, path: Path, read: Callable[[Path, Arrays, dict[str, Any]], T]) -> T | None:
        if not self._folder.readable:
            return None
        try:
            # Not by its path: NumPy leaves a file open that is not an archive.
            with np.load(io.BytesIO(read_regular(path, LARGEST)), allow_pickle=False) as stored:
                if (size := sum(member.file_size for member in stored.zip.infolist())) > LARGEST:
                    raise ValueError(f"unpacked it has {size} bytes; at most {LARGEST} are read")
                about = parse(str(stored["about"]))
                check_text(about["run"], about["commit"], *about["arrays"])
                check_date(about["date"])
                if self._rerun and about["run"] != self._run:
                    return None
                return read(path, {name: stored[name] for name in about["arrays"]}, about)
        except (FileNotFoundError, NotADirectoryError):
            return None
        except NewerFormatError as error:
            self._folder.is_newer(error)
            return None
        except Exception as error:  # a damaged archive raises whatever its reader trips over
            self._folder.warn(f"{path} is not used: {error!r:.200}; what it held is measured again")
            return None


def _block(path: Path, arrays: Arrays, about: dict[str, Any], metrics: Sequence[str], epochs: int) -> Block:
    """Return the content of a file, if it is what training these metrics over these epochs yields.

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
    """Return the content of a file, if each array has a row for each of its seeds.

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
