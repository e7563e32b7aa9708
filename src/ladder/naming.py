"""What things are called: the files of rungs, and rungs on a command line.

Nothing here imports pytest: who reads a report runs no tests.
"""

import os
import re
from pathlib import Path

ESCAPE = re.compile(r"\\(?:x[0-9a-f]{2}|u[0-9a-f]{4}|U000[0-9a-f]{5}|U0010[0-9a-f]{4})")
RUNG_FILE = re.compile(r"test_rung([0-9]+)_(.+)")


def rung_files(folder: Path) -> list[tuple[int, str, Path]]:
    """Test files named after a rung, anywhere below a folder that is not hidden: its number, what it is called, the file."""
    names = ((RUNG_FILE.fullmatch(file.stem), file) for file in visible(folder, "test_rung*.py"))
    return sorted((int(name[1]), name[2].replace("_", " "), file) for name, file in names if name)


def visible(folder: Path, pattern: str) -> list[Path]:
    """Files of that name below a folder, but for those in hidden folders, such as an environment's."""
    found = sorted(folder.rglob(pattern))
    return [file for file in found if not any(part.startswith(".") for part in file.relative_to(folder).parts)]


def escaped(id: str) -> str:
    r"""Return a rung's id in ASCII, as pytest has the ids of tests: ``rung1[\xe9]``."""
    return id.encode("ascii", "backslashreplace").decode()


def given(id: str) -> str:
    """Return a rung's id from a command line, where it may be escaped."""
    return ESCAPE.sub(lambda found: chr(int(found[0][2:], 16)), spelled(id))


def spelled(name: str) -> str:
    """Return a name from the system as its UTF-8 reads, also where the locale had Python take that for single bytes."""
    return name.encode(errors="surrogateescape").decode(errors="surrogateescape")


def on_disk(name: str) -> str:
    """Return a name as Python must have it for a file to be called so in UTF-8, whatever the locale."""
    return os.fsdecode(name.encode())
