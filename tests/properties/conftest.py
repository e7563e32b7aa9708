"""How many examples a law is tried on, and how they are chosen."""

import os

from hypothesis import settings

# By day the same examples every time: what turns red has been changed. By night twenty times as many, and new ones.
DAILY = 20
settings.register_profile("default", max_examples=DAILY, deadline=None, derandomize=True, database=None)
settings.register_profile("nightly", max_examples=20 * DAILY, deadline=None, print_blob=True)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "default"))
