"""The report as data: plain Python types, built from outcomes, in the shape that ``schema.json`` publishes.

Every other form of the report is rendered from this document and from nothing else.
"""

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from enum import Enum
from typing import Literal, cast, get_args

import numpy as np

from ladder.climb import Outcome
from ladder.declare.arrays import Float
from ladder.declare.criteria import Comparison, Criterion
from ladder.declare.experiment import Experiment, components, differences
from ladder.declare.ladder import Ladder
from ladder.declare.rung import Rung
from ladder.declare.values import cut, shortened
from ladder.declare.verdict import Verdict
from ladder.diagnose.diagnosis import Diagnosis
from ladder.evidence.attempts import Attempt
from ladder.judge.anytime import RateInterval
from ladder.judge.judgement import ComparisonResult, CriterionResult
from ladder.judge.sequential import REPORT_SEEDS, SequentialTest
from ladder.report import schema
from ladder.report.schema import VERSION, WHOLE, Document, Entry
from ladder.report.text import all_printable
from ladder.train.result import Trained

ATTEMPTS = 10  # listed for each rung; the evidence has them all
EPOCHS = 50  # of each curve, about: as many points as a small picture can show
FEW_EPOCHS = 5  # of them at which a metric that judges nothing has every seed: what compares reports needs no more
LONGEST = 1000  # characters of a component's value, at most
NO_SOURCE = "no source given"
KINDS = get_args(schema.CriterionKind)
DIGITS = 5  # significant digits of drawn numbers: more than any limit is stated to; the evidence has every digit


@dataclass(frozen=True, kw_only=True)
class RunRecord:
    """The record of a run on a rung, besides the outcome.

    Attributes:
        stale: The parts that changed since the rung's limits were calibrated; ``missing`` if they never were.
        attempts: All attempts at the rung, of which the latest are listed.
        pictures: The pictures of the rung.
        notes: Further notes for the reader, after that of the outcome.
        location: The test that climbed the rung; None if it was climbed without pytest.
        repeat: The command that climbs the rung again; empty if it was climbed without pytest.
    """

    stale: Sequence[str] = ()
    attempts: Sequence[Attempt] = ()
    pictures: Sequence[schema.Picture] = ()
    notes: Sequence[str] = ()
    location: schema.Location | None = None
    repeat: str = ""


def entry(outcome: Outcome, ladder: Ladder, test: SequentialTest, record: RunRecord | None = None) -> Entry:
    """Return the entry of a rung.

    Args:
        outcome: The rung's outcome.
        ladder: The ladder, for the parent's experiment.
        test: The sequential test that judged the rung.
        record: The record of the run, if there is one.
    """
    record = record or RunRecord()
    rung = outcome.rung
    fields: Entry = {
        "id": rung.id,
        "ladder": rung.ladder,
        "number": rung.number,
        "name": rung.name,
        "variant": rung.variant,
        "scale": rung.scale,
        "role": cast("schema.Role", rung.role),
        "claim": rung.claim,
        "control": rung.control.why if rung.control else "",
        "expects": list(rung.expected_findings),
        "missed": list(outcome.missed),
        "adds": _adds(rung, ladder),
        "parent": rung.parent_id or None,
        "requires": list(rung.required),
        "experiment": _experiment(rung.experiment),
        "verdict": outcome.verdict.value,
        "green": outcome.green,
        "blocked_by": list(outcome.blocked_by),
        "error": outcome.error,
        "note": "; ".join(filter(None, (outcome.note, *record.notes))),
        "asks": _unjudged(rung) if outcome.judgement is None else [],
        "stale_calibration": cast("list[schema.Stale]", list(record.stale)),
        "evidence": [
            {"date": origin.date, "commit": origin.commit, "seeds": seeds} for origin, seeds in outcome.evidence
        ],
        "attempts": _attempts(record.attempts),
        "diagnosis": _diagnosis(outcome.diagnosis),
        "pictures": list(record.pictures),
        "test": record.location,
        "repeat": record.repeat,
        **_judgement(outcome, test),
        **_curves(outcome),
        "seconds": _seconds(outcome.trained),
    }
    return all_printable(fields)


