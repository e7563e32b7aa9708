"""A pytest plugin: Hypothesis as mutants need it, and otherwise as the tests have it."""

from hypothesis import Phase, settings


def pytest_configure() -> None:
    """Once the tests' own profile is loaded, and before any law is made, which is when a law takes its settings."""
    # The same draws for every mutant, in every run; and the first counterexample kills, however large it is.
    settings.register_profile(
        "mutation", settings.default, derandomize=True, database=None, phases=[Phase.explicit, Phase.generate]
    )
    settings.load_profile("mutation")
