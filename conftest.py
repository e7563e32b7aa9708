"""The settings that every test of this project runs under."""

import os

pytest_plugins = ["pytester"]

# Through the environment, so that a run that needs no JAX does not load it; workers and child processes inherit it.
os.environ.setdefault("JAX_NUMPY_RANK_PROMOTION", "raise")
