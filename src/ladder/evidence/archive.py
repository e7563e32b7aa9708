"""The archive of curves: ``curves/<key>/<first>-<last>.npz`` holds the seeds ``first`` up to ``last`` of one experiment.

The key is a digest of the experiment, its code, the versions, the backend and the root of the seeds. If any of them changes, the
key changes, so curves are never mixed up or overwritten. Curves are evidence; verdicts are not: each run judges the curves again,
by its own criteria.
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
from ladder.evidence.stored import FORMAT, MAX_INTEGER, Folder, NewerFormatError, check_date, check_text, now, parse
from ladder.files import read_regular, write_atomically
from ladder.train.result import SeedError, Trained

Arrays = dict[str, np.ndarray]
T = TypeVar("T")

BLOCK_FILE = re.compile(r"(\d+)-(\d+)\.npz")
MAX_BYTES = 2**32  # of a file, compressed or not


class Origin(NamedTuple):
    """The date and commit of a measurement; ``commit`` ends in ``+`` if the work tree differed from it."""

    date: str
    commit: str


class Block(NamedTuple):
    """Seeds that were trained together, and their origin."""

    trained: Trained
    origin: Origin


def archive_key(fingerprint: Fingerprint, seeds: object) -> str:
    """Return the key of curves: a digest of everything they depend on, except the numbers of the seeds."""
    return hashlib.sha256(f"{asdict(fingerprint)} {seeds}".encode()).hexdigest()[:20]


class CurveArchive:
    """The curves of all runs in a folder.

    Args:
        folder: The folder.
        run: The id of this run, shared by its workers.
        commit: The commit of the work tree, with ``+`` if the work tree differs from it.
        rerun: Whether the curves of earlier runs are ignored.
    """

    def __init__(self, folder: Folder, run: str, commit: str, rerun: bool):
        self._folder = folder
        self._run = run
        self._commit = commit
        self._rerun = rerun

    def blocks(
        self,
        key: str,
        first: int,
        seeds: int,
        metrics: Sequence[str] | None,
        epochs: int,
        before: Trained | None = None,
    ) -> Iterator[Block]:
        """Yield the blocks under a key, without a gap from seed ``first`` on, until there are ``seeds`` seeds in total.

        A block is used only if it has these metrics over these epochs, and the same traces as the seeds ``before`` it.

        Args:
            key: The key of the experiment.
            first: The seed that the first block begins with.
            seeds: The number of seeds, those before ``first`` included.
            metrics: The metrics that the experiment declares, if it does.
            epochs: The number of epochs that it trains.
            before: The seeds before ``first``, if there are any.
        """
        start, read = first, partial(_block, metrics=metrics, epochs=epochs)
        while start < seeds:
            files = (self._curves(key) / f"{start}-{end}.npz" for end in self._ends(key, start))
            block = next(filter(None, (self._open(file, read) for file in files)), None)
            if block is None:
                return
            if before is not None and not block.trained.continues(before):
                self.warn_of_mismatch(key)
                return
            yield block
            before = block.trained
            start += block.trained.seeds

    def warn_of_mismatch(self, key: str) -> None:
        """Warn that the traces of the blocks under a key differ from each other, or from those that are trained now."""
        self._folder.warn(f"{self._curves(key)} is not used: its seeds have different traces; they are trained again")

    def save(self, key: str, first: int, trained: Trained) -> None:
        """Save the curves, traces and inspections of the seeds from ``first`` on."""
        arrays = {f"curve {name}": curve for name, curve in trained.curves.items()}
        arrays |= {f"trace {name}": trace for name, trace in trained.traces.items()}
        arrays |= {f"inspected {name}": values for name, values in trained.inspected.items()}
        header = {
            "compile_seconds": trained.compile_seconds,
            "run_seconds": trained.run_seconds,
            "errors": [asdict(error) for error in trained.errors],
            "inspection_error": trained.inspection_error,
        }
        target = self._curves(key) / f"{first}-{first + trained.seeds}.npz"
        self._save(target, arrays, header)
        if self._rerun and first == 0:
            self._remove_others(target)

    def _remove_others(self, newest: Path) -> None:
        """Remove the files of earlier runs beside the first block of a rerun, so that the two are never joined."""
        try:
            for old in newest.parent.glob("*.npz"):
                if old != newest and newest.exists():
                    old.unlink(missing_ok=True)
        except OSError as error:
            self._folder.cannot_be_written(error)

    def _save(self, target: Path, arrays: Mapping[str, np.ndarray], more: Mapping[str, Any]) -> None:
        # Where the target is a folder, reading it has already warned of that.
        if not self._folder.writable or target.is_dir():
            return
        # The names of the arrays are stored too: the checksums of an archive do not detect a missing array.
        header = {
            "format": FORMAT,
            "run": self._run,
            "date": now(),
            "commit": self._commit,
            "arrays": [*arrays],
            **more,
        }
        content = io.BytesIO()
        try:
            np.savez_compressed(content, about=np.asarray(json.dumps(header)), **arrays)  # type: ignore[arg-type]
            write_atomically(target, content.getvalue())
        except (OSError, UnicodeError) as error:  # the name of a metric may have a lone surrogate
            self._folder.cannot_be_written(error)

    def _curves(self, key: str) -> Path:
        return self._folder.path / "curves" / key

    def _ends(self, key: str, first: int) -> list[int]:
        """Return the ends of the blocks that start at seed ``first``, the longest first."""
        names = (BLOCK_FILE.fullmatch(path.name) for path in self._curves(key).glob(f"{first}-*.npz"))
        return sorted((int(name[2]) for name in names if name), reverse=True)

    def _open(self, path: Path, read: Callable[[Path, Arrays, dict[str, Any]], T]) -> T | None:
        if not self._folder.readable:
            return None
        try:
            # From memory: given a path that is not an archive, NumPy leaves the file open.
            with np.load(io.BytesIO(read_regular(path, MAX_BYTES)), allow_pickle=False) as stored:
                if (size := sum(member.file_size for member in stored.zip.infolist())) > MAX_BYTES:
                    raise ValueError(f"uncompressed it has {size} bytes; at most {MAX_BYTES} are read")
                header = parse(str(stored["about"]))
                check_text(header["run"], header["commit"], *header["arrays"])
                check_date(header["date"])
                if self._rerun and header["run"] != self._run:
                    return None
                return read(path, {name: stored[name] for name in header["arrays"]}, header)
        except (FileNotFoundError, NotADirectoryError):
            return None
        except NewerFormatError as error:
            self._folder.is_newer(error)
            return None
        except Exception as error:  # reading a damaged archive may raise anything
            self._folder.warn(f"{path} is not used: {error!r:.200}; its content is measured again")
            return None


def _block(path: Path, arrays: Arrays, header: dict[str, Any], metrics: Sequence[str] | None, epochs: int) -> Block:
    """Return the block in a file.

    Raises:
        ValueError: if the arrays are not those of these metrics over these epochs, one row for each seed in the file's name.
    """
    kinds: dict[str, dict[str, np.ndarray]] = {"curve": {}, "trace": {}, "inspected": {}}
    for name, values in arrays.items():
        kind, _, metric = name.partition(" ")
        kinds[kind][metric] = values
        if values.dtype != np.float64:
            raise ValueError(f"{name!r} has the dtype {values.dtype}, not {np.dtype(np.float64)}")
    first, last = map(int, path.stem.split("-"))
    if not kinds["curve"] or (metrics is not None and kinds["curve"].keys() != set(metrics)):
        raise ValueError(f"it has the metrics {[*kinds['curve']]}, not {[*(metrics or ['at least one'])]}")
    for kind, dimensions in (("curve", 2), ("trace", 3)):
        for name, values in kinds[kind].items():
            if values.ndim != dimensions or values.shape[:2] != (last - first, epochs):
                raise ValueError(
                    f"{kind} {name!r} has the shape {values.shape}, not {last - first} seeds and {epochs} epochs"
                )
    for name, values in kinds["inspected"].items():
        if values.shape[:1] != (last - first,):
            raise ValueError(f"inspected {name!r} has the shape {values.shape}, not {last - first} seeds")
    seconds = [header[name] for name in ("compile_seconds", "run_seconds")]
    if not all(type(value) in (int, float) and 0.0 <= value < MAX_INTEGER for value in seconds):
        raise ValueError(f"it took {seconds} seconds")
    # Older files have no errors.
    errors = tuple(_seed_error(error, last - first, epochs) for error in header.get("errors", []))
    inspection_error = header.get("inspection_error", "")
    check_text(inspection_error)
    trained = Trained(
        kinds["curve"], kinds["trace"], seconds[0], seconds[1], errors, kinds["inspected"], inspection_error
    )
    return Block(trained, Origin(header["date"], header["commit"]))


def _seed_error(stored: Any, seeds: int, epochs: int) -> SeedError:
    """Return the error of a seed.

    Raises:
        ValueError: if it is not that of one of these seeds, in one of these epochs.
    """
    error = SeedError(**stored)
    check_text(error.error, error.traceback)
    if not (
        type(error.seed) is int and type(error.epoch) is int and 0 <= error.seed < seeds and 1 <= error.epoch <= epochs
    ):
        raise ValueError(f"an error is of seed {error.seed!r:.20} in epoch {error.epoch!r:.20}")
    return error
