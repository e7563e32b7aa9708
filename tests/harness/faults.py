"""A run that is killed, or finds the disk full, at each single thing it does to a file, and what must be left of it.

A process of its own, without JAX, so that it can be forked at little cost: ``python faults.py kill FOLDER`` or
``... full FOLDER`` tries every point and prints, as JSON, how many there were, of which kinds, and what went wrong.
"""

import errno
import fcntl
import io
import json
import os
import shutil
import signal
import sys
from collections import Counter
from collections.abc import Callable
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np

from ladder.evidence import archive, attempts
from ladder.evidence.store import Evidence
from ladder.files import write_atomically
from ladder.train.result import Trained

RUNGS, BLOCK = 9, 8
CREATES = ("mkdir", "open", "write")  # what a full disk has no room for
OPERATIONS = {
    **dict.fromkeys(
        (*CREATES, "fstat", "lseek", "read", "fsync", "chmod", "replace", "ftruncate", "unlink", "close"), os
    ),
    "flock": fcntl,
}
REAL = {name: getattr(home, name) for name, home in OPERATIONS.items()}
# No process's death loses what the system has taken, so nothing is lost by not waiting for the disk; what is written does
# not depend on the time, so that it need be packed and unpacked but once.
os.fsync = REAL["fsync"] = lambda handle: None
archive.now = attempts.now = lambda: "2026-11-22T09:53:01+00:00"


def trained(rung: int, first: int) -> Trained:
    """What a block of a rung's seeds yields, always the same."""
    curve = np.random.default_rng([rung, first]).random((BLOCK, 3))
    return Trained({"loss": curve}, {"step_loss": curve[:, :, None] / 3.0}, 0.0, 0.0)


def run(folder: Path, name: str, begins: Callable[[str], None], ends: Callable[[str], None]) -> list[str]:
    """Do to files what a climb does, going on from what is there already, and write a report; return the messages to users."""

    @contextmanager
    def step(told):
        begins(told)
        yield
        ends(told)

    kept = Evidence(folder / "evidence", run=name)
    with step("announce"):
        kept.lock.acquire()
    rungs = []
    for rung in range(RUNGS):
        id, key, seeds = f"rung{rung}", f"key{rung}", BLOCK * (2 if rung % 3 == 0 else 1)
        found = [block.trained for block in kept.curves.blocks(key, 0, seeds, ["loss"], 3)]
        begun = sum(each.seeds for each in found) < seeds
        if begun:
            with step(f"begin {id}"):
                kept.attempts.begin(id, key, 0)
        while (first := sum(each.seeds for each in found)) < seeds:
            found.append(trained(rung, first))
            with step(f"keep {key}/{first}-{first + BLOCK}.npz"):
                kept.curves.save(key, first, found[-1])
        if begun or not any(attempt.verdict for attempt in kept.attempts.for_rung(id)):
            with step(f"end {id}"):
                kept.attempts.end(id, key, 0, verdict="PASS", k=seeds, n=seeds)
        rungs.append({"id": id, "curves": [each.curves["loss"].tolist() for each in found]})
    with step("close"):
        kept.lock.release()
    told = list(kept.problems)
    for report in ("ladder.json", "ladder.md"):
        try:
            with step(f"report {report}"):
                write_atomically(folder / report, json.dumps({"complete": True, "rungs": rungs}))
        except OSError as error:
            told.append(f"the report could not be written: {error}")
    return told


@dataclass(frozen=True)
class Point:
    """Before the operation of that number, or within it, after all but ``missing`` bytes have been written."""

    number: int
    operation: str
    step: str
    missing: int = 0

    @property
    def appends(self) -> bool:
        """Whether a line of the list is being written."""
        return self.step.startswith(("begin", "end"))


