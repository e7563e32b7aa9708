"""The collector: it finds rungs in the process that runs tests, and loads NumPy only if there may be any."""

from __future__ import annotations

import gc
import sys
import threading
from collections.abc import Generator
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from ladder.naming import escape_id
from ladder.plugin.recollect import Recollection
from ladder.plugin.search import may_have_rungs
from ladder.plugin.settings import Settings
from ladder.plugin.signals import Interruptions, was_interrupted
from ladder.plugin.stash import RUNG, WORKER_ERROR
from ladder.plugin.workers import Handover, follow

if TYPE_CHECKING:
    from ladder.plugin.climber import Climber

UNESCAPED = "disable_test_id_escaping_and_forfeit_all_rights_to_community_support"  # an ini option of pytest's


class Collector:
    """The hooks around collection and at the end of a session."""

    def __init__(
        self, config: pytest.Config, settings: Settings, handover: Handover | None, interruptions: Interruptions
    ):
        self.settings = settings
        self._config = config
        self._handover = handover
        self._interruptions = interruptions
        self._recollection = Recollection(config)
        self._climbs = threading.Event()
        self._ended = threading.Event()

    @cached_property
    def climber(self) -> Climber:
        """The climber, whose module loads NumPy; imported nowhere else in the process that runs tests."""
        from ladder.plugin.climber import Climber  # loads NumPy

        climber = Climber(self._config, self.settings, self._handover, self._recollection)
        self._config.pluginmanager.register(climber, "ladder-climber")
        return climber

    @pytest.hookimpl(tryfirst=True)
    def pytest_collection(self) -> None:
        """Resend lost interruptions from now on, because test files may import JAX, and end this worker with its controller."""
        self._interruptions.send_again()
        if self._handover and hasattr(self._config, "workerinput"):
            follow(self._handover, self._climbs, self._ended)

    def pytest_collectstart(self, collector: pytest.Collector) -> None:
        """Note the folders, in case rungs must be collected that the command line does not name."""
        self._recollection.collected(collector)

    @pytest.hookimpl(trylast=True)  # folders that pytest ignores, such as virtual environments, are not searched
    def pytest_ignore_collect(self, collection_path: Path) -> bool | None:
        """If only rungs are selected, skip what has no rungs according to its source: files, and folders with their conftest.py.

        They are not even imported.
        """
        if not self.settings.selects_rungs:
            return None
        expression = "" if self.settings.only else self._config.option.markexpr
        if may_have_rungs(collection_path, expression):
            return None
        self._recollection.skipped(collection_path)
        return True

    def pytest_make_parametrize_id(self, val: object) -> str | None:
        """Use the id of a rung for its test, escaped to ASCII unless pytest is configured otherwise."""
        rung = sys.modules.get("ladder.declare.rung")  # if it is not loaded, no value is a rung
        if rung is None or not isinstance(val, rung.Rung):
            return None
        return val.id if self._config.getini(UNESCAPED) else escape_id(val.id)

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_collection_modifyitems(
        self, session: pytest.Session, items: list[pytest.Item]
    ) -> Generator[None, None, None]:
        """Mark the rungs before ``-m`` selects, and afterwards add the rungs that the selected ones require."""
        if self.settings.selects_rungs or "ladder.declare.rung" in sys.modules:
            yield from self.climber.select(session, items)
        else:
            yield

    @pytest.hookimpl(tryfirst=True)  # before xdist tells the controller that this worker has collected
    def pytest_collection_finish(self, session: pytest.Session) -> None:
        """Handle interruptions from now on so that the run ends with a report, if rungs are climbed."""
        if self._handover and WORKER_ERROR not in getattr(self._config, "workeroutput", {}) and sys.exception() is None:
            self._handover.collect()
        if sys.exception() is None and any(RUNG in item.stash for item in session.items):
            self._interruptions.catch()
            self._climbs.set()
            # What was imported and collected lives as long as the process: Python's garbage collection, of which pytest does a
            # few at the end, need not go through it again. Not in a run inside another, which would add its own garbage.
            if not gc.get_freeze_count():
                gc.freeze()

    @pytest.hookimpl(optionalhook=True)
    def pytest_xdist_node_collection_finished(self) -> None:
        """Do the same in the controller, which does not collect."""
        if self._handover and self._handover.plan:
            self._interruptions.catch()

    @pytest.hookimpl(tryfirst=True)
    def pytest_keyboard_interrupt(self) -> None:
        """Ignore further interruptions while an interrupted run ends."""
        self._interruptions.end()

    @pytest.hookimpl(tryfirst=True)
    def pytest_sessionfinish(self, session: pytest.Session) -> None:
        """End the workers of an interrupted run too."""
        self._ended.set()
        if self._handover and not hasattr(self._config, "workerinput") and was_interrupted(session):
            self._handover.interrupt()
