"""Reports that nobody climbed: rungs whose every number is chosen, and folders of many nights. Nothing here loads JAX.

``python tests/harness/nights.py`` draws the synthetic nights of ``docs/images/history.svg``.
"""

import json
import math
import statistics
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np

from ladder.report.schema import VERSION

SOURCE = "made up for the test"
EPOCHS = 12
START = datetime(2026, 10, 16, 2, tzinfo=UTC)
SOON, LATE, NEVER = [2, 3] * 8, [4, 5] * 8, [None] * 16
"""Epochs at which the seeds of a rung reach its target."""


def gate(reached, *, by=6, limit=0.5, metric="loss", kind="below"):
    """The record of a criterion with the epoch at which each seed met it; None for never."""
    passed = sum(epoch is not None and epoch <= by for epoch in reached)
    return {
        "kind": kind, "text": f"{metric} < {limit:.4g} by epoch {by}", "metric": metric, "source": SOURCE,
        "verdict": verdict(passed, len(reached)), "limit": limit, "by": by, "since": None, "calibrated": False,
        "reached": list(reached), "passed": passed, "of": len(reached), "median": None, "low": None, "high": None,
        "floor": None,
    }  # fmt: skip


def comparison(differences, *, verdict="PASS", metric="loss", against="rung1", margin=0.0):
    """A paired comparison."""
    return {
        "kind": "comparison", "text": f"{metric} lower than {against}'s (median of pairs)", "metric": metric,
        "source": SOURCE, "verdict": verdict, "against": against, "margin": margin, "median": None, "low": None,
        "high": None, "level": 0.95, "lower": None, "differences": list(differences),
    }  # fmt: skip


def effect(differences, *, metric="loss", against="rung1"):
    """What is reported of a pair of rungs."""
    return {
        "metric": metric, "against": against, "published": "not published", "median": None, "low": None, "high": None,
        "level": 0.95, "lower": None, "differences": list(differences),
    }  # fmt: skip


def rung(id, gates=(), *, role="gate", goals=(), effects=(), values=None, passed=None, of=16, **more):
    """A rung that was measured; ``values`` are every seed's loss at the epoch of its first gate."""
    told = [c for c in (*gates, *goals) if c["kind"] != "comparison"]
    of = told[0]["of"] if told else of
    if passed is None:
        asked = [c for c in gates if c["kind"] != "comparison"]
        passed = sum(all(s is not None and s <= c["by"] for s, c in zip(seed, asked, strict=True))
                     for seed in zip(*(c["reached"] for c in asked), strict=True)) if asked else of  # fmt: skip
    found = verdict(passed, of)
    epochs = sorted({1, EPOCHS, *(c["by"] for c in told)})
    return {
        "id": id, "ladder": "", "number": 1, "name": id, "variant": "", "scale": "", "role": role, "claim": "",
        "control": "must fail" if role == "control" else "", "expects": [], "missed": [], "adds": None, "parent": None,
        "requires": [], "experiment": {"type": "toys.Coin", "epochs": EPOCHS, "components": {"p": 1.0}},
        "verdict": found, "green": found == ("FAIL" if role == "control" else "PASS") or role == "goal", "blocked_by": [],
        "error": "", "note": "", "asks": [], "stale_calibration": [], "evidence": [], "attempts": {"total": 0, "latest": []},
        "diagnosis": None, "pictures": [], "test": None, "repeat": "",
        "seeds": {"passed": passed, "of": of, "log_e": 0.0, "pass_at": None, "fail_at": None, "names_culprit": False,
                  "verdict": None, "rate": None, "decision": None, "non_finite": [], "errors": []},
        "gates": list(gates), "goals": list(goals), "effects": list(effects), "epochs": epochs,
        "curves": {} if values is None else {"loss": [[v] * len(epochs) for v in values]},
        "others": {}, "seconds": None,
    } | more  # fmt: skip


