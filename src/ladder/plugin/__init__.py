"""The pytest plugin: options, markers, the ``climb`` fixture, and the two roles of a pytest process.

The climber (``climber``) collects, selects and climbs rungs, in the process that runs tests; the reporter (``reporter``)
gathers entries, prints the ladder and writes the report, in the process that talks to the user. Under pytest-xdist
those are the workers and the controller. No module imported here at start-up loads JAX or NumPy: a plugin is imported
at every pytest start in its environment.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import pytest

from ladder.plugin.climber import Climber
from ladder.plugin.reporter import Reporter
from ladder.plugin.settings import Settings, add_options

if TYPE_CHECKING:
    from ladder.climb import Outcome
    from ladder.rung import Rung

# The id of a rung's test ends in the rung's own; see pytest_make_parametrize_id of the climber.
RUNG_TEST = re.compile(r"\[(?:.*-)?rung[0-9]+(?:\[.*\])?(?:-.*)?\]$")


def pytest_addoption(parser: pytest.Parser) -> None:
    """Every option of the ladder, in one group."""
    add_options(parser)


def pytest_configure(config: pytest.Config) -> None:
    """Check the settings, register the markers, and take up the roles of this process."""
    settings = Settings.of(config)
    config.addinivalue_line("markers", "rung: every rung of the ladder")
    for number, what in sorted(settings.rung_files.items()):
        config.addinivalue_line("markers", f"rung{number}: rung {number} and what it requires: {what}")
    config.stash[CLIMBER] = climber = Climber(config, settings)
    config.pluginmanager.register(climber, "ladder-climber")
    if not hasattr(config, "workerinput"):
        config.pluginmanager.register(Reporter(config, settings), "ladder-reporter")


@pytest.fixture
def climb(request: pytest.FixtureRequest) -> Callable[[Rung], Outcome | None]:
    """Climb a rung: train it, judge it, and fail unless it is as it should be; returns the outcome.

    With ``--ladder-calibrate`` it measures the rung's limits instead, and returns None.
    """
    climber = request.config.stash[CLIMBER]

    def climb(rung: Rung) -> Outcome | None:
        return climber.climb(rung, request.node)

    return climb


@pytest.hookimpl(optionalhook=True)
def pytest_configure_node(node: Any) -> None:
    """Give xdist's workers the controller's seeds."""
    node.workerinput["ladder_seed_root"] = node.config.stash[CLIMBER].settings.root


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> object | None:
    """Rungs stand on each other, so one worker climbs them all, in order; other tests are spread as always."""
    if config.getvalue("dist") != "load":
        return None
    from xdist.scheduler import LoadScopeScheduling

    class RungsTogether(LoadScopeScheduling):  # type: ignore[misc]  # xdist has no types
        def _split_scope(self, nodeid: str) -> str:
            return "ladder" if RUNG_TEST.search(nodeid) else nodeid

    return RungsTogether(config, log)


CLIMBER = pytest.StashKey[Climber]()