def result(outcome: Outcome, test: SequentialTest) -> schema.Result:
    """Return the part of a rung's entry that its verdict and its seeds are printed from."""
    fields: schema.Result = {
        "role": cast("schema.Role", outcome.rung.role),
        "missed": list(outcome.missed),
        "verdict": outcome.verdict.value,
        "green": outcome.green,
        **_judgement(outcome, test),
    }
    return all_printable(fields)


def with_failed_test(entry: Entry, reason: str) -> Entry:
    """Return the entry of a green rung whose test failed for another reason: it is not green, and its note says why."""
    note = f"the rung is {entry['verdict']}, but its test failed: {reason}"
    return {**entry, "green": False, "note": "; ".join(filter(None, (entry["note"], note)))}


def _experiment(experiment: Experiment) -> schema.Experiment:
    return {
        "type": f"{type(experiment).__module__}.{type(experiment).__qualname__}",
        "epochs": int(experiment.epochs),
        "components": {name: _plain(value) for name, value in components(experiment).items()},
    }


def _judgement(outcome: Outcome, test: SequentialTest) -> schema.Judgement:
    judgement, trained = outcome.judgement, outcome.trained
    if judgement is None or trained is None:
        return {"seeds": None, "gates": [], "goals": [], "effects": []}
    boundary = test.boundary(judgement.n)
    return {
        "seeds": {
            "passed": judgement.k,
            "of": judgement.n,
            "log_e": number(judgement.log_e),
            "pass_at": boundary.pass_at,
            "fail_at": boundary.fail_at,
            "names_culprit": judgement.names_culprit,
            "verdict": cast("schema.ConditionVerdict", judgement.verdict.value),
            "rate": _rate(judgement.rate),
            "decision": None
            if judgement.decision is None
            else {"looks": list(judgement.decision.looks), "chance": judgement.decision.chance},
            "non_finite": [
                {"seed": bad.seed, "step": bad.step, "tensor": bad.tensor} for bad in trained.first_non_finite
            ],
            "errors": [
                {
                    "seed": raised.seed,
                    "epoch": raised.epoch,
                    "error": raised.error,
                    "traceback": raised.traceback.splitlines(),
                }
                for raised in trained.errors
            ],
        },
        "gates": [_condition(gate) for gate in judgement.gates],
        "goals": [_condition(goal) for goal in judgement.goals],
        "effects": [_effect(effect) for effect in judgement.effects],
    }


def _last_epoch(trained: Trained) -> int:
    """Return the last epoch at which any seed has a value; a rung that timed out has no values after it."""
    has_value = np.logical_or.reduce([np.isfinite(curve).any(axis=0) for curve in trained.curves.values()])
    return int(np.append(np.flatnonzero(has_value), 0).max()) + 1


def _seconds(trained: Trained | None) -> schema.Seconds | None:
    if trained is None:
        return None
    return {"compile": round(trained.compile_seconds, 3), "run": round(trained.run_seconds, 3)}


def _curves(outcome: Outcome) -> schema.Curves:
    """Return the curves of every seed for the metrics that judge the rung, and the spread over seeds of all others.

    They cover the epochs that were trained, with about ``EPOCHS`` points if these are more.
    """
    rung, trained = outcome.rung, outcome.trained
    if trained is None:
        return {"epochs": [], "curves": {}, "others": {}}
    conditions = (*rung.gates, *rung.goals)
    judged = {metric for condition in conditions for metric in condition.metrics} | set(rung.compared)
    roles = ("objective", "reference")
    judged |= {name for role in roles if isinstance(name := getattr(rung.experiment, role, None), str)}
    total = _last_epoch(trained) if outcome.verdict is Verdict.TIMED_OUT else rung.experiment.epochs
    named = {e for c in conditions if isinstance(c, Criterion) for e in c.named_epochs if e <= total}
    epochs = sorted(named | set(np.linspace(1, total, min(total, EPOCHS)).round().astype(int).tolist()))
    sampled = {name: curve[:, np.array(epochs) - 1] for name, curve in trained.curves.items()}
    return {
        "epochs": epochs,
        "curves": {name: _every_seed(curve) for name, curve in sampled.items() if name in judged},
        "others": {name: _other_metric(curve, epochs) for name, curve in sampled.items() if name not in judged},
    }