def unmeasured(id, verdict="CRASHED", **more):
    """A rung without seeds."""
    return rung(id, of=0) | {"verdict": verdict, "green": False, "seeds": None} | more


def report(*rungs, night=0, root=None, complete=True):
    """A report of a night, on seeds of its own unless a root is given."""
    return {
        "schema": VERSION, "created": (START + timedelta(days=night)).isoformat(), "command": "pytest", "machine": {},
        "versions": {}, "commit": {"sha": f"{int(night):012x}{0:028x}", "dirty": False},
        "seeds": {"root": 1000 + int(night) if root is None else root, "fresh": root is None, "repeat": ""},
        "test": {"p0": 0.7, "p1": 0.95, "alpha": 0.05, "beta": 0.01, "looks": [], "report_seeds": None}, "culprit": None,
        "other_culprits": [],
        "rungs": list(rungs), "complete": complete,
    }  # fmt: skip


def of_one_rung(reached, **more):
    """Reports of one rung, one a night, for each list of the epochs at which its seeds reach the target."""
    return [report(rung("rung1", (gate(epochs),), **more), night=night) for night, epochs in enumerate(reached)]


def verdict(passed, of):
    """What the default test says at 16, 32 and 64 seeds, near enough."""
    return "PASS" if passed > 0.88 * of else "FAIL" if passed <= 0.82 * of else "UNDECIDED"


def write(folder, reports):
    """File them as a nightly run does."""
    for number, document in enumerate(reports):
        path = Path(folder) / f"{number:03d}" / "ladder.json"
        path.parent.mkdir(parents=True)
        path.write_text(json.dumps(document), encoding="utf-8")
    return Path(folder)


def learning(rng, pace, *, seeds=64, never=0.02):
    """Gate and loss of seeds that take about ``pace`` epochs each, a quarter more or less, or never learn."""
    took = pace * np.exp(0.25 * rng.standard_normal(seeds))
    dead = rng.random(seeds) < never
    reached = [None if gone or t > EPOCHS else max(1, math.ceil(t)) for t, gone in zip(took, dead, strict=True)]
    values = [
        1.0 if gone else float(f"{0.5 ** (6.0 / t) + 0.02 * rng.random():.5g}")
        for t, gone in zip(took, dead, strict=True)
    ]
    made = gate(reached) | {"median": statistics.median(values), "low": min(values), "high": max(values)}
    return {"gates": (made,), "values": values}


def example(nights=40):
    """Synthetic nights: a rung at rest, one slower for ten nights, one that drifts, one that steps, and a control."""
    rng = np.random.default_rng(3)
    for night in range(nights):
        blocked = night in (15, 16)
        third = rung("rung3[mse]", **learning(rng, 2.8 + 0.02 * night))
        fourth = rung("rung4[mse]", **learning(rng, 3.0 if night < 33 else 4.4))
        if blocked:
            third, fourth = (unmeasured(r["id"], "BLOCKED", blocked_by=["rung2"]) for r in (third, fourth))
        if night == 28:
            third = unmeasured("rung3[mse]", error="MemoryError()")
        yield report(
            rung("rung1", **learning(rng, 2.6, never=0.01)),
            rung("rung1[learning_rate=0.0]", (gate([None] * 64),), role="control", values=[1.0] * 64),
            rung("rung2", **learning(rng, 3.4 if 14 <= night < 24 else 2.6)),
            third,
            fourth,
            night=night,
        )


if __name__ == "__main__":
    from tempfile import TemporaryDirectory

    from ladder.history.drawing import svg
    from ladder.history.history import read

    with TemporaryDirectory() as folder:
        drawn = svg(read(write(folder, example())))
    height = float(drawn.partition('height="')[2].partition('"')[0])
    mark = f'<text class="dim small" x="24" y="{height - 20:g}">Synthetic nights</text></svg>'
    target = Path(__file__).parents[2] / "docs/images/history.svg"
    target.write_text(drawn.replace("</svg>", mark), encoding="utf-8")
