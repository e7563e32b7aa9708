"""Atomic writes, reads that cannot hang, and locks that are released when their process ends.

All bytes are written through ``os.write``, ``os.replace`` and ``os.ftruncate`` in this module, where tests inject faults.
"""

import errno
import os
import stat
import tempfile
import time
from contextlib import suppress
from pathlib import Path

PATIENCE, PAUSE = 1.0, 0.05  # seconds: how long to retry, and between two tries


def write_atomically(target: Path, content: str | bytes) -> None:
    """Write ``content`` to a file beside ``target`` and rename it in one step, creating the folder if needed.

    Raises:
        OSError: if the folder cannot be created or written; ``target`` is then unchanged.
    """
    target.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(dir=target.parent, prefix=f".{target.name}.")
    try:
        try:
            _write(handle, content if isinstance(content, bytes) else _encoded(content))
            os.fsync(handle)
        finally:
            os.close(handle)
        os.chmod(name, 0o644)  # noqa: PTH101  # mkstemp makes it private, but other users read reports too
        _replace(name, target)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise


def append_line(target: Path, line: str) -> None:
    """Append a line, whole or not at all, even if other processes append at the same time or died while appending.

    Raises:
        OSError: if the folder cannot be created or the file cannot be written; its earlier content is still there.
    """
    target.parent.mkdir(parents=True, exist_ok=True)
    lock_handle = lock(target.with_name(f"{target.name}.lock"), wait=True)
    assert lock_handle is not None
    try:
        _append_line(target, line)
    finally:
        os.close(lock_handle)


def lock(path: Path, wait: bool = False) -> int | None:
    """Lock a file, created if needed, until the handle is closed or the process dies.

    The file has no content: on Windows no other process can read the first byte of a locked file.

    Returns:
        The handle, or None if the file is locked already.

    Raises:
        OSError: if it cannot be created or locked.
    """
    from filelock import lock_descriptor  # here, because it takes as long to load as the rest of the plugin at start-up

    handle = os.open(path, os.O_RDWR | os.O_CREAT, 0o644)
    try:
        if lock_descriptor(handle, blocking=wait, poll_interval=PAUSE):
            return handle
    except BaseException:
        os.close(handle)
        raise
    os.close(handle)
    return None


def _append_line(target: Path, line: str) -> None:
    handle = os.open(target, os.O_RDWR | os.O_CREAT | os.O_APPEND | getattr(os, "O_BINARY", 0), 0o644)
    try:
        size = os.fstat(handle).st_size
        truncated = False
        if size > 0:
            os.lseek(handle, size - 1, os.SEEK_SET)
            truncated = os.read(handle, 1) != b"\n"
        try:
            _write(handle, ("\n" if truncated else "").encode() + _encoded(line) + b"\n")
            os.fsync(handle)
        except BaseException:
            with suppress(OSError):  # a device cannot be truncated; the first error is the one to report
                os.ftruncate(handle, size)
            raise
    finally:
        os.close(handle)


def _encoded(content: str) -> bytes:
    """Return text in UTF-8, with escapes for lone surrogates, which the names of files may contain."""
    return content.encode(errors="backslashreplace")


def _write(handle: int, content: bytes) -> None:
    while content:
        content = content[os.write(handle, content) :]


def _replace(source: str, target: Path) -> None:
    """Move a file to its place; retry while Windows refuses because the file there is being read."""
    deadline = time.monotonic() + PATIENCE
    while True:
        try:
            return os.replace(source, target)  # noqa: PTH105  # through os, where tests inject faults
        except PermissionError:
            if time.monotonic() > deadline:
                raise
        time.sleep(PAUSE)


def read_regular(path: Path, limit: int) -> bytes:
    """Return the content of a regular file that is not too large; a pipe or a device may never end.

    Raises:
        OSError: if it cannot be read, is not a regular file, or has more than ``limit`` bytes.
    """
    status = path.stat()
    if not stat.S_ISREG(status.st_mode):
        raise OSError(errno.EINVAL, "not a regular file", str(path))
    if status.st_size > limit:
        raise OSError(errno.EFBIG, f"{status.st_size} bytes; at most {limit} are read", str(path))
    return path.read_bytes()


def check_writable(folder: Path) -> None:
    """Create the folder and try to write to it, so that an error comes before the measurement.

    Raises:
        OSError: if it cannot be created or written.
    """
    folder.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(dir=folder)
    os.close(handle)
    Path(name).unlink()