def _every_seed(curve: Float[np.ndarray, "seed epoch"]) -> list[list[float | None]]:
    return [[number(value, DIGITS) for value in seed] for seed in curve.tolist()]


def _other_metric(curve: Float[np.ndarray, "seed epoch"], epochs: list[int]) -> schema.OtherMetric:
    """Return median, low and high over the seeds that have a value, by epoch, and every seed's values at a few epochs."""
    few = np.linspace(0, len(epochs) - 1, min(FEW_EPOCHS, len(epochs))).round().astype(int)
    masked = np.ma.masked_invalid(curve)
    median, low, high = (
        [number(value, DIGITS) for value in np.ma.filled(statistic(masked, axis=0), np.nan).tolist()]
        for statistic in (np.ma.median, np.ma.min, np.ma.max)
    )
    return {
        "median": median,
        "low": low,
        "high": high,
        "epochs": [epochs[i] for i in few],
        "seeds": _every_seed(curve[:, few]),
    }


def _attempts(attempts: Sequence[Attempt]) -> schema.Attempts:
    latest: list[schema.Attempt] = [
        {
            "date": attempt.date,
            "commit": attempt.commit,
            "root": attempt.root,
            "verdict": attempt.verdict,
            "k": attempt.k,
            "n": attempt.n,
            "error": attempt.error,
        }
        for attempt in attempts[-ATTEMPTS:]
    ]
    return {"total": len(attempts), "latest": latest}


def document(
    entries: Sequence[Entry],
    test: SequentialTest,
    seeds: schema.Root,
    environment: schema.Environment,
    report_seeds: int = REPORT_SEEDS,
    complete: bool = True,
) -> Document:
    """Return the whole report.

    Args:
        entries: The entries of the rungs, in climbing order.
        test: The sequential test.
        seeds: The root of the seeds, whether it was drawn anew, and how to repeat them.
        environment: The command, machine, versions and commit of the run.
        report_seeds: The number of seeds that goals and effects are reported on.
        complete: Whether the run was not broken off.
    """
    found = culprits(entries)
    report: Document = {
        "schema": VERSION,
        "created": datetime.now(UTC).isoformat(timespec="seconds"),
        "complete": complete,
        **environment,
        "seeds": seeds,
        "test": {
            "p0": test.p0,
            "p1": test.p1,
            "alpha": test.alpha,
            "beta": test.beta,
            "looks": [
                {"seeds": b.seeds, "pass_at": b.pass_at, "fail_at": b.fail_at} for b in map(test.boundary, test.looks)
            ],
            "report_seeds": report_seeds,
        },
        "culprit": found[0] if found else None,
        "other_culprits": found[1:],
        "rungs": list(entries),
    }
    return all_printable(report)


def culprits(entries: Sequence[Entry]) -> list[schema.Culprit]:
    """Return the component that the first failing rung of each ladder added.

    It is only a suspect if its FAIL is too weak for the ladder's length.
    """
    first: dict[str, schema.Culprit] = {}
    for rung in entries:
        if rung["role"] == "gate" and rung["verdict"] == Verdict.FAIL and rung["ladder"] not in first:
            assert rung["seeds"] is not None  # a rung that failed was judged
            first[rung["ladder"]] = {
                "rung": rung["id"],
                "name": rung["name"],
                "adds": rung["adds"],
                "certain": rung["seeds"]["names_culprit"],
                "blocks": _blocked(entries, rung["id"]),
            }
    return list(first.values())


def _blocked(entries: Sequence[Entry], by: str) -> list[str]:
    """Return the rungs that are blocked by this one, directly or through others; entries are in climbing order."""
    blocked = [by]
    for rung in entries:
        if not set(rung["blocked_by"]).isdisjoint(blocked):
            blocked.append(rung["id"])
    return blocked[1:]


def number(value: float, digits: int | None = None) -> float | None:
    """Return a JSON number, or None for NaN and infinity, which JSON lacks."""
    if not math.isfinite(value):
        return None
    return float(f"{value:.{digits}g}") if digits else float(value)


def _adds(rung: Rung, ladder: Ladder) -> schema.Adds | None:
    if not rung.parent_id:
        return None
    changes = differences(ladder[rung.parent_id].experiment, rung.experiment)
    return {
        "component": rung.adds,
        "changes": [{"component": path, "from": _plain(a), "to": _plain(b)} for path, (a, b) in changes.items()],
    }


