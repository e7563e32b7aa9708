"""Who is named: how often a healthy rung is, on simulated ladders, and that only a gated rung that FAILs ever can be.

Training is played: everything else is the real climb, on numbers drawn from the seed's own generator.
"""

from dataclasses import dataclass, replace

import numpy as np
import pytest
from scipy.stats import binom
from toys import SOURCE

from ladder import (
    Climb,
    Control,
    Ladder,
    Rung,
    Seeds,
    SequentialTest,
    Trained,
    Verdict,
    below,
    better_than,
    no_worse_than,
)
from ladder.climb import Outcome
from ladder.report.document import culprits, entry
from ladder.train.trainer import Trainer

LEARNS = below("loss", 0.5, by=1, source=SOURCE)
MARGIN = 0.25


@dataclass(frozen=True, kw_only=True)
class Draw:
    """A loss of each seed that meets LEARNS with probability ``p``, and nine more numbers that lie 1 above or below ``centre``.

    A draw without a spread is 0 in all nine. Draws of different ``number`` are independent.
    """

    number: int
    p: float
    centre: float = 0.0
    spread: float = 1.0
    epochs: int = 1
    metrics = ("loss", *"abcdefghi")

    def init(self, *arguments):
        """Draws are played."""
        raise AssertionError("a draw is not trained")

    epoch = init


class Player(Trainer):
    """In place of a trainer; the root of the seeds is the number of the ladder.

    A seed costs nothing more beside another, so the seeds of several looks are drawn in one call.
    """

    at_once = 24

    def __init__(self, experiment, block):
        self.experiment = experiment

    def __call__(self, seeds, numbers, progress=None):
        """Draw these seeds."""
        draw = self.experiment
        rng = np.random.default_rng([seeds.root, draw.number])
        uniform = rng.random((len(draw.metrics), 64, 1))[:, list(numbers)]
        compared = draw.centre + draw.spread * np.where(uniform[1:] < 0.5, -1.0, 1.0)
        loss = np.where(uniform[:1] < draw.p, 0.1, 1.0)
        return Trained(dict(zip(draw.metrics, [*loss, *compared], strict=True)), {}, 0.0, 0.0)


def root(number, p, centre=0.0, gates=(LEARNS,), **change):
    return Rung(number=number, name="root", experiment=Draw(number=number, p=p, centre=centre), gates=gates, **change)


def healthy_ladder(p1):
    """Ten rungs at the worst healthy rate, eight of them with nine comparisons at the boundary of their null."""
    rival = Rung(number=1, name="rival", experiment=Draw(number=1, p=1.0, spread=0.0), goals=(LEARNS,))
    metrics = rival.experiment.metrics[1:]
    better = tuple(better_than("rung1", metric, source=SOURCE) for metric in metrics)
    no_worse = tuple(no_worse_than("rung1", metric, margin=MARGIN, source=SOURCE) for metric in metrics)
    return Ladder(
        [
            rival,
            *(root(number, p1) for number in (2, 3)),
            *(root(number, p1, gates=(LEARNS, *better)) for number in (4, 5, 6, 7)),
            *(root(number, p1, centre=MARGIN, gates=(LEARNS, *no_worse)) for number in (8, 9, 10, 11)),
        ]
    )


class WithoutTests(Ladder):
    """A ladder whose union bound is over rungs alone, and not over the tests of each."""

    def gate_count(self, scale, name=""):
        """Return the number of gated rungs over that of the tests of a rung, which the judge multiplies it with."""
        return super().gate_count(scale, name) / (1 + len(Draw.metrics[1:]))


def named(ladder, test, number):
    """Return how many rungs fail, and whether one of them is named, on the seeds of one root."""
    outcomes = [*map(Climb(ladder, test, Seeds(root=number), trainer=Player), ladder)]
    fails = [outcome for outcome in outcomes if outcome.verdict is Verdict.FAIL]
    return len(fails), any(fail.judgement.names_culprit for fail in fails)


@pytest.mark.nightly
@pytest.mark.ill_typed  # a number of rungs that is not whole leaves comparisons out of the union bound
def test_culprit_error_rate(monkeypatch):
    """And would be on more, were it not for the union bound over rungs, or for that over the tests of one rung.

    At this beta, and with a look after nearly every seed, tests that hold at any time come near their level. No two ladders
    share a seed, so counts are binomial: one whose rate is at most beta exceeds the bound with probability at most 1e-4.
    """
    monkeypatch.setattr(
        "ladder.judge.judgement._decision", lambda *judged: None
    )  # advice, which takes half of the time
    test, ladders = SequentialTest(beta=0.045, looks=(*range(9, 17), 18, 20, 24)), 120
    ladder = healthy_ladder(test.p1)
    by_rungs_alone = WithoutTests([*ladder.values()])
    results = [named(ladder, test, number) for number in range(ladders)]
    found, failed = sum(name for _, name in results), sum(fails > 0 for fails, _ in results)
    found_by_rungs_alone = sum(named(by_rungs_alone, test, number)[1] for number in range(ladders))
    bound = binom.ppf(1 - 1e-4, ladders, test.beta)
    assert found <= bound < found_by_rungs_alone < failed, (found, bound, found_by_rungs_alone, failed)


def test_culprit_role_and_verdict():
    """Ladders of doubtful rungs, rungs on them, a comparison, controls and goal rows, all at random rates."""
    rng, named, seen = np.random.default_rng(0), set(), set()
    for number in range(60):
        p = [float(rate) for rate in rng.choice([0.1, 0.6, 0.85, 0.99], 7)]
        first = root(1, p[0])
        ladder = Ladder(
            [
                first,
                root(2, p[0], parent="rung1", adds="number", compare={"a": "not published"}),
                first.as_control(Control("learns less"), p=0.99 * p[2]),
                root(3, p[3], centre=2.0 * p[4], gates=(LEARNS, better_than("rung1", "a", source=SOURCE))),
                root(
                    4, p[5], centre=2.0, gates=(better_than("rung1", "a", source=SOURCE),), control=Control("is worse")
                ),
                replace(root(5, p[6]), gates=(), goals=(LEARNS,)),
                root(6, p[0]),
            ]
        )
        climb = Climb(ladder, seeds=Seeds(root=number), trainer=Player)
        outcomes = [climb(id) for id in ladder if id != "rung6"]
        outcomes.append(Outcome(ladder["rung6"], Verdict.CRASHED, error="out of memory"))
        for outcome in outcomes:
            seen.add((outcome.rung.role, outcome.verdict))
            if outcome.judgement and outcome.judgement.names_culprit:
                named.add((outcome.rung.role, outcome.verdict))
        found = next(iter(culprits([entry(outcome, ladder, climb.test) for outcome in outcomes])), None)
        first_fail = next((o for o in outcomes if o.rung.role == "gate" and o.verdict is Verdict.FAIL), None)
        assert (found and found["rung"]) == (first_fail and first_fail.rung.id)
        assert (found and found["certain"]) == (first_fail and first_fail.judgement.names_culprit)
    assert named == {("gate", Verdict.FAIL)}
    judged = (Verdict.PASS, Verdict.FAIL, Verdict.UNDECIDED)
    assert seen == {(role, verdict) for role in ("gate", "control", "goal") for verdict in judged} | {
        ("gate", Verdict.BLOCKED),
        ("gate", Verdict.CRASHED),
    }
