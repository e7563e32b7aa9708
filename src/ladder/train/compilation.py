"""A cache of compiled programs for later runs and other workers."""

import os
import shutil
import tempfile
from contextlib import suppress
from pathlib import Path
from typing import Any

import jax
from jax.experimental.compilation_cache import compilation_cache

from ladder.files import lock, write_atomically

DIRECTORY = "jax_compilation_cache_dir"
LOCK = "lock"
THRESHOLDS = {"jax_persistent_cache_min_compile_time_secs": 0.0, "jax_persistent_cache_min_entry_size_bytes": -1}
SETTINGS = THRESHOLDS | {
    # XLA's own caches are below the folder, and would make its name part of every program's key.
    "jax_persistent_cache_enable_xla_caches": "none",
}


class CompilationCache:
    """A folder of compiled programs that many processes share.

    JAX writes a program in place: a process that dies while writing leaves a truncated file, which JAX neither uses nor
    replaces. So each process gives JAX a folder of its own, with links to the shared programs (copies where the file system
    has no links), and shares its programs once they are complete. If the user has set ``jax_compilation_cache_dir``, JAX
    uses that folder, and this only makes it store every program there, however small; if the folder cannot be written, programs
    are compiled each time.
    """

    def __init__(self, shared: Path):
        self._shared = shared
        self._own: Path | None = None
        self._lock: int | None = None
        self._before: dict[str, Any] = {}
        if getattr(jax.config, DIRECTORY) is not None:
            self._before = _configure(THRESHOLDS)
            return
        _remove_abandoned(shared)
        try:
            own = Path(tempfile.mkdtemp(dir=shared, prefix="process-"))
            self._lock = lock(own / LOCK)  # released when the process ends, however it ends
        except OSError:
            return
        if self._lock is None:  # another process has just taken the folder for abandoned
            return
        self._own = own
        _link(shared, own)
        self._before = _configure(SETTINGS | {DIRECTORY: str(own)})

    def share(self) -> None:
        """Share the programs that this process has compiled. Must not be called while JAX compiles."""
        if self._own is not None:
            _link(self._own, self._shared)

    def close(self) -> None:
        """Restore JAX's settings and remove this process's folder."""
        _configure(self._before)
        self._before = {}
        if self._own is not None and self._lock is not None:
            compilation_cache.reset_cache()  # otherwise JAX would go on writing to the folder
            _remove(self._own, self._lock)
            self._own = None


def _configure(settings: dict[str, Any]) -> dict[str, Any]:
    """Change settings of JAX and return their earlier values."""
    before = {name: getattr(jax.config, name) for name in settings}
    for name, value in settings.items():
        jax.config.update(name, value)
    return before


def _link(source: Path, target: Path) -> None:
    """Link or copy each program atomically; skip those that exist in the target, and those that fail."""
    for program in source.glob("*-cache"):
        new = target / program.name
        with suppress(OSError):
            if new.exists():
                continue
            try:
                new.hardlink_to(program)
            except FileExistsError:
                pass
            except (OSError, NotImplementedError):  # the file system or the platform has no links
                write_atomically(new, program.read_bytes())


def _remove_abandoned(shared: Path) -> None:
    """Remove the folders of processes that died."""
    for folder in shared.glob("process-*"):
        with suppress(OSError):  # another process removes it at the same time, or it belongs to another user
            if (handle := lock(folder / LOCK)) is not None:  # otherwise its process is running
                _remove(folder, handle)


def _remove(folder: Path, handle: int) -> None:
    """Remove the folder of a process; this process must hold its lock."""
    shutil.rmtree(folder, ignore_errors=True)
    os.close(handle)
    shutil.rmtree(folder, ignore_errors=True)  # again, for Windows cannot remove the lock while it is open
