"""Keeping compiled programs from one run to the next, and from one worker to another."""

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
SETTINGS = {
    "jax_persistent_cache_min_compile_time_secs": 0.0,
    "jax_persistent_cache_min_entry_size_bytes": -1,
    # Those would lie below the folder, whose name would become part of every program's key.
    "jax_persistent_cache_enable_xla_caches": "none",
}


class CompilationCache:
    """A folder of compiled programs that many processes share.

    JAX writes a program in place: a process that dies while it does leaves half of one, which JAX then neither uses nor
    replaces. So each process gives JAX a folder of its own, of links to the shared programs (of copies, where there are no
    links), and shares what it has compiled when that is whole. A ``jax_compilation_cache_dir`` of the user's own is left
    alone, and where nothing can be written programs are compiled each time.
    """

    def __init__(self, shared: Path):
        self._shared = shared
        self._own: Path | None = None
        self._lock: int | None = None
        self._before: dict[str, Any] = {}
        if getattr(jax.config, DIRECTORY) is not None:
            return
        _remove_left_behind(shared)
        try:
            own = Path(tempfile.mkdtemp(dir=shared, prefix="process-"))
            self._lock = lock(own / LOCK)  # death lets go of it
        except OSError:
            return
        if self._lock is None:  # just now another process took the folder for left behind
            return
        self._own = own
        _link(shared, own)
        self._before = _configure(SETTINGS | {DIRECTORY: str(own)})

    def share(self) -> None:
        """Let others have what was compiled here. Nothing may be compiling."""
        if self._own is not None:
            _link(self._own, self._shared)

    def close(self) -> None:
        """Leave nothing behind."""
        if self._own is not None and self._lock is not None:
            _configure(self._before)
            compilation_cache.reset_cache()  # it would go on writing there
            _remove(self._own, self._lock)
            self._own = None


def _configure(settings: dict[str, Any]) -> dict[str, Any]:
    """Give JAX these settings; returns those it had."""
    before = {name: getattr(jax.config, name) for name in settings}
    for name, value in settings.items():
        jax.config.update(name, value)
    return before


def _link(source: Path, target: Path) -> None:
    """Link or copy every program in one step each; one that is there already is the same, and what fails is not shared."""
    for program in source.glob("*-cache"):
        new = target / program.name
        with suppress(OSError):
            if new.exists():
                continue
            try:
                new.hardlink_to(program)
            except FileExistsError:
                pass
            except (OSError, NotImplementedError):  # the file system has no links, or Python knows of none
                write_atomically(new, program.read_bytes())


def _remove_left_behind(shared: Path) -> None:
    """Remove the folders of processes that died."""
    for folder in shared.glob("process-*"):
        with suppress(OSError):  # another process removes it, or it is another user's
            if (handle := lock(folder / LOCK)) is not None:  # else its process lives
                _remove(folder, handle)


def _remove(folder: Path, handle: int) -> None:
    """Remove a process's folder of which this process holds the lock."""
    shutil.rmtree(folder, ignore_errors=True)
    os.close(handle)
    shutil.rmtree(folder, ignore_errors=True)  # Windows removes no file that is open, so the lock is left until now
