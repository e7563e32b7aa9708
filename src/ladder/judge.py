"""From curves to a verdict: which seeds meet every gate, what the test says of that, how a rung compares."""

import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from ladder.criteria import Comparison, Criterion
from ladder.rung import Rung
from ladder.training import Trained
from ladder.verdict import Interval, SequentialTest, Verdict, median_interval

REPORT_LEVEL = 0.95


@dataclass(frozen=True)
class Held:
    """A criterion judged: it held of ``k`` of ``n`` seeds, whose statistics lie between ``low`` and ``high``."""

    criterion: Criterion
    verdict: Verdict
    k: int
    n: int
    median: float
    low: float
    high: float


@dataclass(frozen=True)
class Compared:
    """A paired comparison of ``metric`` at the last epoch, this rung less ``against``.

    ``comparison`` is the gate or goal it belongs to, None where it is only reported; then ``verdict`` is None too.
    """

    metric: str
    against: str
    interval: Interval
    pairs: int
    published: str = ""
    comparison: Comparison | None = None
    verdict: Verdict | None = None


@dataclass(frozen=True)
class Judgement:
    """All that follows from a rung's curves.

    ``k`` of ``n`` seeds stayed finite and met every per-seed gate. ``names`` says whether a FAIL is strong enough to name
    a culprit on this ladder.
    """

    verdict: Verdict
    k: int
    n: int
    log_e: float
    names: bool
    gates: tuple[Held | Compared, ...]
    goals: tuple[Held | Compared, ...]
    effects: tuple[Compared, ...]


def judge(rung: Rung, trained: Trained, partners: Mapping[str, Trained], test: SequentialTest, gated: int) -> Judgement:
    """Judge a rung by its own curves and those of the rungs it is compared with, on the same seeds."""
    finite = trained.first_bad_step == 0

    def held(criterion: Criterion) -> Held:
        statistic = criterion.statistic(trained.curves)
        k = int(np.sum(criterion.holds(trained.curves) & finite))
        known = statistic[np.isfinite(statistic)]
        median, low, high = (
            (float(np.median(known)), float(known.min()), float(known.max())) if known.size else (math.nan,) * 3
        )
        return Held(criterion, test.verdict(k, trained.seeds), k, trained.seeds, median, low, high)

    def compared(comparison: Comparison) -> Compared:
        against = partners[comparison.against]
        difference = paired(trained, against, comparison.metric)
        interval = median_interval(difference, 1.0 - test.alpha / len(test.looks))
        return Compared(
            comparison.metric,
            comparison.against,
            interval,
            len(difference),
            comparison=comparison,
            verdict=_side(interval, comparison.margin),
        )

    def judged(condition: Criterion | Comparison) -> Held | Compared:
        return held(condition) if isinstance(condition, Criterion) else compared(condition)

    gates = tuple(judged(gate) for gate in rung.gates)
    goals = tuple(judged(goal) for goal in rung.goals)
    everything = np.logical_and.reduce([finite, *(gate.holds(trained.curves) for gate in rung.criteria)])
    k, n = int(everything.sum()), trained.seeds
    comparisons = [gate for gate in gates if isinstance(gate, Compared)]
    parts = [test.verdict(k, n), *(_known(gate.verdict) for gate in comparisons)]
    if rung.role == "goal":
        verdict = Verdict.all_of([_known(goal.verdict) for goal in goals])
    elif rung.each_gate_fails:
        verdict = _every_gate([_known(gate.verdict) for gate in gates])
    else:
        verdict = Verdict.all_of(parts)

    level = 1.0 - test.beta / max(gated, 1)
    names = verdict is Verdict.FAIL and (
        test.names_culprit(k, n, gated)
        or any(
            gate.comparison is not None
            and median_interval(paired(trained, partners[gate.against], gate.metric), level).low
            > gate.comparison.margin
            for gate in comparisons
        )
    )
    effects = tuple(
        Compared(
            metric,
            rung.parent,
            median_interval(difference := paired(trained, partners[rung.parent], metric), REPORT_LEVEL),
            len(difference),
            published,
        )
        for metric, published in rung.compare.items()
        if rung.parent in partners
    )
    return Judgement(verdict, k, n, test.log_e(k, n), names, gates, goals, effects)


def paired(one: Trained, other: Trained, metric: str) -> list[float]:
    """Differences of a metric at the last epoch over the seeds both have, ``one`` less ``other``.

    A seed that is not finite on ``one`` counts as infinitely worse; one that is not finite on ``other`` tells nothing of
    ``one`` and is left out.
    """
    n = min(one.seeds, other.seeds)
    mine, theirs = _last(one, metric)[:n], _last(other, metric)[:n]
    mine = np.where(np.isfinite(mine), mine, np.inf)
    return [float(difference) for difference in (mine - theirs)[np.isfinite(theirs)]]


def _last(trained: Trained, metric: str) -> Float[np.ndarray, " seed"]:
    return trained.curves[metric][:, -1]


def _side(interval: Interval, margin: float) -> Verdict:
    if interval.high < margin:
        return Verdict.PASS
    return Verdict.FAIL if interval.low > margin else Verdict.UNDECIDED


def _known(verdict: Verdict | None) -> Verdict:
    return Verdict.UNDECIDED if verdict is None else verdict


def _every_gate(verdicts: list[Verdict]) -> Verdict:
    """FAIL only if each gate fails by itself."""
    if Verdict.PASS in verdicts:
        return Verdict.PASS
    return Verdict.FAIL if all(v is Verdict.FAIL for v in verdicts) else Verdict.UNDECIDED
