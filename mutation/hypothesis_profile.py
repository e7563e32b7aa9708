"""A pytest plugin: the settings of Hypothesis for mutants, and otherwise those of the tests."""

from hypothesis import Phase, settings


def pytest_configure() -> None:
    """Load the profile after the tests' own and before any test is collected, which is when a test takes its settings."""
    # The same draws for every mutant, in every run; and the first counterexample kills, however large it is.
    settings.register_profile(
        "mutation", settings.default, derandomize=True, database=None, phases=[Phase.explicit, Phase.generate]
    )
    settings.load_profile("mutation")
