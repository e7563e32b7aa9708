"""The tests of a rung's quantities over its seeds, between two reports."""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from ladder.declare.verdict import Verdict
from ladder.history.agreement import differs
from ladder.history.samples import (
    Quantity,
    at_limit_of,
    differences,
    epochs_to_target,
    in_time,
    limit,
    measured_by,
    quantities,
)
from ladder.history.significance import chance, either, fewer, shift, signed_ranks, simes
from ladder.history.wording import epoch
from ladder.report.schema import Comparison, Condition, Criterion, Effect, Entry
from ladder.report.text import format_number

WORSE = ("slower", "broke", "worse")
BETTER = ("faster", "mended", "better")
EFFECT = ("effect changed",)
CHANGED = ("changed",)
FAMILIES = (WORSE, BETTER, EFFECT, CHANGED)
"""The results of tests. Each family is corrected by itself: a changed metric does not make a regression less certain."""

LARGE = 1e300  # stands for infinity where values are subtracted


@dataclass(frozen=True)
class SeedTest:
    """A test of one quantity of a rung over its seeds.

    Attributes:
        quantity: The name of what is compared.
        before: The median before, infinite for never, or the count out of the first of ``seeds``.
        after: The same after.
        seeds: The numbers of seeds before and after.
        p: The p-value of every possible result; empty if all values are equal, so that no result is possible.
        claims: The results that the test may have: for a comparison only those that its verdict confirms.
        chance: The probability that a value after is larger than one before, Vargha and Delaney's A; None for counts.
        corrected: The p-values corrected by Holm.
        result: The result; empty for a difference within noise.
    """

    quantity: str
    before: float
    after: float
    seeds: tuple[int, int]
    p: dict[str, float]
    claims: tuple[str, ...]
    chance: float | None = None
    corrected: dict[str, float] = field(default_factory=dict)
    result: str = ""

    @property
    def text(self) -> str:
        """The result with its p-value: ``slower: median epoch 3 → 5, p = 0.0004 (Holm)``."""
        p = f"p = {self.corrected[self.result]:.2g} (Holm)"
        if self.result in ("broke", "mended"):
            counts = f"{self.before:g}/{self.seeds[0]} → {self.after:g}/{self.seeds[1]}"
            return f"{self.result}: {self.quantity} {counts}, {p}"
        if self.result in ("slower", "faster"):
            later = f", later in {self.chance:.0%} of pairs of seeds" if self.before == self.after else ""
            return f"{self.result}: median epoch {epoch(self.before)} → {epoch(self.after)}{later}, {p}"
        size = f", A = {self.chance:.2f}" if self.result in CHANGED else ""
        return f"{self.result}: {self.quantity}, median {_finite(self.before)} → {_finite(self.after)}{size}, {p}"


def seed_tests(
    before: Entry, after: Entry, pairs: Sequence[tuple[Condition, Condition]], *, all_paired: bool, same_seeds: bool
) -> tuple[list[SeedTest], list[str]]:
    """Return every test of a rung that was measured in both reports, and the quantities that one of them does not record.

    Args:
        before: The rung in the earlier report.
        after: The rung in the later report.
        pairs: The conditions that measure the same, perhaps to different limits.
        all_paired: Whether every condition is in a pair.
        same_seeds: Whether seeds of the same number are the same seeds.
    """
    tests, untested = _learning(before, after, pairs, all_paired=all_paired)
    for one, other in pairs:
        if one["kind"] == "comparison" and other["kind"] == "comparison":
            tests += _compared(one, other, control=after["role"] == "control")
    effects = [_effects(entry) for entry in (before, after)]
    for key in [key for key in effects[0] if key in effects[1]]:
        samples = differences(effects[0][key]), differences(effects[1][key])
        if samples[0] and samples[1]:
            tests.append(_ranks(f"{key[0]} against {key[1]}", samples[0], samples[1], EFFECT))
        else:
            untested.append(f"differences of {key[0]} against {key[1]}")
    shared, unrecorded = quantities(before, after)
    tests += [_changed(quantity, same_seeds=same_seeds) for quantity in shared]
    return tests, [*untested, *unrecorded]


def _learning(
    before: Entry, after: Entry, pairs: Sequence[tuple[Condition, Condition]], *, all_paired: bool
) -> tuple[list[SeedTest], list[str]]:
    """Return the tests of how many seeds learn, and by when, and what could not be tested.

    Where a limit changed, the seeds of both reports are counted on the recorded curves, against the later limit.
    """
    criteria, untested = [], []
    same_limits = True
    for one, other in pairs:
        if one["kind"] != "comparison" and other["kind"] != "comparison":
            if limit(one) == limit(other):
                criteria.append((one, other))
                continue
            same_limits = False
            moved = at_limit_of(other, one, before), at_limit_of(other, other, after)
            if moved[0] and moved[1]:
                criteria.append((moved[0], moved[1]))
            else:
                untested.append(f"seeds that reach the limit of {measured_by(one)}")
    if after["role"] == "control":
        return list(_failing(before, after, criteria)), untested
    all_same = all_paired and same_limits
    if not criteria and not all_same:
        return [], untested
    first, second = [one for one, _ in criteria], [other for _, other in criteria]
    was, now = _passed(before, first, all_same), _passed(after, second, all_same)
    tests = [_seeds("seeds that learn", was, now)] if was and now else []
    epochs = epochs_to_target(first), epochs_to_target(second)
    if epochs[0] and epochs[1]:
        tests.append(_ranks("epochs to target", epochs[0], epochs[1], ("slower", "faster")))
    elif criteria:
        untested.append("epochs to target")
    return tests, untested


