"""The published runs on many seeds: every printed value is in their range, or listed as outside."""

import pytest

from ladder.studies.manifoldformer.published import RUNS, reproduce, table


@pytest.mark.nightly
@pytest.mark.parametrize("run", RUNS, ids=lambda run: run.name.partition(":")[0].replace(" ", "-"))
def test_published_runs(run):
    """Every printed value is in the range of many seeds, but for those listed as outside."""
    comparisons = reproduce(run)
    print(table(run, comparisons))
    assert {(each.quantity, each.epoch) for each in comparisons if not each.inside} == set(run.outside)
