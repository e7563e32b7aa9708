"""The pytest plugin: options, markers, the ``climb`` fixture, and the two roles of a pytest process.

In the process that runs tests the collector (``collector``) looks for rungs, the selection (``selection``) says which of them
run, and the climber (``climber``) climbs them. In the process that talks to the user the reporter (``reporter``) gathers entries,
and the writer (``writer``) prints the ladder and files the report. Under pytest-xdist those are the workers and the controller;
``workers`` is how they work together. No module imported here at start-up loads JAX or NumPy, for a plugin is imported at every
pytest start in its environment: the collector and the reporter have one door each to what needs them.
"""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Callable, Generator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from ladder.plugin import signals, workers
from ladder.plugin.collector import Collector
from ladder.plugin.earlier import EARLIER, EarlierReport, is_started_by_xdist
from ladder.plugin.leaving_out import LeavingOut
from ladder.plugin.reporter import Reporter
from ladder.plugin.settings import Settings, add_options, climbs, reports_folder

if TYPE_CHECKING:
    from ladder.climb import Outcome
    from ladder.declare.rung import Rung


def pytest_addoption(parser: pytest.Parser, pluginmanager: pytest.PytestPluginManager) -> None:
    """Declare the options, and set the report of an earlier run aside before anything can go wrong."""
    add_options(parser)
    config: pytest.Config | None = pluginmanager.get_plugin("pytestconfig")
    # The controller of a worker has done so, and may have a new one by now.
    if config is not None and not is_started_by_xdist():
        config.stash[EARLIER] = earlier = EarlierReport(reports_folder(config))
        earlier.set_aside()


@pytest.hookimpl(tryfirst=True)
def pytest_load_initial_conftests(early_config: pytest.Config) -> None:
    """Have what becomes of that report follow the command line."""
    if EARLIER in early_config.stash:
        options = early_config.known_args_namespace
        early_config.stash[EARLIER].follow(reports_folder(early_config, options), climbs(options))


def pytest_configure(config: pytest.Config) -> None:
    """Check the settings, register the markers, and take up the roles of this process."""
    interruptions = signals.Interruptions(config)
    settings = Settings.of(config)
    config.addinivalue_line("markers", "rung: every rung of the ladder")
    # JAX compiles anew what it cannot read, and says so; where warnings are errors that would cost the rung.
    config.addinivalue_line("filterwarnings", "ignore:Error (reading|writing) persistent compilation cache:UserWarning")
    for number, what in sorted(settings.rung_files.items()):
        config.addinivalue_line("markers", f"rung{number}: rung {number} and what it requires: {what}")
    handover = _handover(config)
    config.stash[COLLECTOR] = collector = Collector(config, settings, handover, interruptions)
    config.pluginmanager.register(collector, "ladder-collector")
    config.pluginmanager.register(LeavingOut(settings), "ladder-leaving-out")
    if not hasattr(config, "workerinput"):
        earlier = config.stash.setdefault(EARLIER, EarlierReport(settings.reports))
        config.stash[REPORTER] = reporter = Reporter(config, settings, handover, earlier)
        config.pluginmanager.register(reporter, "ladder-reporter")


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_cmdline_main(config: pytest.Config) -> Generator[None, Any, Any]:
    """End with the exit code that pytest documents, also where a run is interrupted twice."""

    def corrected(status: Any) -> Any:
        reporter = config.stash.get(REPORTER, None)
        return reporter.corrected(status) if reporter else status

    return (yield from signals.exit_code(config, corrected))


def _handover(config: pytest.Config) -> workers.Handover | None:
    """Return the folder that the processes of this run share; None where there is only one."""
    if hasattr(config, "workerinput"):
        folder = Path(config.workerinput["ladder_handover"])
        workers.take_gpu(folder, config.workerinput["workercount"])
    elif config.getoption("dist", "no") != "no":
        folder = Path(tempfile.mkdtemp(prefix="ladder-"))
        config.add_cleanup(lambda: shutil.rmtree(folder, ignore_errors=True))
    else:
        return None
    config.stash[FOLDER] = folder
    return workers.Handover(folder)


@pytest.fixture
def climb(request: pytest.FixtureRequest) -> Callable[[Rung], Outcome | None]:
    """Climb a rung: train it, judge it, and fail unless it is as it should be; returns the outcome.

    With ``--ladder-calibrate`` it measures the rung's limits instead, and returns None.
    """
    climber = request.config.stash[COLLECTOR].climber

    def climb(rung: Rung) -> Outcome | None:
        __tracebackhide__ = True
        return climber.climb(rung, request.node)

    return climb


@pytest.hookimpl(optionalhook=True)
def pytest_configure_node(node: Any) -> None:
    """Give xdist's workers the controller's seeds, and the folder they share."""
    node.workerinput["ladder_seed_root"] = node.config.stash[COLLECTOR].settings.root
    node.workerinput["ladder_handover"] = str(node.config.stash[FOLDER])
    node.workerinput["ladder_dist"] = node.config.getoption("dist")


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> object | None:
    """Return a scheduler by which one worker climbs rungs that require each other, in order; other tests are spread as always."""
    return workers.scheduler(config, log, workers.Handover(config.stash[FOLDER]))


COLLECTOR = pytest.StashKey[Collector]()
FOLDER = pytest.StashKey[Path]()
REPORTER = pytest.StashKey[Reporter]()
