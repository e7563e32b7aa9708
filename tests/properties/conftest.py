"""The number of examples per law, and the way they are chosen."""

import pytest
from hypothesis import settings
from precision import PROFILE

# By day the same examples every time: what turns red has been changed. By night twenty times as many, and new ones.
DAILY = 20
settings.register_profile("default", max_examples=DAILY, deadline=None, derandomize=True, database=None)
settings.register_profile("nightly", max_examples=20 * DAILY, deadline=None, print_blob=True)
settings.load_profile(PROFILE)


@pytest.fixture(scope="module", autouse=True)
def _quickly(quickly_compiled):
    """Compile every program of these tests without optimisations."""
