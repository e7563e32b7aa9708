"""The report as data: plain Python types, built from outcomes, in the shape that ``schema.json`` publishes.

Every other form of the report is rendered from this document and from nothing else.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from typing import Any

import numpy as np

from ladder.climb import Outcome
from ladder.declare.arrays import Float
from ladder.declare.criteria import Comparison, Criterion
from ladder.declare.experiment import components, differences
from ladder.declare.ladder import Ladder
from ladder.declare.rung import Rung
from ladder.declare.values import cut, shortened
from ladder.evidence.attempts import Attempt
from ladder.judge.judgement import ComparisonResult, CriterionResult
from ladder.judge.sequential import SequentialTest, Verdict
from ladder.report.schema import VERSION, WHOLE, Entry
from ladder.report.text import all_printable
from ladder.train.result import Trained

ATTEMPTS = 10  # listed for each rung; the evidence has them all
EPOCHS = 50  # of each curve, about: as many points as a small picture can show
LONGEST = 1000  # characters of a component's value, at most
DIGITS = 5  # significant digits of drawn numbers: more than any limit is stated to; the evidence has every digit


def entry(
    outcome: Outcome,
    ladder: Ladder,
    test: SequentialTest,
    stale: Sequence[str] = (),
    attempts: Sequence[Attempt] = (),
) -> Entry:
    """Return the entry of a rung.

    The location of its test and the command that repeats it are added by the caller that collected it.

    Args:
        outcome: The rung's outcome.
        ladder: The ladder, for the parent's experiment.
        test: The sequential test that judged the rung.
        stale: The parts that changed since its limits were calibrated; ``missing`` if they never were.
        attempts: All attempts at the rung, of which the latest are listed.
    """
    return dict(all_printable(_entry(outcome, ladder, test, stale, attempts)))


def _entry(
    outcome: Outcome, ladder: Ladder, test: SequentialTest, stale: Sequence[str], attempts: Sequence[Attempt]
) -> Entry:
    rung, judgement, trained = outcome.rung, outcome.judgement, outcome.trained
    record: Entry = {
        "id": rung.id,
        "number": rung.number,
        "name": rung.name,
        "variant": rung.variant,
        "scale": rung.scale,
        "role": rung.role,
        "claim": rung.claim,
        "control": rung.control.why if rung.control else "",
        "expects": list(rung.expected_findings),
        "missed": list(outcome.missed),
        "adds": _adds(outcome, ladder),
        "parent": rung.parent_id or None,
        "requires": list(rung.required),
        "experiment": {
            "type": f"{type(rung.experiment).__module__}.{type(rung.experiment).__qualname__}",
            "epochs": int(rung.experiment.epochs),
            "components": {name: _plain(value) for name, value in components(rung.experiment).items()},
        },
        "verdict": outcome.verdict.value,
        "green": outcome.green,
        "blocked_by": list(outcome.blocked_by),
        "error": outcome.error,
        "note": outcome.note,
        "asks": [],
        "stale_calibration": list(stale),
        "evidence": [
            {"date": origin.date, "commit": origin.commit, "seeds": seeds} for origin, seeds in outcome.evidence
        ],
        "attempts": {"total": len(attempts), "latest": [_attempt(attempt) for attempt in attempts[-ATTEMPTS:]]},
        "diagnosis": None if outcome.diagnosis is None else _in_json(asdict(outcome.diagnosis)),
        "pictures": [],  # added by the code that draws them
        "test": None,
        "repeat": "",
        "seeds": None,
        "gates": [],
        "goals": [],
        "effects": [],
        "epochs": [],
        "curves": {},
        "others": {},
        "seconds": None,
    }
    if judgement is None:
        record["asks"] = [_unjudged("gate", gate) for gate in rung.gates] + [
            _unjudged("goal", goal) for goal in rung.goals
        ]
    if trained is None:
        return record
    record |= _curves(
        rung, trained, _last_epoch(trained) if outcome.verdict is Verdict.TIMED_OUT else rung.experiment.epochs
    )
    record["seconds"] = {"compile": round(trained.compile_seconds, 3), "run": round(trained.run_seconds, 3)}
    if judgement is None:
        return record
    boundary = test.boundary(judgement.n)
    record["seeds"] = {
        "passed": judgement.k,
        "of": judgement.n,
        "log_e": number(judgement.log_e),
        "pass_at": boundary.pass_at,
        "fail_at": boundary.fail_at,
        "names_culprit": judgement.names_culprit,
        "non_finite": [asdict(bad) for bad in trained.first_non_finite],
    }
    record["gates"] = [_condition(gate) for gate in judgement.gates]
    record["goals"] = [_condition(goal) for goal in judgement.goals]
    record["effects"] = [_effect(effect) for effect in judgement.effects]
    return record


def _last_epoch(trained: Trained) -> int:
    """Return the last epoch at which any seed has a value; a rung that timed out has no values after it."""
    has_value = np.logical_or.reduce([np.isfinite(curve).any(axis=0) for curve in trained.curves.values()])
    return int(np.append(np.flatnonzero(has_value), 0).max()) + 1


def _curves(rung: Rung, trained: Trained, total: int) -> dict[str, Any]:
    """Return the curves of every seed for the metrics that judge the rung, and the spread over seeds of all others.

    They cover the first ``total`` epochs, with about ``EPOCHS`` points if these are more.
    """
    conditions = (*rung.gates, *rung.goals)
    experiment = rung.experiment
    judged = {metric for condition in conditions for metric in condition.metrics} | set(rung.compare)
    judged |= {name for what in ("objective", "reference") if isinstance(name := getattr(experiment, what, None), str)}
    named = {e for c in conditions if isinstance(c, Criterion) for e in (c.first_epoch, c.by) if e <= total}
    epochs = sorted(named | set(np.linspace(1, total, min(total, EPOCHS)).round().astype(int).tolist()))
    sampled = {name: curve[:, np.array(epochs) - 1] for name, curve in trained.curves.items()}
    return {
        "epochs": epochs,
        "curves": {
            name: [[number(value, DIGITS) for value in seed] for seed in curve.tolist()]
            for name, curve in sampled.items()
            if name in judged
        },
        "others": {name: _spread(curve) for name, curve in sampled.items() if name not in judged},
    }


def _spread(curve: Float[np.ndarray, "seed epoch"]) -> dict[str, list[float | None]]:
    """Return median, low and high over the seeds that have a value, by epoch."""
    masked = np.ma.masked_invalid(curve)
    return {
        name: [number(value, DIGITS) for value in np.ma.filled(statistic(masked, axis=0), np.nan).tolist()]
        for name, statistic in (("median", np.ma.median), ("low", np.ma.min), ("high", np.ma.max))
    }


def _attempt(attempt: Attempt) -> dict[str, Any]:
    fields = asdict(attempt)
    return {name: fields[name] for name in ("date", "commit", "root", "verdict", "k", "n", "error")}


def document(
    entries: Sequence[Entry],
    test: SequentialTest,
    seeds: Mapping[str, Any],
    environment: Mapping[str, Any],
    complete: bool = True,
) -> dict[str, Any]:
    """Return the whole report.

    Args:
        entries: The entries of the rungs, in climbing order.
        test: The sequential test.
        seeds: The root of the seeds, whether it was drawn anew, and how to repeat them.
        environment: The command, machine, versions and commit of the run.
        complete: Whether the run was not broken off.
    """
    report = {
        "schema": VERSION,
        "created": datetime.now(UTC).isoformat(timespec="seconds"),
        "complete": complete,
        **environment,
        "seeds": dict(seeds),
        "test": {
            "p0": test.p0,
            "p1": test.p1,
            "alpha": test.alpha,
            "beta": test.beta,
            "looks": [
                {"seeds": b.seeds, "pass_at": b.pass_at, "fail_at": b.fail_at} for b in map(test.boundary, test.looks)
            ],
        },
        "culprit": culprit(entries),
        "rungs": list(entries),
    }
    return dict(all_printable(report))  # also the notes added to an entry since it was made


def culprit(entries: Sequence[Entry]) -> dict[str, Any] | None:
    """Return the component that the first failing rung added, only a suspect if its FAIL is too weak for the ladder's length."""
    for rung in entries:
        if rung["role"] == "gate" and rung["verdict"] == Verdict.FAIL:
            return {
                "rung": rung["id"],
                "name": rung["name"],
                "adds": rung["adds"],
                "certain": rung["seeds"]["names_culprit"],
                "blocks": _blocked(entries, rung["id"]),
            }
    return None


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


