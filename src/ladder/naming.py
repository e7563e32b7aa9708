"""The names of the files of rungs and of reports, and of rungs on a command line.

Nothing here imports pytest: reading a report runs no tests.
"""

import os
import re
from collections.abc import Sequence
from fnmatch import fnmatch
from pathlib import Path

ESCAPE = re.compile(r"\\(?:x[0-9a-f]{2}|u[0-9a-f]{4}|U000[0-9a-f]{5}|U0010[0-9a-f]{4})")
REPORT_FILES = {"ladder.json": "previous.json", "ladder.md": "previous.md", "ladder.html": "previous.html"}
"""The files of a report, each with the name that it has until a newer run has written its own."""

LEFT_OUT = ("*.egg", ".*", "_darcs", "build", "CVS", "dist", "node_modules", "venv", "{arch}")
"""The folders that pytest does not search by default (its option ``norecursedirs``)."""

RUNG_FILE = re.compile(r"test_rung([0-9]+)_(.+)")


def rung_files(folder: Path, left_out: Sequence[str] = LEFT_OUT) -> list[tuple[int, str, Path]]:
    """Return the number, name and path of each test file below a folder that is named after a rung, sorted."""
    names = ((RUNG_FILE.fullmatch(file.stem), file) for file in visible(folder, "test_rung*.py", left_out))
    return sorted((int(name[1]), name[2].replace("_", " "), file) for name, file in names if name)


def visible(folder: Path, pattern: str, left_out: Sequence[str] = LEFT_OUT) -> list[Path]:
    """Return the files below a folder that match a pattern, sorted, except in excluded folders and virtual environments."""
    paths: list[Path] = []
    for root, folders, names in os.walk(folder):
        folders[:] = [
            name
            for name in folders
            if not any(fnmatch(name, excluded) for excluded in left_out) and not Path(root, name, "pyvenv.cfg").exists()
        ]
        paths += [Path(root, name) for name in names if fnmatch(name, pattern)]
    return sorted(paths)


def escaped(id: str) -> str:
    r"""Return a rung's id in ASCII, as pytest writes the ids of tests.

    >>> print(escaped("rung1[é]"))
    rung1[\xe9]
    """
    return id.encode("ascii", "backslashreplace").decode()


def given(id: str) -> str:
    r"""Return a rung's id given on a command line, with its escapes decoded.

    >>> given(r"rung1[\xe9]")
    'rung1[é]'
    """
    return ESCAPE.sub(lambda match: chr(int(match[0][2:], 16)), spelled(id))


def spelled(name: str) -> str:
    """Return a name from the system decoded as UTF-8, even if the locale made Python read it as single bytes."""
    return name.encode(errors="surrogateescape").decode(errors="surrogateescape")


def on_disk(name: str) -> str:
    """Return the string with which Python gives a file this name in UTF-8, whatever the locale."""
    return os.fsdecode(name.encode())
