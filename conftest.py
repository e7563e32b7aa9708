"""What every test of this project runs under."""

import os

import pytest

pytest_plugins = ["pytester"]

# Through the environment, so that a run that needs no JAX does not load it; workers and child processes inherit it.
os.environ.setdefault("JAX_NUMPY_RANK_PROMOTION", "raise")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave out what takes minutes, unless an expression or an id asks for it."""
    if "nightly" in config.option.markexpr or config.option.ladder_only:
        return
    kept = [item for item in items if item.get_closest_marker("nightly") is None]
    if dropped := [item for item in items if item.get_closest_marker("nightly") is not None]:
        config.hook.pytest_deselected(items=dropped)
        items[:] = kept
