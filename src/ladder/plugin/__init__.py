"""The pytest plugin: options, markers, the ``climb`` fixture, and the two roles of a pytest process.

In the process that runs tests, the collector (``collector``) finds rungs, the selection (``selection``) decides which of them
run, and the climber (``climber``) climbs them. In the process that reports to the user, the reporter (``reporter``) gathers
entries, and the writer (``writer``) prints the ladder and writes the report. Under pytest-xdist these processes are the workers
and the controller, which communicate through ``workers``. A plugin is imported whenever pytest starts, so no module that is
imported here loads JAX or NumPy: ``Collector.climber`` and ``Reporter._writer`` import the modules that do.
"""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Callable, Generator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from ladder.plugin import hooks, signals, workers
from ladder.plugin.collector import Collector
from ladder.plugin.earlier import EARLIER, EarlierReport, is_started_by_xdist
from ladder.plugin.leaving_out import LeavingOut
from ladder.plugin.reporter import Reporter
from ladder.plugin.settings import Settings, add_options, climbs, reports_folder

if TYPE_CHECKING:
    from ladder.climb import Outcome
    from ladder.declare.rung import Rung


def pytest_addhooks(pluginmanager: pytest.PytestPluginManager) -> None:
    """Declare the hooks."""
    pluginmanager.add_hookspecs(hooks)


def pytest_addoption(parser: pytest.Parser, pluginmanager: pytest.PytestPluginManager) -> None:
    """Declare the options, and rename the report of an earlier run before anything can fail."""
    add_options(parser)
    config: pytest.Config | None = pluginmanager.get_plugin("pytestconfig")
    # Not in a worker: its controller has renamed it, and may have written a new report by now.
    if config is not None and not is_started_by_xdist():
        config.stash[EARLIER] = earlier = EarlierReport(reports_folder(config))
        earlier.set_aside()


@pytest.hookimpl(tryfirst=True)
def pytest_load_initial_conftests(early_config: pytest.Config) -> None:
    """Restore or rename the earlier report as the command line, now known, requires."""
    if EARLIER in early_config.stash:
        options = early_config.known_args_namespace
        early_config.stash[EARLIER].follow(reports_folder(early_config, options), climbs(options))


def pytest_configure(config: pytest.Config) -> None:
    """Check the settings, register the markers, and register the plugins for the roles of this process."""
    interruptions = signals.Interruptions(config)
    settings = Settings.from_config(config)
    config.addinivalue_line("markers", "rung: every rung of the ladder")
    # JAX recompiles a program that it cannot read and warns; if warnings are errors, the warning would fail the rung.
    config.addinivalue_line("filterwarnings", "ignore:Error (reading|writing) persistent compilation cache:UserWarning")
    for number, name in sorted(settings.rung_files.items()):
        config.addinivalue_line("markers", f"rung{number}: rung {number} and the rungs it requires: {name}")
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
    """Return the exit code that pytest documents, even if a run is interrupted twice."""

    def corrected(status: Any) -> Any:
        reporter = config.stash.get(REPORTER, None)
        return reporter.corrected(status) if reporter else status

    return (yield from signals.exit_code(config, corrected))


def _handover(config: pytest.Config) -> workers.Handover | None:
    """Return the folder that the processes of this run share; None if there is only one process."""
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
    """Return a function that climbs a rung: it trains and judges the rung, fails unless the outcome is green, and returns it.

    With ``--ladder-calibrate`` the function measures the limits of the rung instead, and returns None.
    """
    climber = request.config.stash[COLLECTOR].climber

    def climb(rung: Rung) -> Outcome | None:
        __tracebackhide__ = True
        return climber.climb(rung, request.node)

    return climb


@pytest.hookimpl(optionalhook=True)
def pytest_configure_node(node: Any) -> None:
    """Send the root of the seeds and the shared folder to a worker of xdist."""
    node.workerinput["ladder_seed_root"] = node.config.stash[COLLECTOR].settings.root
    node.workerinput["ladder_handover"] = str(node.config.stash[FOLDER])
    node.workerinput["ladder_dist"] = node.config.getoption("dist")


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> object | None:
    """Return a scheduler that gives rungs which require each other to one worker, in order, and spreads other tests as usual."""
    return workers.scheduler(config, log, workers.Handover(config.stash[FOLDER]))


COLLECTOR = pytest.StashKey[Collector]()
FOLDER = pytest.StashKey[Path]()
REPORTER = pytest.StashKey[Reporter]()
