"""The compilation of the tests of the mathematics and of the studies."""

import os

import jax
import pytest

# "nightly" tries every law on more examples, and compiles as users do.
PROFILE = os.environ.get("HYPOTHESIS_PROFILE", "default")


@pytest.fixture(scope="module")
def quickly_compiled():
    """Compile without optimisations: programs as small as these take longer to optimise than to run."""
    jax.config.update("jax_disable_most_optimizations", PROFILE != "nightly")
    yield
    jax.config.update("jax_disable_most_optimizations", False)
