"""Leaving out what takes long: tests with certain marks run only if they are asked for."""

import re

import pytest

from ladder.plugin.collector import RUNG
from ladder.plugin.search import named
from ladder.plugin.settings import Settings

NUMBER = re.compile(r"rung\d+")


class LeavingOut:
    """A hook over selection that deselects tests with one of the marks of the ini setting ``ladder_leave_out``."""

    def __init__(self, settings: Settings):
        self._settings = settings

    def pytest_collection_modifyitems(self, config: pytest.Config, items: list[pytest.Item]) -> None:
        """Deselect tests with such a mark, unless an expression or an id asks for it, or the scale decides."""
        marks = [mark for mark in self._settings.leave_out if mark not in config.option.markexpr]
        if not marks or self._settings.only:
            return
        sized = _in_several_sizes(items)
        dropped = {
            item
            for item in items
            if any(item.get_closest_marker(mark) for mark in marks) and item not in sized and not named(item)
        }
        if dropped:
            config.hook.pytest_deselected(items=list(dropped))
            items[:] = [item for item in items if item not in dropped]


def _in_several_sizes(items: list[pytest.Item]) -> set[pytest.Item]:
    """Return the tests of rungs that come in a smaller scale too: the scale decides which of them are climbed."""
    ids = {item: item.stash[RUNG] for item in items if RUNG in item.stash}
    small = {_number(id) for id in ids.values() if "@" in id}
    return {item for item, id in ids.items() if _number(id) in small}


def _number(id: str) -> str:
    match = NUMBER.match(id)
    return match[0] if match else id
