"""The lock of a run: while it climbs, other runs in the same checkout know of it."""

import os
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from urllib.parse import quote

from ladder.evidence.stored import Folder
from ladder.files import lock, write_atomically


class RunLock:
    """A locked file for each process of a run; the death of the process lets go of it.

    Args:
        folder: The folder of evidence.
        run: The id of the run.
    """

    def __init__(self, folder: Folder, run: str):
        self._folder = folder
        self._run = run
        self._handle: int | None = None

    def acquire(self) -> None:
        """Lock this process's file until it ends, and warn if another run is under way."""
        if not self._folder.writable:
            return
        running = self._folder.path / "running"
        try:
            running.mkdir(parents=True, exist_ok=True)
            ignored = self._folder.path / ".gitignore"
            if not ignored.exists():  # else the commit would differ by its own evidence
                write_atomically(ignored, "*\n")
            run = quote(self._run, safe="")
            for other in running.iterdir():
                if other.name.rpartition("-")[0] != run and (holder := _holder(other)):
                    self._folder.warn(
                        f"another run is climbing in this checkout ({holder}); they share their evidence, and the report is "
                        "that of the run that ends last"
                    )
            self._handle = lock(running / f"{run}-{os.getpid()}")
        except OSError as error:
            self._folder.cannot_be_written(error)

    def release(self) -> None:
        """Let go of it: this process has done its part of the run."""
        handle, self._handle = self._handle, None
        if handle is not None:
            with suppress(OSError):  # it is closed all the same
                os.close(handle)


def _holder(path: Path) -> str:
    """Return which process holds a lock and since when; empty if it has died, and then the file is removed."""
    with suppress(FileNotFoundError, PermissionError):  # another run looks into it, or removes it, at the same time
        if (handle := lock(path)) is None:
            began = datetime.fromtimestamp(path.stat().st_mtime, UTC)
            return f"process {path.name.rpartition('-')[2]}, since {began.isoformat(timespec='seconds')}"
        os.close(handle)  # first, for Windows removes no file that is open
        path.unlink()
    return ""