def _passed(entry: Entry, criteria: Sequence[Criterion], all_same: bool) -> tuple[int, int] | None:
    """Return how many seeds met the conditions that both reports have, and of how many."""
    if entry["role"] == "goal":
        return (criteria[0]["passed"], criteria[0]["of"]) if criteria else None
    if all_same and entry["seeds"]:
        return entry["seeds"]["passed"], entry["seeds"]["of"]
    learned = in_time(criteria)
    return (sum(learned), len(learned)) if learned else None


def _failing(before: Entry, after: Entry, criteria: list[tuple[Criterion, Criterion]]) -> Iterator[SeedTest]:
    """Yield the tests of a control, which must fail at every gate by itself, and with finite numbers."""
    for one, other in criteria:
        failed = [(condition["of"] - condition["passed"], condition["of"]) for condition in (one, other)]
        yield _seeds(f"control, seeds that fail {one['text']}", *failed)
    counts = [entry["seeds"] for entry in (before, after) if entry["seeds"]]
    finite = [(seeds["of"] - len(seeds["non_finite"]) - len(seeds["errors"]), seeds["of"]) for seeds in counts]
    yield _seeds("control, seeds with finite numbers", *finite)


def _compared(one: Comparison, other: Comparison, *, control: bool) -> Iterator[SeedTest]:
    """Yield the test of a comparison's differences, for worse only if the verdict changed too, at the later margin."""
    samples = differences(one), differences(other)
    if samples[0] and samples[1]:
        good = Verdict.FAIL if control else Verdict.PASS
        test = _ranks(other["text"], samples[0], samples[1], ("better", "worse") if control else ("worse", "better"))
        was, now = _verdict(one, other["margin"]) == good, other["verdict"] == good
        yield replace(test, claims=() if was == now else ("worse",) if was else ("better",))


def _verdict(comparison: Comparison, margin: float) -> str:
    """Return the verdict of a comparison; at another margin than its own, by the interval that is recorded."""
    if margin == comparison["margin"]:
        return comparison["verdict"]
    low, high = comparison["low"], comparison["high"]
    if high is not None and high < margin:
        return Verdict.PASS
    return Verdict.FAIL if low is not None and low > margin else Verdict.UNDECIDED


def _effects(entry: Entry) -> dict[tuple[str, str], Comparison | Effect]:
    """Return every comparison of a rung, required or only reported, by metric and other rung."""
    comparisons = [each for each in (*entry["gates"], *entry["goals"]) if each["kind"] == "comparison"]
    compared: list[Comparison | Effect] = [*entry["effects"], *comparisons]
    return {(each["metric"], each["against"]): each for each in compared}


def _seeds(quantity: str, before: tuple[int, int], after: tuple[int, int]) -> SeedTest:
    total = before[0] + after[0]
    decides = 0 < total < before[1] + after[1]
    p = {"broke": fewer(before, after), "mended": fewer(after, before)} if decides else {}
    return SeedTest(quantity, before[0], after[0], (before[1], after[1]), p, claims=("broke", "mended"))


def _changed(quantity: Quantity, *, same_seeds: bool) -> SeedTest:
    """Return the two-sided test of a quantity; that of a path is over its epochs, and shows the epoch that changed most."""
    samples = list(zip(quantity.before, quantity.after, strict=True))
    ps = [_either(one, other, same_seeds=same_seeds) for one, other in samples]
    most = ps.index(min(ps))
    one, other = samples[most]
    name = f"{quantity.name}, most at epoch {quantity.epochs[most]}" if len(samples) > 1 else quantity.name
    p = {"changed": simes(ps)} if any(len({*before, *after}) > 1 for before, after in samples) else {}
    seeds = len(one), len(other)
    return SeedTest(name, _median(one), _median(other), seeds, p, CHANGED, chance=chance(one, other))


def _either(before: list[float], after: list[float], *, same_seeds: bool) -> float:
    """Return the two-sided p-value of a change between two samples.

    If the seeds are the same, a signed-rank test of the pairs is made too, and the smaller p-value counts twice: the pairs show
    a small shift of every seed, and the ranks are surer of a large one. Differences within rounding are none.
    """
    p = either(before, after)
    if not same_seeds:
        return p
    both = min(len(before), len(after))
    one, other = np.array(before[:both]), np.array(after[:both])
    moved = np.where(differs(one, other), np.nan_to_num(other, posinf=LARGE) - np.nan_to_num(one, posinf=LARGE), 0.0)
    return min(1.0, 2.0 * min(p, signed_ranks(moved.tolist())))


def _ranks(quantity: str, before: list[float], after: list[float], results: Sequence[str]) -> SeedTest:
    """Return a rank test; ``results`` are its results for larger and for smaller values, or one result for both."""
    test = SeedTest(
        quantity, _median(before), _median(after), (len(before), len(after)), {}, tuple(results), chance=0.5
    )
    if len({*before, *after}) == 1:
        return test
    difference = shift(before, after)
    ps = (difference.larger, difference.smaller) if len(results) == 2 else (difference.either,)
    return replace(test, p=dict(zip(results, ps, strict=True)), chance=difference.chance)


def _median(values: list[float]) -> float:
    """Return the median; for an even number of values the mean of the middle two, infinite if one of them is."""
    with np.errstate(invalid="ignore"):
        return float(np.median(values))


def _finite(value: float) -> str:
    return format_number(value) if math.isfinite(value) else "infinite"
