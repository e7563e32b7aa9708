"""The ini setting ``ladder_leave_out``: tests with certain marks run only if the command line names them."""

import re

import pytest

from ladder.plugin.search import is_named
from ladder.plugin.settings import Settings
from ladder.plugin.stash import RUNG

NUMBER = re.compile(r"(?:[^/]*/)?rung\d+")


class LeavingOut:
    """The hook that deselects tests with one of the marks of ``ladder_leave_out``."""

    def __init__(self, settings: Settings):
        self._settings = settings

    def pytest_collection_modifyitems(self, config: pytest.Config, items: list[pytest.Item]) -> None:
        """Deselect tests with such a mark, unless ``-m`` names the mark, an id names the test, or its rung has several scales."""
        marks = [mark for mark in self._settings.leave_out if mark not in config.option.markexpr]
        if not marks or self._settings.only:
            return
        scaled = _of_several_scales(items)
        dropped = {
            item
            for item in items
            if any(item.get_closest_marker(mark) for mark in marks) and item not in scaled and not is_named(item)
        }
        if dropped:
            config.hook.pytest_deselected(items=list(dropped))
            items[:] = [item for item in items if item not in dropped]


def _of_several_scales(items: list[pytest.Item]) -> set[pytest.Item]:
    """Return the tests of rungs that have several scales, for which ``--ladder-scale`` decides."""
    ids = {item: item.stash[RUNG] for item in items if RUNG in item.stash}
    numbers = {_number(id) for id in ids.values() if "@" in id}
    return {item for item, id in ids.items() if _number(id) in numbers}


def _number(id: str) -> str:
    match = NUMBER.match(id)
    return match[0] if match else id
