"""Climbing: what blocks, how many seeds are trained, how rungs are compared, what is green, and who is the culprit."""

import math
from dataclasses import dataclass, replace
from itertools import pairwise

import numpy as np
import pytest
from toys import SOURCE

from ladder import (
    Climb,
    Control,
    Floor,
    Ladder,
    Rung,
    Seeds,
    SequentialTest,
    Trained,
    Verdict,
    above,
    below,
    better_than,
    no_worse_than,
)
from ladder.judge.judgement import LIKELY, judge
from ladder.judge.sequential import chance_of_decision
from ladder.train.trainer import Trainer

FROM_16 = SequentialTest(looks=(16, 32, 64))
LEARNS = below("loss", 0.5, by=1, source=SOURCE)
NEVER = below("loss", 1e-9, by=1, source=SOURCE)
BEYOND = below("loss", 0.01, by=1, source=SOURCE, floor=Floor(0.05, "theorem 1"))  # as a goal it is a finding


@dataclass(frozen=True, kw_only=True)
class Script:
    """Learning curves by seed number: ``bad`` seeds never learn, ``gone`` ones turn non-finite."""

    bad: frozenset[int] = frozenset()
    gone: frozenset[int] = frozenset()
    shift: float = 0.0
    epochs: int = 1
    metrics = ("loss",)

    def init(self, *arguments):
        """Scripts are played."""
        raise AssertionError("a script is not trained")

    epoch = init


class Player(Trainer):
    """A trainer that plays the script and records the requested seeds."""

    asked: list[tuple[float, int, int]]

    def __init__(self, experiment, block):
        self.experiment = experiment

    def __call__(self, seeds, numbers, progress=None):
        """Play these seeds."""
        script = self.experiment
        self.asked.append((script.shift, numbers[0], numbers[-1] + 1))
        loss = [
            math.nan if n in script.gone else (1.0 if n in script.bad else 0.1) + script.shift + n / 1000
            for n in numbers
        ]
        return Trained({"loss": np.array(loss)[:, None]}, {}, 0.0, 0.0)


@pytest.fixture(autouse=True)
def asked(monkeypatch):
    """The seeds trained so far: the shift of the script, the first number and the one after the last."""
    monkeypatch.setattr(Player, "asked", [], raising=False)
    return Player.asked


def root(number=1, **change):
    return Rung(**({"number": number, "name": "root", "experiment": Script(), "gates": (LEARNS,)} | change))


def above_root(number=2, *, parent="rung1", **change):
    told = {"experiment": Script(shift=0.01), "adds": "shift", "compare": {"loss": "not published"}}
    return root(number, parent=parent, **(told | change))


def climbed(*rungs, test=FROM_16, **settings):
    climb = Climb(Ladder(rungs), test, trainer=Player, **settings)
    return [climb(id) for id in climb.ladder]


def some(*numbers):
    return frozenset(numbers)


@pytest.mark.parametrize(
    ("bad", "verdict", "n"),
    [
        (some(), Verdict.PASS, 16),
        (some(*range(5)), Verdict.FAIL, 16),
        (some(0), Verdict.PASS, 32),
        (some(0, 1, 2, 20, 21, 22, 23), Verdict.FAIL, 32),
        (some(0, 17, 18, 19), Verdict.PASS, 64),
        (some(0, 17, 18, 19, *range(40, 47)), Verdict.UNDECIDED, 64),
        (some(0, 17, 18, 19, *range(40, 48)), Verdict.FAIL, 64),
    ],
)
def test_training_until_decided(bad, verdict, n, asked):
    """A rung is trained on more seeds only while its verdict is undecided."""
    (outcome,) = climbed(root(experiment=Script(bad=bad)))
    assert (outcome.verdict, outcome.green) == (verdict, verdict is Verdict.PASS)
    judgement = outcome.judgement
    assert (judgement.n, judgement.k) == (n, n - sum(seed < n for seed in bad))
    assert outcome.trained.seeds == n
    assert asked == [(0.0, first, first + 16) for first in range(0, n, 16)]


def test_non_finite_seed():
    """A seed with non-finite values fails every gate."""
    (outcome,) = climbed(
        root(experiment=Script(gone=some(*range(5))), gates=(above("loss", -1.0, by=1, source=SOURCE),))
    )
    assert (outcome.verdict, outcome.judgement.k) == (Verdict.FAIL, 11)


