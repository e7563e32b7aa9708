"""Where the seeds of many nights change: one test against a step at any night and against a steady drift.

A night is a sample of seeds. Of every contrast between nights, each step and the drift, the linear rank statistic is taken over
the seeds of all nights together, each to its own standard deviation, and the largest is the test's. Its p-value is the share of
ways to deal the seeds out to the nights that give one at least as large, so ties, the number of nights and the many places
where a step could be are accounted for. Sources: for ranks at an unknown step, Pettitt, *A non-parametric approach to the
change-point problem* (1979), whose statistic is not standardised and so looks away from the first and last nights; for the
largest of several contrasts by permutation, Westfall and Young, *Resampling-based multiple testing* (1993).
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from scipy import stats  # type: ignore[import-untyped]

from ladder.history.significance import shift

DRAWS = 20_000  # of the permutation test, at most: a p-value of 1/20 can still be had over 1000 tests
ENOUGH = 10  # draws as extreme as what was seen: its p-value is known well enough
CHUNK = 200  # draws at a time
UNITS = 400  # to deal out, at least, where there are as many seeds: more cost time and tell no more

Sample = tuple[float, ...]
"""A number of every seed of a night."""


class Contrast(NamedTuple):
    """The strongest contrast: a step at the night ``at``, counted from 0, or a drift, where that is None."""

    at: int | None
    p: float


def strongest(samples: Sequence[Sample], roots: Sequence[int]) -> Contrast | None:
    """The strongest contrast between nights; None where nothing could be found, for want of nights or of different values.

    Of many seeds, neighbours of one night are dealt out together: what is summed over a night is the same, and no less random.
    The draws are those of a generator that starts anew every time, and end with ``ENOUGH`` as extreme as what was seen. Source:
    Besag and Clifford, *Sequential Monte Carlo p-values* (1991).

    Nights on the same seeds, with the same ``roots``, repeat one another: a change that redraws their noise once would look as
    sure as the nights are many. Where a root comes twice, each seed therefore counts once on either side of the step, with its
    median there, and the p-value is at least that of the rank-sum test between the sides times the number of possible steps.
    """
    if len(samples) < 2 or len({value for sample in samples for value in sample}) < 2:
        return None
    sizes = np.array([len(sample) for sample in samples])
    ranks = stats.rankdata(np.concatenate(samples))
    ranks = (ranks - ranks.mean()) / ranks.std()
    contrasts, block = _contrasts(sizes), _block(sizes)
    units = ranks.reshape(-1, block).sum(axis=1)
    starts = np.concatenate(([0], np.cumsum(sizes // block)[:-1]))
    seen = np.abs(contrasts @ np.add.reduceat(units, starts))
    best = int(seen.argmax())
    at = best + 1 if best < len(samples) - 1 else None
    p = _share(units, starts, contrasts, float(seen[best]))
    if len(set(roots)) < len(roots):
        split = at or len(samples) // 2
        sides = [_once(samples[part], roots[part]) for part in (slice(split), slice(split, None))]
        p = max(p, min(1.0, shift(*sides).either * (len(samples) - 1)))
    return Contrast(at, p)


def steps(samples: Sequence[Sample], roots: Sequence[int], first: Contrast, level: float) -> list[Contrast]:
    """A step that was found, and on either side of it every other with a p-value of at most ``level``, in order.

    Source: binary segmentation, as in Scott and Knott, *A cluster analysis method for grouping means* (1974).
    """
    assert first.at is not None
    found = [first]
    for start, stop in ((0, first.at), (first.at, len(samples))):
        inner = strongest(samples[start:stop], roots[start:stop])
        if inner is not None and inner.at is not None and inner.p <= level:
            inside = steps(samples[start:stop], roots[start:stop], inner, level)
            found += [Contrast(start + step.at, step.p) for step in inside if step.at is not None]
    return sorted(found, key=lambda step: step.at or 0)


def _contrasts(sizes: np.ndarray) -> np.ndarray:
    """Weights of the nights, a row for each step and the last for the drift, so that a sum over seeds has variance 1."""
    nights = len(sizes)
    later = np.triu(np.ones((nights - 1, nights)), k=1)
    rows = np.vstack([later, np.arange(nights)[None, :]])
    rows = rows - (rows @ sizes / sizes.sum())[:, None]
    return np.asarray(rows / np.sqrt((rows**2) @ sizes)[:, None])


def _block(sizes: np.ndarray) -> int:
    """How many seeds are dealt out together: as many divide every night evenly and leave enough to deal out."""
    common = int(np.gcd.reduce(sizes))
    fitting = [block for block in range(1, common + 1) if common % block == 0 and sizes.sum() >= UNITS * block]
    return max(fitting, default=1)


def _share(units: np.ndarray, starts: np.ndarray, contrasts: np.ndarray, seen: float) -> float:
    rng, dealt = np.random.default_rng(0), np.tile(units, (CHUNK, 1))
    extreme = draws = 0
    while extreme < ENOUGH and draws < DRAWS:
        rng.permuted(dealt, axis=1, out=dealt)
        largest = np.abs(np.add.reduceat(dealt, starts, axis=1) @ contrasts.T).max(axis=1)
        extreme += int((largest >= seen - 1e-9).sum())  # ties but for rounding
        draws += CHUNK
    return (extreme + 1) / (draws + 1)  # what was seen is one of the ways


def _once(samples: Sequence[Sample], roots: Sequence[int]) -> list[float]:
    """Each seed once, with its median over the nights on its root."""
    found: dict[tuple[int, int], list[float]] = {}
    for sample, root in zip(samples, roots, strict=True):
        for seed, value in enumerate(sample):
            found.setdefault((root, seed), []).append(value)
    return [
        sorted(values)[(len(values) - 1) // 2] for values in found.values()
    ]  # one that occurred, also beside infinity
