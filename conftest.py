"""What every test of this project runs under."""

import os
import sys

import pytest

from ladder.plugin.search import named

pytest_plugins = ["pytester"]

# Through the environment, so that a run that needs no JAX does not load it; workers and child processes inherit it.
os.environ.setdefault("JAX_NUMPY_RANK_PROMOTION", "raise")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave out what takes minutes, unless an expression or an id asks for it, or it is for the scale to say."""
    if "nightly" in config.option.markexpr or config.option.ladder_only:
        return
    kept = _sized(items) | {item for item in items if named(item)}
    dropped = [item for item in items if item.get_closest_marker("nightly") is not None and item not in kept]
    if dropped:
        config.hook.pytest_deselected(items=dropped)
        items[:] = [item for item in items if item not in dropped]


def _sized(items: list[pytest.Item]) -> set[pytest.Item]:
    """Rungs that come in a smaller scale too: which of their scales is climbed is no matter of minutes alone."""
    if "ladder.declare.rung" not in sys.modules:  # nothing here can be a rung, and loading it would load NumPy
        return set()
    from ladder.plugin.selection import rung_of

    rungs = {item: rung for item in items if (rung := rung_of(item))}
    small = {rung.number for rung in rungs.values() if rung.scale}
    return {item for item, rung in rungs.items() if rung.number in small}