class Strike:
    """Stands before the system's operations on files, counts them, and strikes at one of them."""

    def __init__(self, point: Point | None = None, strike: Callable[[], None] = lambda: None, full: bool = False):
        self.seen: list[Point] = []
        self.step = ""
        self._point, self._strike, self._full = point, strike, full
        self._struck = False

    def __enter__(self):
        for name, home in OPERATIONS.items():
            setattr(home, name, lambda *args, name=name, **more: self._operate(name, *args, **more))
        return self

    def __exit__(self, *error):
        for name, home in OPERATIONS.items():
            setattr(home, name, REAL[name])

    def begins(self, step: str) -> None:
        """Note what the run is about to do."""
        self.step = step

    def _operate(self, name, *args, **more):
        self.seen.append(Point(len(self.seen), name, self.step))
        if name == "write":
            for missing in sorted({len(args[1]) // 2, 1}) if self.seen[-1].appends else [len(args[1]) // 2]:
                self.seen.append(Point(len(self.seen), name, self.step, missing))
        at = self._point
        if at is not None and not self._struck and len(self.seen) > at.number:
            self._struck = True
            if at.missing:
                REAL[name](args[0], args[1][: -at.missing], *args[2:])
            elif self._full and name == "close":
                REAL[name](*args)
            self._strike()
        elif self._struck and name in CREATES and (name == "write" or not Path(args[0]).exists()):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return REAL[name](*args, **more)


def struck(folder: Path, point: Point, full: bool) -> tuple[list[str], list[str], int]:
    """Run in a child that is struck at that point: return the steps it had done by then, its last messages, and its end."""
    ear, mouth = os.pipe()
    child = os.fork()
    if child == 0:

        def say(what: str) -> None:
            REAL["write"](mouth, what.encode() + b"\n")

        def strike() -> None:
            if not full:
                os.kill(os.getpid(), signal.SIGKILL)
            say("struck")
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

        status = 1
        try:
            with Strike(point, strike, full) as faults:
                told = run(folder, "first", faults.begins, say)
            say(json.dumps(told))
            status = 0
        finally:
            os._exit(status)
    os.close(mouth)
    with os.fdopen(ear) as heard:
        said = heard.read().splitlines()
    _, status = os.waitpid(child, 0)
    told = json.loads(said.pop()) if said and said[-1].startswith("[") else []
    return said[: said.index("struck") if "struck" in said else None], told, status


@cache
def content(packed: bytes) -> dict[str, tuple[str, bytes]]:
    """Every array of a file, bit for bit, but for when and by whom it was written."""
    with np.load(io.BytesIO(packed)) as stored:
        return {name: (str(stored[name].dtype), stored[name].tobytes()) for name in stored.files if name != "about"}


def packed_once(pack: Callable[..., None] = np.savez_compressed) -> Callable[..., None]:
    """NumPy's, but the same arrays are packed only once."""
    packed: dict[object, bytes] = {}

    def pack_once(file, **arrays):
        key = tuple((name, array.tobytes()) for name, array in arrays.items())
        if key not in packed:
            pack(done := io.BytesIO(), **arrays)
            packed[key] = done.getvalue()
        file.write(packed[key])

    return pack_once


class Checks:
    """What must hold after a strike; ``wrong`` says what did not."""

    def __init__(self, folder: Path):
        self.whole = folder / "undisturbed"
        with Strike() as faults:
            run(self.whole, "first", faults.begins, lambda step: None)
        self.points = faults.seen
        self.steps = list(dict.fromkeys(point.step for point in self.points if point.step))
        self.kept = self.files(self.whole)
        self.wrong: list[str] = []

    @staticmethod
    def files(folder: Path) -> dict[str, object]:
        """What a reader sees: curves by content, reports as they are."""
        curves = folder / "evidence" / "curves"
        found: dict[str, object] = {
            f"keep {path.relative_to(curves)}": content(path.read_bytes())
            for path in curves.glob("*/*.npz")
            if path.name[0] != "."
        }
        return found | {f"report {path.name}": path.read_text() for path in folder.glob("ladder.*")}

    def check(self, folder: Path, point: Point, full: bool) -> None:
        """Strike there, look at what is left, go on from it and look again."""
        done, told, status = struck(folder, point, full)

        def hold(what: str, held: bool) -> None:
            if not held:
                self.wrong.append(f"{point}: {what}")

        list_ = folder / "evidence" / "attempts.jsonl"
        cut = f"the last line of {list_} was cut off, as by a crash; that attempt is not listed"
        torn = [cut] if point.missing > 1 and point.appends and not full else []  # without its end a line says as much
        expected = self.steps[: self.steps.index(point.step)] if point.step else []
        hold(f"these steps were done: {done}", done == expected or (full and done[: len(expected)] == expected))

        reader = Evidence(folder / "evidence", run="reader")
        hold(f"a reader is told {reader.problems}", reader.problems == torn)
        found = self.files(folder)
        kept = {step for step in done if step.startswith(("keep", "report"))}
        hold("something that was kept is gone", kept <= found.keys())
        hold("something is there that is half or wrong", all(found[step] == self.kept.get(step) for step in found))
        hold("something is there that was never kept", full or found.keys() <= kept | {point.step})
        for rung in range(RUNGS):
            id = f"rung{rung}"
            listed = [(attempt.run, attempt.key, attempt.verdict) for attempt in reader.attempts.for_rung(id)]
            begun, ended = [("first", f"key{rung}", "")], [("first", f"key{rung}", "PASS")]
            may = {(f"begin {id}" in done, f"end {id}" in done)}
            if full or point.step in (f"begin {id}", f"end {id}"):
                may |= {(True, f"end {id}" in done), (f"begin {id}" in done, point.step == f"end {id}")}
            hold(
                f"listed of {id}: {listed}", listed in [ended if end else begun if begin else [] for begin, end in may]
            )

        if full:
            hold(f"it ended with {status}", status == 0)
            about_evidence = [problem for problem in told if "evidence" in problem]
            struck_late = point.step.startswith(("close", "report"))
            hold(f"it told {told}", len(about_evidence) == (not struck_late))
            hold(f"it told {told}", all("No space left on device" in problem for problem in told))
            hold(
                "it left something half done lying about",
                not [path for path in folder.rglob(".*") if path.name != ".gitignore"],
            )
            lines = list_.read_text().splitlines() if list_.exists() else []
            hold("the list cannot be read", all(json.loads(line)["format"] == 1 for line in lines))
        else:
            hold(f"it ended with {status}", os.WIFSIGNALED(status) and os.WTERMSIG(status) == signal.SIGKILL)

        told = run(folder, "second", lambda step: None, lambda step: None)
        hold(f"the next run told {told}", told == torn)
        hold("the next run did not come to the undisturbed end", self.files(folder) == self.kept)
        reader = Evidence(folder / "evidence", run="reader")
        unread = len(reader.problems) == 1 and "cannot be read" in reader.problems[0]
        hold(f"a reader is told {reader.problems}", unread if torn else not reader.problems)
        for rung in range(RUNGS):
            verdicts = [attempt.verdict for attempt in reader.attempts.for_rung(f"rung{rung}")]
            hold(f"in the end rung{rung} has {verdicts}", verdicts in (["PASS"], ["", "PASS"]))


def main() -> None:
    """Try every point."""
    full, folder = sys.argv[1] == "full", Path(sys.argv[2])
    np.savez_compressed = packed_once()
    checks = Checks(folder)
    for point in checks.points:
        checks.check(folder / "struck", point, full)
        shutil.rmtree(folder / "struck")
    kinds = Counter(f"within {point.operation}" if point.missing else point.operation for point in checks.points)
    print(
        json.dumps({"points": len(checks.points), "kinds": kinds, "wrong": checks.wrong, "jax": "jax" in sys.modules})
    )


if __name__ == "__main__":
    main()
