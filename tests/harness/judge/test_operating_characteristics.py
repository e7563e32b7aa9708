"""Coins climbed by the plugin: verdicts come as often as the operating characteristics say, and red is never green.

Collection, climb, judgement, report and exit code are real; where a test says so, training is a flip of NumPy's.
"""

import json
from collections import Counter
from itertools import count, pairwise, product

import numpy as np
import pytest
from scipy.stats import binom
from toys import HEAD, INI, TEST

from ladder import SequentialTest, Trained, Verdict
from ladder.train.trainer import Trainer

RATES = (0.6, 0.7, 0.85, 0.95)

FILE = f"""{HEAD}
def coin(p, toss=0, number=1, **change):
    experiment = Coin(p=p, shift=float(toss))
    return Rung(number=number, variant=f"{{{{p}}}},{{{{toss}}}}", name="coin", experiment=experiment, gates=(LEARNS,), **change)

RUNGS = {{rungs}}
{TEST}"""


class Flips(Trainer):
    """A trainer that flips a fixed coin for each seed, one coin for each experiment, which its shift identifies."""

    def __init__(self, experiment, block):
        self.experiment = experiment

    def __call__(self, seeds, numbers, progress=None):
        """Flip these seeds' coins."""
        coin = self.experiment
        rng = np.random.default_rng([seeds.root, round(100 * coin.p), int(coin.shift)])
        learns = rng.random(64)[list(numbers)] < coin.p
        return Trained({"loss": np.tile(np.where(learns, 0.1, 1.0)[:, None], coin.epochs)}, {}, 0.0, 0.0)


@pytest.fixture
def flipped(monkeypatch):
    """Nothing is trained."""
    monkeypatch.setattr("ladder.train.compiled.CompiledTrainer", Flips)


@pytest.fixture
def climbed(pytester, compiled):
    """Runs pytest on a file of these rungs and returns what the report has of them.

    Of every run it asks that the exit code is 0 if all gated rungs PASS and all controls FAIL, else 1, and that the culprit
    is the first gated rung that FAILs: none that is UNDECIDED or BLOCKED, and no control.
    """
    pytester.makeini(INI)
    files = count()

    def run(rungs):
        file = pytester.makepyfile(**{f"test_tosses{next(files)}": FILE.format(rungs=rungs)})
        code = pytester.runpytest("-q", "--tb=no", file).ret
        report = json.loads((pytester.path / "reports" / "ladder.json").read_text())
        reached = {(rung["role"], rung["verdict"]) for rung in report["rungs"]}
        assert code == (0 if reached <= {("gate", "PASS"), ("control", "FAIL")} else 1)
        failed = [rung["id"] for rung in report["rungs"] if (rung["role"], rung["verdict"]) == ("gate", "FAIL")]
        assert (report["culprit"] and report["culprit"]["rung"]) == (failed[0] if failed else None)
        return report["rungs"]

    return run


def going_on(test, p, look, tests):
    """Return the probability that a gated rung goes on after this look, by counting paths."""
    chances = [1.0]
    for n in range(1, look + 1):
        chances = [p * a + (1.0 - p) * b for a, b in zip([0.0, *chances], [*chances, 0.0], strict=True)]
        for k in range(n + 1 if n in test.looks else 0):
            if test.verdict(k, n) is Verdict.PASS or test.names_culprit(k, n, tests):
                chances[k] = 0.0
    return sum(chances)


@pytest.mark.usefixtures("flipped")
def test_verdict_frequencies(climbed):
    """Counts of independent coins are binomial: each is out of its bounds with probability at most 1e-4."""
    coins, test = 60, SequentialTest()
    everything = climbed(f"[coin(p, toss) for toss in range({coins}) for p in {RATES}]")
    for p in RATES:
        rungs = [rung for rung in everything if rung["experiment"]["components"]["p"] == p]
        assert len(rungs) == coins
        expected, verdicts = (
            test.operating_characteristics(p, len(everything)),
            Counter(rung["verdict"] for rung in rungs),
        )
        counts = {
            "PASS": (verdicts["PASS"], expected.passes),
            "FAIL": (verdicts["FAIL"], expected.fails),
            "UNDECIDED": (verdicts["UNDECIDED"], expected.undecided),
        }
        mean = test.looks[0]
        for look, longer in pairwise(test.looks):
            undecided = going_on(test, p, look, len(everything))
            counts[f"more than {look} seeds"] = sum(rung["seeds"]["of"] > look for rung in rungs), undecided
            mean += (longer - look) * undecided
        for what, (found, chance) in counts.items():
            low, high = binom.interval(1 - 1e-4, coins, chance)
            assert low <= found <= high, f"p = {p}, {what}: {found} of {coins}, expected {coins * chance:.1f}"
        assert expected.seeds == pytest.approx(mean)  # so that bounds on the counts are bounds on the mean


@pytest.mark.usefixtures("flipped")
def test_exit_code_and_culprit(climbed):
    """The fixture asks for it; here are small ladders of every kind."""
    seen = set()
    for toss, (p, q) in enumerate(product((0.75, 0.85, 0.95), (0.6, 0.85) * 2)):
        rungs = climbed(
            f"[first := coin({p}, {2 * toss}), "
            f"coin({p}, {2 * toss + 1}, parent=first.id, adds='shift', compare={{'loss': 'not published'}}), "
            f"first.as_control(Control('it learns less'), p={q - 0.01})]"
        )
        seen.add(tuple(rung["verdict"] for rung in rungs if rung["role"] == "gate"))
    assert seen == {
        ("PASS", "PASS"),
        ("PASS", "UNDECIDED"),
        ("PASS", "FAIL"),
        ("UNDECIDED", "BLOCKED"),
        ("FAIL", "BLOCKED"),
    }


def test_first_deciding_look(climbed):
    """A rung is judged at the first look at which it passes or names a culprit, else at the last."""
    test = SequentialTest()
    for rung in climbed("[coin(0.85), coin(0.95)]"):
        learned = [seed[-1] < 0.5 for seed in rung["curves"]["loss"]]
        looks = [look for look in test.looks if look <= len(learned)]
        *before, last = [(test.verdict(sum(learned[:look]), look), sum(learned[:look]), look) for look in looks]
        assert (len(learned), rung["verdict"]) == (looks[-1], last[0])
        for verdict, k, n in (*before, last):
            stops = verdict is Verdict.PASS or test.names_culprit(k, n, tests=2)
            assert stops == (n == looks[-1]) or n == test.looks[-1]