def _adds(outcome: Outcome, ladder: Ladder) -> dict[str, Any] | None:
    rung = outcome.rung
    if not rung.parent_id:
        return None
    changes = differences(ladder[rung.parent_id].experiment, rung.experiment)
    return {
        "component": rung.adds,
        "changes": [{"component": path, "from": _plain(a), "to": _plain(b)} for path, (a, b) in changes.items()],
    }


def _unjudged(kind: str, condition: Criterion | Comparison) -> dict[str, Any]:
    """Return a condition that could not be judged."""
    floor = _floor(condition) if isinstance(condition, Criterion) else None
    return {"kind": kind, "text": condition.text, "source": condition.source, "floor": floor}


def _floor(criterion: Criterion) -> dict[str, Any] | None:
    return None if criterion.floor is None else {"value": criterion.floor.value, "source": criterion.floor.source}


def _condition(judged: CriterionResult | ComparisonResult) -> dict[str, Any]:
    if isinstance(judged, ComparisonResult):
        assert isinstance(judged.comparison, Comparison)
        return {
            "kind": "comparison",
            "text": judged.comparison.text,
            "metric": judged.metric,
            "source": judged.comparison.source,
            "verdict": None if judged.verdict is None else judged.verdict.value,
            "against": judged.against,
            "margin": judged.comparison.margin,
            **_interval(judged),
        }
    criterion = judged.criterion
    return {
        "kind": criterion.kind,
        "text": criterion.text,
        "metric": criterion.metric,
        "source": criterion.source,
        "verdict": judged.verdict.value,
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


def _effect(effect: ComparisonResult) -> dict[str, Any]:
    return {
        "metric": effect.metric,
        "against": effect.against,
        "published": effect.published,
        **_interval(effect),
    }


def _interval(compared: ComparisonResult) -> dict[str, Any]:
    interval = compared.interval
    return {
        "differences": [number(difference, DIGITS) for difference in compared.differences],
        "median": number(interval.median),
        "low": number(interval.low),
        "high": number(interval.high),
        "level": interval.level,
    }


def _in_json(value: Any) -> Any:
    """Return nested data with its numbers as JSON has them."""
    if isinstance(value, Mapping):
        return {name: _in_json(inner) for name, inner in value.items()}
    if isinstance(value, list | tuple):
        return [_in_json(inner) for inner in value]
    return number(value, DIGITS) if isinstance(value, float) else value


def _plain(value: Any) -> Any:
    """Return a component's value for JSON: finite numbers, strings and flags as they are, all else as a shortened repr."""
    if isinstance(value, np.generic):
        value = value.item()
    if isinstance(value, float):
        return float(value) if math.isfinite(value) else repr(float(value))
    if isinstance(value, str):
        return cut(value, LONGEST)
    plain = value is None or isinstance(value, bool) or (isinstance(value, int) and abs(value) < WHOLE)
    return value if plain else shortened(value, LONGEST)
