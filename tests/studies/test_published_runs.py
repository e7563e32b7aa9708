"""The published runs again, on many seeds: every value that was printed lies in their range, or is known not to."""

import pytest

from ladder.studies.manifoldformer.published import RUNS, reproduce, table


@pytest.mark.nightly
@pytest.mark.parametrize("run", RUNS, ids=lambda run: run.name.partition(":")[0].replace(" ", "-"))
def test_what_was_printed_lies_inside_the_spread(run):
    found = reproduce(run)
    print(table(run, found))
    assert {(each.quantity, each.epoch) for each in found if not each.inside} == set(run.outside)