def _unjudged(rung: Rung) -> list[schema.Unjudged]:
    """Return the conditions of a rung that could not be judged."""

    def unjudged(kind: Literal["gate", "goal"], condition: Criterion | Comparison) -> schema.Unjudged:
        floor = _floor(condition) if isinstance(condition, Criterion) else None
        return {"kind": kind, "text": condition.text, "source": condition.source or NO_SOURCE, "floor": floor}

    return [*(unjudged("gate", gate) for gate in rung.gates), *(unjudged("goal", goal) for goal in rung.goals)]


def _floor(criterion: Criterion) -> schema.Floor | None:
    return None if criterion.floor is None else {"value": criterion.floor.value, "source": criterion.floor.source}


def _condition(judged: CriterionResult | ComparisonResult) -> schema.Condition:
    return _criterion(judged) if isinstance(judged, CriterionResult) else _comparison(judged)


def _comparison(judged: ComparisonResult) -> schema.Comparison:
    assert judged.comparison is not None  # an effect has none
    assert judged.verdict is not None
    return {
        "kind": "comparison",
        "text": judged.comparison.text,
        "metric": judged.metric,
        "source": judged.comparison.source or NO_SOURCE,
        "verdict": cast("schema.ConditionVerdict", judged.verdict.value),
        "against": judged.against,
        "margin": judged.comparison.margin,
        **_interval(judged),
    }


def _criterion(judged: CriterionResult) -> schema.Criterion:
    criterion = judged.criterion
    return {
        "kind": cast("schema.CriterionKind", criterion.kind if criterion.kind in KINDS else "other"),
        "text": criterion.text,
        "metric": criterion.metric,
        "source": criterion.source or NO_SOURCE,
        "verdict": cast("schema.ConditionVerdict", judged.verdict.value),
        "limit": criterion.limit,
        "by": criterion.by,
        "since": getattr(criterion, "since", None),
        "calibrated": criterion.calibrated,
        "floor": _floor(criterion),
        "reached": [int(epoch) if math.isfinite(epoch) else None for epoch in judged.reached],
        "passed": judged.k,
        "of": judged.n,
        "median": number(judged.median),
        "low": number(judged.low),
        "high": number(judged.high),
    }


def _effect(effect: ComparisonResult) -> schema.Effect:
    return {
        "metric": effect.metric,
        "against": effect.against,
        "published": effect.published,
        **_interval(effect),
    }


def _interval(compared: ComparisonResult) -> schema.Interval:
    interval = compared.interval
    return {
        "differences": [number(difference, DIGITS) for difference in compared.differences],
        "median": number(interval.median),
        "low": number(interval.low),
        "high": number(interval.high),
        "level": interval.level,
        "lower": _rate(compared.lower),
    }


def _rate(rate: RateInterval) -> schema.Rate:
    return {"passed": rate.k, "of": rate.n, "low": rate.low, "high": rate.high, "level": rate.level}


def _diagnosis(diagnosis: Diagnosis | None) -> schema.Diagnosis | None:
    return None if diagnosis is None else cast("schema.Diagnosis", _in_json(asdict(diagnosis)))


def _in_json(value: object) -> object:
    """Return nested data with its numbers as JSON has them."""
    if isinstance(value, dict):
        return {name: _in_json(inner) for name, inner in value.items()}
    if isinstance(value, list | tuple):
        return [_in_json(inner) for inner in value]
    if isinstance(value, Enum):
        return value.name.lower()
    return number(value, DIGITS) if isinstance(value, float) else value


def _plain(value: object) -> bool | int | float | str | None:
    """Return a component's value for JSON: finite numbers, strings and flags as they are, all else as a shortened repr."""
    if isinstance(value, np.generic):
        value = value.item()
    if isinstance(value, float):
        return float(value) if math.isfinite(value) else repr(float(value))
    if isinstance(value, str):
        return cut(value, LONGEST)
    if value is None or isinstance(value, bool) or (isinstance(value, int) and abs(value) < WHOLE):
        return value
    return shortened(value, LONGEST)
