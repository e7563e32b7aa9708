"""The strongest contrast between the samples of many reports."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ladder.history.changepoint import strongest


@settings(max_examples=10, deadline=None)  # the first example loads SciPy's statistics
@given(st.lists(st.lists(st.sampled_from([1.0, 2.0, 3.0, math.inf]), min_size=4, max_size=4), min_size=2, max_size=6))
def test_opposite_values(samples):
    """The strongest contrast is as certain if every value changes its sign."""
    roots = list(range(len(samples)))
    contrast = strongest([tuple(sample) for sample in samples], roots)
    opposite = strongest([tuple(-value for value in sample) for sample in samples], roots)
    assert (contrast is None) == (opposite is None)
    if contrast is not None and opposite is not None:
        assert contrast.p == pytest.approx(opposite.p, abs=0.1)


@settings(max_examples=10, deadline=None)  # the first example loads SciPy's statistics
@given(st.lists(st.permutations([1.0, 2.0, 2.0, math.inf]), min_size=2, max_size=6))
def test_order_of_seeds(samples):
    """The same seeds in any order are never a change."""
    contrast = strongest([tuple(sample) for sample in samples], list(range(len(samples))))
    assert contrast is not None
    assert contrast.p > 0.9


@pytest.mark.nightly
def test_rate_of_error():
    """Unchanged reports show a change no more often than the level says."""
    rng = np.random.default_rng(0)
    kinds = {
        "3 of 6 at epoch 3, one in six never": lambda: rng.choice([3, 3, 4, 3, 4, math.inf], 64),
        "one in fifty never": lambda: np.where(rng.random(64) < 0.02, math.inf, 3.0),
        "a loss": lambda: rng.standard_normal(64),
    }
    for total, trials in ((10, 1000), (60, 400)):
        for name, draw in kinds.items():
            contrasts = [strongest([tuple(draw()) for _ in range(total)], list(range(total))) for _ in range(trials)]
            rate = sum(contrast is not None and contrast.p <= 0.05 for contrast in contrasts) / trials
            print(f"{total} unchanged reports, {name}: {rate:.3f} of {trials} at level 0.05")
            assert rate <= 0.05 + 3.0 * math.sqrt(0.05 * 0.95 / trials)
