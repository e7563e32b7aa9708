"""The names of files of rungs and reports, and ids of rungs on a command line.

Nothing here imports pytest, because reading a report runs no tests.
"""

import os
import re
from collections.abc import Sequence
from fnmatch import fnmatch
from pathlib import Path

ESCAPE = re.compile(r"\\(?:x[0-9a-f]{2}|u[0-9a-f]{4}|U000[0-9a-f]{5}|U0010[0-9a-f]{4})")
REPORT_FILES = {"ladder.json": "previous.json", "ladder.md": "previous.md", "ladder.html": "previous.html"}
"""The files of a report, and their names while a newer run has not written its report yet."""

NORECURSE_DIRS = ("*.egg", ".*", "_darcs", "build", "CVS", "dist", "node_modules", "venv", "{arch}")
"""The folders that pytest does not search, unless its ``norecursedirs`` says otherwise."""

PACKAGE_FOLDERS = {"site-packages", "dist-packages"}
"""The folders of installed packages."""

RUNG_FILE = re.compile(r"test_rung([0-9]+)_(.+)")


def rung_files(folder: Path, norecurse: Sequence[str] = NORECURSE_DIRS) -> list[tuple[int, str, Path]]:
    """Return the number, name and path of each test file below a folder that is named after a rung, sorted."""
    names = ((RUNG_FILE.fullmatch(file.stem), file) for file in find_files(folder, "test_rung*.py", norecurse))
    return sorted((int(name[1]), name[2].replace("_", " "), file) for name, file in names if name)


def find_files(folder: Path, pattern: str, norecurse: Sequence[str] = NORECURSE_DIRS) -> list[Path]:
    """Return the files below a folder whose names match a pattern, sorted, without excluded folders and virtual environments."""
    paths: list[Path] = []
    for root, folders, names in os.walk(folder):
        folders[:] = [
            name
            for name in folders
            if not any(fnmatch(name, excluded) for excluded in norecurse)
            and not Path(root, name, "pyvenv.cfg").exists()
        ]
        paths += [Path(root, name) for name in names if fnmatch(name, pattern)]
    return sorted(paths)


def escape_id(id: str) -> str:
    r"""Return a rung's id in ASCII, as pytest writes the ids of tests: ``rung1[\xe9]``."""
    return id.encode("ascii", "backslashreplace").decode()


def decode_id(id: str) -> str:
    """Return the rung id that an argument of a command line means, with pytest's escapes decoded."""
    return ESCAPE.sub(lambda match: chr(int(match[0][2:], 16)), as_utf8(id))


def as_utf8(name: str) -> str:
    """Return a name from the operating system decoded as UTF-8, even if the locale made Python decode it otherwise."""
    return name.encode(errors="surrogateescape").decode(errors="surrogateescape")


def on_disk(name: str) -> str:
    """Return the string that makes Python name a file like this in UTF-8, whatever the locale."""
    return os.fsdecode(name.encode())