def test_seeds_and_gates():
    """A seed passes only if it meets all gates."""
    low, high = below("loss", 0.111, by=1, source=SOURCE), above("loss", 0.1045, by=1, source=SOURCE)
    (outcome,) = climbed(root(gates=(low, high)))
    assert [gate.k for gate in outcome.judgement.gates] == [11, 11]
    assert outcome.judgement.k == 6


@pytest.mark.parametrize("bad", [some(*range(9)), some(0, 17, 18, 19, *range(40, 47))], ids=["FAIL", "UNDECIDED"])
def test_blocked_rung(bad, asked):
    """A rung that requires one without a PASS is blocked and not trained."""
    below, blocked, further = climbed(
        root(experiment=Script(bad=bad)),
        above_root(experiment=Script(bad=bad, shift=0.01)),
        above_root(3, parent="rung2", experiment=Script(bad=bad, shift=0.02)),
    )
    assert below.verdict is not Verdict.PASS
    assert [(o.verdict, o.blocked_by, o.green) for o in (blocked, further)] == [
        (Verdict.BLOCKED, ("rung1",), False),
        (Verdict.BLOCKED, ("rung2",), False),
    ]
    assert blocked.judgement is blocked.trained is None
    assert {shift for shift, *_ in asked} == {0.0}


def test_rung_blocked_by_an_unclimbed_one():
    """A rung is blocked until the rung that it requires has been climbed."""
    climb = Climb(Ladder([root(), above_root()]), trainer=Player)
    assert climb("rung2").blocked_by == ("rung1",)
    climb("rung1")
    assert climb("rung2").verdict is Verdict.PASS


def test_goal_rung(asked):
    """A goal rung is measured at the first look only and is always green."""
    (outcome,) = climbed(root(gates=(), goals=(NEVER, LEARNS), experiment=Script(bad=some(0))))
    assert (outcome.verdict, outcome.green, outcome.judgement.n) == (Verdict.FAIL, True, 16)
    assert [goal.k for goal in outcome.judgement.goals] == [0, 15]
    asked.clear()
    (undecided,) = climbed(root(gates=(), goals=(LEARNS,), experiment=Script(bad=some(0))))
    assert (undecided.verdict, undecided.green) == (Verdict.UNDECIDED, True)
    assert asked == [(0.0, 0, 16)]


def test_goals_of_a_gated_rung():
    """Goals do not affect the verdict of a gated rung."""
    (outcome,) = climbed(root(goals=(NEVER,)))
    assert (outcome.verdict, outcome.judgement.goals[0].verdict) == (Verdict.PASS, Verdict.FAIL)


@pytest.mark.parametrize(
    ("bad", "verdict"),
    [(some(*range(9)), Verdict.FAIL), (some(), Verdict.PASS), (some(0, 17, 18, 19, *range(40, 47)), Verdict.UNDECIDED)],
)
def test_control(bad, verdict):
    """A control is green only if it fails."""
    (outcome,) = climbed(root(experiment=Script(bad=bad), control=Control("must fail")))
    assert (outcome.verdict, outcome.green) == (verdict, verdict is Verdict.FAIL)


def test_non_finite_control():
    """A control that fails because of non-finite values is not green."""
    (outcome,) = climbed(root(experiment=Script(bad=some(*range(15)), gone=some(15)), control=Control("must fail")))
    assert (outcome.verdict, outcome.green) == (Verdict.FAIL, False)


@pytest.mark.parametrize(
    ("expects", "missed"),
    [
        (("below-floor",), ()),
        (("gamed",), ("gamed",)),
        (("off-by-one", "below-floor", "gamed"), ("off-by-one", "gamed")),
    ],
)
def test_expected_findings(expects, missed):
    """A control with expected findings is green only if all of them are found."""
    control = root(
        experiment=Script(bad=some(*range(9))), goals=(BEYOND,), control=Control("must fail", expects=expects)
    )
    (outcome,) = climbed(control)
    assert [finding.name for finding in outcome.diagnosis.findings] == ["below-floor"]
    assert (outcome.verdict, outcome.missed, outcome.green) == (Verdict.FAIL, missed, not missed)


@pytest.mark.parametrize(
    ("script", "verdict"),
    [
        (Script(), Verdict.PASS),
        (Script(bad=some(0, 17, 18, 19, *range(40, 47))), Verdict.UNDECIDED),
        (Script(bad=some(*range(15)), gone=some(15)), Verdict.FAIL),
    ],
    ids=["passes", "undecided", "not finite"],
)
def test_expected_findings_without_failure(script, verdict):
    """Expected findings do not make a control green that passes, is undecided or has non-finite values."""
    (outcome,) = climbed(
        root(experiment=script, goals=(BEYOND,), control=Control("must fail", expects=("below-floor",)))
    )
    assert (outcome.verdict, outcome.missed, outcome.green) == (verdict, (), False)


