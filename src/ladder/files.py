"""Writing files so that a reader never sees half of one, whenever the writer dies, and reading them without a hang.

Every byte goes through ``os.write``, ``os.replace`` and ``os.ftruncate`` here: the places at which a fault can strike.
"""

import errno
import fcntl
import os
import stat
import tempfile
from contextlib import suppress
from pathlib import Path


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
            os.fchmod(handle, 0o644)  # mkstemp makes it private; a report is for reading
            os.fsync(handle)
        finally:
            os.close(handle)
        os.replace(name, target)  # noqa: PTH105  # through os, as all faults
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise


def append_line(target: Path, line: str) -> None:
    """Append a line, whole or not at all, also where others append at the same time or died while they did.

    Raises:
        OSError: if the folder cannot be made or the file not be written; what it held is still there.
    """
    target.parent.mkdir(parents=True, exist_ok=True)
    handle = os.open(target, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o644)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX)  # let go when the file is closed, also by death
        size = os.fstat(handle).st_size
        torn = size > 0 and os.pread(handle, 1, size - 1) != b"\n"
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
