"""The report of an earlier run, renamed so that it is not mistaken for the report of a newer run."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path
from traceback import walk_stack

import pytest

from ladder.naming import REPORT_FILES


class EarlierReport:
    """The files of an earlier run's report.

    They are renamed when a run starts, because a run can end anywhere: at its options, in a ``conftest.py``, by a signal.

    Attributes:
        trouble: The reason why one of them could not be renamed; empty if nothing went wrong.
    """

    def __init__(self, folder: Path):
        self.trouble: str = ""
        self._folder = folder
        self._renamed: list[str] = []

    def set_aside(self) -> None:
        """Rename the files to ``previous.json``, ``.md`` and ``.html``."""
        for name, previous in REPORT_FILES.items():
            try:
                if (self._folder / name).is_file():
                    (self._folder / name).replace(self._folder / previous)
                    self._renamed.append(name)
            except FileNotFoundError:  # another process has renamed it
                continue
            except OSError as error:
                self.trouble = str(error)

    def give_back(self) -> None:
        """Rename the files back, because this run climbs nothing; a report that was written in the meantime is not replaced."""
        for name in self._renamed:
            if not (self._folder / name).exists():
                with suppress(OSError):  # it stays under its other name
                    (self._folder / REPORT_FILES[name]).replace(self._folder / name)
        self._renamed.clear()

    def follow(self, folder: Path, climbs: bool) -> None:
        """Apply the command line, once it is known: it may choose another folder of reports, or climb nothing."""
        if folder != self._folder or not climbs:
            self.give_back()
        self._folder = folder
        if climbs:
            self.set_aside()


def is_started_by_xdist() -> bool:
    """Return whether this process is a worker of pytest-xdist, before its configuration says so.

    The environment does not show it: a pytest that a test starts inherits the environment of its worker.
    """
    names = (str(frame.f_globals.get("__name__")) for frame, _ in walk_stack(None))
    caller = next((name for name in names if not name.startswith(("_pytest.config", "pluggy", "ladder.plugin"))), "")
    return caller == "__channelexec__"  # the name of the module in which execnet runs a worker


EARLIER = pytest.StashKey[EarlierReport]()