@pytest.mark.parametrize(("bad", "diagnosed"), [(some(), False), (some(*range(9)), True)])
def test_diagnosis_of_a_control(bad, diagnosed):
    """A control is diagnosed only if it fails and expects findings."""
    control = root(experiment=Script(bad=bad), goals=(BEYOND,), control=Control("must fail"))
    for expects, expected in (((), False), (("below-floor",), diagnosed)):
        (outcome,) = climbed(replace(control, control=Control("must fail", expects=expects)))
        assert (outcome.diagnosis is not None) == expected


def test_undiagnosed_control(monkeypatch):
    """A control whose diagnosis raises an exception misses its expected findings."""

    def fails(*arguments):
        raise ZeroDivisionError

    monkeypatch.setattr("ladder.climb.diagnose", fails)
    bad = Script(bad=some(*range(16)))
    (outcome,) = climbed(root(experiment=bad, goals=(BEYOND,), control=Control("must fail", expects=("below-floor",))))
    assert (outcome.verdict, outcome.missed, outcome.green) == (Verdict.FAIL, ("below-floor",), False)
    assert outcome.note == "not diagnosed: ZeroDivisionError()"


@pytest.mark.parametrize(
    ("gates", "together", "each"),
    [
        ((NEVER, NEVER), Verdict.FAIL, Verdict.FAIL),
        ((NEVER, LEARNS), Verdict.FAIL, Verdict.PASS),
        ((LEARNS, LEARNS), Verdict.PASS, Verdict.PASS),
    ],
)
def test_gates_of_a_control(gates, together, each):
    """With each_gate_fails a control must fail every gate, and else all gates together."""
    for each_gate_fails, verdict in ((False, together), (True, each)):
        (outcome,) = climbed(root(gates=gates, control=Control("must fail", each_gate_fails)))
        assert outcome.verdict is verdict


def test_undecided_control():
    """A control with one undecided gate is undecided."""
    undecided = Script(bad=some(0, 17, 18, 19, *range(40, 47)))
    (outcome,) = climbed(root(experiment=undecided, gates=(NEVER, LEARNS), control=Control("must fail")))
    assert (outcome.verdict, outcome.green) == (Verdict.UNDECIDED, False)


def test_paired_comparison():
    """Seeds differ by far more than the two rungs do: only pairs of the same seed show a difference of exactly 0.01."""
    *_, outcome = climbed(
        root(), above_root(gates=(LEARNS, no_worse_than("rung1", "loss", margin=0.02, source=SOURCE)))
    )
    gate, effect = outcome.judgement.gates[1], outcome.judgement.effects[0]
    for interval in (gate.interval, effect.interval):
        assert interval[:3] == pytest.approx((0.01, 0.01, 0.01))
    assert (gate.interval.level, effect.interval.level) == (0.95, 0.95)
    assert (gate.lower[:2], effect.lower[:2]) == ((0, 16), (0, 16))
    assert (len(gate.differences), len(effect.differences), effect.published) == (16, 16, "not published")
    assert outcome.verdict is Verdict.PASS


def test_comparison_with_itself():
    """An experiment is never better than itself."""
    twin = root(2, gates=(LEARNS, better_than("rung1", "loss", source=SOURCE)))
    *_, outcome = climbed(root(), twin)
    gate = outcome.judgement.gates[1]
    assert gate.interval[:3] == (0.0, 0.0, 0.0)
    assert (outcome.verdict, outcome.judgement.n) == (Verdict.UNDECIDED, 64)


@pytest.mark.parametrize(
    ("shift", "margin", "verdict"),
    [
        (-0.01, 0.0, Verdict.PASS),
        (0.01, 0.0, Verdict.FAIL),
        (0.01, 0.02, Verdict.PASS),
        (0.03, 0.02, Verdict.FAIL),
    ],
)
def test_better_and_no_worse(shift, margin, verdict):
    """A comparison passes if the median difference is within its margin, and else it fails."""
    comparison = replace(better_than("rung1", "loss", source=SOURCE), margin=margin)
    *_, outcome = climbed(root(), root(2, experiment=Script(shift=shift), gates=(LEARNS, comparison)))
    assert (outcome.verdict, outcome.judgement.gates[1].verdict) == (verdict, verdict)


