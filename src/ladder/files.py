"""Writing files so that a reader never sees half of one, reading them without a hang, and locks that end with their process.

Every byte goes through ``os.write``, ``os.replace`` and ``os.ftruncate`` here: the places at which a fault can strike.
"""

import errno
import os
import stat
import tempfile
import time
from contextlib import suppress
from pathlib import Path

PATIENCE, PAUSE = 1.0, 0.05  # seconds to try again for, and between two tries


def write_atomically(target: Path, content: str | bytes) -> None:
    """Write ``content`` beside ``target`` and move it there in one step, making the folder if need be.

    Raises:
        OSError: if the folder cannot be made or written; ``target`` is then as it was.
    """
    target.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(dir=target.parent, prefix=f".{target.name}.")
    try:
        try:
            _write(handle, content if isinstance(content, bytes) else _encoded(content))
            os.fsync(handle)
        finally:
            os.close(handle)
        os.chmod(name, 0o644)  # noqa: PTH101  # mkstemp makes it private; a report is for reading
        _replace(name, target)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise


def append_line(target: Path, line: str) -> None:
    """Append a line, whole or not at all, also where others append at the same time or died while they did.

    Raises:
        OSError: if the folder cannot be made or the file not be written; what it held is still there.
    """
    target.parent.mkdir(parents=True, exist_ok=True)
    turn = lock(target.with_name(f"{target.name}.lock"), wait=True)
    assert turn is not None
    try:
        _append_line(target, line)
    finally:
        os.close(turn)


def lock(path: Path, wait: bool = False) -> int | None:
    """Lock a file, made if need be, until the handle is closed or the process dies; the handle, or None if another holds it.

    The file has no content: on Windows nobody else can read the first byte of a file that is locked.

    Raises:
        OSError: if it cannot be made or locked.
    """
    from filelock import lock_descriptor  # here, for it takes as long to load as all the rest of the plugin at start-up

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
        torn = False
        if size > 0:
            os.lseek(handle, size - 1, os.SEEK_SET)
            torn = os.read(handle, 1) != b"\n"
        try:
            _write(handle, ("\n" if torn else "").encode() + _encoded(line) + b"\n")
            os.fsync(handle)
        except BaseException:
            with suppress(OSError):  # a device has no end to cut off; what went wrong first is what must be told
                os.ftruncate(handle, size)
            raise
    finally:
        os.close(handle)


def _encoded(content: str) -> bytes:
    """UTF-8; half characters, as the names of files and what is said of them may have, as escapes."""
    return content.encode(errors="backslashreplace")


def _write(handle: int, content: bytes) -> None:
    while content:
        content = content[os.write(handle, content) :]


def _replace(source: str, target: Path) -> None:
    """Move a file to its place; Windows refuses that while somebody reads what is there, which is soon over."""
    deadline = time.monotonic() + PATIENCE
    while True:
        try:
            return os.replace(source, target)  # noqa: PTH105  # through os, as all faults
        except PermissionError:
            if time.monotonic() > deadline:
                raise
        time.sleep(PAUSE)


def read_regular(path: Path, limit: int) -> bytes:
    """Read a whole file, unless it is a pipe or a device, which may never end, or too large to be what it should be.

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
    """Try the folder before anything is measured for it.

    Raises:
        OSError: if it cannot be made or written.
    """
    folder.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(dir=folder)
    os.close(handle)
    Path(name).unlink()
