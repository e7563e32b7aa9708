"""The keys under which collection leaves its results for the other parts of the plugin."""

import pytest

RUNG = pytest.StashKey[str]()
"""The id of the rung that a test climbs."""

REQUIRED = pytest.StashKey[bool]()
"""A flag of tests that run only because a selected rung requires their rung."""

WORKER_ERROR = "ladder_error"
"""The error of a worker that cannot select rungs, in xdist's ``workeroutput``."""
