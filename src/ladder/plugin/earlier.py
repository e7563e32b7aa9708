"""The report of an earlier run: out of the way while a newer run has none, or it would be taken for the newer run's."""

from __future__ import annotations

from argparse import Namespace
from contextlib import suppress

import pytest

from ladder.naming import REPORT_FILES
from ladder.plugin.settings import reports_folder

SHOWING_TESTS = ("collectonly", "setuponly", "setupplan", "showfixtures", "show_fixtures_per_test")
WITHOUT_RUNGS = ("help", "version", "markers", "cacheshow", *SHOWING_TESTS, "ladder_calibrate")
"""Options with which no rung is climbed, whatever there is."""


class EarlierReport:
    """The files of an earlier run's report.

    They are renamed at a run's very start, for a run can end anywhere: in a ``conftest.py``, in another plugin, by a signal.

    Attributes:
        trouble: Why one of them could not be renamed; empty if nothing went wrong.
    """

    def __init__(self, config: pytest.Config, options: Namespace):
        self.trouble = ""
        self._folder = reports_folder(config, options)
        self._is_in_the_way = not any(getattr(options, name, None) for name in WITHOUT_RUNGS)
        self._renamed: list[str] = []

    def set_aside(self) -> None:
        """Rename it to ``previous.json``, ``.md`` and ``.html``, unless this run is to leave no report."""
        for name, previous in REPORT_FILES.items() if self._is_in_the_way else ():
            try:
                if (self._folder / name).is_file():
                    (self._folder / name).replace(self._folder / previous)
                    self._renamed.append(name)
            except FileNotFoundError:  # another process was faster
                continue
            except OSError as error:
                self.trouble = str(error)

    def give_back(self) -> None:
        """Undo it, for this run climbs nothing; a report that was written in the meantime stays."""
        for name in self._renamed:
            if not (self._folder / name).exists():
                with suppress(OSError):  # it is found under its other name
                    (self._folder / REPORT_FILES[name]).replace(self._folder / name)
        self._renamed.clear()


EARLIER = pytest.StashKey[EarlierReport]()