def test_comparison_of_non_finite_seeds():
    """A non-finite seed counts as worse in the rung and is left out if it is non-finite in the other."""
    lost = root(experiment=Script(gone=some(0, 1)))
    mine = root(
        2, experiment=Script(gone=some(1, 2), shift=-0.01), gates=(better_than("rung1", "loss", source=SOURCE),)
    )
    *_, outcome = climbed(lost, mine, test=SequentialTest(looks=(16,)))
    gate = outcome.judgement.gates[0]
    assert len(gate.differences) == 14
    assert gate.interval[:3] == pytest.approx((-0.01, -0.01, -0.01))
    mine = replace(mine, experiment=Script(gone=some(*range(2, 12)), shift=-0.01))
    *_, outcome = climbed(lost, mine, test=SequentialTest(looks=(16,)))
    assert outcome.judgement.gates[0].interval.median == math.inf


def test_comparison_with_a_diverged_rung():
    """A comparison with a rung without finite seeds is undecided."""
    dead = root(gates=(), goals=(LEARNS,), experiment=Script(gone=some(*range(64))))
    *_, outcome = climbed(dead, root(2, gates=(LEARNS, better_than("rung1", "loss", source=SOURCE))))
    assert (outcome.verdict, outcome.judgement.gates[1].differences) == (Verdict.UNDECIDED, ())


def test_training_once_per_seed(asked):
    """Each rung is trained once on each seed, although others are compared with it."""
    undecided = Script(bad=some(0))
    compared = root(
        2, experiment=Script(shift=-0.01, bad=some(0)), gates=(LEARNS, better_than("rung1", "loss", source=SOURCE))
    )
    climbed(root(experiment=undecided), compared, replace(compared, number=3))
    blocks = [(0, 16), (16, 32)]
    # Rung 1 for itself, also where 2 and 3 are compared with it; then 2; then 3.
    assert asked == [(shift, *block) for shift in (0.0, -0.01, -0.01) for block in blocks]


@pytest.mark.parametrize(
    ("failing", "rungs", "certain"), [(5, 1, True), (5, 10, False), (6, 10, True), (6, 1000, False)]
)
def test_certainty_on_a_long_ladder(failing, rungs, certain):
    """A rung is certainly the culprit only if its failure is significant for the length of the ladder."""
    first = root(experiment=Script(bad=some(*range(failing))))
    others = [root(number, experiment=Script()) for number in range(2, rungs + 1)]
    climb = Climb(Ladder([first, *others]), SequentialTest(looks=(16,)), trainer=Player)
    outcome = climb("rung1")
    assert (outcome.verdict, outcome.judgement.names_culprit) == (Verdict.FAIL, certain)


@pytest.mark.parametrize(("scale", "certain"), [("small", False), ("", True)])
def test_certainty_by_scale(scale, certain):
    """Rungs of another scale do not count in the certainty of a culprit."""
    first = root(scale="small", experiment=Script(bad=some(*range(5))))
    others = [root(variant=f"v{number}", scale=scale, experiment=Script()) for number in range(9)]
    outcome = Climb(Ladder([first, *others]), SequentialTest(looks=(16,)), trainer=Player)("rung1@small")
    assert (outcome.verdict, outcome.judgement.names_culprit) == (Verdict.FAIL, certain)


def test_culprit_by_comparison():
    """A rung that clearly loses a comparison is a culprit although all seeds learn."""
    worse = root(2, experiment=Script(shift=0.01), gates=(LEARNS, better_than("rung1", "loss", source=SOURCE)))
    *_, outcome = climbed(root(), worse)
    assert (outcome.verdict, outcome.judgement.k, outcome.judgement.names_culprit) == (Verdict.FAIL, 16, True)


def test_comparison_at_a_tiny_beta():
    """With a tiny beta a lost comparison is undecided instead of a failure."""
    worse = root(2, experiment=Script(shift=0.01), gates=(LEARNS, better_than("rung1", "loss", source=SOURCE)))
    *_, outcome = climbed(root(), worse, test=SequentialTest(beta=1e-20))
    assert (outcome.verdict, outcome.judgement.names_culprit) == (Verdict.UNDECIDED, False)


