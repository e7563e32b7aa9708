"""The report as data: outcomes in, plain Python types out, in the shape that ``schema.json`` publishes.

Every other form of the report is drawn from this document and from nothing else.
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

ATTEMPTS = 10  # listed of each rung; the evidence has them all
EPOCHS = 50  # of each curve, about: as many points as a small picture shows
LONGEST = 1000  # characters of a component's value
DIGITS = 5  # significant, of what is drawn: more than any limit is stated to; the evidence has every digit


def entry(
    outcome: Outcome,
    ladder: Ladder,
    test: SequentialTest,
    stale: Sequence[str] = (),
    attempts: Sequence[Attempt] = (),
) -> Entry:
    """One rung's entry.

    ``stale`` says what changed since its limits were calibrated, or that they never were; ``attempts`` are all that there were at
    it, of which the latest are listed. Where its test stands, and how to repeat it, is for the one who collected it to add.
    """
    return dict(all_printable(_entry(outcome, ladder, test, stale, attempts)))


def _entry(
    outcome: Outcome, ladder: Ladder, test: SequentialTest, stale: Sequence[str], attempts: Sequence[Attempt]
) -> Entry:
    rung, judgement, trained = outcome.rung, outcome.judgement, outcome.trained
    found: Entry = {
        "id": rung.id,
        "number": rung.number,
        "name": rung.name,
        "variant": rung.variant,
        "scale": rung.scale,
        "role": rung.role,
        "claim": rung.claim,
        "control": rung.control,
        "expects": list(rung.expects),
        "missed": list(outcome.missed),
        "adds": _adds(outcome, ladder),
        "parent": rung.parent or None,
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
        "pictures": [],  # added by who draws them
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
        found["asks"] = [_asked("gate", gate) for gate in rung.gates] + [_asked("goal", goal) for goal in rung.goals]
    if trained is None:
        return found
    found |= _curves(rung, trained, _done(trained) if outcome.verdict is Verdict.TIMED_OUT else rung.experiment.epochs)
    found["seconds"] = {"compile": round(trained.compile_seconds, 3), "run": round(trained.run_seconds, 3)}
    if judgement is None:
        return found
    boundary = test.boundary(judgement.n)
    found["seeds"] = {
        "passed": judgement.k,
        "of": judgement.n,
        "log_e": number(judgement.log_e),
        "pass_at": boundary.pass_at,
        "fail_at": boundary.fail_at,
        "names_culprit": judgement.names_culprit,
        "non_finite": [asdict(bad) for bad in trained.first_non_finite],
    }
    found["gates"] = [_condition(gate) for gate in judgement.gates]
    found["goals"] = [_condition(goal) for goal in judgement.goals]
    found["effects"] = [_effect(effect) for effect in judgement.effects]
    return found


def _done(trained: Trained) -> int:
    """The last epoch that any seed has a value of; of a rung that ran out of time the others are not there yet."""
    known = np.logical_or.reduce([np.isfinite(curve).any(axis=0) for curve in trained.curves.values()])
    return int(np.append(np.flatnonzero(known), 0).max()) + 1


def _curves(rung: Rung, trained: Trained, total: int) -> dict[str, Any]:
    """The curves of every seed of what the rung is judged by, and of all other metrics the spread over seeds.

    Of the first ``total`` epochs, or as many of them as a curve is to have.
    """
    conditions = (*rung.gates, *rung.goals)
    experiment = rung.experiment
    judged = {metric for condition in conditions for metric in condition.metrics} | set(rung.compare)
    judged |= {name for what in ("objective", "reference") if isinstance(name := getattr(experiment, what, None), str)}
    named = {e for c in conditions if isinstance(c, Criterion) for e in (c.first_epoch, c.by) if e <= total}
    epochs = sorted(named | set(np.linspace(1, total, min(total, EPOCHS)).round().astype(int).tolist()))
    shown = {name: curve[:, np.array(epochs) - 1] for name, curve in trained.curves.items()}
    return {
        "epochs": epochs,
        "curves": {
            name: [[number(value, DIGITS) for value in seed] for seed in curve.tolist()]
            for name, curve in shown.items()
            if name in judged
        },
        "others": {name: _spread(curve) for name, curve in shown.items() if name not in judged},
    }


def _spread(curve: Float[np.ndarray, "seed epoch"]) -> dict[str, list[float | None]]:
    """Median and range over the seeds that have a value, epoch by epoch."""
    known = np.ma.masked_invalid(curve)
    return {
        name: [number(value, DIGITS) for value in np.ma.filled(of(known, axis=0), np.nan).tolist()]
        for name, of in (("median", np.ma.median), ("low", np.ma.min), ("high", np.ma.max))
    }


def _attempt(attempt: Attempt) -> dict[str, Any]:
    told = asdict(attempt)
    return {name: told[name] for name in ("date", "commit", "root", "verdict", "k", "n", "error")}


def document(
    entries: Sequence[Entry],
    test: SequentialTest,
    seeds: Mapping[str, Any],
    environment: Mapping[str, Any],
    complete: bool = True,
) -> dict[str, Any]:
    """The whole report, its rungs in the order given; not complete if the run was broken off."""
    found = {
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
    return dict(all_printable(found))  # also what was noted of an entry since it was made


def culprit(entries: Sequence[Entry]) -> dict[str, Any] | None:
    """The component that the first failing rung added; only a suspect where its FAIL is too weak for the ladder's length."""
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
    """Rungs that are blocked by this one, directly or through others; entries are in climbing order."""
    found = [by]
    for rung in entries:
        if not set(rung["blocked_by"]).isdisjoint(found):
            found.append(rung["id"])
    return found[1:]


def number(value: float, digits: int | None = None) -> float | None:
    """A JSON number, or None for what JSON has no number for."""
    if not math.isfinite(value):
        return None
    return float(f"{value:.{digits}g}") if digits else float(value)


def _adds(outcome: Outcome, ladder: Ladder) -> dict[str, Any] | None:
    rung = outcome.rung
    if not rung.parent:
        return None
    found = differences(ladder[rung.parent].experiment, rung.experiment)
    return {
        "component": rung.adds,
        "changes": [{"component": path, "from": _plain(a), "to": _plain(b)} for path, (a, b) in found.items()],
    }


def _asked(kind: str, asked: Criterion | Comparison) -> dict[str, Any]:
    """A condition that could not be judged."""
    floor = _floor(asked) if isinstance(asked, Criterion) else None
    return {"kind": kind, "text": asked.text, "source": asked.source, "floor": floor}


def _floor(criterion: Criterion) -> dict[str, Any] | None:
    return None if criterion.floor is None else {"value": criterion.floor, "source": criterion.floor_source}


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
    """Nested data with its numbers as JSON has them."""
    if isinstance(value, Mapping):
        return {name: _in_json(inner) for name, inner in value.items()}
    if isinstance(value, list | tuple):
        return [_in_json(inner) for inner in value]
    return number(value, DIGITS) if isinstance(value, float) else value


def _plain(value: Any) -> Any:
    """A component's value as JSON has it: finite numbers, strings and flags as they are, all else by its repr, kept short."""
    if isinstance(value, np.generic):
        value = value.item()
    if isinstance(value, float):
        return float(value) if math.isfinite(value) else repr(float(value))
    if isinstance(value, str):
        return cut(value, LONGEST)
    plain = value is None or isinstance(value, bool) or (isinstance(value, int) and abs(value) < WHOLE)
    return value if plain else shortened(value, LONGEST)
