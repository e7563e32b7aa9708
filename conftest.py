"""The settings that every test of this project runs under."""

import os
import pkgutil
import sys

import pytest

pytest_plugins = ["pytester"]

# Through the environment, so that a run that needs no JAX does not load it; workers and child processes inherit it.
os.environ.setdefault("JAX_NUMPY_RANK_PROMOTION", "raise")
# If every core is busy with another test, the threads of OpenBLAS wait for each other: six times the work for the fit of a floor.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

# Every signature of ladder becomes a check at run time, shapes included. The plugin has no arrays, was imported before this file,
# and its hooks would not be recognised if they were wrapped.
if os.environ.get("LADDER_CHECK_TYPES"):
    from jaxtyping import install_import_hook

    import ladder

    packages = [f"ladder.{module.name}" for module in pkgutil.iter_modules(ladder.__path__) if module.name != "plugin"]
    # An int is a float, as for a static type checker. ``Self`` has no meaning where a method is checked by itself.
    overrides = "beartype.FrozenDict({beartype.typing.Self: object})"
    checker = f"beartype.beartype(conf=beartype.BeartypeConf(is_pep484_tower=True, hint_overrides={overrides}))"
    install_import_hook(packages, checker)


def pytest_collection_finish(session: pytest.Session) -> None:
    """Remove Hypothesis' own plugin if no test has loaded Hypothesis: it would be loaded for the summary, a fifth of a second."""
    plugin = session.config.pluginmanager.get_plugin("hypothesispytest")
    if plugin is not None and "hypothesis" not in sys.modules:
        session.config.pluginmanager.unregister(plugin)
