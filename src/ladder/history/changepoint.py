"""A change-point test on the seeds of many reports: one test against a step at any report and against a steady drift.

Each report gives one sample of seeds. For every contrast between samples, each step and the drift, a linear rank statistic is
computed over the seeds of all samples and divided by its standard deviation; the test statistic is the largest of them. Its
p-value is the share of ways to assign the seeds to the samples that give one at least as large, which accounts for ties, the
number of reports and the many places where a step could be. Sources: for ranks at an unknown step, Pettitt, *A non-parametric
approach to the change-point problem* (1979), whose statistic is not standardised and so is insensitive near the first and last
samples; for the largest of several contrasts by permutation, Westfall and Young, *Resampling-based multiple testing* (1993).
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import scipy  # type: ignore[import-untyped]

from ladder.history.significance import shift

DRAWS = 20_000  # permutations, at most: enough for a p-value of 1/20 corrected over 1000 tests
ENOUGH = 10  # draws as extreme as the observed statistic: the p-value is precise enough
CHUNK = 200  # draws at a time
UNITS = 400  # permuted, at least, if there are as many seeds: more cost time and add nothing

Sample = tuple[float, ...]
"""One number for each seed of a report."""


class Contrast(NamedTuple):
    """The strongest contrast: a step at the sample with index ``at``, counted from 0, or a drift if ``at`` is None."""

    at: int | None
    p: float


def strongest(samples: Sequence[Sample], roots: Sequence[int]) -> Contrast | None:
    """Return the strongest contrast between samples; None if there are fewer than two samples or no two different values.

    If there are many seeds, neighbours in a sample are permuted together: the sums over samples are the same, and no less
    random. The generator has the same seed in every test, and the draws end when ``ENOUGH`` are as extreme as the observed
    statistic. Source: Besag and Clifford, *Sequential Monte Carlo p-values* (1991).

    Samples on the same seeds, with the same ``roots``, repeat one another: a change that redraws their noise once would look
    more certain the more samples there are. If a root occurs twice, each seed therefore counts once on either side of the step,
    with its median there, and the p-value is at least that of the rank-sum test between the sides times the number of possible
    steps.
    """
    if len(samples) < 2 or len({value for sample in samples for value in sample}) < 2:
        return None
    sizes = np.array([len(sample) for sample in samples])
    ranks = scipy.stats.rankdata(np.concatenate(samples))
    ranks = (ranks - ranks.mean()) / ranks.std()
    contrasts, block = _contrasts(sizes), _block(sizes)
    units = ranks.reshape(-1, block).sum(axis=1)
    starts = np.concatenate(([0], np.cumsum(sizes // block)[:-1]))
    observed = np.abs(contrasts @ np.add.reduceat(units, starts))
    best = int(observed.argmax())
    at = best + 1 if best < len(samples) - 1 else None
    p = _p_value(units, starts, contrasts, float(observed[best]))
    if len(set(roots)) < len(roots):
        split = at or len(samples) // 2
        sides = [_median_by_seed(samples[part], roots[part]) for part in (slice(split), slice(split, None))]
        p = max(p, min(1.0, shift(*sides).either * (len(samples) - 1)))
    return Contrast(at, p)


def steps(samples: Sequence[Sample], roots: Sequence[int], first: Contrast, level: float) -> list[Contrast]:
    """Return a step that was found and, on either side of it, every other with a p-value of at most ``level``, in order.

    Source: binary segmentation, as in Scott and Knott, *A cluster analysis method for grouping means* (1974).

    Args:
        samples: A sample for each report, oldest first.
        roots: The seed root of each sample.
        first: The step that was found.
        level: The largest p-value of another step.
    """
    assert first.at is not None
    all_steps = [first]
    for start, stop in ((0, first.at), (first.at, len(samples))):
        inner = strongest(samples[start:stop], roots[start:stop])
        if inner is not None and inner.at is not None and inner.p <= level:
            inside = steps(samples[start:stop], roots[start:stop], inner, level)
            all_steps += [Contrast(start + step.at, step.p) for step in inside if step.at is not None]
    return sorted(all_steps, key=lambda step: step.at or 0)


def _contrasts(sizes: np.ndarray) -> np.ndarray:
    """Return the weights of the samples, a row for each step and the last for the drift; a sum over seeds has variance 1."""
    count = len(sizes)
    later = np.triu(np.ones((count - 1, count)), k=1)
    rows = np.vstack([later, np.arange(count)[None, :]])
    rows = rows - (rows @ sizes / sizes.sum())[:, None]
    return np.asarray(rows / np.sqrt((rows**2) @ sizes)[:, None])


def _block(sizes: np.ndarray) -> int:
    """Return how many seeds are permuted together: the most that divide every sample evenly and leave ``UNITS`` units."""
    common = int(np.gcd.reduce(sizes))
    fitting = [block for block in range(1, common + 1) if common % block == 0 and sizes.sum() >= UNITS * block]
    return max(fitting, default=1)


def _p_value(units: np.ndarray, starts: np.ndarray, contrasts: np.ndarray, observed: float) -> float:
    rng, permuted = np.random.default_rng(0), np.tile(units, (CHUNK, 1))
    extreme = draws = 0
    while extreme < ENOUGH and draws < DRAWS:
        rng.permuted(permuted, axis=1, out=permuted)
        largest = np.abs(np.add.reduceat(permuted, starts, axis=1) @ contrasts.T).max(axis=1)
        extreme += int((largest >= observed - 1e-9).sum())  # ties up to rounding
        draws += CHUNK
    return (extreme + 1) / (draws + 1)  # the observed assignment is one of them


def _median_by_seed(samples: Sequence[Sample], roots: Sequence[int]) -> list[float]:
    """Return one value for each seed: its median over the samples on its root."""
    values_by_seed: dict[tuple[int, int], list[float]] = {}
    for sample, root in zip(samples, roots, strict=True):
        for seed, value in enumerate(sample):
            values_by_seed.setdefault((root, seed), []).append(value)
    # The lower median is a value that occurred, even if others are infinite.
    return [sorted(values)[(len(values) - 1) // 2] for values in values_by_seed.values()]
