"""What things are called: the files of rungs and of reports, and rungs on a command line.

Nothing here imports pytest: who reads a report runs no tests.
"""

import os
import re
from collections.abc import Sequence
from fnmatch import fnmatch
from pathlib import Path

ESCAPE = re.compile(r"\\(?:x[0-9a-f]{2}|u[0-9a-f]{4}|U000[0-9a-f]{5}|U0010[0-9a-f]{4})")
REPORT_FILES = {"ladder.json": "previous.json", "ladder.md": "previous.md", "ladder.html": "previous.html"}
"""The files of a report, each with what it is called while a newer run has none yet."""

LEFT_OUT = ("*.egg", ".*", "_darcs", "build", "CVS", "dist", "node_modules", "venv", "{arch}")
"""Folders that pytest does not look into, unless its ``norecursedirs`` says otherwise."""

RUNG_FILE = re.compile(r"test_rung([0-9]+)_(.+)")


def rung_files(folder: Path, left_out: Sequence[str] = LEFT_OUT) -> list[tuple[int, str, Path]]:
    """Return the test files below a folder that are named after a rung: its number, what it is called, the file."""
    names = ((RUNG_FILE.fullmatch(file.stem), file) for file in visible(folder, "test_rung*.py", left_out))
    return sorted((int(name[1]), name[2].replace("_", " "), file) for name, file in names if name)


def visible(folder: Path, pattern: str, left_out: Sequence[str] = LEFT_OUT) -> list[Path]:
    """Return the files of that name below a folder, but for those in folders that are left out or hold an environment."""
    found: list[Path] = []
    for root, folders, names in os.walk(folder):
        folders[:] = [
            name
            for name in folders
            if not any(fnmatch(name, left) for left in left_out) and not Path(root, name, "pyvenv.cfg").exists()
        ]
        found += [Path(root, name) for name in names if fnmatch(name, pattern)]
    return sorted(found)


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