def test_failing_seeds():
    """The failing seeds are those that miss a gate, or all if only a comparison failed."""
    bad = Script(shift=0.01, bad=some(0, 1))
    *_, outcome = climbed(root(), root(2, experiment=bad, gates=(LEARNS, better_than("rung1", "loss", source=SOURCE))))
    assert (outcome.verdict, outcome.judgement.k) == (Verdict.FAIL, 14)
    assert outcome.judgement.failing == tuple(range(16))
    (outcome,) = climbed(root(experiment=Script(bad=some(*range(6)))))
    assert outcome.judgement.failing == tuple(range(6))


@pytest.mark.parametrize(
    ("loss", "differ", "told"), [([1.0, 0.1], 0.0, True), ([1.0, 0.1], 1e-12, False), ([0.1, 0.1], 0.0, False)]
)
def test_identical_seeds(loss, differ, told):
    """Seeds that are the same to the last digit are told, unless what they report never changes."""

    class Same(Player):
        def __call__(self, seeds, numbers, progress=None):
            losses = np.array([loss] * len(numbers))
            losses[0] += differ
            return Trained({"loss": losses}, {}, 0.0, 0.0)

    climb = Climb(Ladder([root(experiment=Script(epochs=2))]), FROM_16, trainer=Same)
    assert climb("rung1").note.startswith("all 16 seeds are the same to the last digit") == told


def test_failed_diagnosis(monkeypatch):
    """A diagnosis that raises an exception changes no verdict and leaves a note."""

    def fails(*arguments):
        raise ZeroDivisionError

    monkeypatch.setattr("ladder.climb.diagnose", fails)
    (outcome,) = climbed(root(experiment=Script(bad=some(*range(16)))))
    assert (outcome.verdict, outcome.diagnosis, outcome.note) == (
        Verdict.FAIL,
        None,
        "not diagnosed: ZeroDivisionError()",
    )


def test_culprit_of_a_pass():
    """A rung that passes is not a culprit."""
    (outcome,) = climbed(root())
    assert outcome.judgement.names_culprit is False


def test_seeds_of_the_climb(monkeypatch):
    """The climb trains on the seeds that it is given."""
    used = []

    def play(self, seeds, numbers, progress):
        used.append(seeds)
        return Trained({"loss": np.ones((len(numbers), 1))}, {}, 0, 0)

    monkeypatch.setattr(Player, "__call__", play)
    climbed(root(), seeds=Seeds(root=5))
    assert used == [Seeds(root=5)]


@pytest.mark.parametrize(
    ("bad", "verdict", "n"),
    [
        (some(), Verdict.PASS, 10),
        (some(0), Verdict.PASS, 24),
        (some(*range(64)), Verdict.FAIL, 4),
        (some(0, 1, 2), Verdict.FAIL, 4),
        (some(0, 1), Verdict.UNDECIDED, 64),
    ],
)
def test_early_looks(bad, verdict, n, asked):
    """By default a control is decided after 4 seeds if nothing learns, and a rung after 10 if everything does."""
    control = Control("must fail") if verdict is Verdict.FAIL else None
    bad = bad | some(*range(9, 64, 7)) if verdict is Verdict.UNDECIDED else bad
    (outcome,) = climbed(root(experiment=Script(bad=bad), control=control), test=SequentialTest())
    assert (outcome.verdict, outcome.judgement.n) == (verdict, n)
    looks = [0, *(look for look in SequentialTest().looks if look <= n)]
    assert [block for _, *block in asked] == [list(block) for block in pairwise(looks)]


@pytest.mark.parametrize(
    ("bad", "verdict", "n", "named"),
    [
        (some(*range(64)), Verdict.FAIL, 10, True),
        (some(0, 1, 2), Verdict.UNDECIDED, 24, False),
        (some(0, 1, 2, *range(22, 32)), Verdict.FAIL, 32, True),
        (some(*range(0, 64, 5)), Verdict.FAIL, 64, False),
    ],
)
def test_seeds_until_a_culprit(bad, verdict, n, named):
    """A gated rung goes on after a FAIL until it names a culprit, and is judged by the seeds at which it stops."""
    rungs = [root(experiment=Script(bad=bad)), *(root(number) for number in range(2, 31))]
    climb = Climb(Ladder(rungs), SequentialTest(looks=(4, 10, 16, 24, 32, 64)[: 4 if n == 24 else 6]), trainer=Player)
    outcome = climb("rung1")
    assert (outcome.verdict, outcome.judgement.n, outcome.judgement.names_culprit) == (verdict, n, named)


