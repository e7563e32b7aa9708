"""Judgement: from curves to a verdict, by the seeds that meet every gate and by paired comparisons with other rungs."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np

from ladder.declare.arrays import Bool
from ladder.declare.criteria import Comparison, Criterion
from ladder.declare.rung import Rung
from ladder.declare.verdict import Verdict
from ladder.judge.anytime import RateInterval, is_majority, rate_interval
from ladder.judge.paired import Interval, lies_above, lies_below, lower, median_interval, paired_differences
from ladder.judge.sequential import SequentialTest, chance_of_decision
from ladder.train.result import Trained

REPORT_LEVEL = 0.95
"""The level of effects, and that at which each bound of a rate holds by itself."""

LIKELY = 0.8
"""The chance with which the number of seeds that is recommended for an UNDECIDED rung decides it."""

MORE = (1.5, 2, 3, 4, 6, 8)
"""The further looks that are considered for an UNDECIDED rung, in multiples of the last."""


@dataclass(frozen=True)
class CriterionResult:
    """The result of judging a criterion.

    Attributes:
        criterion: The criterion.
        verdict: The verdict of the sequential test for this criterion by itself.
        k: The number of seeds that meet it and stayed finite.
        n: The number of seeds.
        median: The median of the seeds' finite statistics; ``low`` and ``high`` are their range.
        reached: For each seed the first epoch from which it meets the criterion until the end; infinite if there is none or
            the seed turned non-finite.
    """

    criterion: Criterion
    verdict: Verdict
    k: int
    n: int
    median: float
    low: float
    high: float
    reached: tuple[float, ...]


@dataclass(frozen=True)
class ComparisonResult:
    """The result of a paired comparison with another rung at the last epoch.

    Attributes:
        metric: The metric that is compared.
        against: The id of the other rung.
        interval: The median of the differences, this rung minus the other, and its confidence interval.
        lower: The pairs in which this rung is the lower, and the interval of the probability that it is.
        differences: The difference of each pair.
        published: The published value of an effect.
        comparison: The gate or goal that the comparison belongs to; None if it is only reported.
        verdict: The verdict of that gate or goal; None if it is only reported.
    """

    metric: str
    against: str
    interval: Interval
    lower: RateInterval
    differences: tuple[float, ...]
    published: str = ""
    comparison: Comparison | None = None
    verdict: Verdict | None = None


class Decision(NamedTuple):
    """The looks that decide an UNDECIDED rung with this chance, if its seeds go on as so far."""

    looks: tuple[int, ...]
    chance: float


@dataclass(frozen=True)
class Judgement:
    """The judgement of a rung's curves.

    Attributes:
        verdict: The verdict on the rung.
        k: The number of seeds that stayed finite and met every per-seed gate.
        n: The number of seeds.
        log_e: The logarithm of the e-value of ``k`` of ``n``.
        rate: The bounds of the rate at which seeds learn.
        failing: The seeds that did not; all seeds if a comparison alone decided.
        names_culprit: Whether a FAIL is strong enough to name a culprit on this ladder.
        gates: The results of the gates.
        goals: The results of the goals.
        effects: The paired differences from the parent, which are only reported.
        decision: The looks that would decide it; None unless it is UNDECIDED at the last look.
    """

    verdict: Verdict
    k: int
    n: int
    log_e: float
    rate: RateInterval
    failing: tuple[int, ...]
    names_culprit: bool
    gates: tuple[CriterionResult | ComparisonResult, ...]
    goals: tuple[CriterionResult | ComparisonResult, ...]
    effects: tuple[ComparisonResult, ...]
    decision: Decision | None

    def __repr__(self) -> str:
        return f"Judgement({self.verdict.value} {self.k}/{self.n})"


def judge(rung: Rung, trained: Trained, partners: Mapping[str, Trained], test: SequentialTest, gated: int) -> Judgement:
    """Judge a rung by its own curves and those of the rungs it is compared with, on the same seeds.

    Args:
        rung: The rung.
        trained: Its curves.
        partners: The curves of the rungs it is compared with, by id.
        test: The rule by which verdicts are reached.
        gated: The number of gated rungs on the ladder, each of which could be named as the culprit.

    Returns:
        The verdict with the results it rests on.
    """
    gates = tuple(_result(gate, trained, partners, test) for gate in rung.gates)
    goals = tuple(_result(goal, trained, partners, test) for goal in rung.goals)
    met = _meets_every_gate(rung, trained)
    k, n = int(met.sum()), trained.seeds
    verdict = _verdict(rung, test.verdict(k, n), gates, goals)
    undecided = verdict is Verdict.UNDECIDED and n == test.looks[-1] and rung.role != "goal"
    failed_by_comparison = verdict is Verdict.FAIL and test.verdict(k, n) is not Verdict.FAIL
    return Judgement(
        verdict=verdict,
        k=k,
        n=n,
        log_e=test.log_e(k, n),
        rate=rate_interval(k, n, 2.0 * REPORT_LEVEL - 1.0),
        failing=tuple(range(n)) if failed_by_comparison or k == n else tuple(np.flatnonzero(~met).tolist()),
        names_culprit=verdict is Verdict.FAIL and _names_culprit(rung, k, trained, partners, test, gated),
        gates=gates,
        goals=goals,
        effects=_effects(rung, trained, partners),
        decision=_decision(rung, k, n, gates, test, _tests(rung, gated)) if undecided else None,
    )


def _result(
    condition: Criterion | Comparison, trained: Trained, partners: Mapping[str, Trained], test: SequentialTest
) -> CriterionResult | ComparisonResult:
    if isinstance(condition, Criterion):
        return _criterion_result(condition, trained, test)
    return _comparison_result(condition, trained, partners[condition.against], test)


def _criterion_result(criterion: Criterion, trained: Trained, test: SequentialTest) -> CriterionResult:
    finite = trained.first_non_finite_step == 0
    statistic = criterion.statistic(trained.curves)
    k = int(np.sum(criterion.holds(trained.curves) & finite))
    known = statistic[np.isfinite(statistic)]
    spread = (float(np.median(known)), float(known.min()), float(known.max())) if known.size else (math.nan,) * 3
    reached = np.where(finite, criterion.reached(trained.curves), math.inf)
    return CriterionResult(
        criterion, test.verdict(k, trained.seeds), k, trained.seeds, *spread, tuple(reached.tolist())
    )


def _comparison_result(
    comparison: Comparison, trained: Trained, against: Trained, test: SequentialTest
) -> ComparisonResult:
    """Judge a comparison: PASS if its interval of level 1 - alpha lies below the margin, FAIL at the error beta."""
    differences = paired_differences(trained, against, comparison.metric)
    passes = lies_below(differences, comparison.margin, 0.5 * test.alpha)
    fails = lies_above(differences, comparison.margin, test.beta)
    verdict = Verdict.FAIL if fails else Verdict.PASS if passes else Verdict.UNDECIDED
    result = _paired_result(comparison.metric, comparison.against, differences, 1.0 - test.alpha)
    return replace(result, comparison=comparison, verdict=verdict)


def _paired_result(metric: str, against: str, differences: list[float], level: float) -> ComparisonResult:
    """Return the differences from another rung with the interval of their median, of this level, and how many are negative."""
    interval = median_interval(differences, level)
    return ComparisonResult(metric, against, interval, lower(differences, REPORT_LEVEL), tuple(differences))


def _meets_every_gate(rung: Rung, trained: Trained) -> Bool[np.ndarray, " seed"]:
    """Return for each seed whether it stayed finite and met every per-seed gate."""
    finite = trained.first_non_finite_step == 0
    return np.asarray(np.logical_and.reduce([finite, *(gate.holds(trained.curves) for gate in rung.criteria)]))


def _verdict(
    rung: Rung,
    of_seeds: Verdict,
    gates: Sequence[CriterionResult | ComparisonResult],
    goals: Sequence[CriterionResult | ComparisonResult],
) -> Verdict:
    """Return the verdict of a rung, where ``of_seeds`` is that of the seeds that met every gate."""
    if rung.role == "goal":
        return Verdict.all_of([_decided(goal) for goal in goals])
    if rung.control is not None and rung.control.each_gate_fails:
        return _every_gate_fails([_decided(gate) for gate in gates])
    return Verdict.all_of([of_seeds, *(_decided(gate) for gate in gates if isinstance(gate, ComparisonResult))])


def _decided(result: CriterionResult | ComparisonResult) -> Verdict:
    return Verdict.UNDECIDED if result.verdict is None else result.verdict


def _every_gate_fails(verdicts: Sequence[Verdict]) -> Verdict:
    """Return FAIL only if each gate fails by itself."""
    if Verdict.PASS in verdicts:
        return Verdict.PASS
    return Verdict.FAIL if all(verdict is Verdict.FAIL for verdict in verdicts) else Verdict.UNDECIDED


def _tests(rung: Rung, gated: int) -> int | None:
    """Return the number of tests that could name a culprit, if each gated rung had as many as this one; None for a control."""
    return gated * (1 + len(rung.comparisons)) if rung.role == "gate" else None


def _names_culprit(
    rung: Rung, k: int, trained: Trained, partners: Mapping[str, Trained], test: SequentialTest, gated: int
) -> bool:
    """Return whether a FAIL is strong enough to name a culprit on this ladder.

    By a union bound over the gated rungs of the ladder, and over this rung's seeds and each of its comparisons.
    """
    if (tests := _tests(rung, gated)) is None:
        return False
    error = test.beta / tests
    return test.names_culprit(k, trained.seeds, tests) or any(
        lies_above(paired_differences(trained, partners[gate.against], gate.metric), gate.margin, error)
        for gate in rung.comparisons
    )


def _effects(rung: Rung, trained: Trained, partners: Mapping[str, Trained]) -> tuple[ComparisonResult, ...]:
    """Return the paired comparisons with the parent, which are only reported."""
    if rung.parent_id not in partners:
        return ()
    effects = []
    for metric, published in rung.compared.items():
        differences = paired_differences(trained, partners[rung.parent_id], metric)
        result = _paired_result(metric, rung.parent_id, differences, REPORT_LEVEL)
        effects.append(replace(result, published=published))
    return tuple(effects)


def _decision(
    rung: Rung,
    k: int,
    n: int,
    gates: Sequence[CriterionResult | ComparisonResult],
    test: SequentialTest,
    tests: int | None,
) -> Decision:
    """Return the fewest further looks by which every test of a rung has decided, with a chance of at least ``LIKELY``.

    The chance is a lower bound: 1 less the chances that each test is still undecided, at the rate so far. A gated rung goes on
    after a FAIL that is too weak to name it among so many ``tests``, and may be undecided again.
    """
    looks = [math.ceil(n * more) for more in MORE]
    beta = test.beta if tests is None else test.beta / tests

    def decided(k: int, n: int) -> bool:
        return test.stops(k, n, tests)

    each_gate = rung.control is not None and rung.control.each_gate_fails
    counts = [(gate.k, gate.n) for gate in gates if isinstance(gate, CriterionResult)] if each_gate else [(k, n)]
    chances = [chance_of_decision(*count, looks, decided) for count in counts if not decided(*count)]
    chances += [
        _chance_of_comparison(gate, [look - n for look in looks], test.alpha, beta)
        for gate in gates
        if isinstance(gate, ComparisonResult) and gate.verdict is Verdict.UNDECIDED
    ]
    together = [max(0.0, 1.0 - sum(1.0 - chance for chance in at)) for at in zip(*chances, strict=True)]
    enough = next((i for i, chance in enumerate(together) if chance >= LIKELY), len(looks) - 1)
    return Decision((*test.looks, *looks[: enough + 1]), together[enough])


def _chance_of_comparison(gate: ComparisonResult, more: Sequence[int], alpha: float, beta: float) -> list[float]:
    """Return the chance, at least, that a comparison is decided after so many more pairs, at the rates of signs so far.

    ``alpha`` is the error of a PASS, ``beta`` that of a FAIL.
    """
    assert gate.comparison is not None
    pairs, margin = len(gate.differences), gate.comparison.margin

    def by_majority(of: Sequence[bool], error: float) -> list[float]:
        looks = [pairs + each for each in more]
        return chance_of_decision(sum(of), pairs, looks, lambda k, n: is_majority(k, n, error))

    if not pairs:
        return [0.0] * len(more)
    fails = by_majority([difference > margin for difference in gate.differences], beta)
    passes = by_majority([difference < margin for difference in gate.differences], 0.5 * alpha)
    return list(map(max, fails, passes))
