"""The lock of a run, by which runs in the same checkout notice each other."""

import os
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from urllib.parse import quote

from ladder.evidence.stored import Folder
from ladder.files import lock, write_atomically


class RunLock:
    """A locked file for each process of a run; the lock is released when the process ends, however it ends.

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
            if not ignored.exists():  # otherwise the evidence would make the work tree differ from its commit
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
        """Release the lock of this process."""
        handle, self._handle = self._handle, None
        if handle is not None:
            with suppress(OSError):  # the handle is closed even if an error is raised
                os.close(handle)


def _holder(path: Path) -> str:
    """Return the process that holds a lock and its start; empty if the process has ended, whose file is then removed."""
    with suppress(FileNotFoundError, PermissionError):  # another run reads or removes it at the same time
        if (handle := lock(path)) is None:
            began = datetime.fromtimestamp(path.stat().st_mtime, UTC)
            return f"process {path.name.rpartition('-')[2]}, since {began.isoformat(timespec='seconds')}"
        os.close(handle)  # before unlink: Windows cannot remove an open file
        path.unlink()
    return ""
