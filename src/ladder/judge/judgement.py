"""From curves to a verdict: which seeds meet every gate, what the test says of that, how a rung compares."""

import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from ladder.declare.arrays import Float
from ladder.declare.criteria import Comparison, Criterion
from ladder.declare.rung import Rung
from ladder.judge.sequential import Interval, SequentialTest, Verdict, median_interval
from ladder.train.result import Trained

REPORT_LEVEL = 0.95


@dataclass(frozen=True)
class CriterionResult:
    """A criterion judged: it held of ``k`` of ``n`` seeds, whose statistics lie between ``low`` and ``high``.

    ``reached`` are the epochs at which they had met it for good, infinite of those that never did or turned non-finite.
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
    """A paired comparison of ``metric`` at the last epoch, this rung less ``against``, and the interval of its median.

    ``comparison`` is the gate or goal it belongs to, None where it is only reported; then ``verdict`` is None too.
    """

    metric: str
    against: str
    interval: Interval
    differences: tuple[float, ...]
    published: str = ""
    comparison: Comparison | None = None
    verdict: Verdict | None = None


@dataclass(frozen=True)
class Judgement:
    """All that follows from a rung's curves.

    ``k`` of ``n`` seeds stayed finite and met every per-seed gate; ``failing`` are the others, or all seeds where a
    comparison alone has decided. ``names`` says whether a FAIL is strong enough to name
    a culprit on this ladder.
    """

    verdict: Verdict
    k: int
    n: int
    log_e: float
    failing: tuple[int, ...]
    names_culprit: bool
    gates: tuple[CriterionResult | ComparisonResult, ...]
    goals: tuple[CriterionResult | ComparisonResult, ...]
    effects: tuple[ComparisonResult, ...]

    def __repr__(self) -> str:
        return f"Judgement({self.verdict.value} {self.k}/{self.n})"


def judge(rung: Rung, trained: Trained, partners: Mapping[str, Trained], test: SequentialTest, gated: int) -> Judgement:
    """Judge a rung by its own curves and those of the rungs it is compared with, on the same seeds."""
    finite = trained.first_non_finite_step == 0

    def held(criterion: Criterion) -> CriterionResult:
        statistic = criterion.statistic(trained.curves)
        k = int(np.sum(criterion.holds(trained.curves) & finite))
        known = statistic[np.isfinite(statistic)]
        median, low, high = (
            (float(np.median(known)), float(known.min()), float(known.max())) if known.size else (math.nan,) * 3
        )
        reached = np.where(finite, criterion.reached(trained.curves), math.inf)
        return CriterionResult(
            criterion, test.verdict(k, trained.seeds), k, trained.seeds, median, low, high, tuple(reached.tolist())
        )

    def compared(comparison: Comparison) -> ComparisonResult:
        against = partners[comparison.against]
        difference = paired(trained, against, comparison.metric)
        interval = _interval(difference, 1.0 - test.alpha / len(test.looks))
        # A look may err on either side: alpha / looks in all for a PASS, beta / looks on its one side for a FAIL.
        fails = _worse(difference, comparison.margin, test.beta / len(test.looks))
        verdict = Verdict.FAIL if fails else Verdict.PASS if interval.high < comparison.margin else Verdict.UNDECIDED
        return ComparisonResult(
            comparison.metric, comparison.against, interval, tuple(difference), comparison=comparison, verdict=verdict
        )

    def judged(condition: Criterion | Comparison) -> CriterionResult | ComparisonResult:
        return held(condition) if isinstance(condition, Criterion) else compared(condition)

    gates = tuple(judged(gate) for gate in rung.gates)
    goals = tuple(judged(goal) for goal in rung.goals)
    everything = np.logical_and.reduce([finite, *(gate.holds(trained.curves) for gate in rung.criteria)])
    k, n = int(everything.sum()), trained.seeds
    comparisons = [gate for gate in gates if isinstance(gate, ComparisonResult)]
    parts = [test.verdict(k, n), *(_known(gate.verdict) for gate in comparisons)]
    if rung.role == "goal":
        verdict = Verdict.all_of([_known(goal.verdict) for goal in goals])
    elif rung.each_gate_fails:
        verdict = _every_gate([_known(gate.verdict) for gate in gates])
    else:
        verdict = Verdict.all_of(parts)

    # Union bound: over the gated rungs of the ladder, and over this rung's seeds and each of its comparisons.
    tests = gated * (1 + len(rung.comparisons))
    names = (
        rung.role == "gate"
        and verdict is Verdict.FAIL
        and (
            test.names_culprit(k, n, tests)
            or any(
                _worse(
                    paired(trained, partners[gate.against], gate.metric),
                    gate.margin,
                    test.beta / len(test.looks) / tests,
                )
                for gate in rung.comparisons
            )
        )
    )
    effects = tuple(
        ComparisonResult(
            metric,
            rung.parent,
            _interval(difference := paired(trained, partners[rung.parent], metric), REPORT_LEVEL),
            tuple(difference),
            published,
        )
        for metric, published in rung.compare.items()
        if rung.parent in partners
    )
    by_comparison = verdict is Verdict.FAIL and test.verdict(k, n) is not Verdict.FAIL
    failing = tuple(range(n)) if by_comparison or k == n else tuple(np.flatnonzero(~everything).tolist())
    return Judgement(verdict, k, n, test.log_e(k, n), failing, names, gates, goals, effects)


def paired(one: Trained, other: Trained, metric: str) -> list[float]:
    """Differences of a metric at the last epoch over the seeds both have, ``one`` less ``other``.

    A seed that is not finite on ``one`` counts as infinitely worse; one that is not finite on ``other`` tells nothing of
    ``one`` and is left out.
    """
    n = min(one.seeds, other.seeds)
    mine, theirs = _last(one, metric)[:n], _last(other, metric)[:n]
    told = np.isfinite(theirs)
    mine = np.where(np.isfinite(mine), mine, np.inf)
    return [float(difference) for difference in mine[told] - theirs[told]]


def _last(trained: Trained, metric: str) -> Float[np.ndarray, " seed"]:
    return trained.curves[metric][:, -1]


def _interval(differences: list[float], level: float) -> Interval:
    if not differences:
        return Interval(math.nan, -math.inf, math.inf, level)
    return median_interval(differences, level)


def _worse(differences: list[float], margin: float, chance: float) -> bool:
    """Whether the median lies above the margin, but for a chance of being wrong."""
    level = 1.0 - 2.0 * chance
    return level < 1.0 and _interval(differences, level).low > margin  # at less than a rounding nothing is certain


def _known(verdict: Verdict | None) -> Verdict:
    return Verdict.UNDECIDED if verdict is None else verdict


def _every_gate(verdicts: list[Verdict]) -> Verdict:
    """FAIL only if each gate fails by itself."""
    if Verdict.PASS in verdicts:
        return Verdict.PASS
    return Verdict.FAIL if all(v is Verdict.FAIL for v in verdicts) else Verdict.UNDECIDED