def test_report_seeds():
    """A rung with effects or goals goes on after a PASS until they are reported on enough seeds, or to the last look."""
    for change, report_seeds, n in (({}, 16, 10), ({"goals": (NEVER,)}, 16, 16), ({"goals": (NEVER,)}, 40, 48)):
        (outcome,) = climbed(root(**change), test=SequentialTest(), report_seeds=report_seeds)
        assert (outcome.verdict, outcome.judgement.n) == (Verdict.PASS, n)
    *_, outcome = climbed(root(), above_root(), test=SequentialTest())
    assert (len(outcome.judgement.effects[0].differences), outcome.judgement.n) == (16, 16)
    (goal,) = climbed(root(gates=(), goals=(NEVER,)), test=SequentialTest(looks=(4, 10)))
    assert goal.judgement.n == 10


def test_climbing_through():
    """With through, what stands on a rung that did not pass is climbed and stays BLOCKED, and no culprit is named there."""
    bad = some(*range(9))
    rungs = (
        root(experiment=Script(bad=bad)),
        above_root(experiment=Script(bad=bad, shift=0.01)),
        above_root(
            3, parent="rung2", experiment=Script(shift=0.02, bad=bad), gates=(above("loss", 0.0, by=1, source=SOURCE),)
        ),
        above_root(
            4, parent="rung3", requires=("rung3",), gates=(), goals=(LEARNS,), experiment=Script(bad=bad, shift=0.3)
        ),
        replace(root(5, experiment=Script(bad=bad, shift=0.5)), requires=("rung1",), control=Control("must fail")),
    )
    _, *others = climbed(*rungs, through=True)
    judged = [(o.verdict, o.blocked_by, o.judgement.verdict, o.green) for o in others]
    assert judged == [
        (Verdict.BLOCKED, ("rung1",), Verdict.FAIL, False),
        (Verdict.BLOCKED, ("rung2",), Verdict.PASS, False),
        (Verdict.BLOCKED, ("rung3",), Verdict.FAIL, False),
        (Verdict.BLOCKED, ("rung1",), Verdict.FAIL, False),
    ]


def test_seeds_trained_ahead(monkeypatch, asked):
    """A trainer for which a batch costs what one seed does trains ahead, and a verdict counts only the seeds of its look."""
    monkeypatch.setattr(Player, "at_once", 16, raising=False)
    (outcome,) = climbed(root(experiment=Script(bad=some(0, 1))), test=SequentialTest(looks=(4, 10, 16, 24)))
    assert asked == [(0.0, 0, 16), (0.0, 16, 32)]
    assert (outcome.verdict, outcome.judgement.n, outcome.trained.seeds) == (Verdict.PASS, 24, 24)


def test_what_decides():
    """An UNDECIDED rung says after how many seeds it is decided with what chance; a comparison with itself never is."""
    undecided = Script(bad=some(0, 17, 18, 19, *range(40, 47)))
    (outcome,) = climbed(root(experiment=undecided))
    looks, chance = outcome.judgement.decision
    assert looks[:3] == FROM_16.looks
    assert looks[3:] == (96, 128, 192)[: len(looks) - 3]
    assert LIKELY <= chance < 1.0
    among_60 = judge(root(), outcome.trained, {}, FROM_16, gated=60).decision
    by_then = chance_of_decision(
        53,
        64,
        among_60.looks[3:],
        lambda k, n: FROM_16.verdict(k, n) is Verdict.PASS or FROM_16.names_culprit(k, n, 60),
    )
    assert among_60.chance == pytest.approx(by_then[-1]), "a FAIL that is too weak to name a culprit decides nothing"
    *_, twin = climbed(root(), root(2, gates=(LEARNS, better_than("rung1", "loss", source=SOURCE))))
    assert twin.judgement.decision.chance == 0.0
    assert all(
        outcome.judgement.decision is None
        for outcome in climbed(root(), root(2, experiment=Script(bad=some(*range(16)))))
    )


def test_repr():
    """Outcomes, judgements and trained curves have a representation on one line."""
    bad = Script(bad=some(*range(5)))
    failed, blocked = climbed(root(experiment=bad), above_root(experiment=replace(bad, shift=0.01)))
    assert repr(failed) == "Outcome(rung1 FAIL 11/16)"
    assert repr(blocked) == "Outcome(rung2 BLOCKED)"
    assert repr(failed.judgement) == "Judgement(FAIL 11/16)"
    assert repr(failed.trained) == "Trained(loss[16, 1]; 0 traces)"
